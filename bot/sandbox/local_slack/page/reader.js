/** Reads the sandbox's state again and again, as often as needed and never twice at a time. */

import { listen, readState } from "./api.js";

const RETRY = 1000;

export class Reader {
  #show;
  #note;
  #person;
  #live = null;
  #isLive = false;
  #reading = null;
  #again = false;

  /** show(state) is called with every fresh state; note(up) with whether the sandbox is in reach. */
  constructor(person, { show, note }) {
    this.#person = person;
    this.#show = show;
    this.#note = note;
  }

  /** See with the eyes of `person`; null is the first person there is. */
  actAs(person) {
    this.#live?.close();
    this.#live = null;
    this.#person = person;
    return this.refresh();
  }

  /** Read the state and show it. Calls during a reading share one more reading after it. */
  refresh() {
    if (this.#reading) this.#again = true;
    else this.#reading = this.#readAll();
    return this.#reading;
  }

  async #readAll() {
    try {
      do {
        this.#again = false;
        await this.#readOnce();
      } while (this.#again);
    } finally {
      this.#reading = null;
    }
  }

  async #readOnce() {
    const person = this.#person;
    let state;
    try {
      state = await readState(person);
    } catch {
      this.#note(false);
      setTimeout(() => this.refresh(), RETRY);
      return;
    }
    if (person !== this.#person) {
      this.#again = true;
    } else if (state === null) {
      this.#person = null;
      this.#again = true;
    } else {
      this.#person = state.person.id;
      this.#live ??= listen(
        this.#person,
        () => this.refresh(),
        (up) => this.#connected(up),
      );
      if (this.#isLive) this.#note(true);
      this.#show(state);
    }
  }

  #connected(up) {
    this.#isLive = up;
    this.#note(up);
  }
}
