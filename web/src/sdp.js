/**
 * What we ask of a session description. Pure text in, text out.
 */

// Chromium starts at 300 kb/s and needs 10 to 15 s to reach 720p; told where to start, it is
// there with the first picture. The congestion control still goes down at once if it must.
const START_KBPS = 2_000;

/**
 * H.264 and its retransmission, or everything if this browser cannot make H.264.
 * @template {{mimeType: string, sdpFmtpLine?: string}} C
 * @param {C[]} codecs
 * @returns {C[]}
 */
export function h264First(codecs) {
  const is = (/** @type {C} */ codec, /** @type {string} */ type) =>
    codec.mimeType.toLowerCase() === type;
  // Packetization mode 0 cannot split a picture over packets, which 720p needs.
  const h264 = codecs.filter(
    (codec) => is(codec, "video/h264") && /packetization-mode=1/.test(codec.sdpFmtpLine ?? ""),
  );
  if (h264.length === 0) return codecs;
  return [...h264, ...codecs.filter((codec) => is(codec, "video/rtx"))];
}

/**
 * The answer, with Chromium's hint where to start. Others ignore it.
 * @param {string} sdp
 */
export function withStartBitrate(sdp) {
  const eol = sdp.includes("\r\n") ? "\r\n" : "\n";
  const hint = `x-google-start-bitrate=${START_KBPS}`;
  let video = false;
  return sdp
    .split(eol)
    .map((line) => {
      if (line.startsWith("m=")) video = line.startsWith("m=video");
      const format = video && /^a=fmtp:\d+ .*packetization-mode/.test(line);
      return format ? `${line};${hint}` : line;
    })
    .join(eol);
}
