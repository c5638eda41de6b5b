/** Menus of several choices: what was chosen stands above a field to search in, and the choices below it. */

import { element, icon } from "./dom.js";
import { confirmed } from "./overlays.js";

// Milliseconds without a key before the app is asked, and the characters it wants where it does not say.
const TYPING_PAUSE = 200;
const TYPED_AT_LEAST = 3;

let menus = 0;

// While the pointer is down nothing may move under it: what is pressed would be missed.
let pressed = false;
addEventListener("pointerdown", () => (pressed = true), true);
for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => (pressed = false), true);

/** A multi_static_select, whose options are known, or a multi_external_select, whose options the app suggests. */
export function drawMultiSelect(spec) {
  const { source, blockId, surface, attributes, input } = spec;
  const suggested = source.type === "multi_external_select";
  const least = suggested ? (source.min_query_length ?? TYPED_AT_LEAST) : 0;
  const most = source.max_selected_items ?? Infinity;
  menus += 1;
  const listId = `options-${menus}`;
  const chosen = () => surface.values.of(blockId, source).selected_options;

  const chips = element("ul", { class: "chips", "aria-label": "Selected" });
  const field = element("input", {
    ...attributes,
    class: "field",
    type: "text",
    role: "combobox",
    autocomplete: "off",
    placeholder: source.placeholder?.text ?? "Select options",
    "aria-label": input ? null : (source.placeholder?.text ?? "Select options"),
    "aria-autocomplete": "list",
    "aria-controls": listId,
    "aria-expanded": "false",
    "aria-required": input && !input.optional ? "true" : null,
  });
  const list = element("div", {
    id: listId,
    class: "options",
    role: "listbox",
    "aria-multiselectable": "true",
    "aria-label": "Options",
    "data-testid": `options-${source.action_id}`,
    hidden: true,
  });

  let told = Promise.resolve();
  let asked = 0;
  let active = -1;
  let drawn = 0;

  /** Every choice is told, one after the other, also where it follows at once. */
  const hold = async (options) => {
    const tells = input === null || input.dispatch_action === true;
    if (tells && !(await confirmed(source.confirm, surface.directory))) return;
    const entry = { type: source.type, selected_options: options };
    surface.values.set(blockId, source, entry);
    show();
    if (tells) told = told.then(() => surface.act(blockId, source.action_id, entry));
  };
  const toggle = (option) => {
    const others = chosen().filter(({ value }) => value !== option.value);
    if (others.length < chosen().length) hold(others);
    else if (others.length < most) hold([...others, option]);
  };

  const show = () => {
    const before = chips.childElementCount;
    const held = new Set(chosen().map(({ value }) => value));
    chips.replaceChildren(
      ...chosen().map((option) =>
        element(
          "li",
          { class: "chip", "data-testid": `chip-${option.value}` },
          element("span", {}, option.text.text),
          element(
            "button",
            { type: "button", "aria-label": `Remove ${option.text.text}`, onclick: () => toggle(option) },
            icon("close"),
          ),
        ),
      ),
    );
    if (chips.childElementCount > before) chips.scrollTop = chips.scrollHeight;
    for (const node of list.querySelectorAll("[role=option]")) {
      node.setAttribute("aria-selected", held.has(node.dataset.value));
      node.classList.toggle("out", held.size >= most && !held.has(node.dataset.value));
    }
  };

  const point = (index) => {
    const nodes = [...list.querySelectorAll("[role=option]")];
    active = nodes.length === 0 ? -1 : (index + nodes.length) % nodes.length;
    nodes.forEach((node, at) => node.classList.toggle("active", at === active));
    nodes[active]?.scrollIntoView({ block: "nearest" });
    if (active < 0) field.removeAttribute("aria-activedescendant");
    else field.setAttribute("aria-activedescendant", nodes[active].id);
  };
  const drawOption = (option) => {
    drawn += 1;
    return element(
      "div",
      {
        id: `${listId}-${drawn}`,
        class: "option",
        role: "option",
        "data-value": option.value,
        "data-testid": `option-${option.value}`,
        // The field keeps the focus, so that the list stays open for the next choice.
        onmousedown: (event) => event.preventDefault(),
        onclick: () => toggle(option),
      },
      element("span", {}, option.text.text),
      option.description && element("span", { class: "choice-description" }, option.description.text),
    );
  };
  /** groups: [label or null, options]; none: what to say where there are no options. */
  const offer = (groups, none) => {
    const nodes = groups
      .filter(([, options]) => options.length > 0)
      .flatMap(([label, options]) => [
        ...(label ? [element("p", { class: "hint" }, label)] : []),
        ...options.map(drawOption),
      ]);
    list.replaceChildren(...(nodes.length > 0 ? nodes : [element("p", { class: "hint" }, none)]));
    list.hidden = false;
    field.setAttribute("aria-expanded", "true");
    show();
    point(nodes.length > 0 ? 0 : -1);
    list.scrollIntoView({ block: "nearest" });
  };
  const look = async () => {
    const typed = field.value.trim();
    asked += 1;
    const mine = asked;
    if (!suggested) {
      const sought = typed.toLowerCase();
      const fits = ({ text }) => text.text.toLowerCase().includes(sought);
      const groups = (source.option_groups ?? []).map(({ label, options }) => [label.text, options]);
      offer(
        [[null, source.options ?? []], ...groups].map(([label, options]) => [label, options.filter(fits)]),
        "No results",
      );
    } else if (typed.length < least) offer([], "Type to search");
    else {
      if (list.hidden) offer([], "Loading…");
      const options = await surface.look(source.action_id, typed);
      if (mine === asked && document.activeElement === field) offer([[null, options]], "No results");
    }
  };
  const close = () => {
    asked += 1;
    list.hidden = true;
    field.setAttribute("aria-expanded", "false");
    field.removeAttribute("aria-activedescendant");
  };

  let pause;
  field.addEventListener("input", () => {
    clearTimeout(pause);
    pause = setTimeout(look, suggested ? TYPING_PAUSE : 0);
  });
  field.addEventListener("click", () => list.hidden && look());
  const leave = () => {
    if (document.activeElement === field) return;
    clearTimeout(pause);
    close();
    field.value = "";
  };
  field.addEventListener("focusout", () => {
    if (pressed) addEventListener("pointerup", () => setTimeout(leave), { once: true });
    else setTimeout(leave);
  });
  field.addEventListener("keydown", (event) => {
    const open = !list.hidden;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (open) point(active + (event.key === "ArrowDown" ? 1 : -1));
      else look();
    } else if (event.key === "Enter") {
      if (open) list.querySelector(".option.active")?.click();
      else look();
    } else if (event.key === "Escape" && open) close();
    else if (event.key === "Backspace" && field.value === "" && chosen().length > 0) toggle(chosen().at(-1));
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  show();
  return element("div", { class: "multi" }, chips, field, list);
}
