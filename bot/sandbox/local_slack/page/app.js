/**
 * The sandbox's page: a small Slack client for one person at a time.
 *
 * The server's state is the only truth. Every change, and every answer to what the person did, leads to
 * the state being read again and the page being brought in line with it.
 */

import { showBlocks } from "./blocks.js";
import { Composer, shortcutsMenu } from "./composer.js";
import { Directory, readAddress, showSwitch, writeAddress } from "./directory.js";
import { keepingFocus } from "./dom.js";
import { clearMessages, Follow, News, showChannel, showThread } from "./messages.js";
import { Modal } from "./modal.js";
import { toast } from "./overlays.js";
import { channelIcon, Drawer, HOME, showSidebar } from "./sidebar.js";
import { post, Reader } from "./state.js";
import { Surfaces } from "./surface.js";
import { mrkdwn } from "./text.js";

const node = (id) => document.getElementById(id);
const narrow = matchMedia("(max-width: 760px)");

let address = readAddress();
let state = null;
let directory = null;

// The parts of the page

const reader = new Reader(address.person, {
  show: (fresh) => {
    state = fresh;
    keepingFocus(show);
  },
  note: (up) => (node("connection").textContent = up ? "" : "Reconnecting…"),
});

const news = new News(node("announcer"));
const surfaces = new Surfaces({
  tell: (action) => tellOrToast("action", action),
  look: async (query) => (await post("look_for", { person: state.person.id, ...query })).options ?? [],
});
const follow = new Follow(node("scroller"), node("messages"));
const threadFollow = new Follow(node("thread-scroller"), node("thread-messages"));

const drawer = new Drawer({
  sidebar: node("sidebar"),
  button: node("drawer-open"),
  scrim: node("scrim"),
  narrow,
  onChange: covered,
});

const shortcuts = shortcutsMenu(
  () => state.shortcuts,
  ({ callback_id }) => tellOrToast("shortcut", { callback_id }),
);

const composer = new Composer(node("composer"), {
  testids: { field: "composer", send: "send" },
  send: (text) => say(text, follow, {}),
  beside: [shortcuts],
});

const threadComposer = new Composer(node("thread-composer"), {
  testids: { field: "thread-composer", send: "thread-send" },
  send: (text) => say(text, threadFollow, { thread_ts: address.thread }),
});

const modal = new Modal(node("modal"), {
  submit: (view, values) => tell("submit", { view_id: view.id, values }),
  close: (view) => tellOrToast("close", { view_id: view.id }),
  surfaceOf: viewSurface,
});

// What the person does

/** Send it, and show what came of it. Resolves to the server's answer. */
async function tell(verb, body) {
  const answer = await post(verb, { person: state.person.id, ...body });
  await reader.refresh();
  return answer;
}

const failure = (answer) => (answer.ok ? null : `That did not work: ${answer.error}`);

async function tellOrToast(verb, body) {
  const problem = failure(await tell(verb, body));
  if (problem) toast(node("toasts"), problem);
}

async function say(text, list, thread) {
  const answer = await tell("say", { channel: address.channel, text, ...thread });
  if (answer.ok) list.toEnd();
  return failure(answer);
}

function openChannel(id) {
  address = { ...address, channel: id, thread: null };
  keepingFocus(show);
  if (id === HOME) tellOrToast("home", {});
  // On a phone, the focus would call up the keyboard.
  if (narrow.matches) drawer.close();
  else if (id !== HOME) composer.focus();
}

function openThread({ ts }) {
  address.thread = ts;
  keepingFocus(show);
  if (narrow.matches) node("thread-title").focus();
  else threadComposer.focus();
}

function closeThread() {
  const { thread } = address;
  address.thread = null;
  keepingFocus(show);
  document.querySelector(`[data-focus="thread ${CSS.escape(thread)}"]`)?.focus();
}

node("person").addEventListener("change", (event) => reader.actAs(event.target.value));
node("thread-close").addEventListener("click", closeThread);
node("thread").addEventListener("keydown", (event) => {
  if (event.key === "Escape") closeThread();
});
narrow.addEventListener("change", covered);
addEventListener("hashchange", () => {
  const wanted = readAddress();
  const channel = wanted.person === state.person.id ? directory.channel(wanted.channel) : undefined;
  if (channel && !joined(channel.id)) {
    writeAddress(address);
    toast(node("toasts"), `You are not in ${labelOf(channel)}.`);
    return;
  }
  address = wanted;
  reader.actAs(address.person);
});

// Showing the state

function show() {
  directory = new Directory(state);
  address.person = state.person.id;
  const channel = activeChannel();
  const root = channel?.messages.find(({ ts }) => ts === address.thread) ?? null;
  address.thread = root?.ts ?? null;
  writeAddress(address);
  document.title = `${channel ? labelOf(channel) : "Home"} · ${state.app_name} sandbox`;
  node("team").textContent = state.team.name;
  showSwitch(node("person"), node("person-avatar"), state.people, state.person);
  showSidebar(node("sidebar"), {
    channels: state.channels,
    appName: state.app_name,
    active: address.channel,
    unread: news.read(state, address.channel, directory),
    open: openChannel,
  });
  showHome(channel === null);
  showMain(channel);
  showSide(channel, root);
  covered();
  modal.show(state.views);
}

/** The open channel, or null for the Home tab. Falls back to the first where the person has no such channel. */
function activeChannel() {
  if (address.channel === HOME) return null;
  const channel = joined(address.channel) ?? state.channels[0] ?? null;
  address.channel = channel?.id ?? HOME;
  return channel;
}

function showHome(isOpen) {
  const view = isOpen ? state.home : null;
  node("home-view").hidden = !isOpen;
  node("no-home").hidden = view !== null;
  if (view) showBlocks(node("home-blocks"), viewSurface(view), view.errors);
  else node("home-blocks").replaceChildren();
}

function showMain(channel) {
  const place = `${address.person} ${address.channel}`;
  const messages = node("messages");
  node("scroller").hidden = channel === null;
  node("composer").hidden = !channel?.writable;
  node("read-only").hidden = channel?.writable ?? true;
  node("not-member").hidden = channel?.bot_is_member ?? true;
  if (channel === null) {
    node("channel-title").replaceChildren("Home");
    node("topic").replaceChildren("What the app shows only to you");
    clearMessages(messages);
    return;
  }
  node("channel-title").replaceChildren(channelIcon(channel.kind), nameOf(channel));
  node("topic").replaceChildren(...mrkdwn(channel.topic, directory));
  node("not-member").textContent =
    `${state.app_name} is not in this channel. Type /invite @${state.app_name} to add it.`;
  const surfaceOf = messageSurface("channel", channel);
  const context = { directory, surfaceOf, openThread: channel.writable ? openThread : null };
  showChannel(messages, channel.messages, `This is the start of ${labelOf(channel)}.`, context);
  shortcuts.hidden = state.shortcuts.length === 0;
  composer.use({
    draft: place,
    label: `Message ${labelOf(channel)}`,
    commands: state.commands,
  });
  if (messages.dataset.place !== place) follow.toEnd();
  messages.dataset.place = place;
}

function showSide(channel, root) {
  const messages = node("thread-messages");
  node("thread").hidden = root === null;
  if (root === null) {
    clearMessages(messages);
    return;
  }
  const place = `${address.person} ${root.ts}`;
  node("thread-channel").textContent = labelOf(channel);
  showThread(messages, root, { directory, surfaceOf: messageSurface("thread", channel) });
  node("thread-composer").hidden = !channel.writable;
  threadComposer.use({ draft: place, label: "Reply…", commands: [] });
  if (messages.dataset.place !== place) threadFollow.toEnd();
  messages.dataset.place = place;
}

/** What lies under the drawer, or under a thread on a phone, cannot be reached. */
function covered() {
  node("main").inert = drawer.isOpen || (narrow.matches && !node("thread").hidden);
  node("thread").inert = drawer.isOpen;
}

/** The channel with this id, if the person is in it. */
const joined = (id) => state.channels.find((channel) => channel.id === id);
const nameOf = (channel) => (channel.kind === "im" ? state.app_name : channel.name);
const labelOf = (channel) => (channel.kind === "im" ? state.app_name : `#${channel.name}`);

function viewSurface(view) {
  const current = joined(address.channel) ?? null;
  return surfaces.at(address.person, view.id, { view_id: view.id }, current, view.blocks, directory);
}

function messageSurface(panel, channel) {
  return ({ ts, blocks }) => {
    const where = { channel: channel.id, message_ts: ts };
    return surfaces.at(address.person, `${panel} ${channel.id} ${ts}`, where, channel, blocks, directory);
  };
}

await reader.refresh();
if (address.channel === HOME) tellOrToast("home", {});
