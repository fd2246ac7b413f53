/**
 * The one sentence that says what is going on, and the problem with its remedy. Pure.
 */

import { isLoading, isQueue } from "./problem.js";

/** @import {Problem} from "./types.js" */
/** @import {State} from "./state.js" */

/** @typedef {"calm" | "busy" | "live" | "warn" | "bad"} Tone */

/**
 * @typedef {object} Said
 * @property {Tone} tone
 * @property {string} sentence
 * @property {string} spoken The same for a screen reader: no countdown, so that it is said once.
 * @property {Problem | null} problem
 */

const SOURCE_NAMES = { test: "test picture", camera: "camera", screen: "screen", obs: "OBS" };

/**
 * @param {Tone} tone
 * @param {string} sentence
 * @param {Problem | null} [problem]
 * @param {string} [spoken]
 * @returns {Said}
 */
const say = (tone, sentence, problem = null, spoken = sentence) => ({
  tone,
  sentence,
  spoken,
  problem,
});

/**
 * @param {number | null} at
 * @param {number} now
 */
export function inSeconds(at, now) {
  const left_s = at === null ? 0 : Math.ceil((at - now) / 1000);
  return left_s > 0 ? `in ${left_s} s` : "now";
}

/**
 * @param {State} state
 * @param {number} now
 * @returns {Said}
 */
export function describe(state, now) {
  const said = situation(state, now);
  return { ...said, problem: said.problem ?? state.complaint };
}

/**
 * @param {State} state
 * @param {number} now
 * @returns {Said}
 */
function situation(state, now) {
  if (state.server === "gone") {
    return say(
      "bad",
      `The server is gone; trying again ${inSeconds(state.serverRetryAt, now)}.`,
      null,
      "The server is gone; trying again.",
    );
  }
  if (state.watching) return watched(state);
  switch (state.phase) {
    case "idle":
      return state.problem ? say("warn", "Stopped.", state.problem) : ready(state);
    case "failed":
      return say("bad", "It did not start.", state.problem);
    case "opening":
      return say("busy", OPENING[state.source]);
    case "connecting":
      return say("busy", "Connecting…");
    case "retrying":
      return retrying(state, now);
    case "sending":
      return going(state);
  }
}

const OPENING = {
  test: "Drawing the test picture…",
  camera: "Opening the camera. Allow it if the browser asks…",
  screen: "Choose a screen or a window to share…",
  obs: "Connecting…",
};

const LOADING = "The runners are loading…";

/** @param {State} state */
function ready(state) {
  if (state.server === "unknown") return say("calm", "Looking for the node…");
  if (state.loading) return say("busy", LOADING);
  if (!state.effect) return say("calm", "Looking for effects…");
  return say(
    "calm",
    `Ready. Press Start to send the ${SOURCE_NAMES[state.source]} through ${state.effect}.`,
  );
}

/**
 * @param {State} state
 * @param {number} now
 */
function retrying(state, now) {
  const again = inSeconds(state.retryAt, now);
  const { problem } = state;
  if (isLoading(problem)) return say("busy", LOADING);
  if (isQueue(problem)) {
    return say("busy", "Waiting for a free runner…", problem);
  }
  if (problem) {
    return say(
      "warn",
      `Not connected; trying again ${again}.`,
      problem,
      "Not connected; trying again.",
    );
  }
  return say(
    "warn",
    `The connection was lost; trying again ${again}.`,
    null,
    "The connection was lost; trying again.",
  );
}

/**
 * This page's own stream is on its way.
 * @param {State} state
 */
function going(state) {
  const { status } = state;
  if (!status || status.state === "waiting" || status.state === "ended") {
    return say("busy", "Connected; waiting for the first picture…");
  }
  return known(state);
}

/**
 * Somebody else's stream.
 * @param {State} state
 */
function watched(state) {
  const { status } = state;
  if (!status) return say("busy", "Connecting…", state.viewProblem);
  if (status.state === "waiting" || status.state === "ended") {
    if (state.viewProblem) return say("warn", "This stream cannot be shown yet.", state.viewProblem);
    if (state.source === "obs") return say("calm", "Waiting for OBS: press Start Streaming there.");
    return say(
      "calm",
      status.state === "ended"
        ? `${status.stream} has ended; it shows here when it comes back.`
        : `Waiting for somebody to publish ${status.stream}.`,
    );
  }
  return known(state);
}

/**
 * "runner r1", but not "runner runner-1".
 * @param {{id: string}} runner
 */
const named = ({ id }) => (/runner/i.test(id) ? id : `runner ${id}`);

/**
 * The gateway has the stream and says how it is.
 * @param {State} state
 * @returns {Said}
 */
function known(state) {
  const { status, effect } = state;
  if (!status) return say("busy", "Connecting…");
  /** @type {Problem | null} */
  const problem = status.problem ? { ...status.problem, retry: "same" } : state.viewProblem;
  const name = effect || status.pipeline || "the effect";
  const where = status.runner ? ` on ${named(status.runner)}` : "";
  const queued = isQueue(problem);
  if (queued && isLoading(problem)) return say("busy", LOADING);
  switch (status.state) {
    case "starting":
      return queued
        ? say("busy", "Waiting for a free runner…", problem)
        : say("busy", `Starting ${name}${where}…`, problem);
    case "restarting":
      return say("warn", "The runner is restarting…", problem);
    case "degraded":
      return say("warn", status.message || `Live, but slower than the source: ${name}.`, problem);
    case "failed":
      return queued
        ? say("busy", "Waiting for a free runner…", problem)
        : say("bad", problem ? "The stream failed." : status.message || "The stream failed.", problem);
    case "live": {
      if (!state.picture) {
        return problem
          ? say("warn", "Live, but it cannot be shown here.", problem)
          : say("busy", `${name} is live; waiting for its picture…`);
      }
      return say("live", `Live: ${name}${where}.`, problem);
    }
    default:
      return say("busy", "Connecting…", problem);
  }
}
