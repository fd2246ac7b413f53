/**
 * The effect, between three who may change it: the person here, another page, the node.
 *
 * The hand on the slider wins while it moves; afterwards what the gateway says is shown.
 */

import { Controls } from "./controls.js";
import { Updates } from "./updates.js";

/** @import {Store} from "./store.js" */
/** @import {Params, PipelineInfo, StreamStatus} from "./types.js" */

// What the gateway says of the effect may be older than the hand on the slider.
const HANDS_OFF_MS = 1_500;

const ACTIVE = new Set(["starting", "live", "restarting", "degraded"]);

/** @param {StreamStatus | null} status */
export const isActive = (status) => status !== null && ACTIVE.has(status.state);

export class Steering {
  #store;
  #updates;
  #controls;
  #shown;
  #touchedAt = -Infinity;
  /** What the stream was begun with, to see whether it was changed on the way. */
  #begunWith = "";
  /** Chosen here while nobody published: it is meant for the next who does. */
  #meant = false;

  /**
   * @param {string} stream
   * @param {Store} store
   * @param {() => void} shown Another effect is chosen now.
   */
  constructor(stream, store, shown) {
    this.#store = store;
    this.#shown = shown;
    this.#updates = new Updates(stream, {
      taken: () => {
        if (store.state.complaint) store.happened({ type: "dismissed" });
      },
      refused: (problem) => {
        // Gone meanwhile: what was chosen goes along with the next start.
        if (problem.code === "stream_not_found" || problem.code === "server_gone") return;
        store.happened({ type: "complaint", problem });
      },
    });
    this.#controls = new Controls({
      switched: () => {
        this.#touched();
        this.#show();
        if (this.#reaches()) this.#pushAll();
      },
      tuned: (change) => {
        this.#touched();
        if (this.#reaches()) this.#updates.push(change);
      },
    });
  }

  /** The name of the chosen effect; null before the node has said what there is. */
  get pipeline() {
    return this.#controls.effect?.pipeline.name ?? null;
  }

  /**
   * @param {PipelineInfo[]} pipelines
   * @param {string | null} wanted
   */
  offer(pipelines, wanted) {
    this.#controls.offer(pipelines, wanted);
    this.#show();
  }

  /** What a stream that is begun now begins with. */
  begin() {
    const effect = this.#chosen();
    this.#begunWith = JSON.stringify(effect);
    return effect;
  }

  begun() {
    if (JSON.stringify(this.#chosen()) !== this.#begunWith) this.#pushAll();
  }

  /**
   * @param {StreamStatus} status
   * @param {boolean} wasActive
   */
  heard(status, wasActive) {
    if (!isActive(status)) return;
    if (!wasActive && this.#meant && this.#store.state.watching) this.#pushAll();
    this.#meant = false;
    const handsOff = performance.now() - this.#touchedAt > HANDS_OFF_MS;
    if (handsOff && this.#updates.settled && status.pipeline) {
      this.#controls.adopt(status.pipeline, status.params ?? {});
      this.#show();
    }
  }

  /** @returns {{pipeline: string, params: Params}} */
  #chosen() {
    const effect = this.#controls.effect;
    return { pipeline: effect?.pipeline.name ?? "", params: effect?.params ?? {} };
  }

  /** There is a stream that an update would reach. */
  #reaches() {
    const { phase, status } = this.#store.state;
    return phase === "sending" || isActive(status);
  }

  #touched() {
    this.#touchedAt = performance.now();
    this.#meant = !this.#reaches();
  }

  #pushAll() {
    const { pipeline, params } = this.#chosen();
    this.#updates.push({ model_id: pipeline, ...params });
  }

  #show() {
    const title = this.#controls.effect?.pipeline.title ?? "";
    if (title === this.#store.state.effect) return;
    this.#store.happened({ type: "effect", title });
    this.#shown();
  }
}
