/** The local Slack's JSON API, as this page uses it. */

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 8000;

/**
 * What `person` sees, or what the first person sees if `person` is null; null if there is nobody with
 * this id. Rejects if the sandbox is out of reach.
 */
export async function readState(person) {
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
export function listen(person, onChange, onConnection) {
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
