"""Glass to glass on loopback: 720p30 with a number drawn in every picture.

A stock WebRTC client publishes, the node carries the stream through gateway, trickle, runner and
back, a stock WebRTC client watches. Clients run in processes of their own. Stages are cut where
the node can be watched without changing it: when a picture enters the gateway's source stream and
when its result enters the output stream.

References of the same run: encoding and decoding alone, in one process, and the same two clients
on the untouched input, which is all of the way but the work.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import av
import uvloop

from server.media.stream import LiveStream
from tests.bench.live_client import EncodedTrack
from tests.bench.report import Row, percentile, report
from tests.support.node import NodeClient, node_here
from tests.support.webrtc import number_in
from trickle.media.packets import Packet

SECONDS = 12.0
# What the clients do first (ICE, DTLS, a decoder's first frames) is another measurement.
SETTLE_S = 3.0

SLOW_EFFECT = '''
import time
from runners.sdk import Pipeline

class Slow(Pipeline):
    """Takes 200 ms for every picture: five a second of thirty."""
    name, title = "slow", "Slow"

    def process(self, frame):
        time.sleep(0.2)
        return frame.rgb
'''
SLOW_MS = 200.0
BOUND_MS = 250.0


class Passing:
    """Notes when each picture passes a point, by the number drawn in it."""

    def __init__(self, stream: LiveStream) -> None:
        self.at: dict[int, float] = {}
        self._decoder = av.CodecContext.create("h264", "r")
        self._kept: list[tuple[float, bytes]] = []
        stream.attach(self)

    def packet(self, packet: Packet) -> None:
        if packet.codec.is_video:
            self._kept.append((time.monotonic(), packet.data))

    def ended(self, reason: str) -> None:
        """Nothing to do: the bench ends by its own clock."""

    def decode(self) -> dict[int, float]:
        """Reads the numbers, after the measurement: decoding would disturb it."""
        times = {}
        for at, data in self._kept:
            for frame in self._decoder.decode(av.Packet(data)):
                times[number_in(frame)] = at
        return times


async def client(*arguments: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.live_client", *arguments),
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await process.communicate()
    answer = json.loads(printed)
    return {
        key: {int(n): at for n, at in value.items()} if isinstance(value, dict) else value
        for key, value in answer.items()
    }


async def journey(
    node: Any, http: NodeClient, stream: str, pipeline: str, *, source: bool = False
) -> dict[str, Any]:
    """One publisher and one viewer; what passed where, and when."""
    rooms = node.gateway.rooms
    await rooms.view(stream, source=False, wait=True)  # holds the room open from the start
    room = rooms._rooms[stream]
    entered, left = Passing(room.source), Passing(room.output)
    query = "?source=1" if source else ""
    watching = asyncio.create_task(
        client("watch", f"{http.url}/{stream}/whep{query}", str(SECONDS + 6))
    )
    await asyncio.sleep(1.5)  # the viewer's interpreter starts, and it waits for the publisher
    published = await client(
        "publish", f"{http.url}/{stream}/whip?pipeline={pipeline}", str(SECONDS)
    )
    away = (await http.status(stream)) if not source else {}
    rooms.left(stream)
    watched = await watching
    return {
        **published,
        **watched,
        "entered": entered.decode(),
        "left": left.decode(),
        "status": away,
    }


def between(first: dict[int, float], second: dict[int, float], since: float) -> list[float]:
    """Milliseconds from one point to the other, of all pictures that passed both."""
    return [1000 * (second[n] - at) for n, at in first.items() if n in second and at > since]


def row(stage: str, delays_ms: list[float]) -> Row:
    return {
        "stage": stage,
        "p50 ms": percentile(delays_ms, 0.5),
        "p95 ms": percentile(delays_ms, 0.95),
        "pictures": len(delays_ms),
    }


def floor_ms() -> list[float]:
    """Encoding and decoding the same pictures, and nothing between."""

    async def run() -> list[float]:
        track, decoder = EncodedTrack(), av.CodecContext.create("h264", "r")
        delays: list[float] = []
        for _ in range(90):
            packet = await track.recv()
            numbers = [number_in(frame) for frame in decoder.decode(av.Packet(bytes(packet)))]
            delays.extend(1000 * (time.monotonic() - track.drawn[n]) for n in numbers)
        track.stop()
        return delays

    return asyncio.run(run())


async def glass_to_glass() -> None:
    async with node_here() as (node, http):
        direct = await journey(node, http, "direct", "passthrough", source=True)
        await http.until_runner_ready(free=2)
        found = await journey(node, http, "bench", "passthrough")
    since = found["began"] + SETTLE_S
    total = between(found["drawn"], found["seen"], since)
    whole = between(direct["drawn"], direct["seen"], direct["began"] + SETTLE_S)
    first_s = min(found["seen"].values()) - found["began"]
    rows = [
        row("client: encode", between(found["drawn"], found["encoded"], since)),
        row("client -> gateway", between(found["encoded"], found["entered"], since)),
        row("gateway -> runner -> gateway", between(found["entered"], found["left"], since)),
        row("gateway -> client, decoded", between(found["left"], found["seen"], since)),
        row("total, glass to glass", total),
        row("reference: same clients, input untouched", whole),
        row("reference: encode + decode alone", floor),
    ]
    report("live", "Glass to glass, 1280x720 at 30/s, passthrough", rows)
    print(
        f"first picture {first_s:.2f} s after the publisher began; "
        f"{len(total)} of {sum(at > since for at in found['drawn'].values())} pictures seen"
    )


async def slow_effect(folder: Path) -> None:
    path = folder / "slow.py"
    path.write_text(SLOW_EFFECT)
    flags = {"orchestrator__runners__pipelines": f"{path}:Slow"}
    async with node_here(orchestrator__runners__count="1", **flags) as (node, http):
        found = await journey(node, http, "slow", "slow")
    ages = between(found["entered"], found["left"], found["began"] + SETTLE_S)
    oldest = max(ages)
    rows: list[Row] = [
        {"what": "picture's age, p50 ms", "measured": percentile(ages, 0.5), "bound": ""},
        {"what": "picture's age, oldest ms", "measured": oldest, "bound": BOUND_MS + SLOW_MS},
        {"what": "pictures shown", "measured": len(ages), "bound": ""},
        {"what": "pictures dropped", "measured": found["status"].get("dropped"), "bound": ""},
    ]
    report("live_slow", "An effect of 200 ms under 30 pictures a second", rows)
    assert oldest <= BOUND_MS + SLOW_MS, f"a picture was {oldest:.0f} ms old"


if __name__ == "__main__":
    import tempfile

    floor = floor_ms()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(glass_to_glass())
    with (
        tempfile.TemporaryDirectory() as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(slow_effect(Path(folder)))
