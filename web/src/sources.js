/**
 * Where a picture may come from, and why it may not.
 */

import { PageError } from "./problem.js";
import { FRAME_RATE, HEIGHT, TestPattern, WIDTH } from "./testpattern.js";

/** @import {CaptureKind, Problem} from "./types.js" */

/**
 * @typedef {object} Opened
 * @property {CaptureKind} kind
 * @property {MediaStream} media
 * @property {MediaStreamTrack} track
 * @property {() => void} close Lets go of the camera.
 */

export class Sources {
  /** The test picture stands there from the beginning, still; it moves while it is sent. */
  pattern = new TestPattern();

  /**
   * @param {CaptureKind} kind
   * @returns {Promise<Opened>}
   * @throws {PageError}
   */
  async open(kind) {
    const media = kind === "test" ? this.pattern.start() : await capture(kind);
    const [track] = media.getVideoTracks();
    if (!track) throw new PageError(NOT_FOUND[kind]);
    // Smooth before sharp: when the network narrows, the encoder lowers the resolution.
    track.contentHint = "motion";
    return {
      kind,
      media,
      track,
      close: () => {
        if (kind === "test") this.pattern.stop();
        for (const each of media.getTracks()) each.stop();
      },
    };
  }
}

/**
 * @param {"camera" | "screen"} kind
 * @returns {Promise<MediaStream>}
 */
async function capture(kind) {
  if (!window.isSecureContext) throw new PageError(insecure(kind));
  const devices = navigator.mediaDevices;
  const video = {
    width: { ideal: WIDTH, max: 1920 },
    height: { ideal: HEIGHT, max: 1080 },
    frameRate: { ideal: FRAME_RATE, max: FRAME_RATE },
  };
  try {
    if (kind === "camera") return await devices.getUserMedia({ video, audio: false });
    if (!devices.getDisplayMedia) throw new DOMException("no getDisplayMedia", "NotSupportedError");
    return await devices.getDisplayMedia({ video, audio: false });
  } catch (error) {
    const name = error instanceof DOMException ? error.name : "";
    throw new PageError(why(kind, name, error));
  }
}

/**
 * The browser's exception names, in words. They are the same for camera and screen, their causes
 * are not.
 * @param {"camera" | "screen"} kind
 * @param {string} name
 * @param {unknown} error
 * @returns {Problem}
 */
function why(kind, name, error) {
  switch (name) {
    case "NotFoundError":
    case "OverconstrainedError":
      return NOT_FOUND[kind];
    case "NotAllowedError":
    case "SecurityError":
      return REFUSED[kind];
    case "NotReadableError":
    case "AbortError":
      return problem(
        `${kind}_busy`,
        `The ${kind} is there but gives no picture.`,
        kind === "camera"
          ? "Close other programs that use the camera, then press Start again."
          : "Allow screen recording for this browser in the system settings, then press Start again.",
      );
    case "NotSupportedError":
      return problem(
        `${kind}_unsupported`,
        `This browser cannot share the ${kind}.`,
        "Choose the test picture or the camera, or use a browser on a computer.",
      );
    default:
      return problem(
        `${kind}_failed`,
        `The ${kind} could not be opened: ${error instanceof Error ? error.message : error}`,
        "Choose another source, or reload the page.",
      );
  }
}

/**
 * @param {string} code
 * @param {string} message
 * @param {string} remedy
 * @returns {Problem}
 */
function problem(code, message, remedy) {
  return { code, message, remedy, retry: "never" };
}

/** @type {Record<CaptureKind, Problem>} */
const NOT_FOUND = {
  test: problem("no_test_picture", "This browser cannot film a canvas.", "Choose the camera."),
  camera: problem(
    "no_camera",
    "No camera was found on this computer.",
    "Plug one in and press Start again, or choose the test picture: it needs none.",
  ),
  screen: problem(
    "no_screen",
    "There is no screen to share here.",
    "Choose the test picture or the camera.",
  ),
};

/** @type {Record<"camera" | "screen", Problem>} */
const REFUSED = {
  camera: problem(
    "camera_refused",
    "This page may not use the camera.",
    "Allow the camera with the icon beside the address, then press Start again. " +
      "Or choose the test picture: it needs no permission.",
  ),
  screen: problem(
    "screen_refused",
    "No screen was shared.",
    "Press Start again and choose a screen or a window.",
  ),
};

/** @param {"camera" | "screen"} kind */
function insecure(kind) {
  return problem(
    "insecure_page",
    `Browsers give the ${kind} only to pages on https or on localhost; this one is on ${location.origin}.`,
    `Open http://localhost:${location.port || 80} on the node's own machine, or put https in front of it. ` +
      "The test picture and OBS work here as they are.",
  );
}

/**
 * The person ended the sharing, or pulled the plug.
 * @param {CaptureKind} kind
 * @returns {Problem}
 */
export function endedByItself(kind) {
  return problem(
    "source_ended",
    kind === "screen" ? "The screen is no longer shared." : `The ${kind} was disconnected.`,
    "Press Start to begin again.",
  );
}
