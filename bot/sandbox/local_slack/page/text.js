/**
 * Slack's two kinds of text, read as Slack reads them: mrkdwn, and rich_text blocks out of small elements.
 *
 * A mrkdwn text is cut into lines and fences, then into code, `<…>` tokens and marks such as *bold*. Entities
 * are unescaped at the very end, once, in what remains: an escaped `&lt;!channel&gt;` is therefore the
 * words, never the mention.
 */

import { formatDate, isMoment } from "./dates.js";
import { element } from "./dom.js";
import { emoji, withEmoji } from "./emoji.js";

// The line breaks around a fence are its own.
const FENCE = /\n?```\n?([\s\S]+?)\n?```\n?/g;
const QUOTE = /^(?:&gt;|>) ?/;
const QUOTE_REST = /^(?:&gt;|>){3} ?/;

// A mark opens after the start or a character that is no word, encloses no blank at its edges, and
// closes before a character that is no word.
const mark = (sign, name) => {
  const edge = `[\\p{L}\\p{N}${sign}]`;
  return `(?<!${edge})[${sign}](?![\\s${sign}])(?<${name}>[^\\n${sign}]*[^\\s${sign}])[${sign}](?!${edge})`;
};

const CODE = "`(?<code>[^`\\n]+)`";
const TOKEN = "<(?<token>[^<>\\n]+)>";
const MARKS = [mark("*", "strong"), mark("_", "em"), mark("~", "s")];
const BARE_ADDRESS = "(?<address>\\bhttps?://[^\\s<>|]*[^\\s<>|.,;:!?)\"'*_~])";
const VERBATIM = new RegExp([CODE, TOKEN, ...MARKS].join("|"), "gu");
const INLINE = new RegExp([CODE, TOKEN, ...MARKS, BARE_ADDRESS].join("|"), "gu");

const LINKABLE = /^(https?:\/\/|mailto:)/;

const STYLES = { bold: "strong", italic: "em", strike: "s", code: "code" };

const ENTITIES = { "&amp;": "&", "&lt;": "<", "&gt;": ">" };

/** `&amp;` -> `&` and so on, each exactly once: `&amp;lt;` is `&lt;`. */
function unescapeOnce(text) {
  return text.replace(/&(?:amp|lt|gt);/g, (entity) => ENTITIES[entity]);
}

/** The nodes of a mrkdwn text. In a `verbatim` one, a bare web address stays words. */
export function mrkdwn(text, directory, verbatim = false) {
  const context = { directory, pattern: verbatim ? VERBATIM : INLINE };
  const nodes = [];
  let end = 0;
  for (const fence of text.matchAll(FENCE)) {
    nodes.push(...paragraphs(text.slice(end, fence.index), context));
    nodes.push(element("pre", {}, unescapeOnce(fence[1])));
    end = fence.index + fence[0].length;
  }
  nodes.push(...paragraphs(text.slice(end), context));
  return nodes;
}

/** A Block Kit text object, or null: mrkdwn, or plain text in which only emoji are drawn. */
export function drawText(text, directory) {
  if (!text) return [];
  if (text.type === "mrkdwn") return mrkdwn(text.text, directory, text.verbatim === true);
  return text.emoji === false ? [text.text] : withEmoji(text.text);
}

/** One line of words for a preview or for a screen reader: marks drawn, then read back. */
export function words(text, directory) {
  const holder = element("div", {}, mrkdwn(text, directory));
  for (const drawing of holder.querySelectorAll("svg[aria-label]")) drawing.remove();
  return holder.textContent.replace(/\s+/g, " ").trim();
}

function paragraphs(text, context) {
  if (text === "") return [];
  const lines = text.split("\n");
  const nodes = [];
  let plain = [];
  const flush = () => {
    if (plain.length) nodes.push(...inline(plain.join("\n"), context));
    plain = [];
  };
  for (let at = 0; at < lines.length; at += 1) {
    if (!QUOTE.test(lines[at])) {
      plain.push(lines[at]);
      continue;
    }
    flush();
    const quoted = QUOTE_REST.test(lines[at]) ? lines.slice(at) : lines.slice(at, endOfQuote(lines, at));
    const bare = quoted.map((line, index) =>
      line.replace(index === 0 && QUOTE_REST.test(line) ? QUOTE_REST : QUOTE, ""),
    );
    nodes.push(element("blockquote", {}, inline(bare.join("\n"), context)));
    at += quoted.length - 1;
  }
  flush();
  return nodes;
}

function endOfQuote(lines, start) {
  const length = lines.slice(start).findIndex((line) => !QUOTE.test(line));
  return length < 0 ? lines.length : start + length;
}

function inline(text, context) {
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(context.pattern)) {
    nodes.push(...withEmoji(unescapeOnce(text.slice(end, match.index))));
    nodes.push(drawMatch(match[0], match.groups, context));
    end = match.index + match[0].length;
  }
  nodes.push(...withEmoji(unescapeOnce(text.slice(end))));
  return nodes;
}

function drawMatch(whole, { code, token, address, strong, em, s }, context) {
  if (code !== undefined) return element("code", {}, unescapeOnce(code));
  if (token !== undefined) return drawToken(whole, token, context.directory);
  if (address !== undefined) return drawLink(address, null, context.directory);
  if (strong !== undefined) return element("strong", {}, inline(strong, context));
  if (em !== undefined) return element("em", {}, inline(em, context));
  return element("s", {}, inline(s, context));
}

/** What stands between `<` and `>`: a person, a channel, a group, a date, a link; else plain words. */
function drawToken(whole, token, directory) {
  const [target, label] = splitOnce(token, "|");
  const said = label === null ? null : unescapeOnce(label);
  const id = target.slice(1);
  if (/^@[UW]/.test(target)) {
    return mention(`@${directory.person(id)?.real_name ?? said ?? id}`, directory.isMe(id));
  }
  if (/^#C/.test(target)) return mention(`#${directory.channel(id)?.name ?? said ?? "private-channel"}`);
  if (/^!(here|channel|everyone)$/.test(target)) return mention(`@${id}`, true);
  if (target.startsWith("!subteam^")) return groupMention(target.slice("!subteam^".length), directory, said);
  if (target.startsWith("!date^")) return drawDate(target, said, directory);
  if (LINKABLE.test(target)) return drawLink(target, label, directory);
  return document.createTextNode(unescapeOnce(whole));
}

function drawDate(target, fallback, directory) {
  const [, seconds, format, address] = target.split("^");
  const epoch = Number(seconds);
  if (!isMoment(epoch) || format === undefined) return document.createTextNode(fallback ?? target);
  const text = formatDate(epoch, unescapeOnce(format));
  const time = element("time", { datetime: new Date(epoch * 1000).toISOString(), title: fallback }, text);
  return address ? link(unescapeOnce(address), directory, time) : time;
}

function splitOnce(text, separator) {
  const at = text.indexOf(separator);
  return at < 0 ? [text, null] : [text.slice(0, at), text.slice(at + 1)];
}

function drawLink(target, label, directory) {
  const address = unescapeOnce(target);
  return link(address, directory, label ? withEmoji(unescapeOnce(label)) : address.replace(/^mailto:/, ""));
}

/** A user group by its handle; it stands out for those who are in it. */
function groupMention(id, directory, said = null) {
  const group = directory.group(id);
  return mention(group ? `@${group.handle}` : (said ?? `@${id}`), group?.mine);
}

function mention(text, strong = false) {
  return element("span", { class: strong ? "mention mention-me" : "mention" }, text);
}

/**
 * A link to a message on this page, or out of the page, which tells the other side nothing; only words where
 * the address is no web address.
 */
export function link(address, directory, ...children) {
  if (!LINKABLE.test(address)) return element("span", {}, children);
  const here = directory.onThisPage(address);
  if (here) return element("a", { href: here }, children);
  return element("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, children);
}

/** The nodes of a rich_text block: sections, lists, quotes and preformatted text. */
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
