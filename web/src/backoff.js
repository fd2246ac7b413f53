/**
 * How long to wait before trying again. Pure: the caller brings the attempt and the luck.
 */

const FIRST_MS = 500;
// A person who has just restarted the server should not wait longer than this for the picture.
const LONGEST_MS = 8_000;

/**
 * Doubles from half a second to eight, with a quarter of jitter so that many pages do not come
 * back in step.
 * @param {number} attempt 0 for the first wait.
 * @param {number} luck From 0 to 1.
 */
export function backoff_ms(attempt, luck) {
  const full = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(attempt, 10));
  return Math.round(full * (0.75 + luck / 4));
}
