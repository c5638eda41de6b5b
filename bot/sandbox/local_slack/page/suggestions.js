/** The app's commands, suggested above the field while one types a slash. */

import { element } from "./dom.js";

let lists = 0;

export class Suggestions {
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
