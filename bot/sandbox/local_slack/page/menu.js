/** A button that opens a small menu above or below itself; arrow keys, Escape and Tab work as in any menu. */

import { element } from "./dom.js";

/**
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
