/**
 * Takes changes as fast as a hand makes them and sends them as fast as the node takes them.
 *
 * The first change goes out at once; while one is on its way the next ones melt into one, where
 * the latest value wins.
 */

import { ask, problemOf } from "./problem.js";

/** @import {Params, Problem} from "./types.js" */

// A slider fires at the rate of the screen. Faster than this nobody can see the difference.
const EVERY_MS = 80;

/**
 * @typedef {object} Listener
 * @property {(problem: Problem) => void} refused
 * @property {() => void} taken
 */

export class Updates {
  /** @type {Params | null} */
  #waiting = null;
  #sending = false;
  #url;
  #listener;

  /**
   * @param {string} stream
   * @param {Listener} listener
   */
  constructor(stream, listener) {
    this.#url = `/live/video-to-video/${encodeURIComponent(stream)}/update`;
    this.#listener = listener;
  }

  /** Nothing is on its way or waiting: what the gateway says is what was last asked for. */
  get settled() {
    return !this.#sending && this.#waiting === null;
  }

  /** @param {Params} change May carry `model_id`: then what waited for the old effect is void. */
  push(change) {
    this.#waiting = "model_id" in change ? { ...change } : { ...this.#waiting, ...change };
    if (!this.#sending) void this.#send();
  }

  async #send() {
    this.#sending = true;
    while (this.#waiting) {
      const body = JSON.stringify(this.#waiting);
      this.#waiting = null;
      const pace = new Promise((resolve) => setTimeout(resolve, EVERY_MS));
      try {
        const headers = { "Content-Type": "application/json" };
        await ask(this.#url, { method: "POST", headers, body });
        this.#listener.taken();
      } catch (error) {
        this.#listener.refused(problemOf(error));
      }
      await pace;
    }
    this.#sending = false;
  }
}
