/** On a phone, the sidebar is a drawer over the page; on a wide screen it just stands there. */

export class Drawer {
  #parts;

  /** narrow: the media query of a phone. onChange(): called after it was opened or closed. */
  constructor(parts) {
    this.#parts = parts;
    const { button, scrim, sidebar, narrow } = parts;
    button.addEventListener("click", () => this.#set(!this.isOpen));
    scrim.addEventListener("click", () => this.close());
    narrow.addEventListener("change", () => this.close());
    sidebar.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.close();
    });
  }

  get isOpen() {
    return this.#parts.button.getAttribute("aria-expanded") === "true";
  }

  /** Close it, if it is open, and give the focus back to its button. */
  close() {
    if (!this.isOpen) return;
    this.#set(false);
    this.#parts.button.focus();
  }

  #set(open) {
    const { button, scrim, sidebar, onChange } = this.#parts;
    button.setAttribute("aria-expanded", `${open}`);
    sidebar.classList.toggle("open", open);
    scrim.hidden = !open;
    onChange();
    if (open) sidebar.focus();
  }
}
