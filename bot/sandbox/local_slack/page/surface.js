/**
 * What blocks stand on, a message or a view, and what its inputs hold in the shape of Slack's `state.values`.
 *
 * An element holds what it held as long as its block and action id stay, whatever the app says by then is
 * its initial value, as in Slack.
 */

class Values {
  #held = new Map();
  #current;

  /** current: the channel in which one stood when the view opened, or null. */
  constructor(current) {
    this.#current = current;
  }

  /** The state entry of an element that has state. */
  of(blockId, element) {
    const key = this.#key(blockId, element);
    if (!this.#held.has(key)) this.#held.set(key, initialEntry(element, this.#current));
    return this.#held.get(key);
  }

  set(blockId, element, entry) {
    this.#held.set(this.#key(blockId, element), entry);
  }

  /** Forget what the elements of these blocks do not hold any more, and begin with the new ones. */
  use(blocks) {
    const before = this.#held;
    this.#held = new Map();
    for (const block of blocks)
      for (const element of elementsOf(block)) {
        const key = this.#key(block.block_id, element);
        this.#held.set(key, before.get(key) ?? initialEntry(element, this.#current));
      }
  }

  #key(blockId, element) {
    return JSON.stringify([blockId, element.action_id]);
  }
}

/** {block_id: {action_id: entry}} for every element of `blocks` that has state. */
function stateOf(blocks, values) {
  const state = {};
  for (const block of blocks) {
    for (const element of elementsOf(block)) {
      if (initialEntry(element, null) === null) continue;
      (state[block.block_id] ??= {})[element.action_id] = values.of(block.block_id, element);
    }
  }
  return state;
}

/** The choices of a select in order, groups laid flat. */
export function optionsOf(element) {
  return element.options ?? (element.option_groups ?? []).flatMap((group) => group.options);
}

/** Those of the channels that a conversations_select offers. */
export function conversationsOf({ filter = {} }, channels) {
  const include = filter.include ?? ["public", "private", "im"];
  return channels.filter(({ kind }) => {
    // Every direct message here is with the app, which is a bot.
    if (kind === "im") return include.includes("im") && !filter.exclude_bot_users;
    if (kind === "shared" && filter.exclude_external_shared_channels) return false;
    return include.includes(kind === "private" ? "private" : "public");
  });
}

function elementsOf(block) {
  if (block.type === "input") return [block.element];
  if (block.type === "actions") return block.elements;
  return block.accessory ? [block.accessory] : [];
}

function initialConversation(element, current) {
  if (element.initial_conversation) return element.initial_conversation;
  if (!current || !element.default_to_current_conversation) return null;
  return conversationsOf(element, [current])[0]?.id ?? null;
}

function initialEntry(element, current) {
  switch (element.type) {
    case "plain_text_input":
    case "number_input":
      return { type: element.type, value: element.initial_value ?? null };
    case "static_select":
    case "radio_buttons":
      return { type: element.type, selected_option: element.initial_option ?? null };
    case "datepicker":
      return { type: element.type, selected_date: element.initial_date ?? null };
    case "conversations_select":
      return { type: element.type, selected_conversation: initialConversation(element, current) };
    case "checkboxes":
    case "multi_static_select":
    case "multi_external_select":
      return { type: element.type, selected_options: element.initial_options ?? [] };
    default:
      return null;
  }
}

/** A message or a view, with what was entered there and the way to the app. */
class Surface {
  values;
  blocks = [];
  directory = null;
  #where;
  #app;

  /**
   * place: a name unique on the page. where: how the app's payload names it. current: the channel it opened
   * in, or null. app: the way to it, as `Surfaces` takes it.
   */
  constructor(place, where, current, app) {
    this.place = place;
    this.values = new Values(current);
    this.#where = where;
    this.#app = app;
  }

  /** What the inputs hold now, in the shape of `state.values`. */
  state() {
    return stateOf(this.blocks, this.values);
  }

  /** Tell the app what was pressed, chosen or entered; settles when that is done. */
  act(blockId, actionId, entry) {
    const action = { block_id: blockId, action_id: actionId, element: entry, values: this.state() };
    return this.#app.tell({ ...this.#where, ...action });
  }

  /** The options that the app suggests for what was typed into a menu. */
  look(actionId, typed) {
    return this.#app.look({ ...this.#where, action_id: actionId, typed });
  }
}

/** The surfaces of the page. Each is made once, so that what was entered survives every update. */
export class Surfaces {
  #known = new Map();
  #app;

  /** app: tell(action) tells it, look(query) resolves to the options that it suggests. */
  constructor(app) {
    this.#app = app;
  }

  /** The surface of `person` at `place`, with its blocks as they are now; `current` counts the first time. */
  at(person, place, where, current, blocks, directory) {
    const key = `${person} ${place}`;
    if (!this.#known.has(key)) this.#known.set(key, new Surface(place, where, current, this.#app));
    const surface = this.#known.get(key);
    surface.values.use(blocks);
    return Object.assign(surface, { blocks, directory });
  }
}
