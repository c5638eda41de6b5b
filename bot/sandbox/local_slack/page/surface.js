/** What blocks stand on: a message or a view, with what was entered there and the way to the app. */

import { stateOf, Values } from "./values.js";

export class Surface {
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
