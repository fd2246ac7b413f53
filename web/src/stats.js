/**
 * Numbers from two looks at the peer connections. `look` asks the browser, the rest is pure.
 *
 * The delay is a sum of what each part says of itself, and is called an estimate. When the test
 * picture's counter can be read in what comes out, `glass.js` measures it instead.
 */

/** @import {StreamStatus} from "./types.js" */

/**
 * Counters of one connection at one moment; those that do not apply are 0.
 * @typedef {object} Look
 * @property {number} at_ms
 * @property {number} frames Sent or decoded.
 * @property {number} fps As the browser itself counts it.
 * @property {number} coding_s Spent on encoding or decoding, in total.
 * @property {number} buffered_s Waited in the jitter buffer, in total over all frames.
 * @property {number} buffered Frames that left the jitter buffer.
 * @property {number} dropped
 * @property {number} width
 * @property {number} height
 * @property {number} rtt_s
 */

/** @typedef {{name: string, ms: number}} Part One leg of the delay. */

/**
 * @param {RTCPeerConnection | null} pc
 * @returns {Promise<Look | null>}
 */
export async function look(pc) {
  if (!pc || pc.connectionState !== "connected") return null;
  /** @type {any[]} */
  const reports = [];
  (await pc.getStats()).forEach((report) => reports.push(report));
  const video = reports.find(
    ({ type, kind }) => kind === "video" && (type === "outbound-rtp" || type === "inbound-rtp"),
  );
  const pair = reports.find(({ type, nominated, state }) => {
    return type === "candidate-pair" && nominated && state === "succeeded";
  });
  return {
    at_ms: performance.now(),
    frames: video?.framesDecoded ?? video?.framesEncoded ?? 0,
    fps: video?.framesPerSecond ?? 0,
    coding_s: video?.totalDecodeTime ?? video?.totalEncodeTime ?? 0,
    buffered_s: video?.jitterBufferDelay ?? 0,
    buffered: video?.jitterBufferEmittedCount ?? 0,
    dropped: video?.framesDropped ?? 0,
    width: video?.frameWidth ?? 0,
    height: video?.frameHeight ?? 0,
    rtt_s: pair?.currentRoundTripTime ?? 0,
  };
}

/**
 * @param {Look | null} before
 * @param {Look | null} after
 * @returns {number | null} Frames per second between the two.
 */
export function rate(before, after) {
  if (!before || !after || after.frames < before.frames) return null;
  const passed_s = (after.at_ms - before.at_ms) / 1000;
  return passed_s > 0 ? (after.frames - before.frames) / passed_s : null;
}

/**
 * @param {Look} before
 * @param {Look} after
 * @param {"coding_s" | "buffered_s"} total
 * @param {"frames" | "buffered"} count
 */
function meanMs(before, after, total, count) {
  const n = after[count] - before[count];
  return n > 0 ? ((after[total] - before[total]) / n) * 1000 : 0;
}

/**
 * The delay by its parts, in the order in which a frame meets them. Null until all ends report.
 * @param {{before: Look | null, after: Look | null} | null} sending Null when OBS sends.
 * @param {{before: Look | null, after: Look | null}} viewing
 * @param {StreamStatus | null} status
 * @returns {Part[] | null}
 */
export function delayParts(sending, viewing, status) {
  const node_ms = status?.latency_ms.p50;
  if (!viewing.before || !viewing.after || node_ms === null || node_ms === undefined) return null;
  const parts = [];
  if (sending) {
    if (!sending.before || !sending.after) return null;
    parts.push(
      { name: "encode", ms: meanMs(sending.before, sending.after, "coding_s", "frames") },
      { name: "network there", ms: (sending.after.rtt_s * 1000) / 2 },
    );
  }
  parts.push(
    { name: "gateway, runner and back", ms: node_ms },
    { name: "network back", ms: (viewing.after.rtt_s * 1000) / 2 },
    { name: "jitter buffer", ms: meanMs(viewing.before, viewing.after, "buffered_s", "buffered") },
    { name: "decode", ms: meanMs(viewing.before, viewing.after, "coding_s", "frames") },
  );
  return parts;
}

/** @param {Part[]} parts */
export const total = (parts) => parts.reduce((sum, { ms }) => sum + ms, 0);
