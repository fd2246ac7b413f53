/**
 * Shows a stream in a video element and keeps it going (WHEP).
 *
 * A session may begin before anybody publishes: the node sends once there is something.
 */

import { Reconnecting } from "./reconnect.js";
import { h264First } from "./sdp.js";

/** @import {Reports} from "./reconnect.js" */

export class Viewer {
  #link;
  #video;

  /**
   * @param {string} stream
   * @param {HTMLVideoElement} video
   * @param {{source: boolean}} which The untouched input, or what became of it.
   * @param {Reports} reports
   */
  constructor(stream, video, which, reports) {
    this.#video = video;
    const query = which.source ? "?source=1" : "";
    this.#link = new Reconnecting(
      { url: () => `/${encodeURIComponent(stream)}/whep${query}`, fill: (pc) => this.#fill(pc) },
      reports,
    );
  }

  get pc() {
    return this.#link.pc;
  }

  get started() {
    return this.#link.started;
  }

  start() {
    this.#link.start();
  }

  stop() {
    this.#link.stop();
    this.#video.srcObject = null;
  }

  hurry() {
    this.#link.hurry();
  }

  renew() {
    this.#link.renew();
  }

  /** @param {RTCPeerConnection} pc */
  #fill(pc) {
    const picture = pc.addTransceiver("video", { direction: "recvonly" });
    const known = RTCRtpReceiver.getCapabilities("video");
    if (known) picture.setCodecPreferences(h264First(known.codecs));
    const sound = pc.addTransceiver("audio", { direction: "recvonly" });
    for (const { receiver } of [picture, sound]) playAtOnce(receiver);
    const media = new MediaStream();
    pc.addEventListener("track", ({ track }) => {
      // One element, one clock: a new MediaStream per track would restart the player.
      media.addTrack(track);
      if (this.#video.srcObject !== media) this.#video.srcObject = media;
      this.#video.play().catch(() => {}); // replaced meanwhile: the next one plays
    });
  }
}

/**
 * The shortest way from network to screen: a late picture is worth less than a missing one.
 * @param {RTCRtpReceiver} receiver
 */
function playAtOnce(receiver) {
  if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
  if ("playoutDelayHint" in receiver) receiver.playoutDelayHint = 0;
}
