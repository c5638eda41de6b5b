/** The interactive elements of Block Kit. What they stand on, a view or a message, is a `Surface`. */

import { element, icon } from "./dom.js";
import { drawMultiSelect } from "./multiselect.js";
import { confirmed, menu } from "./overlays.js";
import { conversationsOf, optionsOf } from "./surface.js";
import { drawText, link } from "./text.js";

const TYPING_PAUSE = 300;

const DRAWERS = {
  button: drawButton,
  overflow: drawOverflow,
  static_select: drawStaticSelect,
  multi_static_select: drawMultiSelect,
  multi_external_select: drawMultiSelect,
  conversations_select: drawConversationsSelect,
  radio_buttons: (spec) => drawChoices(spec, "radio"),
  checkboxes: (spec) => drawChoices(spec, "checkbox"),
  datepicker: drawDatePicker,
  plain_text_input: drawTextInput,
  number_input: drawTextInput,
};

/** Element types whose node is a group that wants a legend rather than a label. */
export const isGroup = ({ type }) => type === "radio_buttons" || type === "checkboxes";

/**
 * The node of one element. `input` is the input block around it, or null: an input's change is told to
 * the app only if the block dispatches, every other's always. `references` are the attributes that tie
 * the node to its label, hint and error.
 */
export function drawElement(source, blockId, surface, { input = null, references = {} } = {}) {
  const drawer = DRAWERS[source.type];
  if (!drawer) return element("p", { class: "unknown" }, `The sandbox does not draw ${source.type}`);
  const name = `${surface.place}|${blockId}|${source.action_id}`;
  return drawer({
    source,
    blockId,
    surface,
    name,
    input,
    attributes: {
      ...references,
      "data-focus": name,
      "data-testid": `${input ? "input" : "action"}-${source.action_id}`,
    },
  });
}

/** Tell the app, and show on `node` that this takes its time. A second press meanwhile does nothing. */
async function dispatch(node, { source, blockId, surface }, entry) {
  if (node.getAttribute("aria-busy") === "true") return;
  node.setAttribute("aria-busy", "true");
  await surface.act(blockId, source.action_id, entry);
  node.removeAttribute("aria-busy");
}

function drawButton(spec) {
  const { source, surface, attributes } = spec;
  const press = async () => {
    if (!(await confirmed(source.confirm, surface.directory))) return;
    await dispatch(node, spec, {
      type: "button",
      value: source.value,
      text: source.text,
      style: source.style,
    });
  };
  const look = {
    ...attributes,
    class: `button ${source.style ?? ""}`,
    "aria-label": source.accessibility_label,
    onclick: press,
  };
  const text = drawText(source.text, surface.directory);
  const node = source.url
    ? link(source.url, surface.directory, text)
    : element("button", { type: "button", ...look }, text);
  if (source.url) {
    node.className = look.class;
    node.dataset.testid = attributes["data-testid"];
    node.addEventListener("click", press);
  }
  return node;
}

function drawOverflow(spec) {
  const { source, surface, attributes } = spec;
  const look = { ...attributes, type: "button", class: "button overflow", "aria-label": "More actions" };
  const button = element("button", look, icon("more"));
  const entries = () =>
    source.options.map((option) => ({
      testid: `option-${option.value}`,
      content: element("span", {}, drawText(option.text, surface.directory)),
      choose: async () => {
        if (!(await confirmed(source.confirm, surface.directory))) return;
        await dispatch(button, spec, { type: "overflow", selected_option: option });
      },
    }));
  return menu(button, entries);
}

/** Keep what was chosen and, where the app wants to know, ask and tell it. False: the person took it back. */
async function choose(node, spec, entry) {
  const { source, blockId, surface, input } = spec;
  const tells = input === null || input.dispatch_action === true;
  if (tells && !(await confirmed(source.confirm, surface.directory))) return false;
  surface.values.set(blockId, source, entry);
  if (tells) await dispatch(node, spec, entry);
  return true;
}

function drawStaticSelect(spec) {
  const draw = ({ value, text, description }) =>
    element("option", { value }, description ? `${text.text} · ${description.text}` : text.text);
  const { options = [], option_groups: groups = [] } = spec.source;
  const drawn = [
    options.map(draw),
    groups.map((group) => element("optgroup", { label: group.label.text }, group.options.map(draw))),
  ];
  const all = optionsOf(spec.source);
  return drawSelect(spec, drawn, {
    held: ({ selected_option: option }) => option?.value,
    entry: (value) => ({ selected_option: all.find((option) => option.value === value) ?? null }),
  });
}

function drawConversationsSelect(spec) {
  const { source, surface } = spec;
  const drawn = conversationsOf(source, surface.directory.channels).map(({ id, name }) =>
    element("option", { value: id }, `#${name}`),
  );
  return drawSelect(spec, drawn, {
    held: ({ selected_conversation: id }) => id,
    entry: (id) => ({ selected_conversation: id || null }),
  });
}

/** A menu of drawn options. held(state): the chosen value, if any. entry(value): the state for a choice. */
function drawSelect(spec, options, { held, entry }) {
  const { source, blockId, surface, attributes, input } = spec;
  const clearable = input?.optional === true;
  const select = element(
    "select",
    { ...attributes, class: "select", "aria-label": input ? null : (source.placeholder?.text ?? "Select") },
    element(
      "option",
      { value: "", disabled: !clearable, hidden: !clearable },
      source.placeholder?.text ?? "Select an option",
    ),
    options,
  );
  const show = () => (select.value = held(surface.values.of(blockId, source)) ?? "");
  select.addEventListener("change", async () => {
    await choose(select, spec, { type: source.type, ...entry(select.value) });
    show();
  });
  show();
  return select;
}

function drawChoices(spec, kind) {
  const { source, blockId, surface, name, attributes } = spec;
  const { "data-focus": _, ...groupAttributes } = attributes;
  const held = () => {
    const entry = surface.values.of(blockId, source);
    const chosen = entry.selected_options ?? [entry.selected_option];
    return new Set(chosen.map((option) => option?.value));
  };
  const boxes = source.options.map((option) =>
    element("input", { type: kind, name, value: option.value, "data-focus": `${name}|${option.value}` }),
  );
  const show = () => boxes.forEach((box) => (box.checked = held().has(box.value)));
  const group = element(
    "div",
    { ...groupAttributes, class: "choices", role: kind === "radio" ? "radiogroup" : "group" },
    source.options.map((option, index) =>
      element(
        "label",
        { class: "choice" },
        boxes[index],
        element(
          "span",
          {},
          element("span", { class: "text" }, drawText(option.text, surface.directory)),
          option.description &&
            element("span", { class: "choice-description" }, drawText(option.description, surface.directory)),
        ),
      ),
    ),
  );
  group.addEventListener("change", async () => {
    const chosen = source.options.filter((_option, index) => boxes[index].checked);
    const entry = kind === "radio" ? { selected_option: chosen[0] ?? null } : { selected_options: chosen };
    await choose(group, spec, { type: source.type, ...entry });
    show();
  });
  show();
  return group;
}

function drawDatePicker(spec) {
  const { source, blockId, surface, attributes, input } = spec;
  const field = element("input", {
    ...attributes,
    type: "date",
    class: "field date",
    "aria-label": input ? null : (source.placeholder?.text ?? "Select a date"),
    "aria-required": input?.optional === false ? "true" : null,
  });
  const show = () => (field.value = surface.values.of(blockId, source).selected_date ?? "");
  field.addEventListener("change", async () => {
    await choose(field, spec, { type: source.type, selected_date: field.value || null });
    show();
  });
  show();
  return field;
}

function drawTextInput(spec) {
  const { source, blockId, surface, input, attributes } = spec;
  const isNumber = source.type === "number_input";
  const triggers = source.dispatch_action_config?.trigger_actions_on ?? ["on_enter_pressed"];
  const field = element(source.multiline ? "textarea" : "input", {
    ...attributes,
    class: "field",
    rows: source.multiline ? 4 : null,
    type: source.multiline ? null : "text",
    inputmode: isNumber ? "decimal" : null,
    placeholder: source.placeholder?.text,
    autocomplete: "off",
    "data-autofocus": source.focus_on_load === true,
    "aria-required": input?.optional ? null : "true",
  });
  field.value = surface.values.of(blockId, source).value ?? "";
  const entry = () => ({ type: source.type, value: field.value === "" ? null : field.value });
  const tells = (trigger) => input?.dispatch_action === true && triggers.includes(trigger);

  let pause;
  field.addEventListener("input", () => {
    surface.values.set(blockId, source, entry());
    clearTimeout(pause);
    if (tells("on_character_entered")) pause = setTimeout(() => dispatch(field, spec, entry()), TYPING_PAUSE);
  });
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || source.multiline || !tells("on_enter_pressed")) return;
    event.preventDefault();
    dispatch(field, spec, entry());
  });
  return field;
}
