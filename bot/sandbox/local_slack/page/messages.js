/** Lists of messages: a channel's and a thread's, how they are followed, and what of them is new. */

import { showBlocks } from "./blocks.js";
import { clock, day, moment } from "./dates.js";
import { avatar, badge } from "./directory.js";
import { element, icon, reconcile } from "./dom.js";
import { mrkdwn, words } from "./text.js";

const PREVIEWED = 2;
const NEAR = 40;

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

/** Keeps the end of a list in sight while its reader is there, and leaves a reader further up alone. */
export class Follow {
  #scroller;
  #following = true;

  /** content: the list inside of `scroller`. */
  constructor(scroller, content) {
    this.#scroller = scroller;
    scroller.addEventListener("scroll", () => {
      this.#following = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR;
    });
    const observer = new ResizeObserver(() => {
      if (this.#following) this.toEnd();
    });
    observer.observe(scroller);
    observer.observe(content);
  }

  /** Go to the end and stay there. */
  toEnd() {
    this.#following = true;
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }
}

/** What a person has not seen yet: dots in the sidebar, and words for screen readers. */
export class News {
  #announcer;
  #seen = new Map();

  /** announcer: the live region that new messages of the open channel are written to. */
  constructor(announcer) {
    this.#announcer = announcer;
  }

  /** Take note of a state. Returns the ids of the channels with messages the person has not looked at. */
  read(state, active, directory) {
    const unread = new Set();
    for (const channel of state.channels) {
      const all = channel.messages.flatMap((message) => [message, ...message.replies]);
      const place = `${state.person.id} ${channel.id}`;
      const seen = this.#seen.get(place);
      const fresh = seen ? all.filter(({ ts }) => !seen.has(ts)) : [];
      if (channel.id === active)
        this.#announce(
          fresh.filter(({ user }) => user !== state.person.id),
          directory,
        );
      else if (fresh.length > 0) unread.add(channel.id);
      if (!seen || channel.id === active) this.#seen.set(place, new Set(all.map(({ ts }) => ts)));
    }
    return unread;
  }

  #announce(messages, directory) {
    if (messages.length === 0) return;
    const lines = messages.map(({ username, text }) => `${username}: ${words(text, directory)}`);
    this.#announcer.textContent = lines.join("\n");
  }
}
