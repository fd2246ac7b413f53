/**
 * Sending from this page: the source that is open, and the connection that carries it.
 */

import { problemOf } from "./problem.js";
import { endedByItself } from "./sources.js";
import { Publisher } from "./whip.js";

/** @import {Opened, Sources} from "./sources.js" */
/** @import {Store} from "./store.js" */
/** @import {CaptureKind, Params, StreamStatus} from "./types.js" */

// Connected for this long and still unknown to the gateway: it has restarted and forgotten us.
const FORGOTTEN_MS = 5_000;

export class Sending {
  /** @type {Opened | null} */
  #opened = null;
  #since = 0;
  #store;
  #sources;
  #video;
  #publisher;

  /**
   * @param {string} stream
   * @param {Store} store
   * @param {Sources} sources
   * @param {HTMLVideoElement} video Shows what is sent.
   * @param {{begin: () => {pipeline: string, params: Params}, begun: () => void}} effect
   */
  constructor(stream, store, sources, video, effect) {
    this.#store = store;
    this.#sources = sources;
    this.#video = video;
    this.#publisher = new Publisher(stream, effect.begin, {
      connected: () => {
        this.#since = performance.now();
        store.happened({ type: "sending" });
        effect.begun();
      },
      refused: (problem, retryAt) => {
        store.happened({ type: "refused", problem, retryAt });
        if (retryAt === null) this.#letGo();
      },
      lost: (retryAt) => store.happened({ type: "lost", retryAt }),
    });
  }

  get pc() {
    return this.#publisher.pc;
  }

  /** The test picture is what goes out: its counter may be looked for in what comes back. */
  get sendsTestPicture() {
    return this.#opened?.kind === "test";
  }

  /** @param {CaptureKind} kind */
  async start(kind) {
    const store = this.#store;
    store.happened({ type: "start" });
    try {
      const opened = await this.#sources.open(kind);
      if (store.state.phase !== "opening" || store.state.source !== kind) {
        opened.close(); // stopped, or another source chosen, while the browser asked
        return;
      }
      this.#take(opened);
      store.happened({ type: "opened" });
      this.#publisher.start(opened.track);
    } catch (error) {
      if (store.state.phase !== "opening") return;
      store.happened({ type: "refused", problem: problemOf(error), retryAt: null });
    }
  }

  stop() {
    this.#letGo();
    this.#store.happened({ type: "stop" });
  }

  hurry() {
    this.#publisher.hurry();
  }

  renew() {
    this.#since = performance.now();
    this.#publisher.renew();
  }

  /**
   * The new picture goes into the stream that is already running.
   * @param {CaptureKind} kind
   * @throws {import("./problem.js").PageError} And then the old one goes on.
   */
  async switchTo(kind) {
    const found = await this.#sources.open(kind);
    const last = this.#opened;
    if (!last) {
      found.close(); // stopped while the browser asked
      return;
    }
    this.#take(found);
    await this.#publisher.replace(found.track);
    last.close();
  }

  /** @param {StreamStatus} status */
  heard(status) {
    if (this.#store.state.phase !== "sending") return;
    const unknown = status.state === "waiting" || status.state === "ended";
    if (unknown && performance.now() - this.#since > FORGOTTEN_MS) {
      this.renew();
    }
  }

  /** @param {Opened} opened */
  #take(opened) {
    this.#opened = opened;
    this.#video.srcObject = opened.media;
    opened.track.addEventListener("ended", () => {
      if (this.#opened !== opened) return;
      this.#letGo();
      this.#store.happened({ type: "source-ended", problem: endedByItself(opened.kind) });
    });
  }

  /** Ends everything held here: connection, camera, preview. */
  #letGo() {
    this.#publisher.stop();
    this.#video.srcObject = null;
    const last = this.#opened;
    this.#opened = null;
    last?.close();
  }
}
