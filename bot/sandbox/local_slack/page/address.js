/** Who one acts as and what is open, kept in the URL's hash so that a reload stays. */

/** {person, channel, thread}, each a string or null. */
export function readAddress() {
  const fields = new URLSearchParams(location.hash.slice(1));
  return { person: fields.get("person"), channel: fields.get("channel"), thread: fields.get("thread") };
}

export function writeAddress(address) {
  const hash = hashOf(address);
  if (hash !== location.hash) history.replaceState(null, "", hash);
}

/** The hash of an address: as a link, it leads there. */
export function hashOf({ person, channel, thread }) {
  const fields = new URLSearchParams({ person, channel });
  if (thread) fields.set("thread", thread);
  return `#${fields}`;
}
