/** Who and what an id in a text stands for, from one state of the sandbox. */

const editions = new Map();

export class Directory {
  #people;
  #channels;
  #me;

  constructor({ people, channels, person }) {
    this.#people = new Map(people.map((someone) => [someone.id, someone]));
    this.#channels = new Map(channels.map((channel) => [channel.id, channel]));
    this.#me = person.id;
    const names = JSON.stringify([person.id, people, channels.map(({ id, name }) => [id, name])]);
    if (!editions.has(names)) editions.set(names, editions.size);
    /** Equal for directories in which every text reads the same. */
    this.edition = editions.get(names);
  }

  /** The person with this id, or undefined. */
  person(id) {
    return this.#people.get(id);
  }

  /** The channel with this id, or undefined where the person does not see it. */
  channel(id) {
    return this.#channels.get(id);
  }

  isMe(id) {
    return id === this.#me;
  }
}
