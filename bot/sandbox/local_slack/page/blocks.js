/** Block Kit's layout blocks. */

import { element, icon, reconcile } from "./dom.js";
import { drawElement, isGroup } from "./elements.js";
import { drawRichText, drawText } from "./text.js";

const DRAWERS = {
  header: (block, { directory }) => element("h3", {}, drawText(block.text, directory)),
  section: drawSection,
  context: drawContext,
  divider: () => element("hr"),
  actions: drawActions,
  input: drawInput,
  image: drawImage,
  rich_text: (block, { directory }) =>
    element("div", { class: "text rich-text" }, drawRichText(block, directory)),
  table: drawTable,
};

/** Bring `parent` in line with the blocks of a surface; `errors` are {block_id: message} for inputs. */
export function showBlocks(parent, surface, errors = {}) {
  reconcile(parent, surface.blocks, {
    key: ({ block_id: id }) => id,
    signature: (block) =>
      JSON.stringify([surface.place, surface.directory.edition, block, errors[block.block_id]]),
    draw: (block) => drawBlock(block, block.block_id, surface, errors[block.block_id]),
  });
}

function drawBlock(block, id, surface, error) {
  const drawer = DRAWERS[block.type];
  const content = drawer
    ? drawer(block, surface, id, error)
    : element("p", { class: "unknown" }, `The sandbox does not draw ${block.type} blocks`);
  return element("div", { class: `block block-${block.type}` }, content);
}

function drawSection(block, surface, id) {
  const { directory } = surface;
  return [
    element(
      "div",
      { class: "section-words" },
      block.text && element("div", { class: "text" }, drawText(block.text, directory)),
      block.fields &&
        element(
          "div",
          { class: "fields" },
          block.fields.map((field) => element("div", { class: "text" }, drawText(field, directory))),
        ),
    ),
    block.accessory &&
      element(
        "div",
        { class: "accessory" },
        block.accessory.type === "image"
          ? placeholder(block.accessory)
          : drawElement(block.accessory, id, surface),
      ),
  ];
}

function drawContext(block, { directory }) {
  return block.elements.map((part) =>
    part.type === "image" ? placeholder(part) : element("span", { class: "text" }, drawText(part, directory)),
  );
}

function drawActions(block, surface, id) {
  return block.elements.map((part) => drawElement(part, id, surface));
}

/** Pictures live on other hosts, which this page never asks: their words stand in. */
function placeholder(image) {
  return element(
    "span",
    { class: "image-placeholder", role: "img", "aria-label": image.alt_text },
    icon("image"),
    element("span", {}, image.alt_text),
  );
}

function drawImage(block, { directory }) {
  return element(
    "figure",
    {},
    block.title && element("figcaption", {}, drawText(block.title, directory)),
    placeholder(block),
  );
}

/** As in Slack: the first row is the heading, no cell is wrapped unless asked for, and it scrolls sideways. */
function drawTable(block, { directory }) {
  const settings = block.column_settings ?? [];
  const look = (at) => `${settings[at]?.align ?? "left"} ${settings[at]?.is_wrapped ? "wrapped" : ""}`;
  const cell = (tag, content, at) =>
    element(
      tag,
      { class: look(at), scope: tag === "th" ? "col" : null },
      content.type === "rich_text" ? drawRichText(content, directory) : content.text,
    );
  const [heading, ...rows] = block.rows.map((row, index) =>
    element("tr", {}, row.map((content, at) => cell(index === 0 ? "th" : "td", content, at))),
  );
  return element(
    "div",
    { class: "table-scroller", tabindex: "0", role: "region", "aria-label": "Table" },
    element("table", {}, element("thead", {}, heading), element("tbody", {}, rows)),
  );
}

let inputs = 0;

function drawInput(block, surface, id, error) {
  const { directory } = surface;
  inputs += 1;
  const name = `input-${inputs}`;
  const words = [
    drawText(block.label, directory),
    block.optional && element("span", { class: "optional" }, " (optional)"),
  ];
  const group = isGroup(block.element);
  const described = [block.hint && `${name}-hint`, error && `${name}-error`].filter(Boolean).join(" ");
  const references = {
    id: name,
    "aria-labelledby": group ? `${name}-label` : null,
    "aria-describedby": described || null,
    "aria-invalid": error ? "true" : null,
  };
  return [
    group
      ? element("div", { class: "label", id: `${name}-label` }, words)
      : element("label", { class: "label", for: name }, words),
    drawElement(block.element, id, surface, { input: block, references }),
    error && element("p", { class: "problem", id: `${name}-error` }, icon("problem"), error),
    block.hint && element("p", { class: "hint", id: `${name}-hint` }, drawText(block.hint, directory)),
  ];
}
