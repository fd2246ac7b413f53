/**
 * The gateway's word on our stream, as it comes (server-sent events), and whether it is there.
 *
 * EventSource reconnects by itself, but neither says when nor notices a server that only hangs;
 * so each one is used once and the waiting is ours.
 */

import { backoff_ms } from "./backoff.js";

/** @import {StreamStatus} from "./types.js" */

// The gateway speaks every second; a silence this long means that it is not there.
const SILENCE_MS = 6_000;

/**
 * @typedef {object} Listener
 * @property {(status: StreamStatus) => void} status
 * @property {() => void} up
 * @property {(retryAt: number) => void} gone
 */

export class StatusFeed {
  /** @type {EventSource | null} */
  #source = null;
  #attempt = 0;
  /** @type {number | undefined} */
  #timer;

  /**
   * @param {string} stream
   * @param {Listener} listener
   */
  constructor(stream, listener) {
    this.url = `/live/video-to-video/${encodeURIComponent(stream)}/events`;
    this.listener = listener;
  }

  start() {
    this.stop();
    const source = new EventSource(this.url);
    this.#source = source;
    this.#watch();
    source.addEventListener("open", () => {
      this.#attempt = 0;
      this.listener.up();
      this.#watch();
    });
    source.addEventListener("status", (event) => {
      this.#watch();
      this.listener.status(JSON.parse(event.data));
    });
    source.addEventListener("error", () => this.#lost());
  }

  stop() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  #watch() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#lost(), SILENCE_MS);
  }

  #lost() {
    this.stop();
    const wait_ms = backoff_ms(this.#attempt++, Math.random());
    this.listener.gone(performance.now() + wait_ms);
    this.#timer = setTimeout(() => this.start(), wait_ms);
  }
}
