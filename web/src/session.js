/**
 * One WHIP or WHEP session: offer, answer, connected, over.
 *
 * Not for reconnecting (`reconnect.js`), nor for what flows through it (`whip.js`, `whep.js`).
 */

import { ask, PageError } from "./problem.js";

// Our own candidates are a courtesy: the server answers with its own and learns ours from the
// first check. So this long and no longer.
const GATHER_MS = 300;
// The node may wait for a runner before it answers.
const ANSWER_MS = 20_000;
// ICE and DTLS on a good network take 0.1 s, over the world 2 s.
const CONNECT_MS = 10_000;
// "disconnected" is often a hiccup of the wireless network; longer than this it is not.
const HICCUP_MS = 4_000;

export class Session {
  #location = "";
  /** @type {(reason: string) => void} */
  #end = () => {};

  /** @param {RTCPeerConnection} pc */
  constructor(pc) {
    this.pc = pc;
    /** @type {Promise<string>} Settles when nothing flows any more and nothing will. */
    this.over = new Promise((resolve) => (this.#end = resolve));
  }

  /**
   * @param {string} url
   * @param {(answer: string) => string} edit Changes the answer before it is applied.
   * @returns {Promise<void>} Settles once media can flow.
   * @throws {PageError}
   */
  async open(url, edit = (answer) => answer) {
    const { pc } = this;
    await pc.setLocalDescription();
    await gathered(pc);
    if (closed(pc)) throw new PageError(LEFT);
    const response = await ask(
      url,
      {
        method: "POST",
        headers: { "Content-Type": "application/sdp" },
        body: pc.localDescription?.sdp ?? "",
      },
      ANSWER_MS,
    );
    const location = response.headers.get("Location");
    if (location) this.#location = new URL(location, response.url).href;
    const sdp = await response.text();
    if (closed(pc)) {
      this.close(); // we left while the server was thinking: it must not wait for us
      throw new PageError(LEFT);
    }
    try {
      await pc.setRemoteDescription({ type: "answer", sdp: edit(sdp) });
    } catch (error) {
      this.close();
      throw new PageError({
        code: "bad_answer",
        message: `The server's answer makes no sense to this browser: ${error}`,
        remedy: "Use a browser with H.264, such as Chromium, Firefox or Safari.",
        retry: "never",
      });
    }
    await this.#connected();
  }

  #connected() {
    const { pc } = this;
    /** @type {number | undefined} */
    let hiccup;
    return /** @type {Promise<void>} */ (
      new Promise((resolve, reject) => {
        const deadline = setTimeout(() => {
          this.close();
          reject(new PageError(NO_WAY_THROUGH));
        }, CONNECT_MS);
        const look = () => {
          clearTimeout(hiccup);
          switch (pc.connectionState) {
            case "connected":
              clearTimeout(deadline);
              resolve();
              break;
            case "disconnected":
              hiccup = setTimeout(() => this.close(), HICCUP_MS);
              break;
            case "failed":
            case "closed":
              clearTimeout(deadline);
              reject(new PageError(NO_WAY_THROUGH)); // does nothing once we were connected
              this.close();
              break;
          }
        };
        pc.addEventListener("connectionstatechange", look);
        // close() of our own does not announce itself; without this the deadline would outlive it.
        void this.over.then(() => {
          clearTimeout(deadline);
          clearTimeout(hiccup);
          reject(new PageError(NO_WAY_THROUGH));
        });
        look();
      })
    );
  }

  /** Ends it here and, even if the page is about to disappear, at the server. */
  close() {
    this.pc.close();
    this.#end("closed");
    if (!this.#location) return;
    const location = this.#location;
    this.#location = "";
    // Nobody waits for the answer: a server that is gone has forgotten the session anyway.
    fetch(location, { method: "DELETE", keepalive: true }).catch(() => {});
  }
}

/** @param {RTCPeerConnection} pc */
const closed = (pc) => pc.signalingState === "closed";

/** @param {RTCPeerConnection} pc */
function gathered(pc) {
  if (pc.iceGatheringState === "complete") return Promise.resolve();
  return /** @type {Promise<void>} */ (
    new Promise((resolve) => {
      const timer = setTimeout(resolve, GATHER_MS);
      pc.addEventListener("icegatheringstatechange", () => {
        if (pc.iceGatheringState !== "complete") return;
        clearTimeout(timer);
        resolve();
      });
    })
  );
}

/** @import {Problem} from "./types.js" */

/** @type {Problem} */
const LEFT = {
  code: "left",
  message: "The connection was ended while it was being made.",
  remedy: "Nothing to do: this page connects again if it should.",
  retry: "same",
};

/** @type {Problem} */
const NO_WAY_THROUGH = {
  code: "media_blocked",
  message: "The server answers, but pictures do not get through to it.",
  remedy: "Is UDP to the node blocked by a firewall or a VPN? Open its WebRTC port.",
  retry: "same",
};
