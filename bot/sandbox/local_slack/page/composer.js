/** The field to write in, the commands that it suggests, and the menu of shortcuts beside it. */

import { element, icon } from "./dom.js";
import { menu } from "./overlays.js";

let lists = 0;

export class Composer {
  #field;
  #problem;
  #suggestions;
  #send;
  #drafts = new Map();
  #draft = null;

  /**
   * Build it into `form`. testids: {field, send}. beside: nodes at the start of the line. send(text)
   * resolves to a problem in words for the person, or null.
   */
  constructor(form, { testids, send, beside = [] }) {
    this.#send = send;
    this.#field = element("textarea", {
      class: "composer-field",
      rows: 1,
      "data-testid": testids.field,
      autocomplete: "off",
    });
    this.#suggestions = new Suggestions(this.#field, (command) => this.#write(`${command} `));
    this.#problem = element("p", { class: "problem", role: "alert" });
    const look = { type: "submit", class: "icon-button send", "aria-label": "Send" };
    const button = element("button", { ...look, "data-testid": testids.send }, icon("send"));
    form.append(
      this.#suggestions.node,
      this.#problem,
      element("div", { class: "composer-box" }, beside, this.#field, button),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#field.addEventListener("input", () => {
      this.#problem.textContent = "";
      this.#fit();
    });
    this.#field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#submit();
    });
  }

  /** Point it at a conversation: `draft` names it, and the text begun there comes back. */
  use({ draft, label, commands }) {
    this.#suggestions.use(commands);
    this.#field.placeholder = label;
    this.#field.setAttribute("aria-label", label);
    if (draft === this.#draft) return;
    this.#drafts.set(this.#draft, this.#field.value);
    this.#draft = draft;
    this.#problem.textContent = "";
    this.#write(this.#drafts.get(draft) ?? "");
  }

  focus() {
    this.#field.focus();
  }

  async #submit() {
    const text = this.#field.value.trim();
    if (text === "") return;
    const draft = this.#draft;
    this.#problem.textContent = "";
    this.#write("");
    const problem = await this.#send(text);
    if (problem === null || draft !== this.#draft) return;
    this.#problem.textContent = problem;
    if (this.#field.value === "") this.#write(text);
  }

  #write(text) {
    this.#field.value = text;
    this.#fit();
    this.#suggestions.update();
  }

  /** As high as its text, up to the limit in the style sheet. */
  #fit() {
    this.#field.style.height = "auto";
    this.#field.style.height = `${this.#field.scrollHeight}px`;
  }
}

/** The app's commands, suggested above the field while one types a slash. */
class Suggestions {
  #field;
  #list;
  #commands = [];
  #offered = [];
  #chosen = 0;

  /** For the text area `field`; `complete(command)` is called with the command that was chosen. */
  constructor(field, complete) {
    lists += 1;
    this.#field = field;
    const look = { class: "suggestions", id: `suggestions-${lists}`, hidden: true };
    this.#list = element("ul", { ...look, role: "listbox", "aria-label": "Commands" });
    field.setAttribute("aria-controls", this.#list.id);
    field.setAttribute("aria-autocomplete", "list");
    field.addEventListener("input", () => this.update());
    field.addEventListener("blur", () => this.#offer([]));
    field.addEventListener("keydown", (event) => {
      if (!this.#pressed(event.key, complete)) return;
      event.preventDefault();
      event.stopImmediatePropagation();
    });
    this.#list.addEventListener("mousedown", (event) => {
      // Before the field loses the focus, and with it the list.
      event.preventDefault();
      const index = [...this.#list.children].indexOf(event.target.closest("li"));
      if (index >= 0 && !this.#isComplete()) complete(this.#offered[index].command);
    });
  }

  /** The list, to be placed near the field. */
  get node() {
    return this.#list;
  }

  /** Suggest from these commands: {command, usage_hint, description}. */
  use(commands) {
    this.#commands = commands;
  }

  /** Bring the list in line with what the field holds. */
  update() {
    const text = this.#field.value;
    const name = text.split(/\s/, 1)[0];
    const fits = ({ command }) => (name === text ? command.startsWith(name) : command === name);
    this.#offer(text.startsWith("/") ? this.#commands.filter(fits) : []);
  }

  /** Whether the field holds a command in full: then the list only reminds of its usage. */
  #isComplete() {
    const name = this.#field.value.split(/\s/, 1)[0];
    return this.#offered.some(({ command }) => command === name);
  }

  /** Act on a key; false if it is none of the list's. */
  #pressed(key, complete) {
    if (this.#offered.length === 0) return false;
    if (key === "Escape") {
      this.#offer([]);
      return true;
    }
    if (this.#isComplete()) return false;
    if (key === "ArrowDown" || key === "ArrowUp") {
      const step = key === "ArrowDown" ? 1 : -1;
      this.#choose((this.#chosen + step + this.#offered.length) % this.#offered.length);
      return true;
    }
    if (key === "Tab" || key === "Enter") {
      complete(this.#offered[this.#chosen].command);
      return true;
    }
    return false;
  }

  #offer(commands) {
    this.#offered = commands;
    this.#list.hidden = commands.length === 0;
    this.#list.replaceChildren(...commands.map((command, index) => this.#draw(command, index)));
    this.#choose(0);
  }

  #draw({ command, usage_hint: usage, description }, index) {
    return element(
      "li",
      { id: `${this.#list.id}-${index}`, role: "option" },
      element("span", {}, element("strong", {}, command), " ", element("span", { class: "usage" }, usage)),
      element("span", { class: "suggested-description" }, description),
    );
  }

  #choose(index) {
    this.#chosen = index;
    const options = [...this.#list.children];
    options.forEach((option, at) => option.setAttribute("aria-selected", `${at === index}`));
    this.#field.setAttribute("aria-activedescendant", options[index]?.id ?? "");
  }
}

/** The menu of global shortcuts. shortcuts(): those there are at the moment; run(shortcut): starts one. */
export function shortcutsMenu(shortcuts, run) {
  const look = { type: "button", class: "icon-button", "aria-label": "Shortcuts", title: "Shortcuts" };
  const button = element("button", { ...look, "data-testid": "shortcuts" }, icon("bolt"));
  return menu(button, () =>
    shortcuts().map((shortcut) => ({
      testid: `shortcut-${shortcut.callback_id}`,
      content: [
        element("strong", {}, shortcut.name),
        element("span", { class: "menu-description" }, shortcut.description),
      ],
      choose: () => run(shortcut),
    })),
  );
}
