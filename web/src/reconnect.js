/**
 * Keeps one session going until told to stop: connect, wait for its end, wait a little, again.
 *
 * It knows nothing of direction; `whip.js` and `whep.js` fill the peer connection.
 */

import { backoff_ms } from "./backoff.js";
import { isQueue, problemOf } from "./problem.js";
import { Session } from "./session.js";

/** @import {Problem} from "./types.js" */

/**
 * @typedef {object} Reports
 * @property {() => void} connected
 * @property {(problem: Problem, retryAt: number | null) => void} refused null: given up.
 * @property {(retryAt: number) => void} lost
 */

/**
 * @typedef {object} Plan
 * @property {() => string} url Asked anew for every attempt.
 * @property {(pc: RTCPeerConnection) => void} fill Adds what is to be sent or received.
 * @property {(answer: string) => string} [edit]
 */

// Who waits for a turn asks at an even pace: it comes when somebody leaves, not when we are patient.
const TURN_MS = 2_000;

// A session that lasted this long was a good one: the next wait starts from the shortest again.
const GOOD_MS = 5_000;

export class Reconnecting {
  /** @type {Session | null} */
  #session = null;
  /** @type {object | null} Names the present run; a stopped run sees that it is no longer it. */
  #run = null;
  #wake = () => {};

  /**
   * @param {Plan} plan
   * @param {Reports} reports
   */
  constructor(plan, reports) {
    this.plan = plan;
    this.reports = reports;
  }

  /** The peer connection of the present session, for its statistics. */
  get pc() {
    return this.#session?.pc ?? null;
  }

  get started() {
    return this.#run !== null;
  }

  start() {
    this.stop();
    const run = {};
    this.#run = run;
    void this.#live(run);
  }

  stop() {
    this.#run = null;
    this.#session?.close();
    this.#session = null;
    this.#wake();
  }

  /** Somebody has reason to think that now is a good moment: no more waiting. */
  hurry() {
    this.#wake();
  }

  /** Somebody has reason to think that the session is dead: begin a new one. */
  renew() {
    this.#session?.close();
    this.#wake();
  }

  /** @param {object} run */
  async #live(run) {
    for (let attempt = 0; this.#run === run; attempt++) {
      const session = new Session(new RTCPeerConnection({ bundlePolicy: "max-bundle" }));
      this.#session = session;
      let wait_ms = backoff_ms(attempt, Math.random());
      try {
        this.plan.fill(session.pc);
        await session.open(this.plan.url(), this.plan.edit);
        if (this.#run !== run) break;
        this.reports.connected();
        const since = performance.now();
        await session.over;
        if (this.#run !== run) break;
        if (performance.now() - since > GOOD_MS) attempt = -1;
        this.reports.lost(performance.now() + wait_ms);
      } catch (error) {
        session.close();
        if (this.#run !== run) break;
        const problem = problemOf(error);
        if (problem.retry === "never") {
          this.#run = null;
          this.#session = null;
          this.reports.refused(problem, null);
          return;
        }
        if (isQueue(problem)) wait_ms = Math.min(wait_ms, TURN_MS);
        this.reports.refused(problem, performance.now() + wait_ms);
      }
      await this.#pause(wait_ms);
    }
  }

  /** @param {number} wait_ms */
  #pause(wait_ms) {
    return /** @type {Promise<void>} */ (
      new Promise((resolve) => {
        const timer = setTimeout(resolve, wait_ms);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      })
    );
  }
}
