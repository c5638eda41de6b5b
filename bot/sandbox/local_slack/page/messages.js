/** Lists of messages: a channel's, and a thread's. */

import { avatar, badge } from "./people.js";
import { showBlocks } from "./blocks.js";
import { clock, day, moment } from "./dates.js";
import { element, icon, reconcile } from "./dom.js";
import { mrkdwn } from "./mrkdwn.js";

const PREVIEWED = 2;

/**
 * Bring `list` in line with a channel's messages, oldest first, under the words of `start`.
 *
 * context: `directory` for names; `surfaceOf(message)`, what its elements stand on; `openThread(message)`.
 */
export function showChannel(list, messages, start, context) {
  const items = [{ key: "start", look: "start", words: start }];
  let today = null;
  for (const message of messages) {
    const date = day(message.time);
    if (date !== today) items.push({ key: `day ${date}`, look: "rule", words: date });
    today = date;
    items.push({ key: message.ts, message });
  }
  showItems(list, items, context);
}

/** Bring `list` in line with a thread: its root, how many replies, and those. */
export function showThread(list, root, context) {
  const items = [root, ...root.replies].map((message) => ({ key: message.ts, message }));
  if (root.reply_count > 0) items.splice(1, 0, { key: "count", look: "rule", words: countOf(root) });
  showItems(list, items, { ...context, openThread: null });
}

/** Empty a list that is not in sight, so that nothing in it can be found or pressed. */
export function clearMessages(list) {
  showItems(list, [], {});
}

function showItems(list, items, context) {
  reconcile(list, items, {
    key: ({ key }) => key,
    signature: (item) => JSON.stringify([context.directory?.edition, item]),
    draw: (item) =>
      item.message
        ? drawMessage(item.message, context)
        : element("li", { class: item.look }, element("span", {}, item.words)),
  });
}

function countOf({ reply_count: count }) {
  return count === 1 ? "1 reply" : `${count} replies`;
}

function drawMessage(message, context) {
  const person = context.directory.person(message.user);
  const canReply = context.openThread !== null && !message.ephemeral;
  return element(
    "li",
    {
      class: message.ephemeral ? "message only-you" : "message",
      "data-testid": "message",
      "data-ts": message.ts,
    },
    avatar(message.user, message.username, message.is_bot),
    element(
      "div",
      { class: "message-body", "data-testid": message.ephemeral ? "ephemeral" : null },
      message.ephemeral && element("p", { class: "only-you-note" }, icon("eye"), "Only visible to you"),
      element(
        "div",
        { class: "byline" },
        element("span", { class: "author" }, message.username),
        badge(person, message.is_bot),
        element(
          "time",
          { datetime: new Date(message.time * 1000).toISOString(), title: moment(message.time) },
          clock(message.time),
        ),
        message.edited && element("span", { class: "edited" }, "(edited)"),
        canReply && message.reply_count === 0 && drawReplyButton(message, context),
      ),
      drawContent(message, context),
      canReply && message.reply_count > 0 && drawThreadSummary(message, context),
    ),
  );
}

function drawContent(message, context) {
  if (message.blocks.length === 0) {
    return element("div", { class: "text" }, mrkdwn(message.text, context.directory));
  }
  const holder = element("div", { class: "blocks" });
  showBlocks(holder, context.surfaceOf(message));
  return holder;
}

function threadButton(message, { openThread }, attributes, ...content) {
  return element(
    "button",
    {
      type: "button",
      "data-testid": "thread-open",
      "data-focus": `thread ${message.ts}`,
      onclick: () => openThread(message),
      ...attributes,
    },
    content,
  );
}

function drawReplyButton(message, context) {
  const label = "Reply in thread";
  return threadButton(
    message,
    context,
    { class: "reply-button", "aria-label": label, title: label },
    icon("thread"),
  );
}

/** The last replies, so that the outcome can be seen without opening the thread. */
function drawThreadSummary(message, context) {
  return element(
    "div",
    { class: "thread-summary" },
    element(
      "ol",
      { class: "previews", "aria-label": "Last replies" },
      message.replies.slice(-PREVIEWED).map((reply) => drawPreview(reply, context)),
    ),
    threadButton(message, context, { class: "reply-link" }, icon("thread"), countOf(message)),
  );
}

function drawPreview(reply, { directory }) {
  return element(
    "li",
    { class: "preview", "data-testid": "reply-preview" },
    avatar(reply.user, reply.username, reply.is_bot),
    element("span", { class: "preview-author" }, reply.username),
    element("span", { class: "preview-text" }, mrkdwn(reply.text, directory)),
  );
}
