/**
 * What OBS wants to know, in the words of its settings window.
 */

import { copies, element } from "./dom.js";

/** @import {NodeInfo} from "./types.js" */

const HERE = new Set(["localhost", "127.0.0.1", "0.0.0.0", "::1", "[::1]"]);

/**
 * @param {NodeInfo | null} node
 * @param {string} stream
 * @param {string | null} pipeline
 * @param {URL} page
 * @returns {{server: string, key: string, whip: string}}
 */
export function obsSettings(node, stream, pipeline, page) {
  const query = pipeline ? `?pipeline=${encodeURIComponent(pipeline)}` : "";
  return {
    server: fromHere(node?.rtmp_url ?? `rtmp://${page.hostname}:1935/live`, page),
    key: `${stream}${query}`,
    whip: `${page.origin}/${encodeURIComponent(stream)}/whip${query}`,
  };
}

/**
 * The node calls itself localhost; to a page opened from another machine it is the page's host.
 * @param {string} url
 * @param {URL} page
 */
function fromHere(url, page) {
  const [, host] = /^[a-z]+:\/\/(\[[^\]]+\]|[^:/]+)/i.exec(url) ?? [];
  return host && HERE.has(host) ? url.replace(host, page.hostname) : url;
}

/**
 * @param {HTMLElement} place
 * @param {{server: string, key: string, whip: string}} settings
 */
export function showObsSettings(place, settings) {
  const state = JSON.stringify(settings);
  if (place.dataset["shown"] === state) return; // leave a selection or a focused button alone
  place.dataset["shown"] = state;
  place.replaceChildren(
    element("p", { class: "hint" }, "In OBS: Settings, Stream, Service “Custom…”. Then Start Streaming."),
    element("dl", {}, row("Server", settings.server), row("Stream key", settings.key)),
    element("p", { class: "hint" }, "Or Service “WHIP” (OBS 30 and later):"),
    element("dl", {}, row("WHIP server", settings.whip)),
    element(
      "p",
      { class: "hint" },
      "Output: x264, keyframe interval 1 s, tune zerolatency, profile baseline.",
    ),
  );
}

/**
 * @param {string} name
 * @param {string} value
 */
function row(name, value) {
  const button = element("button", { type: "button", class: "quiet" }, "Copy");
  button.setAttribute("aria-label", `Copy ${name.toLowerCase()}`);
  copies(button, () => value);
  return element("div", {}, element("dt", {}, name), element("dd", {}, element("code", {}, value), button));
}
