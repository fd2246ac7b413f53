/**
 * What the page's address says, and what it should say. Pure.
 *
 * `?stream=name&pipeline=neon&source=camera` sends; `?watch=name` only watches; `#name` is a
 * stream name that the page chose itself and keeps over a reload.
 */

/** @import {SourceKind} from "./types.js" */

/**
 * @typedef {object} Wish
 * @property {string | null} stream
 * @property {string | null} pipeline
 * @property {SourceKind | null} source
 * @property {boolean} watch
 */

// The node's own rule; a name it would refuse is not worth sending.
const STREAM_NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;

/** @type {readonly SourceKind[]} */
const SOURCES = ["test", "camera", "screen", "obs"];

/** @param {string | null} name */
export function streamName(name) {
  return name !== null && STREAM_NAME.test(name) ? name : null;
}

/**
 * @param {string} href
 * @returns {Wish}
 */
export function readAddress(href) {
  const url = new URL(href);
  const watched = streamName(url.searchParams.get("watch"));
  return {
    stream: watched ?? streamName(url.searchParams.get("stream")) ?? streamName(url.hash.slice(1)),
    pipeline: url.searchParams.get("pipeline"),
    source: SOURCES.find((kind) => kind === url.searchParams.get("source")) ?? null,
    watch: watched !== null,
  };
}

/**
 * The address that shows a stream to somebody else.
 * @param {string} href
 * @param {string} stream
 */
export function watchAddress(href, stream) {
  return `${new URL(href).origin}/?watch=${encodeURIComponent(stream)}`;
}

const FIRST = "amber blue calm clear coral deep early fair gold green late mild pale quiet silver soft still swift warm wide".split(" ");
const SECOND = "bay brook cove creek delta falls ford gate lake mill pond rapid reef river shoal spring tide weir well wharf".split(" ");

/**
 * A name that can be said aloud, and that two strangers will not both get.
 * @param {Uint32Array} random Three numbers.
 */
export function inventName(random) {
  const [a = 0, b = 0, c = 0] = random;
  const tail = (c % 36 ** 4).toString(36).padStart(4, "0");
  return `${FIRST[a % FIRST.length]}-${SECOND[b % SECOND.length]}-${tail}`;
}
