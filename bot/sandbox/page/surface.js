/** What blocks stand on: a message or a view, with what was entered there and the way to the app. */

import { stateOf, Values } from "./values.js";

export class Surface {
  values = new Values();
  blocks = [];
  directory = null;
  #where;
  #tell;

  /** place: a name unique on the page. where: how the app's payload names it. tell(action): to the app. */
  constructor(place, where, tell) {
    this.place = place;
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

  /** The surface of `person` at `place`, with its blocks as they are now. */
  at(person, place, where, blocks, directory) {
    const key = `${person} ${place}`;
    if (!this.#known.has(key)) this.#known.set(key, new Surface(place, where, this.#tell));
    return Object.assign(this.#known.get(key), { blocks, directory });
  }
}
