"""What a frame costs in the runner apart from its effect, next to what the naive way costs.

    python -m tests.bench.bench_runner [--frames 300] [--size 1280x720]

The first table is the real path (demux, decode, convert, ring, model process and back, encode,
mux) with the effect `passthrough`, fed at 30 frames per second, all processes on one core. Its
reference, in the same run on the same core and clip, is what peers do: float32 arrays through
pickling queues. The second table is what holds when things go wrong.
"""

import argparse
import asyncio
import multiprocessing
import os
import sys
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any

import cv2
import numpy as np
from av.video.frame import VideoFrame

from runners.codec import Colour, Decoder, Encoder, ToRgb
from runners.health import Health
from runners.host import Exit
from runners.live.inlet import Inlet
from runners.live.model import Model
from runners.live.outlet import Outlet, Piece
from runners.live.tally import Tally
from runners.live.turnstile import Turnstile
from runners.messages import Given, Message, Open, Opened, Take
from runners.sdk import Picture
from tests.bench.report import percentile, report
from tests.support.live_rig import trial
from tests.support.waiting import until
from trickle.media.mpegts import TsDemuxer, TsMuxer
from trickle.media.packets import CLOCK_HZ, Codec

FPS = 30
TICKS = CLOCK_HZ // FPS
WARM_UP = 30
SLOW_S = 0.2

Spent = dict[str, list[float]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench_runner")
    parser.add_argument("--frames", type=int, default=240)
    parser.add_argument("--size", default="1280x720")
    asked = parser.parse_args()
    width, height = (int(side) for side in asked.size.split("x"))
    _keep_to_one_core()
    cv2.setNumThreads(1)
    clip = make_clip(asked.frames + WARM_UP, width, height)
    spent = asyncio.run(real_path(clip))
    naive = naive_path(clip)
    size = f"{width}x{height}"
    rows = [*_rows(spent, "real"), *_rows(naive, "naive")]
    ratio = percentile(naive["total"], 0.5) / percentile(spent["total"], 0.5)
    report("runner", f"per frame apart from the effect, {size}, one core, ms", rows)
    print(f"the naive way takes {ratio:.1f} times as long; aim for the real one: p50 <= 8 ms")
    report("runner_weather", "when things go wrong", asyncio.run(weather(clip)))
    return 0


def _keep_to_one_core() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def _rows(spent: Spent, path: str) -> list[dict[str, object]]:
    return [
        {
            "stage": f"{path}: {stage}",
            "p50_ms": percentile(values, 0.5) * 1000,
            "p95_ms": percentile(values, 0.95) * 1000,
        }
        for stage, values in spent.items()
    ]


def make_clip(frames: int, width: int, height: int) -> list[bytes]:
    """Coded pictures of a scene that moves, each as the bytes that the network would bring."""
    rng = np.random.default_rng(7)
    small = rng.integers(0, 255, (height // 16, width // 8, 3), np.uint8)
    wide = cv2.resize(small, (width * 2, height), interpolation=cv2.INTER_CUBIC)
    encoder, muxer = Encoder(width, height, Colour(), name="libx264"), TsMuxer(Codec.H264, None)
    clip = []
    for number in range(frames):
        left = number * 6 % width
        picture = np.ascontiguousarray(wide[:, left : left + width]).astype(np.uint8)
        cv2.circle(picture, (number * 11 % width, height // 2), height // 6, (240, 90, 30), -1)
        (packet,) = encoder.encode(picture, number * TICKS)
        clip.append(muxer.mux(packet))
    return clip


# ---- the real path


class Path:
    """Everything between the bytes that come and the bytes that go, without a network."""

    def __init__(self, model: Model, pipeline: str, params: dict[str, Any]) -> None:
        self.out_at: list[tuple[float, bytes]] = []
        self.given: list[Given] = []
        self.is_open = asyncio.Event()
        self.model = model
        self._wanted = Open(pipeline, params, 1)
        self._loop = asyncio.get_running_loop()
        self.tally = Tally(model.health)
        self.outlet = Outlet(
            model.outward, self.tally, emit=self._emit, on_error=print, on_crash=print
        )
        self.turnstile = Turnstile(model, self.outlet, self.tally, on_error=print)
        self.inlet = Inlet(
            self.turnstile,
            self.outlet,
            self.tally,
            on_error=print,
            on_room=lambda: None,
            on_crash=print,
        )

    def connected(self) -> None:
        self.model.send(self._wanted)

    def lost(self, _exit: Exit) -> None:
        self.turnstile.closed("restarting")

    def received(self, message: Message) -> None:
        if isinstance(message, Given):
            self.given.append(message)
            self.turnstile.given(message)
        elif isinstance(message, Opened):
            self.turnstile.opened(message.epoch)
            self._loop.call_soon_threadsafe(self.is_open.set)

    def _emit(self, piece: Piece) -> None:
        self.out_at.append((time.monotonic(), piece.data))


@asynccontextmanager
async def path(*names: str, pipeline: str, **params: Any) -> AsyncGenerator[Path, None]:
    model = Model(names, Health(time.monotonic()), on_change=lambda: None)
    running = asyncio.create_task(model.run())
    await model.ready()
    made = Path(model, pipeline, params)
    made.outlet.start(made.turnstile)
    made.inlet.start()
    model.attach(made)
    await made.is_open.wait()
    try:
        yield made
    finally:
        made.inlet.end()
        await asyncio.to_thread(made.inlet.join, 3)
        made.outlet.end()
        await asyncio.to_thread(made.outlet.join, 3)
        model.detach(made)
        running.cancel()
        await asyncio.wait([running])


async def feed(made: Path, clip: list[bytes]) -> list[float]:
    began = time.monotonic()
    fed_at = []
    for number, data in enumerate(clip):
        await asyncio.sleep(max(0.0, began + number / FPS - time.monotonic()))
        fed_at.append(time.monotonic())
        made.inlet.feed(data)
    return fed_at


async def real_path(clip: list[bytes]) -> Spent:
    """Latency of each frame, and where in the path its time went."""
    spent: Spent = defaultdict(list)
    undo = [
        _timing(TsDemuxer, "feed", "demux", spent),
        _timing(Decoder, "decode", "decode", spent),
        _timing(ToRgb, "convert", "to rgb, into the ring", spent),
        _timing(Encoder, "encode", "to yuv, encode", spent),
        _timing(TsMuxer, "mux", "mux", spent),
    ]
    hop_began: list[float] = []
    async with path("passthrough", pipeline="passthrough") as made:
        send, received = made.model.send, made.received

        def timed_send(message: Message) -> bool:
            if isinstance(message, Take):
                hop_began.append(time.perf_counter())
            return send(message)

        def timed_received(message: Message) -> None:
            if isinstance(message, Given):
                hop = time.perf_counter() - hop_began[-1] - message.effect_s
                spent["to the model and back"].append(hop)
            received(message)

        made.model.send = timed_send  # type: ignore[method-assign]
        made.received = timed_received  # type: ignore[method-assign]
        fed_at = await feed(made, clip)
    for restore in undo:
        restore()
    demuxer = TsDemuxer()
    went = [(packet.pts // TICKS, at) for at, data in made.out_at for packet in demuxer.feed(data)]
    order = ("demux", "decode", "to rgb, into the ring", "to the model and back")
    stages = {name: spent[name][WARM_UP:] for name in (*order, "to yuv, encode", "mux")}
    total = [at - fed_at[number] for number, at in went if number >= WARM_UP]
    effect = [given.effect_s for given in made.given[WARM_UP:]]
    print(
        f"{len(clip) - len(went)} of {len(clip)} frames dropped, effect itself "
        f"{percentile(effect, 0.5) * 1000:.3f} ms"
    )
    return {**stages, "total": total}


def _timing(owner: type, name: str, stage: str, spent: Spent) -> Callable[[], None]:
    """Times every call of a method; returns what puts the method back."""
    plain = getattr(owner, name)

    @wraps(plain)
    def timed(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        try:
            return plain(*args, **kwargs)
        finally:
            spent[stage].append(time.perf_counter() - began)

    setattr(owner, name, timed)
    return lambda: setattr(owner, name, plain)


# ---- the reference


def _echo(inward: "multiprocessing.Queue[Any]", outward: "multiprocessing.Queue[Any]") -> None:
    while (frame := inward.get()) is not None:
        outward.put(frame)


def naive_path(clip: list[bytes]) -> Spent:
    """The same frames as float32 arrays through queues that pickle them."""
    context = multiprocessing.get_context("spawn")
    inward, outward = context.Queue(1), context.Queue(1)
    child = context.Process(target=_echo, args=(inward, outward), daemon=True)
    child.start()
    demuxer, decoder, muxer = TsDemuxer(), Decoder(Codec.H264), TsMuxer(Codec.H264, None)
    encoder: Encoder | None = None
    spent: Spent = defaultdict(list)
    for data in clip[: WARM_UP + 90]:
        began = time.perf_counter()
        for packet in demuxer.feed(data):
            for decoded in decoder.decode(packet):
                t0 = time.perf_counter()
                tensor = decoded.frame.to_ndarray(format="rgb24").astype(np.float32) / 255
                t1 = time.perf_counter()
                inward.put(tensor)
                result = outward.get()
                t2 = time.perf_counter()
                picture: Picture = (result * 255).clip(0, 255).astype(np.uint8)
                frame = VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
                t3 = time.perf_counter()
                if encoder is None:
                    encoder = Encoder(frame.width, frame.height, Colour(), name="libx264")
                frame.pts, frame.time_base = packet.pts, decoded.frame.time_base
                for coded in encoder._context.encode(frame):
                    muxer.mux(encoder._packet(coded))
                t4 = time.perf_counter()
                spent["to float32"].append(t1 - t0)
                spent["queue and back"].append(t2 - t1)
                spent["to yuv"].append(t3 - t2)
                spent["encode, mux"].append(t4 - t3)
        spent["total"].append(time.perf_counter() - began)
    inward.put(None)
    child.join()
    return {name: values[WARM_UP:] for name, values in spent.items()}


# ---- bad weather


async def weather(clip: list[bytes]) -> list[dict[str, object]]:
    """An effect slower than its input, and a model process that is killed."""
    async with path(*trial("Slow"), pipeline="slow", effect_s=SLOW_S) as made:
        await feed(made, clip[:150])
    counts = made.tally.counts()
    oldest_ms = max(made.tally._latency._values) * 1000
    async with path("passthrough", pipeline="passthrough") as made:
        feeding = asyncio.create_task(feed(made, clip[:150]))
        await asyncio.sleep(1)
        assert made.model.pid is not None
        before = len(made.given)
        os.kill(made.model.pid, 9)
        killed_at = time.monotonic()
        await until(lambda: len(made.given) > before + 1, within_s=10)
        back_s = time.monotonic() - killed_at
        feeding.cancel()
        await asyncio.wait([feeding])
    over_ms = oldest_ms - SLOW_S * 1000
    return [
        {"what": "effect of 200 ms: oldest frame shown, ms", "measured": oldest_ms, "aim": 450},
        {"what": "  of which not the effect's own time, ms", "measured": over_ms, "aim": 250},
        {"what": "  frames in", "measured": counts.frames_in, "aim": ""},
        {"what": "  frames out", "measured": counts.frames_out, "aim": ""},
        {"what": "  dropped", "measured": sum(counts.dropped_by.values()), "aim": ""},
        {"what": "model killed: next result after, s", "measured": back_s, "aim": 5},
    ]


if __name__ == "__main__":
    sys.exit(main())
