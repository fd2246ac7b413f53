/**
 * A frame counter written in black and white squares, and how to read it again. Pure.
 *
 * It survives what keeps light and dark apart (encoders, scaling, passthrough, toon), so the page
 * and the tests can tell how old the picture is that they see. Cells, left to right: white,
 * black, 16 bits of the counter, 4 bits of check sum, black, white.
 */

const BITS = 16;
const CHECK_BITS = 4;
export const CELLS = 2 + BITS + CHECK_BITS + 2;
export const COUNTERS = 2 ** BITS;

/** Where it is, in parts of the picture's width and height. */
export const MARKER = Object.freeze({ x: 0.125, y: 0.9, width: 0.75, height: 0.06 });

// Black and white that an effect has brought closer together than this are not told apart.
const CONTRAST = 60;

/** @param {number} counter */
function checkSum(counter) {
  const n = counter & (COUNTERS - 1);
  // Inverted, so that an all-black and an all-white strip are both wrong.
  return ~((n & 15) ^ ((n >> 4) & 15) ^ ((n >> 8) & 15) ^ ((n >> 12) & 15)) & 15;
}

/**
 * @param {number} counter
 * @returns {boolean[]} One per cell, true for white.
 */
export function writeMarker(counter) {
  const bits = (/** @type {number} */ value, /** @type {number} */ count) =>
    Array.from({ length: count }, (_, i) => ((value >> (count - 1 - i)) & 1) === 1);
  return [
    true,
    false,
    ...bits(counter & (COUNTERS - 1), BITS),
    ...bits(checkSum(counter), CHECK_BITS),
    false,
    true,
  ];
}

/**
 * @param {ArrayLike<number>} light One value per cell, 0 to 255.
 * @returns {number | null} The counter, or null if it cannot be read.
 */
export function readMarker(light) {
  const at = (/** @type {number} */ i) => light[i] ?? 0;
  const white = Math.min(at(0), at(CELLS - 1));
  const black = Math.max(at(1), at(CELLS - 2));
  if (white - black < CONTRAST) return null;
  const middle = (white + black) / 2;
  let value = 0;
  for (let i = 2; i < CELLS - 2; i++) value = value * 2 + (at(i) > middle ? 1 : 0);
  const counter = value >> CHECK_BITS;
  return (value & 15) === checkSum(counter) ? counter : null;
}
