/** The emoji that the page knows, drawn by itself because not every system has a colour font. */

import { picture } from "./dom.js";

/** Slack's names -> the drawing in emoji.svg. */
const DRAWINGS = new Map(
  Object.entries({
    white_check_mark: "check",
    heavy_check_mark: "check",
    ballot_box_with_check: "ticked",
    heavy_minus_sign: "minus",
    x: "cross",
    hourglass_flowing_sand: "hourglass",
    hourglass: "hourglass",
    warning: "warning",
    rotating_light: "warning",
    no_entry: "no-entry",
    no_entry_sign: "prohibited",
    question: "question",
    grey_question: "question",
    information_source: "information",
    lock: "lock",
    bell: "bell",
    money_with_wings: "money",
    moneybag: "money",
    dollar: "money",
    credit_card: "card",
    receipt: "receipt",
    memo: "receipt",
    arrow_right: "arrow",
    arrow_forward: "arrow",
    arrows_counterclockwise: "cycle",
    repeat: "cycle",
    inbox_tray: "inbox",
    mailbox_with_no_mail: "inbox",
    file_cabinet: "inbox",
    outbox_tray: "outbox",
    clock3: "clock",
    alarm_clock: "clock",
    calendar: "clock",
    double_vertical_bar: "pause",
    eyes: "eyes",
    bust_in_silhouette: "person",
    busts_in_silhouette: "person",
    large_green_circle: "green",
    large_yellow_circle: "yellow",
    red_circle: "red",
    white_circle: "white",
    black_circle: "black",
  }),
);

/** The drawing of `:name:`, or the text itself where the page has none. */
export function emoji(name) {
  const drawing = DRAWINGS.get(name);
  return drawing
    ? picture("emoji", drawing, name.replaceAll("_", " "))
    : document.createTextNode(`:${name}:`);
}

const SHORTCODE = /:([a-z0-9_+'-]+):/g;

/** Text in which every `:name:` became an emoji: a list of nodes and strings. */
export function withEmoji(text) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(SHORTCODE)) {
    if (!DRAWINGS.has(match[1])) continue;
    parts.push(text.slice(end, match.index), emoji(match[1]));
    end = match.index + match[0].length;
  }
  parts.push(text.slice(end));
  return parts.filter((part) => part !== "");
}
