/**
 * A worker that says "now" at an even pace. Timers of a hidden tab slow to one a second; those of
 * its workers do not, so the test picture keeps moving for whoever watches it elsewhere.
 */

let started = performance.now();
let ticks = 0;
/** @type {number | undefined} */
let timer;

self.onmessage = (/** @type {MessageEvent<{period_ms: number}>} */ { data }) => {
  const { period_ms } = data;
  clearTimeout(timer);
  started = performance.now();
  ticks = 0;
  const tick = () => {
    self.postMessage(null);
    // Counted from the start, so that a late tick does not make all later ones late.
    ticks = Math.max(ticks + 1, Math.floor((performance.now() - started) / period_ms));
    timer = setTimeout(tick, started + ticks * period_ms - performance.now());
  };
  tick();
};
