/** The local Slack's JSON API, as this page uses it: the state that one person sees, and what they do. */

// Milliseconds before the sandbox is asked again, and before a lost connection is made anew.
const RETRY = 1000;
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 8000;

/**
 * What `person` sees, or what the first person sees if `person` is null; null if there is nobody with
 * this id. Rejects if the sandbox is out of reach.
 */
async function readState(person) {
  const query = person ? `?person=${encodeURIComponent(person)}` : "";
  const response = await fetch(`/sandbox/state${query}`, { cache: "no-store" });
  if (response.status === 404) return null;
  if (!response.ok) throw new Error(`the sandbox answered ${response.status}`);
  return response.json();
}

/** POST to /sandbox/`verb`. Never rejects: an unreachable sandbox is an answer with `ok` false. */
export async function post(verb, body) {
  try {
    const response = await fetch(`/sandbox/${verb}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    return await response.json();
  } catch {
    return { ok: false, error: "the sandbox did not answer" };
  }
}

/**
 * Listen for changes that concern `person` until `close()` of the result is called. `onChange` is also
 * called after every (re)connection, since changes may have been missed; `onConnection` gets true or false.
 */
function listen(person, onChange, onConnection) {
  let closed = false;
  let pause = FIRST_PAUSE;
  let socket;
  let timer;
  const connect = () => {
    const address = new URL("/sandbox/live", location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    address.searchParams.set("person", person);
    socket = new WebSocket(address);
    socket.addEventListener("open", () => {
      pause = FIRST_PAUSE;
      onConnection(true);
      onChange();
    });
    socket.addEventListener("message", (event) => {
      if (JSON.parse(event.data).type === "changed") onChange();
    });
    socket.addEventListener("close", () => {
      if (closed) return;
      onConnection(false);
      timer = setTimeout(connect, pause);
      pause = Math.min(pause * 2, LONGEST_PAUSE);
    });
  };
  connect();
  return {
    close() {
      closed = true;
      clearTimeout(timer);
      socket.close();
    },
  };
}

/** Reads the state again and again, as often as needed and never twice at a time. */
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
