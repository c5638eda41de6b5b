/** The field to write in, with the app's commands suggested and its shortcuts beside it. */

import { element, icon } from "./dom.js";
import { menu } from "./menu.js";

let composers = 0;

/**
 * Build a composer into `form`. testids: {field, send}. send(text) resolves to an error for the person or
 * null. runShortcut(shortcut) starts one; without it there is no menu.
 */
export class Composer {
  #field;
  #problem;
  #suggestions;
  #send;
  #drafts = new Map();
  #draft = null;
  #commands = [];
  #shortcuts = [];
  #offered = [];
  #chosen = 0;
  #name;

  constructor(form, { testids, send, runShortcut = null }) {
    composers += 1;
    this.#name = `composer-${composers}`;
    this.#send = send;
    this.#suggestions = element("ul", {
      class: "suggestions",
      id: `${this.#name}-list`,
      role: "listbox",
      "aria-label": "Commands",
      hidden: true,
    });
    this.#field = element("textarea", {
      class: "composer-field",
      rows: 1,
      "data-testid": testids.field,
      "aria-controls": `${this.#name}-list`,
      "aria-autocomplete": "list",
      autocomplete: "off",
    });
    this.#problem = element("p", { class: "problem", role: "alert" });
    const submit = element(
      "button",
      { type: "submit", class: "icon-button send", "data-testid": testids.send, "aria-label": "Send" },
      icon("send"),
    );
    const bolt = element(
      "button",
      { type: "button", class: "icon-button", "data-testid": "shortcuts", "aria-label": "Shortcuts" },
      icon("bolt"),
    );
    const shortcuts = () =>
      this.#shortcuts.map((shortcut) => ({
        testid: `shortcut-${shortcut.callback_id}`,
        content: [element("strong", {}, shortcut.name), element("span", {}, shortcut.description)],
        choose: () => runShortcut(shortcut),
      }));
    form.append(
      this.#suggestions,
      this.#problem,
      element("div", { class: "composer-box" }, runShortcut && menu(bolt, shortcuts), this.#field, submit),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#field.addEventListener("input", () => this.#typed());
    this.#field.addEventListener("keydown", (event) => this.#pressed(event));
    this.#field.addEventListener("blur", () => this.#offer([]));
    this.#suggestions.addEventListener("mousedown", (event) => {
      // Before the field loses the focus, and with it the list.
      event.preventDefault();
      const index = [...this.#suggestions.children].indexOf(event.target.closest("li"));
      if (index >= 0) this.#complete(index);
    });
  }

  /** Point the composer at a conversation: its own draft, its label, and what the app offers. */
  use({ draft, label, commands, shortcuts }) {
    this.#commands = commands;
    this.#shortcuts = shortcuts;
    this.#field.placeholder = label;
    this.#field.setAttribute("aria-label", label);
    if (draft === this.#draft) return;
    this.#drafts.set(this.#draft, this.#field.value);
    this.#draft = draft;
    this.#write(this.#drafts.get(draft) ?? "");
    this.#problem.textContent = "";
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
    this.#typed();
  }

  #typed() {
    // As high as its text, up to the limit in the style sheet.
    this.#field.style.height = "auto";
    this.#field.style.height = `${this.#field.scrollHeight}px`;
    const text = this.#field.value;
    const name = text.split(/\s/, 1)[0];
    if (!text.startsWith("/")) this.#offer([]);
    else if (name === text) this.#offer(this.#commands.filter(({ command }) => command.startsWith(name)));
    else this.#offer(this.#commands.filter(({ command }) => command === name));
  }

  #offer(commands) {
    this.#offered = commands;
    this.#chosen = 0;
    this.#suggestions.hidden = commands.length === 0;
    this.#suggestions.replaceChildren(
      ...commands.map(({ command, usage_hint: usage, description }, index) =>
        element(
          "li",
          { id: `${this.#name}-${index}`, role: "option" },
          element(
            "span",
            { class: "suggested-command" },
            element("strong", {}, command),
            " ",
            element("span", { class: "usage" }, usage),
          ),
          element("span", { class: "suggested-description" }, description),
        ),
      ),
    );
    this.#mark();
  }

  #mark() {
    [...this.#suggestions.children].forEach((option, index) =>
      option.setAttribute("aria-selected", `${index === this.#chosen}`),
    );
    if (this.#offered.length === 0) this.#field.removeAttribute("aria-activedescendant");
    else this.#field.setAttribute("aria-activedescendant", `${this.#name}-${this.#chosen}`);
  }

  #complete(index) {
    const { command } = this.#offered[index];
    if (this.#isComplete()) return;
    this.#write(`${command} `);
  }

  /** Whether a command stands there in full, so that Enter sends instead of completing. */
  #isComplete() {
    const name = this.#field.value.split(/\s/, 1)[0];
    return this.#offered.some(({ command }) => command === name);
  }

  #pressed(event) {
    const open = this.#offered.length > 0 && !this.#isComplete();
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (open && step) {
      this.#chosen = (this.#chosen + step + this.#offered.length) % this.#offered.length;
      this.#mark();
    } else if (open && (event.key === "Tab" || event.key === "Enter")) {
      this.#complete(this.#chosen);
    } else if (this.#offered.length > 0 && event.key === "Escape") {
      this.#offer([]);
    } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      this.#submit();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }
}
