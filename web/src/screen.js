/**
 * Puts the state and the numbers on the page. Reads nothing back from it.
 */

import { element, find, write } from "./dom.js";
import { total } from "./stats.js";
import { running } from "./state.js";

/** @import {Said} from "./sentence.js" */
/** @import {State} from "./state.js" */
/** @import {Part} from "./stats.js" */
/** @import {StreamStatus} from "./types.js" */

/**
 * @typedef {object} Numbers
 * @property {number | null} fpsIn
 * @property {number | null} fpsOut
 * @property {number | null} dropped
 * @property {number | null} measured_ms
 * @property {Part[] | null} parts
 * @property {boolean} fromHere This page sends, so that the delay begins at its own camera.
 * @property {StreamStatus | null} status
 */

const SOURCE_TITLES = { test: "Test picture", camera: "Camera", screen: "Screen", obs: "OBS" };

const WAITING_FOR_SOURCE = {
  test: "",
  camera: "The camera opens when you press Start.",
  screen: "You choose a screen or a window when you press Start.",
  obs: "What OBS sends appears here.",
};

/** One hue family, far enough apart to tell six neighbours from each other. */
const PART_COLOURS = ["#57c7c9", "#3f8efc", "#0b7077", "#8f7bf0", "#f2a93b", "#e5707a"];

/** Set when the page begins, and kept: looking them up for every frame would be waste. */
const at = {
  sentence: find("sentence", HTMLElement),
  text: find("sentence-text", HTMLElement),
  spoken: find("sentence-spoken", HTMLElement),
  go: find("go", HTMLButtonElement),
  problem: find("problem", HTMLElement),
  dismiss: find("problem-dismiss", HTMLButtonElement),
  inVideo: find("in-video", HTMLVideoElement),
  outVideo: find("out-video", HTMLVideoElement),
  inStill: find("in-still", HTMLCanvasElement),
  flow: find("flow", HTMLElement),
  obs: find("obs", HTMLElement),
};

/**
 * @param {State} state
 * @param {Said} said
 */
export function showState(state, said) {
  at.sentence.dataset["tone"] = said.tone;
  at.flow.dataset["tone"] = said.tone;
  document.title = said.tone === "live" ? "● Live · Penstock" : "Penstock";
  write(at.text, said.sentence);
  write(at.spoken, said.spoken);

  const { problem } = said;
  at.problem.hidden = problem === null;
  at.problem.dataset["tone"] = said.tone === "bad" ? "bad" : "warn";
  write(find("problem-message", HTMLElement), problem?.message ?? "");
  write(find("problem-remedy", HTMLElement), problem?.remedy ?? "");
  write(find("problem-code", HTMLElement), problem?.code ?? "");
  at.dismiss.hidden = running(state) && problem !== state.complaint;

  const stopping = running(state);
  at.go.hidden = state.watching;
  at.go.disabled = !stopping && (!state.effect || state.server === "gone");
  at.go.dataset["does"] = stopping ? "stop" : "start";
  write(at.go, stopping ? "Stop" : "Start");

  showPictures(state);
}

/** @param {State} state */
function showPictures(state) {
  const active = state.watching || running(state);
  const coming = active && at.inVideo.srcObject !== null;
  at.inVideo.toggleAttribute("data-shown", coming && at.inVideo.videoWidth > 0);
  at.inStill.hidden = coming || state.source !== "test" || state.watching;
  at.outVideo.toggleAttribute("data-shown", active && at.outVideo.videoWidth > 0);
  at.outVideo.toggleAttribute("data-stale", !state.picture);

  write(find("in-what", HTMLElement), state.mayChoose ? SOURCE_TITLES[state.source] : (state.status?.stream ?? ""));
  write(find("out-what", HTMLElement), state.effect);
  const source = state.mayChoose ? WAITING_FOR_SOURCE[state.source] : WAITING_FOR_SOURCE.obs.replace("OBS sends", "is published");
  write(find("in-placeholder", HTMLElement), at.inVideo.hasAttribute("data-shown") ? "" : source);
  write(find("out-placeholder", HTMLElement), state.picture ? "" : outPlaceholder(state, active));
  write(find("in-size", HTMLElement), size(at.inVideo));
  write(find("out-size", HTMLElement), size(at.outVideo));
}

/**
 * @param {State} state
 * @param {boolean} active
 */
function outPlaceholder(state, active) {
  if (!active) return "The transformed picture appears here.";
  switch (state.status?.state) {
    case "restarting":
      return "The runner is restarting. The picture comes back by itself.";
    case "failed":
      return "No picture.";
    case "starting":
      return "Starting the effect…";
    default:
      return state.watching ? "The transformed picture appears here." : "Waiting for the picture…";
  }
}

/** @param {HTMLVideoElement} video */
function size({ videoWidth, videoHeight, srcObject }) {
  return srcObject && videoWidth ? `${videoWidth}×${videoHeight}` : "";
}

/** @param {Numbers} numbers */
export function showNumbers(numbers) {
  const { status, parts, measured_ms } = numbers;
  const put = (/** @type {string} */ id, /** @type {string} */ text) => {
    write(find(id, HTMLElement), text || "–");
  };
  const whole = (/** @type {number | null} */ value) => (value === null ? "" : String(Math.round(value)));
  put("fps-in", whole(numbers.fpsIn));
  put("fps-out", whole(numbers.fpsOut));
  put("dropped", whole(numbers.dropped));
  const estimated_ms = parts && total(parts);
  put("latency", whole(measured_ms ?? estimated_ms));
  write(
    find("latency-label", HTMLElement),
    measured_ms !== null ? "Delay, measured" : parts ? "Delay, estimated" : "Delay",
  );
  put("orchestrator", status?.orchestrator?.replace(/^https?:\/\//, "") ?? "");
  const { runner } = status ?? {};
  const restarts = runner?.restarts ? ` · ${runner.restarts} restart${runner.restarts > 1 ? "s" : ""}` : "";
  put("runner", runner ? `${runner.id}${restarts}` : "");
  showBudget(numbers);
}

/** @param {Numbers} numbers */
function showBudget({ parts, measured_ms, fromHere }) {
  const details = find("budget", HTMLDetailsElement);
  if (!details.open) return;
  const shares = (parts ?? []).map((part, i) => ({ ...part, colour: PART_COLOURS[i] ?? "" }));
  find("budget-bar", HTMLElement).replaceChildren(
    ...shares.map(({ ms, colour }) => {
      const piece = element("span", {});
      piece.style.setProperty("--part", colour);
      piece.style.flexGrow = String(Math.max(ms, 0.01));
      return piece;
    }),
  );
  find("budget-list", HTMLElement).replaceChildren(
    ...shares.map(({ name, ms, colour }) => {
      const item = element("li", {}, `${name} `, element("b", {}, `${ms.toFixed(ms < 10 ? 1 : 0)} ms`));
      item.style.setProperty("--part", colour);
      return item;
    }),
  );
  write(find("budget-note", HTMLElement), budgetNote(parts, measured_ms, fromHere));
}

/**
 * @param {Part[] | null} parts
 * @param {number | null} measured_ms
 * @param {boolean} fromHere
 */
function budgetNote(parts, measured_ms, fromHere) {
  const read =
    measured_ms === null
      ? ""
      : ` Read from the counter in the picture itself, from canvas to screen: ${Math.round(measured_ms)} ms.`;
  if (!parts) return `Shown while a picture flows.${read}`;
  const begin = fromHere ? "" : " It begins at the gateway: what OBS adds before that is not in it.";
  return `An estimate: the gateway's median, half of each round trip, and what this browser reports.${begin}${read}`;
}
