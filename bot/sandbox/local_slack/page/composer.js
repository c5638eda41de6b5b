/** The field to write in. */

import { element, icon } from "./dom.js";
import { Suggestions } from "./suggestions.js";

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
