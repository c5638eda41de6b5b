/** rich_text blocks: sections, lists, quotes and preformatted text out of small elements. */

import { formatDate, isMoment } from "./dates.js";
import { element } from "./dom.js";
import { emoji } from "./emoji.js";
import { groupMention, link } from "./mrkdwn.js";

const STYLES = { bold: "strong", italic: "em", strike: "s", code: "code" };

export function drawRichText(block, directory) {
  return block.elements.map((part) => drawPart(part, directory));
}

function drawPart(part, directory) {
  const pieces = () => part.elements.map((piece) => drawPiece(piece, directory));
  switch (part.type) {
    case "rich_text_section":
      return element("p", {}, pieces());
    case "rich_text_quote":
      return element("blockquote", {}, pieces());
    case "rich_text_preformatted":
      return element("pre", {}, pieces());
    case "rich_text_list":
      return element(
        part.style === "ordered" ? "ol" : "ul",
        { class: `rich-list indent-${part.indent ?? 0}` },
        part.elements.map((entry) => element("li", {}, drawPart(entry, directory))),
      );
    default:
      return element("p", { class: "unknown" }, `The sandbox does not draw ${part.type}`);
  }
}

function drawPiece(piece, directory) {
  const styles = Object.keys(STYLES).filter((name) => piece.style?.[name]);
  return styles.reduce((node, name) => element(STYLES[name], {}, node), bare(piece, directory));
}

function bare(piece, directory) {
  const mention = (text) => element("span", { class: "mention" }, text);
  switch (piece.type) {
    case "text":
      return document.createTextNode(piece.text);
    case "link":
      return link(piece.url, directory, piece.text ?? piece.url);
    case "emoji":
      return emoji(piece.name);
    case "user":
      return mention(`@${directory.person(piece.user_id)?.real_name ?? piece.user_id}`);
    case "channel":
      return mention(`#${directory.channel(piece.channel_id)?.name ?? piece.channel_id}`);
    case "usergroup":
      return groupMention(piece.usergroup_id, directory);
    case "broadcast":
      return mention(`@${piece.range}`);
    case "date":
      return document.createTextNode(
        isMoment(piece.timestamp) ? formatDate(piece.timestamp, piece.format) : (piece.fallback ?? ""),
      );
    default:
      return document.createTextNode(piece.text ?? "");
  }
}
