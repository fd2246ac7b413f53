/**
 * Sends a stream's video to the node and keeps it going (WHIP, RFC 9725).
 */

import { Reconnecting } from "./reconnect.js";
import { h264First, withStartBitrate } from "./sdp.js";

/** @import {Reports} from "./reconnect.js" */
/** @import {Params} from "./types.js" */

// 720p30 of a camera looks good at this; the node decodes more, a home uplink may not carry it.
const BITRATE_BPS = 2_500_000;
const FRAME_RATE = 30;

export class Publisher {
  /** @type {MediaStreamTrack | null} */
  #track = null;
  #link;

  /**
   * @param {string} stream
   * @param {() => {pipeline: string, params: Params}} effect What the stream begins with.
   * @param {Reports} reports
   */
  constructor(stream, effect, reports) {
    this.#link = new Reconnecting(
      {
        url: () => {
          const { pipeline, params } = effect();
          const query = new URLSearchParams({ pipeline, params: JSON.stringify(params) });
          return `/${encodeURIComponent(stream)}/whip?${query}`;
        },
        fill: (pc) => this.#fill(pc),
        edit: withStartBitrate,
      },
      reports,
    );
  }

  get pc() {
    return this.#link.pc;
  }

  /** @param {MediaStreamTrack} track */
  start(track) {
    this.#track = track;
    this.#link.start();
  }

  stop() {
    this.#link.stop();
    this.#track = null;
  }

  hurry() {
    this.#link.hurry();
  }

  renew() {
    this.#link.renew();
  }

  /**
   * Another picture into the same stream, without connecting anew.
   * @param {MediaStreamTrack} track
   */
  async replace(track) {
    this.#track = track;
    const { pc } = this;
    // Between two connections there is nothing to replace: the next one begins with the new track.
    if (pc && pc.connectionState !== "closed") await pc.getSenders()[0]?.replaceTrack(track);
  }

  /** @param {RTCPeerConnection} pc */
  #fill(pc) {
    if (!this.#track) throw new Error("nothing to send");
    const transceiver = pc.addTransceiver(this.#track, {
      direction: "sendonly",
      sendEncodings: [{ maxBitrate: BITRATE_BPS, maxFramerate: FRAME_RATE }],
    });
    const known = RTCRtpSender.getCapabilities("video");
    if (known) transceiver.setCodecPreferences(h264First(known.codecs));
  }
}
