"""What it costs to take a stream in by RTMP and write it as MPEG-TS, beside ffmpeg's own listener.

    python -m tests.bench.bench_ingest

Both servers are processes of their
own and get the same stream from the same kind of client at the same time; what is printed is
their processor time per second of stream. It takes about fifteen seconds.
"""

import asyncio
import os
import resource
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import uvloop

from server.edge.ingest import PublishRequest
from server.edge.rtmp import RtmpServer
from server.media.segmenter import Segmenter
from tests.bench.report import Row, report
from trickle.media.packets import Packet

SECONDS = 8
BITRATE = "6M"
STREAMS = 2


def main() -> None:
    """Measures, or is one of the two servers that are measured."""
    if sys.argv[1:] == ["--serve"]:
        _serve()
        return
    title = f"RTMP in, MPEG-TS out: {STREAMS} streams of 1080p30 at 6 Mb/s for {SECONDS} s"
    report("ingest", title, asyncio.run(measure()))


async def measure() -> list[Row]:
    """Processor time of both servers."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        clip = Path(folder) / "clip.flv"
        await _make(clip)
        ours, port = await _start_ours()
        theirs = [await _start_ffmpeg(Path(folder) / f"{n}.ts") for n in range(STREAMS)]
        urls = [f"rtmp://127.0.0.1:{port}/live/s{n}" for n in range(STREAMS)]
        urls += [url for _, url in theirs]
        await asyncio.gather(*(_publish(clip, url) for url in urls))
        ours.send_signal(signal.SIGTERM)
        assert ours.stdout is not None
        our_ms = float((await ours.stdout.read()).split()[-1]) / SECONDS / STREAMS
        await ours.wait()
        # Children that were waited for: clients and listeners. Listeners report for themselves.
        their_ms = sum([await _benchmark_ms(process) for process, _ in theirs])
        their_ms /= SECONDS * STREAMS
    return [
        {"server": "penstock", "CPU ms/s per stream": our_ms, "ratio": our_ms / their_ms},
        {"server": "ffmpeg -listen 1", "CPU ms/s per stream": their_ms, "ratio": 1.0},
    ]


async def _make(clip: Path) -> None:
    options = f"-v error -f lavfi -i testsrc2=s=1920x1080:r=30 -f lavfi -i sine -t {SECONDS}"
    options += f" -c:v libx264 -preset ultrafast -b:v {BITRATE} -maxrate {BITRATE} -bufsize 3M"
    options += " -nal-hrd cbr -g 60 -pix_fmt yuv420p -c:a aac -f flv"
    process = await asyncio.create_subprocess_exec("ffmpeg", *options.split(), str(clip))
    assert await process.wait() == 0


async def _publish(clip: Path, url: str) -> None:
    options = ["-v", "error", "-re", "-i", str(clip), "-c", "copy", "-f", "flv", url]
    process = await asyncio.create_subprocess_exec("ffmpeg", *options)
    assert await process.wait() == 0, url


async def _start_ffmpeg(output: Path) -> tuple[asyncio.subprocess.Process, str]:
    with socket.socket() as probe:  # ffmpeg cannot choose a free port itself
        probe.bind(("127.0.0.1", 0))
        url = f"rtmp://127.0.0.1:{probe.getsockname()[1]}/live/x"
    options = ["-v", "info", "-nostats", "-benchmark", "-listen", "1", "-f", "flv", "-i", url]
    options += ["-c", "copy", "-flush_packets", "1", "-f", "mpegts", str(output)]
    process = await asyncio.create_subprocess_exec(
        "ffmpeg", *options, stderr=asyncio.subprocess.PIPE
    )
    await asyncio.sleep(0.5)  # ffmpeg does not say when it listens
    return process, url


async def _benchmark_ms(process: asyncio.subprocess.Process) -> float:
    assert process.stderr is not None
    text = (await process.stderr.read()).decode()
    await process.wait()
    line = next(line for line in text.splitlines() if line.startswith("bench: utime"))
    seconds = [float(word.split("=")[1].rstrip("s")) for word in line.split()[1:3]]
    return 1000 * sum(seconds)


async def _start_ours() -> tuple[asyncio.subprocess.Process, int]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.bench.bench_ingest", "--serve"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    return process, int(await process.stdout.readline())


def _serve() -> None:
    uvloop.run(_server())


async def _server() -> None:
    class ToTs:
        on_closed: Callable[[str], None] | None = None
        on_keyframe_wanted: Callable[[], None] | None = None

        def __init__(self) -> None:
            self.segmenter = Segmenter()
            self.output = os.open(os.devnull, os.O_WRONLY)

        def packet(self, packet: Packet) -> None:
            for piece in self.segmenter.feed(packet):
                os.write(self.output, piece.data)

        def end(self, reason: str, *, goodbye: bool = False) -> None:
            os.close(self.output)

    class Everyone:
        async def publish(self, request: PublishRequest) -> ToTs:
            return ToTs()

    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    server = RtmpServer(Everyone())
    await server.listen("127.0.0.1", 0)
    before = _cpu_ms()
    print(server.port, flush=True)
    await stopped.wait()
    print(_cpu_ms() - before, flush=True)
    await server.close()


def _cpu_ms() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return 1000 * (used.ru_utime + used.ru_stime)


if __name__ == "__main__":
    main()
