/**
 * Watches the picture that comes out: is it moving, and how old is it?
 *
 * The age is read from the test picture's counter, glass to glass, with nothing assumed. It works
 * as long as the effect leaves light and dark apart; for others `stats.js` estimates.
 */

import { CELLS, MARKER, readMarker } from "./marker.js";

// Reading pixels back costs a copy; four times a second is enough for a number that people read.
const READ_EVERY_MS = 250;
// Readings older than this say nothing about now.
const VALID_MS = 3_000;
// A picture that has not changed for so long has stopped.
const STILL_MS = 1_500;
const SAMPLES_PER_CELL = 4;

export class Glass {
  #video;
  #drawnAt;
  #seen;
  #canvas = document.createElement("canvas");
  #ctx;
  /** @type {{at: number, delay_ms: number}[]} */
  #readings = [];
  #lastFrame = -Infinity;
  #lastRead = -Infinity;

  /**
   * @param {HTMLVideoElement} video
   * @param {(counter: number) => number | null} drawnAt When the frame of that number was drawn.
   * @param {() => void} seen A frame was shown.
   */
  constructor(video, drawnAt, seen) {
    this.#seen = seen;
    this.#video = video;
    this.#drawnAt = drawnAt;
    this.#canvas.width = CELLS * SAMPLES_PER_CELL;
    this.#canvas.height = SAMPLES_PER_CELL;
    this.#ctx = this.#canvas.getContext("2d", { willReadFrequently: true });
    this.#next();
  }

  #next() {
    this.#video.requestVideoFrameCallback((now, frame) => {
      this.#lastFrame = now;
      this.#seen();
      if (now - this.#lastRead >= READ_EVERY_MS) {
        this.#lastRead = now;
        const counter = this.#read();
        const drawn = counter === null ? null : this.#drawnAt(counter);
        if (drawn !== null) {
          this.#readings.push({ at: now, delay_ms: frame.expectedDisplayTime - drawn });
        }
      }
      this.#next();
    });
  }

  #read() {
    const { videoWidth: width, videoHeight: height } = this.#video;
    const ctx = this.#ctx;
    if (!ctx || !width) return null;
    ctx.drawImage(
      this.#video,
      MARKER.x * width,
      (MARKER.y + MARKER.height * 0.3) * height,
      MARKER.width * width,
      MARKER.height * 0.4 * height,
      0,
      0,
      this.#canvas.width,
      this.#canvas.height,
    );
    const { data } = ctx.getImageData(0, 0, this.#canvas.width, 1);
    const middle = SAMPLES_PER_CELL / 2;
    const light = Array.from({ length: CELLS }, (_, i) => {
      const at = (i * SAMPLES_PER_CELL + middle) * 4;
      return ((data[at] ?? 0) + (data[at + 1] ?? 0) + (data[at + 2] ?? 0)) / 3;
    });
    return readMarker(light);
  }

  /** @param {number} now */
  moving(now) {
    return now - this.#lastFrame < STILL_MS;
  }

  /**
   * @param {number} now
   * @returns {number | null} The median of the last few readings.
   */
  delay_ms(now) {
    this.#readings = this.#readings.filter(({ at }) => now - at < VALID_MS);
    const sorted = this.#readings.map(({ delay_ms }) => delay_ms).sort((a, b) => a - b);
    return sorted[sorted.length >> 1] ?? null;
  }
}
