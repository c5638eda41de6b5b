/**
 * What blocks stand on, a message or a view, and what its inputs hold in the shape of Slack's `state.values`.
 *
 * Only what a person changed is kept here; everything else is the element's initial value, so that an
 * updated view keeps what was typed and takes the rest from the app, as in Slack.
 */

class Values {
  #changed = new Map();
  #current;

  /** current: the channel in which one stood when the view opened, or null. */
  constructor(current) {
    this.#current = current;
  }

  /** The state entry of an element that has state. */
  of(blockId, element) {
    return this.#changed.get(this.#key(blockId, element)) ?? initialEntry(element, this.#current);
  }

  set(blockId, element, entry) {
    this.#changed.set(this.#key(blockId, element), entry);
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
    case "conversations_select":
      return { type: element.type, selected_conversation: initialConversation(element, current) };
    case "checkboxes":
    case "multi_static_select":
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
  #tell;

  /**
   * place: a name unique on the page. where: how the app's payload names it. current: the channel it opened
   * in, or null. tell(action): to the app.
   */
  constructor(place, where, current, tell) {
    this.place = place;
    this.values = new Values(current);
    this.#where = where;
    this.#tell = tell;
  }

  /** What the inputs hold now, in the shape of `state.values`. */
  state() {
    return stateOf(this.blocks, this.values);
  }

  /** Tell the app what was pressed, chosen or entered; settles when that is done. */
  act(blockId, actionId, entry) {
    const action = { block_id: blockId, action_id: actionId, element: entry, values: this.state() };
    return this.#tell({ ...this.#where, ...action });
  }
}

/** The surfaces of the page. Each is made once, so that what was entered survives every update. */
export class Surfaces {
  #known = new Map();
  #tell;

  constructor(tell) {
    this.#tell = tell;
  }

  /** The surface of `person` at `place`, with its blocks as they are now; `current` counts the first time. */
  at(person, place, where, current, blocks, directory) {
    const key = `${person} ${place}`;
    if (!this.#known.has(key)) this.#known.set(key, new Surface(place, where, current, this.#tell));
    return Object.assign(this.#known.get(key), { blocks, directory });
  }
}
