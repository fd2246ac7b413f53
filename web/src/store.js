/**
 * Holds the present state, and shows every next one.
 */

import { reduce } from "./state.js";

/** @import {Happening, State} from "./state.js" */

export class Store {
  /**
   * @param {State} state
   * @param {(state: State) => void} show
   */
  constructor(state, show) {
    this.state = state;
    this.show = show;
  }

  /** @param {Happening} event */
  happened(event) {
    this.state = reduce(this.state, event);
    this.show(this.state);
  }
}
