"""How fast bytes get from one publisher through a trickle server to many readers.

    python -m tests.bench.bench_trickle [--seconds 2] [--readers 1,10,100] [--shapes 64] [--record]

Each shape runs against `python -m trickle` and, in the same minute on the same machine, against
go-livepeer's own server where TRICKLE_GO_SERVER names its executable: a program that serves the
`trickle` package of go-livepeer with autocreate under /ai/trickle/ on a free port, and prints one
line that ends with its URL. Without it the ratios of the last recorded run are shown, marked stale;
`--record` keeps those of this one. Figures of two machines cannot be compared; ratios nearly can.

The load is `tests.bench.load`: C where there is a compiler, else Python processes. It is told which
in the title, and the cores it kept busy stand in the last column, so that one can see whether it
was the bottleneck.
"""

import argparse
import contextlib
import http.client
import json
import os
import platform
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.bench.load import Load, find_load
from tests.bench.report import report

ROOT = Path(__file__).parents[2]
RECORDED = Path(__file__).with_name("trickle_ratios.json")
GO_SERVER = os.environ.get("TRICKLE_GO_SERVER")
PATH = "/ai/trickle/bench"
CHUNK_BYTES = 64 << 10

# A server that has not said where it is after this long will not.
READY_S = 10.0


@dataclass(frozen=True)
class Shape:
    """What is published: segments of so many chunks of so many bytes, so many chunks a second."""

    name: str
    chunk_bytes: int
    chunks: int
    per_s: float


SHAPES = [
    Shape("paced 30 x 20 kB/s", 20_000, 30, 30.0),
    Shape("64 KiB at 30/s", CHUNK_BYTES, 1, 30.0),
    Shape("64 KiB unpaced", CHUNK_BYTES, 1, 0.0),
    Shape("1 MiB unpaced", CHUNK_BYTES, 16, 0.0),
    Shape("16 MiB unpaced", CHUNK_BYTES, 256, 0.0),
    Shape("500 B at 30/s", 500, 1, 30.0),
]


@dataclass(frozen=True)
class Result:
    """What one server did with one shape."""

    mb_per_s: float
    delivered: float
    p50_ms: float
    p99_ms: float
    cpu_s_per_gb: float
    rss_mb: float
    load_cores: float


class Meter:
    """A server's processor time and the most memory it ever held, its children included."""

    def __init__(self, pid: int) -> None:
        self.rss_bytes = 0
        self._process = psutil.Process(pid)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "Meter":
        self._before = self._cpu_s()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        self.cpu_s = self._cpu_s() - self._before

    def _all(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]

    def _cpu_s(self) -> float:
        return sum(t.user + t.system for t in (p.cpu_times() for p in self._all()))

    def _watch(self) -> None:
        while not self._stopped.wait(0.1):
            rss = sum(process.memory_info().rss for process in self._all())
            self.rss_bytes = max(self.rss_bytes, rss)


@contextlib.contextmanager
def started(command: list[str]) -> Iterator[tuple[int, int]]:
    """A server process, its port and its process number."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True)
    watchdog = threading.Timer(READY_S, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        said = re.search(r":(\d+)/", process.stdout.readline())
        assert said is not None, f"{command[0]} did not start"
        watchdog.cancel()
        yield int(said[1]), process.pid
    finally:
        watchdog.cancel()
        process.terminate()
        process.wait(5)
        assert process.stdout is not None
        process.stdout.close()


def measure(command: list[str], load: Load, shape: Shape, readers: int, seconds: float) -> Result:
    with started(command) as (port, pid):
        create(port)
        with Meter(pid) as meter:
            said = load.run(
                *(port, PATH, shape.chunk_bytes, shape.chunks, shape.per_s, readers, seconds)
            )
    assert not said["bad_stamps"], f"{said['bad_stamps']} chunks were not what was sent"
    assert not said["publish_errors"], f"{said['publish_errors']} segments were refused"
    received, elapsed_s = said["received"], said["elapsed_s"]
    return Result(
        mb_per_s=received / elapsed_s / 1e6,
        delivered=received / (said["sent"] * readers),
        p50_ms=said["p50_ms"],
        p99_ms=said["p99_ms"],
        cpu_s_per_gb=meter.cpu_s / max(received / 1e9, 1e-9),
        rss_mb=meter.rss_bytes / 1e6,
        load_cores=said["load_cpu_s"] / elapsed_s,
    )


def create(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=READY_S)
    with contextlib.closing(connection):
        connection.request("POST", PATH, headers={"Expect-Content": "video/MP2T"})
        assert connection.getresponse().status == 200


def row(shape: Shape, readers: int, server: str, result: Result, ratio: str) -> dict[str, object]:
    return {
        "shape": shape.name,
        "readers": readers,
        "server": server,
        "MB/s": result.mb_per_s,
        "share": f"{result.delivered:.2%}",
        "p50 ms": result.p50_ms,
        "p99 ms": result.p99_ms,
        "CPU s/GB": result.cpu_s_per_gb,
        "RSS MB": round(result.rss_mb),
        "vs Go": ratio,
        "load": result.load_cores,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--readers", default="1,10,100")
    parser.add_argument("--shapes", default="", help="only those whose name contains this")
    parser.add_argument("--record", action="store_true", help="keep the ratios of this run")
    given = parser.parse_args()
    if given.record and not GO_SERVER:
        parser.error("--record needs TRICKLE_GO_SERVER")
    load = find_load()
    recorded = json.loads(RECORDED.read_text()) if RECORDED.exists() else {"ratios": {}}
    ours = [sys.executable, "-m", "trickle", "--port", "0", "--autocreate"]
    rows: list[dict[str, object]] = []
    for shape in SHAPES:
        if given.shapes not in shape.name:
            continue
        for readers in map(int, given.readers.split(",")):
            key = f"{shape.name} x {readers}"
            print(f"  {key} ...".ljust(40), end="\r", file=sys.stderr, flush=True)
            mine = measure(ours, load, shape, readers, given.seconds)
            if GO_SERVER:
                go = measure([GO_SERVER], load, shape, readers, given.seconds)
                ratio = mine.mb_per_s / go.mb_per_s
                recorded["ratios"][key] = round(ratio, 3)
                rows.append(row(shape, readers, "trickle", mine, f"{ratio:.2f}"))
                rows.append(row(shape, readers, "go", go, ""))
            else:
                then = recorded["ratios"].get(key)
                stale = f"{then:.2f} stale" if then else "-"
                rows.append(row(shape, readers, "trickle", mine, stale))
    title = f"trickle, one publisher; load by {load.name}, {os.cpu_count()} cores"
    if not GO_SERVER and recorded["ratios"]:
        title += f"; ratios of {recorded['at']} on {recorded['machine']}"
    report("trickle", title, rows)
    if given.record:
        recorded["at"] = time.strftime("%Y-%m-%d", time.gmtime())
        recorded["machine"] = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"
        RECORDED.write_text(json.dumps(recorded, indent=2) + "\n")


if __name__ == "__main__":
    main()
