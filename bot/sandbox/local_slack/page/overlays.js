/** What opens above the page: a small menu, the question before a choice, a note of what went wrong. */

import { element } from "./dom.js";
import { drawText } from "./text.js";

const TOAST_SECONDS = 8;

let asked = 0;

/**
 * A button that opens a small menu above or below itself; arrow keys, Escape and Tab work as in any menu.
 *
 * button: the opening button, already drawn. entries: () => list of {testid, content, choose}, asked at
 * every opening. Returns the node that holds both.
 */
export function menu(button, entries) {
  // Focusable by itself: Safari does not focus a pressed button, and would close the menu before the click.
  const list = element("div", { class: "menu", role: "menu", tabindex: "-1", hidden: true });
  const holder = element("div", { class: "menu-holder" }, button, list);
  button.setAttribute("aria-haspopup", "menu");
  button.setAttribute("aria-expanded", "false");

  const close = (refocus) => {
    if (list.hidden) return;
    list.hidden = true;
    list.replaceChildren();
    button.setAttribute("aria-expanded", "false");
    if (refocus) button.focus();
  };
  const open = () => {
    list.replaceChildren(
      ...entries().map(({ testid, content, choose }) =>
        element(
          "button",
          {
            type: "button",
            role: "menuitem",
            "data-testid": testid,
            onclick: () => {
              close(true);
              choose();
            },
          },
          content,
        ),
      ),
    );
    list.classList.toggle("below", button.getBoundingClientRect().top < innerHeight / 2);
    list.hidden = false;
    button.setAttribute("aria-expanded", "true");
    list.firstElementChild?.focus();
  };
  const step = (distance) => {
    const items = [...list.children];
    const at = items.indexOf(document.activeElement);
    items[(at + distance + items.length) % items.length]?.focus();
  };

  button.addEventListener("click", () => (list.hidden ? open() : close(true)));
  list.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") step(1);
    else if (event.key === "ArrowUp") step(-1);
    else if (event.key === "Escape") close(true);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  holder.addEventListener("focusout", (event) => {
    if (!holder.contains(event.relatedTarget)) close(false);
  });
  return holder;
}

/** Whether the person confirmed a choice with `confirm`. True at once where there is nothing to ask. */
export async function confirmed(question, directory) {
  if (!question) return true;
  asked += 1;
  const id = `question-${asked}`;
  const style = question.style === "danger" ? "danger" : "primary";
  const answer = (value) => () => dialog.close(value);
  const dialog = element(
    "dialog",
    {
      class: "question",
      "data-testid": "dialog",
      role: "alertdialog",
      "aria-labelledby": `${id}-title`,
      "aria-describedby": `${id}-text`,
    },
    element("h2", { id: `${id}-title` }, drawText(question.title, directory)),
    element("div", { class: "text", id: `${id}-text` }, drawText(question.text, directory)),
    element(
      "div",
      { class: "dialog-buttons" },
      // The harmless answer has the focus: Enter pressed by habit does nothing that costs money.
      element(
        "button",
        {
          type: "button",
          class: "button",
          "data-testid": "confirm-cancel",
          autofocus: true,
          onclick: answer("no"),
        },
        drawText(question.deny, directory),
      ),
      element(
        "button",
        { type: "button", class: `button ${style}`, "data-testid": "confirm-accept", onclick: answer("yes") },
        drawText(question.confirm, directory),
      ),
    ),
  );
  document.body.append(dialog);
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    dialog.showModal();
  });
}

/** Show `text` for some seconds in `region`, a live region (so it is read out as well) and a popover. */
export function toast(region, text) {
  const note = element("p", { class: "toast" }, text);
  region.append(note);
  // Shown anew each time, to be above a modal that opened meanwhile.
  region.hidePopover();
  region.showPopover();
  setTimeout(() => {
    note.remove();
    if (!region.hasChildNodes()) region.hidePopover();
  }, TOAST_SECONDS * 1000);
}
