"""A publisher or a viewer of the live bench, in a process of its own; not the code under test.

    python -m tests.bench.live_client publish URL SECONDS
    python -m tests.bench.live_client watch URL SECONDS

Both are stock aiortc. The publisher draws a number into each picture and encodes it; the viewer
decodes and reads it. What they print at the end is one JSON line: number to times on the
monotonic clock, which all processes of a machine share.
"""

import asyncio
import json
import sys
import time
from fractions import Fraction
from typing import Any
from unittest.mock import patch

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from tests.support.webrtc import number_in, numbered, publishing, watching

WIDTH, HEIGHT, FPS = 1280, 720, 30
CLOCK_HZ = 90_000


class EncodedTrack(MediaStreamTrack):
    """Numbered pictures, encoded here so that the encoder's time is known."""

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self.drawn: dict[int, float] = {}
        self.encoded: dict[int, float] = {}
        self._began = time.monotonic()
        self._number = 0
        self._encoder = av.CodecContext.create("libx264", "w")
        self._encoder.width, self._encoder.height = WIDTH, HEIGHT
        self._encoder.pix_fmt, self._encoder.time_base = "yuv420p", Fraction(1, CLOCK_HZ)
        self._encoder.framerate = Fraction(FPS)  # or the rate control spends next to nothing
        self._encoder.bit_rate, self._encoder.gop_size = 2_500_000, FPS
        self._encoder.options = {"preset": "ultrafast", "tune": "zerolatency"}
        self._encoder.thread_count = 1

    async def recv(self) -> "av.Packet[Any]":
        self._number += 1
        await asyncio.sleep(max(0.0, self._began + self._number / FPS - time.monotonic()))
        if self.readyState != "live":
            raise MediaStreamError
        number = self._number % 4096
        frame = numbered(number, WIDTH, HEIGHT)
        self.drawn[number] = time.monotonic()
        frame.pts, frame.time_base = self._number * CLOCK_HZ // FPS, Fraction(1, CLOCK_HZ)
        packet = self._encoder.encode(frame)[0]
        self.encoded[number] = time.monotonic()
        return packet


async def publish(url: str, seconds: float) -> dict[str, object]:
    began = time.monotonic()
    track = EncodedTrack()
    async with publishing(url, track):
        await asyncio.sleep(seconds)
    return {"began": began, "drawn": track.drawn, "encoded": track.encoded}


async def watch(url: str, seconds: float) -> dict[str, object]:
    seen: dict[int, float] = {}
    async with watching(url, "video") as client:
        track = client.pc.getReceivers()[0].track
        try:
            async with asyncio.timeout(seconds):
                while True:
                    frame = await track.recv()
                    assert isinstance(frame, av.VideoFrame)
                    seen.setdefault(number_in(frame), time.monotonic())
        except (TimeoutError, MediaStreamError):
            pass
    return {"seen": seen}


def main() -> None:
    verb, url, seconds = sys.argv[1:]
    work = {"publish": publish, "watch": watch}[verb]
    with patch("aioice.ice.get_host_addresses", lambda **_: ["127.0.0.1"]):
        print(json.dumps(asyncio.run(work(url, float(seconds)))))


if __name__ == "__main__":
    main()
