/**
 * Wires the page together: what the person does and what comes from outside become events of
 * `state.js`; what follows from them is done here.
 */

import { inventName, readAddress, watchAddress } from "./address.js";
import { copies, find } from "./dom.js";
import { StatusFeed } from "./events.js";
import { Glass } from "./glass.js";
import { obsSettings, showObsSettings } from "./obs.js";
import { askJson, isLoading, problemOf } from "./problem.js";
import { showNumbers, showState } from "./screen.js";
import { Sending } from "./sending.js";
import { describe } from "./sentence.js";
import { Sources } from "./sources.js";
import { initial, running } from "./state.js";
import { delayParts, look, rate } from "./stats.js";
import { isActive, Steering } from "./steering.js";
import { Store } from "./store.js";
import { Viewer } from "./whep.js";

/** @import {State} from "./state.js" */
/** @import {Look} from "./stats.js" */
/** @import {NodeInfo, PipelineInfo, Problem, SourceKind} from "./types.js" */

// Twice a second keeps a countdown honest; the numbers change every other time.
const TICK_MS = 500;
const INTRODUCE_AGAIN_MS = 1_000;

const wish = readAddress(location.href);
const stream = wish.stream ?? inventName(crypto.getRandomValues(new Uint32Array(3)));
if (!wish.stream) history.replaceState(null, "", `#${stream}`);

const inVideo = find("in-video", HTMLVideoElement);
const outVideo = find("out-video", HTMLVideoElement);
const sourcePicker = find("sources", HTMLFieldSetElement);
const sources = new Sources();
const glass = new Glass(
  outVideo,
  (counter) => sources.pattern.drawnAt(counter),
  // The first frame is news at once; that they have stopped is seen by the tick.
  () => {
    if (viewer.started && !store.state.picture) store.happened({ type: "picture", moving: true });
  },
);

const store = new Store(
  initial({ source: wish.source ?? "test", watchOnly: wish.watch }),
  (state) => {
    follow(state);
    showState(state, describe(state, performance.now()));
  },
);

const steering = new Steering(stream, store, showObs);
const sending = new Sending(stream, store, sources, inVideo, {
  begin: () => steering.begin(),
  begun: () => steering.begun(),
});

const viewer = new Viewer(stream, outVideo, { source: false }, {
  connected: () => store.happened({ type: "viewing" }),
  refused: (problem) => {
    if (problem.code !== "server_gone") store.happened({ type: "view-refused", problem });
  },
  lost: () => {},
});

/** What OBS sends, untouched; nothing is said if it cannot be shown, the other picture matters. */
const inViewer = new Viewer(stream, inVideo, { source: true }, {
  connected: () => {},
  refused: () => {},
  lost: () => {},
});

/** The server was gone and is there again, and has not said yet what it remembers. */
let returned = false;

const feed = new StatusFeed(stream, {
  up: () => {
    const back = store.state.server === "gone";
    store.happened({ type: "server-up" });
    void introduce();
    if (!back) return;
    returned = true;
    for (const link of [sending, viewer, inViewer]) link.hurry();
  },
  gone: (retryAt) => store.happened({ type: "server-gone", retryAt }),
  status: (status) => {
    const wasActive = isActive(store.state.status);
    store.happened({ type: "status", status });
    if (returned && !isActive(status)) {
      // It came back without our stream: it was started anew, and our sessions died with it.
      for (const link of [sending, viewer, inViewer]) link.renew();
    }
    returned = false;
    steering.heard(status, wasActive);
    sending.heard(status);
  },
});

// What the person does -------------------------------------------------------------------------

async function startOrStop() {
  const { source } = store.state;
  if (running(store.state)) sending.stop();
  else if (source !== "obs") await sending.start(source);
}

/** @param {SourceKind} kind */
async function choose(kind) {
  const before = store.state;
  if (kind === "obs" || before.watching) {
    if (running(before)) sending.stop();
    store.happened({ type: "source", source: kind });
  } else if (before.phase === "opening") {
    store.happened({ type: "source", source: kind });
    await sending.start(kind);
  } else if (running(before)) {
    try {
      await sending.switchTo(kind);
      store.happened({ type: "source", source: kind });
    } catch (error) {
      check(before.source);
      store.happened({ type: "complaint", problem: problemOf(error) });
    }
  } else {
    store.happened({ type: "source", source: kind });
  }
}

/**
 * Whether there is something to look at decides which connections are held.
 * @param {State} state
 */
function follow(state) {
  const sends = running(state) && state.phase !== "opening";
  hold(viewer, state.watching || sends);
  hold(inViewer, state.watching);
  find("obs", HTMLElement).hidden = !state.watching || !state.mayChoose;
}

/**
 * @param {Viewer} each
 * @param {boolean} wanted
 */
function hold(each, wanted) {
  if (wanted && !each.started) each.start();
  else if (!wanted && each.started) each.stop();
}

/** @param {SourceKind} kind */
function check(kind) {
  for (const input of sourcePicker.querySelectorAll("input")) input.checked = input.value === kind;
}

function showObs() {
  const settings = obsSettings(node, stream, steering.pipeline, new URL(location.href));
  showObsSettings(find("obs", HTMLElement), settings);
}

// The node -------------------------------------------------------------------------------------

/** @type {NodeInfo | null} */
let node = null;
let introducing = false;

/** Asks the node what it is and what it can do, until it has said so. */
async function introduce() {
  if (introducing || node) return;
  introducing = true;
  try {
    /** @type {NodeInfo} */
    const about = await askJson("/node");
    /** @type {{pipelines: PipelineInfo[]}} */
    const { pipelines } = await askJson("/pipelines");
    node = about;
    showObs();
    find("version", HTMLElement).textContent = `Penstock ${about.version}`;
    steering.offer(pipelines, wish.pipeline ?? about.default_pipeline);
    const missing = wish.pipeline !== null && steering.pipeline !== wish.pipeline;
    if (missing) store.happened({ type: "complaint", problem: noSuchEffect(wish.pipeline) });
    else if (store.state.complaint) store.happened({ type: "dismissed" });
  } catch (error) {
    const problem = problemOf(error);
    if (isLoading(problem)) store.happened({ type: "loading" });
    else if (problem.code !== "server_gone") store.happened({ type: "complaint", problem });
    setTimeout(() => void introduce(), INTRODUCE_AGAIN_MS);
  } finally {
    introducing = false;
  }
}

/**
 * @param {string | null} name
 * @returns {Problem}
 */
function noSuchEffect(name) {
  return {
    code: "no_such_effect",
    message: `This node has no effect named “${name}”.`,
    remedy: "Choose one of those below.",
    retry: "never",
  };
}

// Every half second ----------------------------------------------------------------------------

/** @type {{there: Look | null, back: Look | null}} */
let before = { there: null, back: null };
let odd = false;

async function tick() {
  const moving = viewer.started && glass.moving(performance.now());
  if (moving !== store.state.picture) store.happened({ type: "picture", moving });
  else store.show(store.state); // countdowns, picture sizes
  odd = !odd;
  if (odd) await count();
}

async function count() {
  const fromHere = sending.pc !== null;
  const [there, back] = await Promise.all([look(sending.pc), look(viewer.pc)]);
  const { status, picture } = store.state;
  const known = isActive(status) ? status : null;
  const measurable = picture && sending.sendsTestPicture;
  showNumbers({
    fpsIn: fromHere ? rate(before.there, there) : (known?.input.fps ?? null),
    fpsOut: rate(before.back, back),
    dropped: known && known.dropped + (back?.dropped ?? 0),
    measured_ms: measurable ? glass.delay_ms(performance.now()) : null,
    parts: picture
      ? delayParts(
          fromHere ? { before: before.there, after: there } : null,
          { before: before.back, after: back },
          known,
        )
      : null,
    fromHere,
    status: known,
  });
  before = { there, back };
}

// Begin ----------------------------------------------------------------------------------------

find("stream-name", HTMLElement).textContent = stream;
copies(find("share", HTMLButtonElement), () => watchAddress(location.href, stream));
find("in-still", HTMLCanvasElement).getContext("2d")?.drawImage(sources.pattern.canvas, 0, 0);
find("source-column", HTMLElement).hidden = wish.watch;
find("desk", HTMLElement).classList.toggle("without-sources", wish.watch);
check(store.state.source);

find("go", HTMLButtonElement).addEventListener("click", () => void startOrStop());
sourcePicker.addEventListener("change", (event) => {
  const kind = event.target instanceof HTMLInputElement ? event.target.value : "";
  if (kind === "test" || kind === "camera" || kind === "screen" || kind === "obs") void choose(kind);
});
find("problem-dismiss", HTMLButtonElement).addEventListener("click", () => {
  store.happened({ type: "dismissed" });
});
find("fullscreen", HTMLButtonElement).addEventListener("click", () => {
  outVideo.requestFullscreen?.().catch(() => {}); // refused: it stays as large as it is
});
offerSound();

addEventListener("pagehide", () => {
  feed.stop();
  sending.stop();
  viewer.stop();
  inViewer.stop();
});
// Back from the browser's cache of pages: everything above was let go, so begin afresh.
addEventListener("pageshow", ({ persisted }) => persisted && location.reload());

store.show(store.state);
showObs();
setInterval(() => void tick(), TICK_MS);
feed.start();
void introduce();

/** OBS may send sound; browsers play none before somebody asks for it. */
function offerSound() {
  const button = find("sound", HTMLButtonElement);
  const look = () => {
    const media = outVideo.srcObject instanceof MediaStream ? outVideo.srcObject : null;
    button.hidden = !media?.getAudioTracks().some((track) => !track.muted);
  };
  outVideo.addEventListener("timeupdate", look);
  outVideo.addEventListener("emptied", look);
  button.addEventListener("click", () => {
    outVideo.muted = !outVideo.muted;
    button.setAttribute("aria-pressed", String(!outVideo.muted));
  });
}
