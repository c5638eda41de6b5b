/** How people and the app look: an avatar, a name, and what sets a guest or a stranger apart. */

import { element, icon, reconcile } from "./dom.js";

const HUES = 8;

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
