/**
 * What has happened, as one value. Pure: `reduce(state, event)` and nothing else.
 *
 * `sentence.js` turns the value into words, `screen.js` into the page. Times are milliseconds of
 * whatever clock the caller uses throughout.
 */

/** @import {Problem, SourceKind, StreamStatus} from "./types.js" */

/**
 * How far this page is with sending. A page that only watches stays idle.
 * @typedef {"idle" | "opening" | "connecting" | "sending" | "retrying" | "failed"} Phase
 */

/**
 * @typedef {object} State
 * @property {SourceKind} source
 * @property {boolean} watching Somebody else publishes (OBS, another page); this page looks on.
 * @property {boolean} mayChoose False under `?watch=`: there is no source to choose.
 * @property {boolean} loading The node is there and has nothing to offer yet.
 * @property {string} effect The title of the chosen effect, empty until it is known.
 * @property {Phase} phase
 * @property {number | null} retryAt When sending is tried again.
 * @property {"unknown" | "up" | "gone"} server
 * @property {number | null} serverRetryAt
 * @property {boolean} picture The transformed picture is moving.
 * @property {StreamStatus | null} status
 * @property {Problem | null} problem Why sending does not go; cleared when it does.
 * @property {Problem | null} viewProblem Why watching does not go; cleared when it does.
 * @property {Problem | null} complaint Something smaller that was refused; stays until dismissed.
 */

/**
 * @typedef {(
 *   {type: "source", source: SourceKind} |
 *   {type: "effect", title: string} |
   {type: "loading"} |
 *   {type: "start"} |
 *   {type: "opened"} |
 *   {type: "sending"} |
 *   {type: "refused", problem: Problem, retryAt: number | null} |
 *   {type: "lost", retryAt: number} |
 *   {type: "stop"} |
 *   {type: "source-ended", problem: Problem} |
 *   {type: "picture", moving: boolean} |
 *   {type: "viewing"} |
 *   {type: "view-refused", problem: Problem} |
 *   {type: "status", status: StreamStatus} |
 *   {type: "server-up"} |
 *   {type: "server-gone", retryAt: number} |
 *   {type: "complaint", problem: Problem} |
 *   {type: "dismissed"}
 * )} Happening
 */

/**
 * @param {{source: SourceKind, watchOnly: boolean}} start
 * @returns {State}
 */
export function initial({ source, watchOnly }) {
  return {
    source,
    watching: watchOnly || source === "obs",
    mayChoose: !watchOnly,
    effect: "",
    loading: false,
    phase: "idle",
    retryAt: null,
    server: "unknown",
    serverRetryAt: null,
    picture: false,
    status: null,
    problem: null,
    viewProblem: null,
    complaint: null,
  };
}

/** @param {State} state */
export const running = (state) => !["idle", "failed"].includes(state.phase);

const AT_REST = /** @type {const} */ ({
  phase: "idle",
  retryAt: null,
  picture: false,
  problem: null,
  viewProblem: null,
});

/**
 * @param {State} state
 * @param {Happening} event
 * @returns {State} A new one; the old one is never changed.
 */
export function reduce(state, event) {
  switch (event.type) {
    case "source":
      return {
        ...state,
        source: event.source,
        watching: !state.mayChoose || event.source === "obs",
        complaint: null,
        ...(running(state) ? {} : AT_REST),
      };
    case "effect":
      return { ...state, effect: event.title, loading: false };
    case "loading":
      return { ...state, loading: true, complaint: null };
    case "start":
      return { ...state, ...AT_REST, phase: "opening", complaint: null };
    case "opened":
      return { ...state, phase: "connecting" };
    case "sending":
      return { ...state, phase: "sending", retryAt: null, problem: null };
    case "refused":
      if (event.retryAt === null) {
        return { ...state, ...AT_REST, phase: "failed", problem: event.problem };
      }
      return { ...state, phase: "retrying", retryAt: event.retryAt, problem: event.problem };
    case "lost":
      return { ...state, phase: "retrying", retryAt: event.retryAt, problem: null };
    case "stop":
      return { ...state, ...AT_REST };
    case "source-ended":
      return { ...state, ...AT_REST, problem: event.problem };
    case "picture":
      return { ...state, picture: event.moving };
    case "viewing":
      return { ...state, viewProblem: null };
    case "view-refused":
      return { ...state, viewProblem: event.problem };
    case "status":
      return { ...state, status: event.status };
    case "server-up":
      return { ...state, server: "up", serverRetryAt: null };
    case "server-gone":
      return {
        ...state,
        server: "gone",
        serverRetryAt: event.retryAt,
        status: null, // what it last said is no longer true of anything
      };
    case "complaint":
      return { ...state, complaint: event.problem };
    case "dismissed":
      return {
        ...state,
        complaint: null,
        problem: running(state) ? state.problem : null,
        phase: state.phase === "failed" ? "idle" : state.phase,
      };
  }
}
