"""WHIP to WHEP through our edge: the time it adds and what it costs, beside a stock aiortc relay.

    python -m tests.bench.bench_webrtc

Both relays are processes of their own and, one after the other, get the same streams from the
same clients; neither decodes. The clients are stock aiortc with pictures that were encoded
beforehand; a number inside each picture tells when it was sent. A picture has arrived when its
last packet has: what a player's jitter buffer adds is not the relay's doing. The time that the
clients take themselves is in both numbers. It takes about twenty seconds.
"""

import asyncio
import logging
import re
import resource
import sys
import time
from contextlib import AsyncExitStack
from fractions import Fraction
from typing import Any

import aioice.ice
import aiortc.rtcrtpreceiver
import av
import numpy as np
import structlog
import uvloop
from aiohttp import web
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaRelay
from aiortc.mediastreams import MediaStreamError

from tests.bench.report import Row, percentile, report
from tests.support.webrtc import negotiate, peer, running_node

SECONDS = 6.0
SETTLE_S = 1.5
STREAMS = 2
BITRATE = 2_500_000
MARK = re.compile(rb"#(\d{8})\.")


def main() -> None:
    """Measures, or is one of the two relays that are measured."""
    aioice.ice.get_host_addresses = lambda **_: ["127.0.0.1"]
    match sys.argv[1:]:
        case ["--ours"]:
            uvloop.run(_ours())
        case ["--stock"]:
            uvloop.run(_stock())
        case _:
            title = (
                f"WHIP to WHEP, {STREAMS} streams of 720p30 at {BITRATE / 1e6:.1f} Mb/s, "
                f"a viewer each, {SECONDS:.0f} s"
            )
            report("webrtc", title, uvloop.run(measure()))


async def measure() -> list[Row]:
    clip = encoded_clip()
    ours, ours_cpu = await _through("--ours", clip)
    stock, stock_cpu = await _through("--stock", clip)
    return [
        _row("penstock", ours, ours_cpu, stock_cpu),
        _row("stock aiortc, undecoded", stock, stock_cpu, stock_cpu),
    ]


def _row(relay: str, delays: list[float], cpu: float, stock_cpu: float) -> Row:
    return {
        "relay": relay,
        "in to out p50 ms": percentile(delays, 0.50),
        "p95 ms": percentile(delays, 0.95),
        "pictures": len(delays),
        "CPU ms/s per stream + viewer": cpu,
        "of stock": cpu / stock_cpu,
    }


async def _through(relay: str, clip: list[bytes]) -> tuple[list[float], float]:
    """Delays in ms, and the relay's CPU in ms per second and stream."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.bench_webrtc", relay,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        url = (await process.stdout.readline()).decode().strip()
        delays: list[float] = []
        async with AsyncExitStack() as stack:
            for n in range(STREAMS):
                track = NumberedClip(clip)
                publisher, viewer = peer(), peer()
                stack.push_async_callback(publisher.close)
                stack.push_async_callback(viewer.close)
                publisher.addTransceiver(track, direction="sendonly")
                await negotiate(publisher, f"{url}/s{n}/whip")
                receiver = viewer.addTransceiver("video", direction="recvonly").receiver
                watch(receiver, track.sent, delays)
                await negotiate(viewer, f"{url}/s{n}/whep")
            await asyncio.sleep(SETTLE_S)
            delays.clear()
            process.stdin.write(b"go\n")
            await asyncio.sleep(SECONDS)
            measured = list(delays)
            process.stdin.write(b"stop\n")
            cpu_s = float(await process.stdout.readline())
        return measured, cpu_s * 1000 / SECONDS / STREAMS
    finally:
        process.stdin.close()
        await process.wait()


def encoded_clip() -> list[bytes]:
    """Two seconds of moving noise; every access unit begins with an SEI that has a number."""
    codec = av.CodecContext.create("libx264", "w")
    assert isinstance(codec, av.VideoCodecContext)
    codec.width, codec.height, codec.pix_fmt = 1280, 720, "yuv420p"
    codec.framerate, codec.time_base, codec.bit_rate = Fraction(30), Fraction(1, 30), BITRATE
    codec.options = {
        "preset": "ultrafast", "tune": "zerolatency", "profile": "baseline",
        "x264-params": f"keyint=60:bframes=0:repeat-headers=1:vbv-maxrate={BITRATE // 1000}:"
        f"vbv-bufsize={BITRATE // 4000}:nal-hrd=cbr",
    }  # fmt: skip
    rng = np.random.default_rng(1)
    noise = rng.integers(40, 200, (1180, 1400), np.uint8)
    clip = []
    for n in range(60):
        picture = noise[4 * n % 90 : 4 * n % 90 + 1080, 2 * n : 2 * n + 1280]
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="yuv420p")
        frame.pts = n
        clip += [bytes(packet) for packet in codec.encode(frame)]
    return clip


class NumberedClip(MediaStreamTrack):
    """The clip over and over, 30 pictures a second; `sent` has the time of each number."""

    kind = "video"

    def __init__(self, clip: list[bytes]) -> None:
        super().__init__()
        self.sent: dict[int, float] = {}
        self._clip = clip
        self._began: float | None = None
        self._number = 0

    async def recv(self) -> "av.Packet[Any]":
        now = time.monotonic()
        if self._began is None:
            self._began = now
        await asyncio.sleep(max(0.0, self._began + self._number / 30 - now))
        if self.readyState != "live":
            raise MediaStreamError
        mark = b"\0\0\0\1\x06\x05\x19" + bytes(range(65, 81)) + b"#%08d." % self._number
        packet = av.Packet(mark + b"\x80" + self._clip[self._number % len(self._clip)])
        packet.pts, packet.time_base = self._number * 3000, Fraction(1, 90_000)
        self.sent[self._number] = time.monotonic()
        self._number += 1
        return packet


def watch(receiver: Any, sent: dict[int, float], delays: list[float]) -> None:
    """Notes in `delays` when each picture's last packet has come; nothing is decoded."""
    numbers: dict[int, int] = {}

    async def packet_came(packet: Any, arrival_time_ms: int) -> None:
        found = MARK.search(packet.payload)
        if found is not None:
            numbers[packet.timestamp] = int(found[1])
        number = numbers.pop(packet.timestamp, None) if packet.marker else None
        if number is not None:
            delays.append((time.monotonic() - sent[number]) * 1000)

    receiver._handle_rtp_packet = packet_came


async def _serve(url: str) -> None:
    """Says where it is, and when asked how much CPU it used in between."""
    print(url, flush=True)
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, sys.stdin.readline)
    before = _cpu_s()
    await loop.run_in_executor(None, sys.stdin.readline)
    print(_cpu_s() - before, flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def _ours() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    async with running_node() as node:
        await _serve(node.url)


async def _stock() -> None:
    """The shortest relay that aiortc allows: undecoded, by replacing its decoder."""

    class Undecoded:
        def decode(self, frame: Any) -> "list[av.Packet[Any]]":
            packet = av.Packet(frame.data)
            packet.pts, packet.time_base = frame.timestamp, Fraction(1, 90_000)
            return [packet]

    vars(aiortc.rtcrtpreceiver)["get_decoder"] = lambda _codec: Undecoded()
    relay = MediaRelay()
    tracks: dict[str, MediaStreamTrack] = {}
    peers: list[RTCPeerConnection] = []

    async def answer(request: web.Request) -> web.Response:
        pc, stream = peer(), request.match_info["stream"]
        peers.append(pc)
        if request.path.endswith("whip"):
            pc.on("track", lambda track: tracks.__setitem__(stream, track))
        else:
            pc.addTrack(relay.subscribe(tracks[stream]))
        offer = RTCSessionDescription(await request.text(), "offer")
        await pc.setRemoteDescription(offer)
        await pc.setLocalDescription(await pc.createAnswer())
        return web.Response(
            text=pc.localDescription.sdp, status=201, headers={"Location": f"/{len(peers)}"}
        )

    app = web.Application()
    app.add_routes([web.post("/{stream}/{kind}", answer)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        await _serve(f"http://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        await asyncio.gather(*(pc.close() for pc in peers))
        await runner.cleanup()


if __name__ == "__main__":
    main()
