/** The stack of modals: the one on top is shown, the ones below wait as they were left. */

import { showBlocks } from "./blocks.js";
import { element, icon } from "./dom.js";
import { withEmoji } from "./emoji.js";

/** Drives the one <dialog> of the page. submit(view, values) resolves to the server's answer. */
export class Modal {
  #dialog;
  #submit;
  #close;
  #surfaceOf;
  #open = new Map();
  #top = null;

  /** surfaceOf(view): what the elements of a view stand on. */
  constructor(dialog, { submit, close, surfaceOf }) {
    this.#dialog = dialog;
    this.#submit = submit;
    this.#close = close;
    this.#surfaceOf = surfaceOf;
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      this.#leave();
    });
    // A browser may close the dialog without asking; the app has to hear of that as well.
    dialog.addEventListener("close", () => this.#leave());
  }

  /** Bring the dialog in line with the person's views, the last one on top. */
  show(views) {
    for (const id of this.#open.keys()) if (!views.some((view) => view.id === id)) this.#open.delete(id);
    const view = views.at(-1);
    if (!view) {
      this.#top = null;
      this.#dialog.close();
      return;
    }
    const isNew = !this.#open.has(view.id);
    if (isNew) this.#open.set(view.id, this.#build());
    const sheet = this.#open.get(view.id);
    sheet.view = view;
    this.#draw(sheet);
    if (this.#top !== view.id) this.#dialog.replaceChildren(sheet.form);
    this.#top = view.id;
    if (!this.#dialog.open) this.#dialog.showModal();
    if (isNew)
      (
        sheet.form.querySelector("[data-autofocus], .modal-blocks :is(input, textarea, select)") ??
        sheet.submit
      ).focus();
  }

  #build() {
    const sheet = { view: null, surface: null };
    const leave = () => this.#leave();
    sheet.title = element("h2", { id: "modal-title" });
    sheet.notice = element("p", { class: "problem", role: "alert" });
    sheet.blocks = element("div", { class: "modal-blocks" });
    sheet.close = element("button", {
      type: "button",
      class: "button",
      "data-testid": "modal-close",
      onclick: leave,
    });
    sheet.submit = element("button", {
      type: "submit",
      class: "button primary",
      "data-testid": "modal-submit",
    });
    sheet.form = element(
      "form",
      { class: "modal-form", novalidate: true },
      element(
        "header",
        { class: "modal-header" },
        sheet.title,
        element(
          "button",
          { type: "button", class: "icon-button", "aria-label": "Close", onclick: leave },
          icon("close"),
        ),
      ),
      element("div", { class: "modal-scroller" }, sheet.notice, sheet.blocks),
      element("footer", { class: "dialog-buttons" }, sheet.close, sheet.submit),
    );
    sheet.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send(sheet);
    });
    return sheet;
  }

  #draw(sheet) {
    const { view } = sheet;
    sheet.surface = this.#surfaceOf(view);
    sheet.title.replaceChildren(...withEmoji(view.title));
    sheet.close.replaceChildren(...withEmoji(view.close ?? (view.submit ? "Cancel" : "Close")));
    sheet.submit.hidden = !view.submit;
    sheet.submit.replaceChildren(...withEmoji(view.submit ?? ""));
    showBlocks(sheet.blocks, sheet.surface, view.errors);
  }

  async #send({ view, surface, form, submit, notice }) {
    if (!view.submit || submit.getAttribute("aria-busy") === "true") return;
    submit.setAttribute("aria-busy", "true");
    const answer = await this.#submit(view, surface.state());
    submit.removeAttribute("aria-busy");
    notice.textContent = answer.ok || answer.errors ? "" : `That did not work: ${answer.error}`;
    const wrong = form.querySelector("[aria-invalid]:is(input, textarea, select), [aria-invalid] input");
    wrong?.focus();
    // With what is wrong with it, which stands below.
    wrong?.closest(".block").scrollIntoView({ block: "nearest" });
  }

  #leave() {
    const sheet = this.#open.get(this.#top);
    if (sheet) this.#close(sheet.view);
  }
}
