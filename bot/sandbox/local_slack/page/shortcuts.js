/** The menu of the app's global shortcuts: the lightning beside the composer. */

import { element, icon } from "./dom.js";
import { menu } from "./menu.js";

/** The menu's node. shortcuts(): those there are at the moment; run(shortcut): starts one. */
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
