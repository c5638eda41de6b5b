/** Who and what an id in a text stands for, from one state of the sandbox. */

import { hashOf } from "./address.js";

const editions = new Map();

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
