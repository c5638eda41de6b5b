/** The list of channels, direct messages and the app's Home tab; on a phone a drawer over the page. */

import { element, icon, reconcile } from "./dom.js";

export const HOME = "home";

const ICONS = { public: "hash", private: "padlock", shared: "shared", im: "app" };
const KINDS = { private: "private channel", shared: "shared with another organization" };

/** The sign in front of a channel's name, with what it means for those who do not see it. */
export function channelIcon(kind) {
  return icon(ICONS[kind], KINDS[kind]);
}

/** Bring `nav` in line: `active` is the open entry's id, `unread` the ids with news, `open(id)` is called. */
export function showSidebar(nav, { channels, appName, active, unread, open }) {
  const entry = (channel) => ({
    id: channel.id,
    testid: `channel-${channel.name}`,
    name: channel.kind === "im" ? appName : channel.name,
    kind: channel.kind,
    active: channel.id === active,
    unread: unread.has(channel.id),
  });
  const home = { id: HOME, testid: "home", name: "Home", kind: HOME, active: active === HOME, unread: false };
  const rooms = channels.filter(({ kind }) => kind !== "im").map(entry);
  const directs = channels.filter(({ kind }) => kind === "im").map(entry);
  const items = [
    { id: "heading channels", heading: "Channels" },
    ...rooms,
    { id: "heading app", heading: "App" },
    home,
    ...directs,
  ];
  reconcile(nav, items, {
    key: ({ id }) => id,
    signature: (item) => JSON.stringify(item),
    draw: (item) =>
      item.heading ? element("h2", { class: "sidebar-heading" }, item.heading) : drawEntry(item, open),
  });
}

function drawEntry({ id, testid, name, kind, active, unread }, open) {
  return element(
    "button",
    {
      type: "button",
      class: unread ? "entry unread" : "entry",
      "data-testid": testid,
      "data-focus": `entry ${id}`,
      "aria-current": active ? "page" : null,
      onclick: () => open(id),
    },
    kind === HOME ? icon("home") : channelIcon(kind),
    element("span", { class: "entry-name" }, name),
    unread &&
      element("span", { class: "dot" }, element("span", { class: "visually-hidden" }, "new messages")),
  );
}

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
