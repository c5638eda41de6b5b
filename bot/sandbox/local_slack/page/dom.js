/**
 * Making and updating DOM nodes.
 *
 * Data only ever becomes a text node or the value of an attribute that the code names, never markup.
 * An update replaces what changed and leaves every other node alone, so that focus, typed text and
 * scroll position survive.
 */

const SVG = "http://www.w3.org/2000/svg";

/** A node. Attributes that are null, undefined or false are left out; `onclick` and the like listen. */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...present(children));
  return node;
}

/** Children without the gaps that conditions leave. */
function present(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

/** A picture from one of the page's two sheets. Without a label it is decoration. */
export function picture(sheet, name, label = null) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", sheet === "emoji" ? "emoji" : "icon");
  if (label === null) svg.setAttribute("aria-hidden", "true");
  else {
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", label);
  }
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `/page/${sheet}.svg#${name}`);
  svg.append(use);
  return svg;
}

export const icon = (name, label) => picture("icons", name, label);

const drawn = new WeakMap();

/**
 * Bring the children of `parent` in line with `items`: an item whose key and signature are as before
 * keeps its node, every other is drawn anew. Keys are unique within one parent.
 */
export function reconcile(parent, items, { key, signature, draw }) {
  const before = drawn.get(parent) ?? new Map();
  const after = new Map();
  for (const item of items) {
    const sign = signature(item);
    const old = before.get(key(item));
    after.set(key(item), old?.sign === sign ? old : { sign, node: draw(item) });
  }
  drawn.set(parent, after);
  const kept = new Set([...after.values()].map(({ node }) => node));
  for (const child of [...parent.childNodes]) if (!kept.has(child)) child.remove();
  let next = parent.firstChild;
  for (const node of kept) {
    if (node === next) next = node.nextSibling;
    else parent.insertBefore(node, next);
  }
}

/**
 * Run `update`. Where it replaced the focused node, focus the one with the same `data-focus`; where that
 * is gone as well, the list around it, so that the keyboard goes on from there.
 */
export function keepingFocus(update) {
  const focused = document.activeElement;
  const name = focused?.dataset?.focus;
  const around = focused?.closest?.(".scroller, .sidebar");
  const selection =
    name && "selectionStart" in focused ? [focused.selectionStart, focused.selectionEnd] : null;
  update();
  if (!name || focused.isConnected) return;
  const successor = document.querySelector(`[data-focus="${CSS.escape(name)}"]`);
  (successor ?? around)?.focus({ preventScroll: true });
  // A check box has a selection as well, which is null and may not be set.
  if (successor && selection && selection[0] !== null) successor.setSelectionRange(...selection);
}
