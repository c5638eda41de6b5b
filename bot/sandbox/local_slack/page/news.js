/** What a person has not seen yet: dots in the sidebar, and words for screen readers. */

import { words } from "./mrkdwn.js";

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
