/** Who and what there is: what an id stands for, how people look, and the page's own addresses. */

import { element, icon, reconcile } from "./dom.js";

const HUES = 8;

/**
 * Who one acts as and what is open, kept in the URL's hash so that a reload stays: {person, channel, thread},
 * each a string or null.
 */
export function readAddress() {
  const fields = new URLSearchParams(location.hash.slice(1));
  return { person: fields.get("person"), channel: fields.get("channel"), thread: fields.get("thread") };
}

export function writeAddress(address) {
  const hash = hashOf(address);
  if (hash !== location.hash) history.replaceState(null, "", hash);
}

/** The hash of an address: as a link, it leads there. */
function hashOf({ person, channel, thread }) {
  const fields = new URLSearchParams({ person, channel });
  if (thread) fields.set("thread", thread);
  return `#${fields}`;
}

const editions = new Map();

/** Who and what an id in a text stands for, from one state of the sandbox. */
export class Directory {
  #people;
  #channels;
  #groups;
  #archives;
  #me;

  constructor({ people, known_channels: channels, groups, archives, person }) {
    this.#people = new Map(people.map((someone) => [someone.id, someone]));
    this.#channels = new Map(channels.map((channel) => [channel.id, channel]));
    this.#groups = new Map(groups.map((group) => [group.id, group]));
    this.#archives = archives;
    this.#me = person.id;
    const names = JSON.stringify([person.id, people, channels, groups]);
    if (!editions.has(names)) editions.set(names, editions.size);
    /** Equal for directories in which every text reads the same. */
    this.edition = editions.get(names);
  }

  /** The person with this id, or undefined. */
  person(id) {
    return this.#people.get(id);
  }

  /** The channel with this id, or undefined where the person does not know its name. */
  channel(id) {
    return this.#channels.get(id);
  }

  /** Every channel that the person knows the name of; they need not be in it. */
  get channels() {
    return [...this.#channels.values()];
  }

  /** The user group with this id, or undefined; `mine` tells whether the person is in it. */
  group(id) {
    return this.#groups.get(id);
  }

  isMe(id) {
    return id === this.#me;
  }

  /** Where on this page the message stands that a permalink of the workspace names; null for other links. */
  onThisPage(address) {
    if (!address.startsWith(this.#archives)) return null;
    const found = /^(\w+)\/p(\d+)(\d{6})$/.exec(address.slice(this.#archives.length));
    return found && hashOf({ person: this.#me, channel: found[1], thread: `${found[2]}.${found[3]}` });
  }
}

/** A square with initials in a colour of the person's own; the app has its sign. */
export function avatar(id, name, isApp = false) {
  const hue = [...id].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 9973, 7) % HUES;
  const content = isApp ? icon("app") : initials(name);
  return element(
    "span",
    { class: `avatar ${isApp ? "avatar-app" : `hue-${hue}`}`, "aria-hidden": "true" },
    content,
  );
}

/** The mark beside a name: "App", "Guest", "External", or nothing. */
export function badge(person, isApp = false) {
  const word = isApp ? "App" : standing(person);
  return word && element("span", { class: `badge badge-${word.toLowerCase()}` }, word);
}

/** Fill the switch with everybody one can act as, `person` chosen, and show their avatar in `holder`. */
export function showSwitch(select, holder, people, person) {
  const label = (someone) => {
    const what = [standing(someone), someone.title].filter(Boolean).join(", ");
    return what ? `${someone.real_name} (${what})` : someone.real_name;
  };
  reconcile(select, people, {
    key: ({ id }) => id,
    signature: label,
    draw: (someone) => element("option", { value: someone.id }, label(someone)),
  });
  select.value = person.id;
  holder.replaceChildren(avatar(person.id, person.real_name));
}

function standing(person) {
  if (person?.external) return "External";
  return person?.guest ? "Guest" : null;
}

function initials(name) {
  const parts = name.trim().split(/\s+/);
  const letters = parts.length > 1 ? [parts[0], parts.at(-1)] : [parts[0]];
  return letters
    .map((part) => [...part][0] ?? "?")
    .join("")
    .toUpperCase();
}
