/**
 * A moving picture for whoever has no camera at hand, made to be looked at by people and by tests.
 *
 * Upper part: eight plain bars. Lower part: shapes that sweep, turn and pulse, so that effects
 * that live on motion have some; a clock; and the frame counter of `marker.js`. The frame is a
 * function of its number and the time, so any frame can be drawn alone.
 */

import { MARKER, writeMarker } from "./marker.js";

export const WIDTH = 1280;
export const HEIGHT = 720;
export const FRAME_RATE = 30;

/** Left to right. Tests look for these. */
export const BARS = Object.freeze([
  "#ffffff",
  "#f2d43d",
  "#35c4d7",
  "#3fb950",
  "#c74fc9",
  "#e5484d",
  "#3b6cf6",
  "#101418",
]);
export const BARS_HEIGHT = 0.4;

// How many frames back we remember when one was drawn. At 30 fps: 17 s, more than any delay that
// somebody would still call live.
const REMEMBERED = 512;

const GROUND = "#16202a";
const INK = "#f4f7f8";

/**
 * What does not move, drawn once.
 * @returns {HTMLCanvasElement}
 */
function still() {
  const canvas = document.createElement("canvas");
  canvas.width = WIDTH;
  canvas.height = HEIGHT;
  const ctx = context(canvas);
  ctx.fillStyle = GROUND;
  ctx.fillRect(0, 0, WIDTH, HEIGHT);
  const bar = WIDTH / BARS.length;
  BARS.forEach((colour, i) => {
    ctx.fillStyle = colour;
    ctx.fillRect(Math.round(i * bar), 0, Math.ceil(bar), HEIGHT * BARS_HEIGHT);
  });
  // A ramp: shows posterising, banding and what an effect does to contrast.
  const ramp = ctx.createLinearGradient(0, 0, WIDTH, 0);
  ramp.addColorStop(0, "#000000");
  ramp.addColorStop(1, "#ffffff");
  ctx.fillStyle = ramp;
  ctx.fillRect(0, HEIGHT * BARS_HEIGHT, WIDTH, 36);
  return canvas;
}

/** @param {HTMLCanvasElement} canvas */
function context(canvas) {
  const ctx = canvas.getContext("2d", { alpha: false });
  if (!ctx) throw new Error("This browser has no 2D canvas.");
  return ctx;
}

/**
 * @param {CanvasRenderingContext2D} ctx
 * @param {HTMLCanvasElement} background
 * @param {number} frame
 * @param {Date} clock
 */
function draw(ctx, background, frame, clock) {
  const t = frame / FRAME_RATE;
  ctx.drawImage(background, 0, 0);

  // Three discs on their rounds, in and out of each other's way.
  const discs = /** @type {const} */ ([
    ["#ff8a3d", 0.9, 70, 0],
    ["#4fd1c5", 0.6, 54, 2.1],
    ["#ffd166", 1.3, 38, 4.2],
  ]);
  for (const [colour, speed, radius, phase] of discs) {
    const angle = t * speed + phase;
    ctx.fillStyle = colour;
    ctx.beginPath();
    ctx.arc(235 + 120 * Math.cos(angle), 480 + 80 * Math.sin(angle * 1.4), radius, 0, 7);
    ctx.fill();
  }

  // A sweep, to and fro under the clock: a frame that was dropped shows as a jump.
  const sweep = (Math.sin(t * 2.2) + 1) / 2;
  ctx.fillStyle = "#3a4a57";
  ctx.fillRect(470, 566, 340, 4);
  ctx.fillStyle = INK;
  ctx.fillRect(470 + sweep * 300, 552, 40, 32);

  // A wheel with a hand, one turn in two seconds.
  ctx.save();
  ctx.translate(1045, 480);
  ctx.rotate(t * 0.25);
  ctx.fillStyle = "#7c5cff";
  for (let i = 0; i < 8; i++) {
    ctx.rotate(Math.PI / 4);
    ctx.beginPath();
    ctx.moveTo(0, 0);
    ctx.arc(0, 0, 122 + 10 * Math.sin(t * 3 + i), -0.2, 0.2);
    ctx.fill();
  }
  ctx.rotate(-t * 0.25 + t * Math.PI);
  ctx.fillStyle = INK;
  ctx.fillRect(-5, -120, 10, 130);
  ctx.restore();

  ctx.textAlign = "center";
  ctx.fillStyle = INK;
  ctx.font = "600 62px ui-monospace, 'Liberation Mono', monospace";
  ctx.fillText(clock.toTimeString().slice(0, 8), WIDTH / 2, 440);
  ctx.font = "400 30px ui-monospace, 'Liberation Mono', monospace";
  ctx.fillText(`frame ${String(frame).padStart(6, "0")}`, WIDTH / 2, 496);

  marker(ctx, frame);
}

/**
 * @param {CanvasRenderingContext2D} ctx
 * @param {number} frame
 */
function marker(ctx, frame) {
  const cells = writeMarker(frame);
  const [x, y] = [MARKER.x * WIDTH, MARKER.y * HEIGHT];
  const [cell, height] = [(MARKER.width * WIDTH) / cells.length, MARKER.height * HEIGHT];
  ctx.fillStyle = "#000000";
  ctx.fillRect(x - 8, y - 8, MARKER.width * WIDTH + 16, height + 16);
  ctx.fillStyle = "#ffffff";
  cells.forEach((white, i) => {
    if (white) ctx.fillRect(x + i * cell, y, cell, height);
  });
}

export class TestPattern {
  /** @type {Worker | null} */
  #metronome = null;
  /** @type {Map<number, number>} */
  #drawn = new Map();
  #frame = 0;
  #background = still();

  constructor() {
    this.canvas = document.createElement("canvas");
    this.canvas.width = WIDTH;
    this.canvas.height = HEIGHT;
    this.#ctx = context(this.canvas);
    this.#draw();
  }

  #ctx;

  /** @param {number} counter As read from a picture. @returns {number | null} performance.now() */
  drawnAt(counter) {
    return this.#drawn.get(counter) ?? null;
  }

  /**
   * @returns {MediaStream} Moves until its track is stopped by `stop`.
   */
  start() {
    this.stop();
    const [stream, show] = generated(this.canvas) ?? captured(this.canvas);
    this.#metronome = new Worker(new URL("./metronome.js", import.meta.url));
    this.#metronome.onmessage = () => {
      this.#draw();
      show();
    };
    this.#metronome.postMessage({ period_ms: 1000 / FRAME_RATE });
    return stream;
  }

  stop() {
    this.#metronome?.terminate();
    this.#metronome = null;
  }

  #draw() {
    const frame = ++this.#frame;
    draw(this.#ctx, this.#background, frame, new Date());
    this.#drawn.set(frame & 0xffff, performance.now());
    if (this.#drawn.size > REMEMBERED) {
      const oldest = this.#drawn.keys().next();
      if (!oldest.done) this.#drawn.delete(oldest.value);
    }
  }
}

/**
 * Frames handed over one by one: exact pace, and it goes on in a hidden tab. Chromium only.
 * @param {HTMLCanvasElement} canvas
 * @returns {[MediaStream, () => void] | null}
 */
function generated(canvas) {
  if (!("MediaStreamTrackGenerator" in window) || !("VideoFrame" in window)) return null;
  const track = new MediaStreamTrackGenerator({ kind: "video" });
  const writer = track.writable.getWriter();
  let busy = false;
  const show = () => {
    if (busy || track.readyState === "ended") return; // better one frame less than a queue
    busy = true;
    const frame = new VideoFrame(canvas, { timestamp: Math.round(performance.now() * 1000) });
    writer
      .write(frame)
      .catch(() => frame.close()) // the track was stopped
      .finally(() => (busy = false));
  };
  return [new MediaStream([track]), show];
}

/**
 * @param {HTMLCanvasElement} canvas
 * @returns {[MediaStream, () => void]}
 */
function captured(canvas) {
  return [canvas.captureStream(FRAME_RATE), () => {}];
}
