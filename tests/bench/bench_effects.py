"""What each effect costs per frame at 720p on one core, next to a Gaussian blur of the same frame.

    python -m tests.bench.bench_effects [pipeline ...] [--frames 120] [--size 1280x720]

The blur (15 x 15, three channels) is the reference: machines differ, the ratio hardly does. An
effect is over budget when its median is above 12 ms, which leaves a core that decodes and encodes
720p30 as well room to breathe.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

# Before numpy comes: BLAS would put a second thread on the dream's small matrices.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np

from runners.pipelines import registry
from runners.sdk import Frame
from tests.bench.report import report
from tests.unit.runners.pipelines.scene import FRAME_TICKS, Scene

BUDGET_MS = 12.0

# Frames that allocate and fill what an effect remembers; slit-scan needs the most, 48.
WARM_UP = 50

# Pictures that are drawn; they are shown forth and back, so that motion never jumps.
CLIP_LENGTH = 24


@dataclass(frozen=True, slots=True)
class Cost:
    """What one effect takes per frame."""

    name: str
    median_ms: float
    p95_ms: float
    ratio: float  # median, in medians of the reference

    @property
    def over_budget(self) -> bool:
        return self.median_ms > BUDGET_MS


def main(arguments: Sequence[str] | None = None) -> int:
    asked = _parser().parse_args(arguments)
    cv2.setNumThreads(1)
    width, height = (int(side) for side in asked.size.split("x"))
    clip = Scene(width, height).frames(CLIP_LENGTH)
    reference_ms = _timed(lambda frame: cv2.GaussianBlur(frame.rgb, (15, 15), 0), clip, 60)
    blur_ms = float(np.median(reference_ms))
    costs = [
        measure(name, clip, asked.frames, blur_ms) for name in registry.expand(asked.pipelines)
    ]
    rows = [
        {
            "pipeline": cost.name,
            "median ms": cost.median_ms,
            "p95 ms": cost.p95_ms,
            "x blur": cost.ratio,
            "": "over budget" if cost.over_budget else "",
        }
        for cost in costs
    ]
    reference = f"reference: Gaussian blur 15x15, {blur_ms:.2f} ms"
    report("effects", f"{width}x{height}, one thread; {reference}", rows)
    return 1 if any(cost.over_budget for cost in costs) else 0


def measure(name: str, clip: Sequence[Frame], frames: int, blur_ms: float) -> Cost:
    """Runs one pipeline with its default parameters over so many frames."""
    pipeline = registry.load(name)
    taken_ms = _timed(pipeline(pipeline.Params()).process, clip, frames)
    median = float(np.median(taken_ms))
    return Cost(name, median, float(np.percentile(taken_ms, 95)), median / blur_ms)


def _timed(work: Callable[[Frame], object], clip: Sequence[Frame], frames: int) -> list[float]:
    taken_ms = []
    for frame in _played(clip, WARM_UP + frames):
        began = time.perf_counter()
        work(frame)
        taken_ms.append((time.perf_counter() - began) * 1000)
    return taken_ms[WARM_UP:]


def _played(clip: Sequence[Frame], count: int) -> Iterator[Frame]:
    there_and_back = [*clip, *clip[-2:0:-1]]
    for seq in range(count):
        rgb = there_and_back[seq % len(there_and_back)].rgb
        yield Frame(rgb=rgb, pts=seq * FRAME_TICKS, seq=seq)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench_effects", description=__doc__)
    parser.add_argument("pipelines", nargs="*", default=[registry.EFFECTS])
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--size", default="1280x720")
    return parser


if __name__ == "__main__":
    sys.exit(main())
