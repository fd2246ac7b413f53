"""Chromium as a WHIP publisher and a WHEP viewer: how to start it, and the page that it runs."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Page, async_playwright

ON_A_MAC = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)


def executable() -> str:
    """The browser of this machine; `make test` sees to it that there is one."""
    found = [path for name in ("chromium", "google-chrome") if (path := shutil.which(name))]
    found += [path for path in ON_A_MAC if Path(path).exists()]
    assert found, "no Chromium here: apt-get install chromium"
    return found[0]


ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    # For 127.0.0.1 candidates.
    "--allow-loopback-in-peer-connection",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# A canvas with the number of the picture in black and white squares, published by WHIP; and a
# player that reads the numbers back. Both keep the time of each number.
PAGE = """<!doctype html><meta charset=utf-8><body><script>
const BITS = 12, SQUARE = 32;
const sent = new Map(), seen = new Map();
async function negotiate(pc, url) {
  await pc.setLocalDescription(await pc.createOffer());
  const answer = await fetch(url, {method: "POST", body: pc.localDescription.sdp,
                                   headers: {"Content-Type": "application/sdp"}});
  if (answer.status !== 201) throw new Error(await answer.text());
  await pc.setRemoteDescription({type: "answer", sdp: await answer.text()});
  return answer.headers.get("Location");
}
async function publish(url, {width = 1280, height = 720, fps = 30, audio = true} = {}) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, {width, height});
  const draw = canvas.getContext("2d");
  let number = 0;
  window.painter = setInterval(() => {
    number += 1;
    draw.fillStyle = `hsl(${number % 360} 60% 50%)`;
    draw.fillRect(0, 0, width, height);
    for (let i = 0; i < 40; i++) {   // something to encode
      draw.fillStyle = `hsl(${(i * 9 + number) % 360} 80% 40%)`;
      draw.fillRect((i * 97 + number * 7) % width, 120 + (i * 53) % (height - 160), 60, 40);
    }
    for (let bit = 0; bit < BITS; bit++) {
      draw.fillStyle = number >> bit & 1 ? "#fff" : "#000";
      draw.fillRect(bit * SQUARE, 0, SQUARE, SQUARE * 2);
    }
    sent.set(number, performance.now());
  }, 1000 / fps);
  const pc = window.publisher = new RTCPeerConnection();
  const media = canvas.captureStream(fps);
  if (audio) {
    const sound = await navigator.mediaDevices.getUserMedia({audio: true});
    media.addTrack(sound.getAudioTracks()[0]);
  }
  for (const track of media.getTracks()) pc.addTransceiver(track, {direction: "sendonly",
                                                                   streams: [media]});
  const video = pc.getTransceivers().find(t => t.sender.track.kind === "video");
  const codecs = RTCRtpSender.getCapabilities("video").codecs;
  video.setCodecPreferences(codecs.filter(c => /H264|rtx/.test(c.mimeType)));
  const parameters = video.sender.getParameters();
  parameters.encodings[0].maxBitrate = 4_000_000;
  await video.sender.setParameters(parameters);
  return window.whip = await negotiate(pc, url);
}
async function play(url) {
  const pc = window.player = new RTCPeerConnection();
  pc.addTransceiver("video", {direction: "recvonly"});
  pc.addTransceiver("audio", {direction: "recvonly"});
  const video = window.screen_ = document.createElement("video");
  Object.assign(video, {muted: true, autoplay: true});
  document.body.append(video);
  const media = new MediaStream();
  pc.ontrack = event => { media.addTrack(event.track); video.srcObject = media; };
  const canvas = new OffscreenCanvas(BITS * SQUARE, SQUARE * 2);
  const draw = canvas.getContext("2d", {willReadFrequently: true});
  const look = () => {
    const scale = video.videoWidth / 1280;
    draw.drawImage(video, 0, 0, BITS * SQUARE * scale, SQUARE * 2 * scale,
                   0, 0, BITS * SQUARE, SQUARE * 2);
    const pixels = draw.getImageData(0, SQUARE, BITS * SQUARE, 1).data;
    let number = 0;
    for (let bit = 0; bit < BITS; bit++)
      if (pixels[4 * (bit * SQUARE + SQUARE / 2)] > 128) number |= 1 << bit;
    if (!seen.has(number)) seen.set(number, performance.now());
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
  return window.whep = await negotiate(pc, url);
}
function delays() {
  return [...seen].filter(([number]) => sent.has(number))
                  .map(([number, at]) => at - sent.get(number));
}
async function stats(pc, type) {
  return [...(await pc.getStats()).values()].filter(report => report.type === type);
}
</script>"""


@asynccontextmanager
async def chromium_page(url: str) -> AsyncIterator[Page]:
    """A page of a Chromium that is gone afterwards."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=executable(), headless=True, args=ARGUMENTS
        )
        try:
            page = await browser.new_page()
            await page.goto(url)
            yield page
        finally:
            await browser.close()
