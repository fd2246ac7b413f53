"""How fast bytes get from one publisher through a trickle server to many readers.

    python tests/bench/bench_trickle.py [--seconds 2] [--readers 1,10,100] [--json FILE]

Each shape runs twice in the same minute on the same machine: against `python -m trickle`, and
against a plain aiohttp server that does the same in the obvious way. Figures of two machines cannot
be compared; the ratio of the two columns can. The load runs in this process, on uvloop, with the
bare protocols below, and the servers in processes of their own.
"""

import argparse
import asyncio
import contextlib
import json
import re
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
import uvloop
from aiohttp import web

from trickle.http1 import END_OF_HEAD, LAST_CHUNK, ChunkedBody, parse_answer

STAMP = struct.Struct("<d")
CHUNK_BYTES = 64 << 10


@dataclass(frozen=True)
class Shape:
    """What is published: segments of so many chunks of so many bytes, so many chunks a second."""

    name: str
    chunk_bytes: int
    chunks: int
    per_s: float | None


SHAPES = [
    Shape("paced 30 x 20 kB/s", 20_000, 30, 30.0),
    Shape("64 KiB at 30/s", CHUNK_BYTES, 1, 30.0),
    Shape("500 B at 30/s", 500, 1, 30.0),
    Shape("64 KiB unpaced", CHUNK_BYTES, 1, None),
    Shape("1 MiB unpaced", CHUNK_BYTES, 16, None),
    Shape("16 MiB unpaced", CHUNK_BYTES, 256, None),
]


@dataclass
class Result:
    server: str
    shape: str
    readers: int
    mb_per_s: float
    delivered: float
    p50_ms: float
    p99_ms: float
    cpu_s_per_gb: float
    rss_mb: float


class Reader(asyncio.Protocol):
    """GETs one segment after another, and notes how old each chunk is when it comes."""

    def __init__(self, path: str, chunk_bytes: int) -> None:
        self.received = 0
        self.last = 0.0
        self.ages: list[float] = []
        self._path = path
        self._chunk_bytes = chunk_bytes
        self._seq = 0
        self._held = b""
        self._body: ChunkedBody | None = None
        self._at = 0
        self._skip = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        self._at = 0
        line = f"GET {self._path}/{self._seq} HTTP/1.1\r\nHost: bench\r\n\r\n"
        self._transport.write(line.encode())

    def data_received(self, data: bytes) -> None:
        while data:
            if self._body is not None:
                piece = self._body.feed(data)
                self._count(piece)
                data = self._body.rest
                if self._body.done:
                    self._body = None
                    self._seq += 1
                    self._ask()
            elif self._skip:
                data, self._skip = data[self._skip :], max(0, self._skip - len(data))
                if not self._skip:
                    self._ask()
            else:
                self._held += data
                end = self._held.find(END_OF_HEAD)
                if end < 0:
                    return
                head = parse_answer(self._held[: end + 4])
                data, self._held = self._held[end + 4 :], b""
                if head.status == 200 and b"transfer-encoding" in head.headers:
                    self._body = ChunkedBody()
                else:
                    latest = int(head.headers.get(b"lp-trickle-latest", b"0"))
                    self._seq = latest if head.status == 470 else self._seq + 1
                    self._skip = int(head.headers.get(b"content-length", b"0"))
                    if not self._skip:
                        self._ask()

    def _count(self, piece: bytes) -> None:
        now = time.perf_counter()
        first = -self._at % self._chunk_bytes
        for at in range(first, len(piece) - STAMP.size, self._chunk_bytes):
            self.ages.append(now - STAMP.unpack_from(piece, at)[0])
        self._at += len(piece)
        self.received += len(piece)
        self.last = now


async def publish(port: int, path: str, shape: Shape, seconds: float) -> int:
    """Publishes for so long. Returns the bytes sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    filler = b"x" * (shape.chunk_bytes - STAMP.size)
    frame = b"%x\r\n" % shape.chunk_bytes
    begun = due = time.perf_counter()
    seq = sent = 0
    while time.perf_counter() - begun < seconds:
        head = f"POST {path}/{seq} HTTP/1.1\r\nHost: bench\r\nTransfer-Encoding: chunked\r\n\r\n"
        pieces = [head.encode()]
        for number in range(shape.chunks):
            if shape.per_s is not None:
                due += 1 / shape.per_s
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
            pieces += [frame, STAMP.pack(time.perf_counter()), filler, b"\r\n"]
            if number == shape.chunks - 1:
                pieces.append(LAST_CHUNK)
            writer.writelines(pieces)
            pieces = []
            sent += shape.chunk_bytes
            await writer.drain()
        answer = await reader.readuntil(END_OF_HEAD)
        assert answer.startswith(b"HTTP/1.1 200"), answer
        length = re.search(rb"[Cc]ontent-[Ll]ength: (\d+)", answer)
        await reader.readexactly(int(length[1]) if length else 0)
        seq += 1
    writer.close()
    await writer.wait_closed()
    return sent


async def measure(port: int, pid: int, shape: Shape, count: int, seconds: float) -> Result:
    loop = asyncio.get_running_loop()
    name = f"bench-{time.monotonic_ns()}"
    path = f"/ai/trickle/{name}"
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: 0\r\n\r\n".encode())
    await asyncio.sleep(0.05)
    readers = []
    for _ in range(count):
        _, protocol = await loop.create_connection(
            lambda: Reader(path, shape.chunk_bytes), "127.0.0.1", port
        )
        readers.append(protocol)
    await asyncio.sleep(0.1)
    process = psutil.Process(pid)
    cpu, begun = process.cpu_times(), time.perf_counter()
    sent = await publish(port, path, shape, seconds)
    elapsed = time.perf_counter() - begun
    # What is on the way may still come; a server that lost it will not send it.
    received = -1
    while received < sum(r.received for r in readers) < sent * count:
        received = sum(r.received for r in readers)
        await asyncio.sleep(0.3)
    if shape.per_s is None:
        elapsed = max(r.last for r in readers) - begun
    spent = process.cpu_times()
    received = sum(r.received for r in readers)
    ages = sorted(age for r in readers for age in r.ages) or [0.0]
    rss = process.memory_info().rss
    for reader in readers:
        reader._transport.abort()  # type: ignore[attr-defined]
    writer.write(f"DELETE {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
    await asyncio.sleep(0.05)
    writer.close()
    return Result(
        server="",
        shape=shape.name,
        readers=count,
        mb_per_s=received / elapsed / 1e6,
        delivered=received / (sent * count),
        p50_ms=statistics.median(ages) * 1e3,
        p99_ms=ages[int(len(ages) * 0.99)] * 1e3,
        cpu_s_per_gb=((spent.user + spent.system) - (cpu.user + cpu.system))
        / max(received / 1e9, 1e-9),
        rss_mb=rss / 1e6,
    )


# ---------------------------------------------------------------------- the server to compare with


class Plain:
    """Trickle as one would write it first with aiohttp: a handler per request, a condition each."""

    def __init__(self) -> None:
        self.segments: dict[tuple[str, int], tuple[list[bytes], list[bool], asyncio.Condition]] = {}
        self.latest: dict[str, int] = {}

    def _segment(self, name: str, seq: int) -> tuple[list[bytes], list[bool], asyncio.Condition]:
        return self.segments.setdefault((name, seq), ([], [], asyncio.Condition()))

    async def ignore(self, request: web.Request) -> web.Response:
        return web.Response()

    async def post(self, request: web.Request) -> web.Response:
        name, seq = request.match_info["name"], int(request.match_info["seq"])
        chunks, ended, changed = self._segment(name, seq)
        async for data in request.content.iter_any():
            self.latest[name] = seq + 1
            chunks.append(data)
            async with changed:
                changed.notify_all()
        ended.append(True)
        async with changed:
            changed.notify_all()
        self.segments.pop((name, seq - 5), None)
        return web.Response()

    async def get(self, request: web.Request) -> web.StreamResponse:
        name, seq = request.match_info["name"], int(request.match_info["seq"])
        latest = self.latest.get(name, 0)
        if (name, seq) not in self.segments and seq != latest:
            return web.Response(status=470, headers={"Lp-Trickle-Latest": str(latest)})
        chunks, ended, changed = self._segment(name, seq)
        at, response = 0, web.StreamResponse(headers={"Lp-Trickle-Seq": str(seq)})
        response.enable_chunked_encoding()
        while True:
            async with changed:
                while len(chunks) <= at and not ended:
                    await changed.wait()
            if not response.prepared:
                await response.prepare(request)
            while at < len(chunks):
                await response.write(chunks[at])
                at += 1
            if ended:
                await response.write_eof()
                return response


async def serve_plain() -> None:
    plain = Plain()
    app = web.Application()
    app.add_routes(
        [
            web.post("/ai/trickle/{name}", plain.ignore),
            web.delete("/ai/trickle/{name}", plain.ignore),
            web.post("/ai/trickle/{name}/{seq}", plain.post),
            web.get("/ai/trickle/{name}/{seq}", plain.get),
        ]
    )
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}/", flush=True)
    await asyncio.Event().wait()


@contextlib.contextmanager
def started(command: list[str]) -> Iterator[tuple[int, int]]:
    """A server process, its port and its process number."""
    root = Path(__file__).parents[2]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root, text=True)
    try:
        assert process.stdout is not None
        said = re.search(r":(\d+)/", process.stdout.readline())
        assert said is not None, "the server did not start"
        yield int(said[1]), process.pid
    finally:
        process.terminate()
        process.wait(5)


def table(results: list[Result]) -> str:
    columns = "{:<20} {:>7} {:<8} {:>9} {:>7} {:>9} {:>9} {:>8} {:>7} {:>7}"
    lines = [
        columns.format(
            *("shape", "readers", "server", "MB/s", "share", "p50 ms", "p99 ms"),
            *("CPU s/GB", "RSS MB", "ratio"),
        )
    ]
    for ours, other in zip(results[::2], results[1::2], strict=True):
        for result in (ours, other):
            ratio = f"{ours.mb_per_s / other.mb_per_s:.2f}x" if result is ours else ""
            lines.append(
                columns.format(
                    *(result.shape, result.readers, result.server, f"{result.mb_per_s:.1f}"),
                    *(f"{result.delivered:.1%}", f"{result.p50_ms:.2f}", f"{result.p99_ms:.2f}"),
                    *(f"{result.cpu_s_per_gb:.2f}", f"{result.rss_mb:.0f}", ratio),
                )
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--readers", default="1,10,100")
    parser.add_argument("--shapes", default="", help="only those whose name contains this")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plain", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.plain:
        uvloop.run(serve_plain())
        return
    results: list[Result] = []
    servers = {
        "trickle": [sys.executable, "-m", "trickle", "--port", "0", "--autocreate"],
        "aiohttp": [sys.executable, __file__, "--plain"],
    }
    for shape in SHAPES:
        if given.shapes not in shape.name:
            continue
        for count in map(int, given.readers.split(",")):
            for name, command in servers.items():
                print(f"  {shape.name}, {count} readers, {name} ...   ", end="\r", file=sys.stderr)
                with started(command) as (port, pid):
                    result = uvloop.run(measure(port, pid, shape, count, given.seconds))
                result.server = name
                results.append(result)
    print(table(results))
    if given.json:
        given.json.write_text(json.dumps([asdict(r) for r in results], indent=2))


if __name__ == "__main__":
    main()
