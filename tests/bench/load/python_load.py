"""The load of load.c for machines without a compiler: the same arguments, the same line of JSON.

A process publishes and one per core reads. Slower than C by far: where the last column of the table
nears one core per process, it is this that was measured.
"""

import asyncio
import json
import multiprocessing
import os
import re
import struct
import sys
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import cast

from trickle.http1 import END_OF_HEAD, LAST_CHUNK, ChunkedBody, parse_answer

STAMP = struct.Struct("<QQ")
MAGIC = 0x656C6B6369727400
QUIET_S = 0.4


@dataclass(frozen=True)
class Order:
    """What is to be done; see load.c."""

    port: int
    path: str
    chunk_bytes: int
    chunks: int
    per_s: float
    readers: int
    seconds: float


@dataclass
class Heard:
    """What the readers of one process got."""

    received: int = 0
    refused: int = 0
    bad_stamps: int = 0
    last_ns: int = 0
    ages_ms: list[float] = field(default_factory=list)


class Reader:
    """Two connections that ask in turn, so that one always stands ready."""

    def __init__(self, order: Order, heard: Heard) -> None:
        self.order, self.heard = order, heard
        self.next = 0
        self.over = False
        self.connections: list[Asking] = []

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(2):
            _, asking = await loop.create_connection(
                lambda: Asking(self), "127.0.0.1", self.order.port
            )
            self.connections.append(asking)
        self.ask_ahead()

    def ask_ahead(self) -> None:
        one, two = self.connections
        for asking, other in ((one, two), (two, one)):
            if not asking.asked and not self.over and (not other.asked or other.headed):
                asking.ask(self.next)
                self.next += 1


class Asking(asyncio.Protocol):
    """GETs segments over one connection, and notes how old each chunk is when it is complete."""

    def __init__(self, reader: Reader) -> None:
        self.asked = self.headed = False
        self._reader = reader
        self._held = b""
        self._body: ChunkedBody | None = None
        self._skip = self._at = 0
        self._stamp = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._reader.over = True

    def ask(self, seq: int) -> None:
        self.asked, self.headed, self._at = True, False, 0
        line = f"GET {self._reader.order.path}/{seq} HTTP/1.1\r\nHost: bench\r\n\r\n"
        self._transport.write(line.encode())

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        while data:
            if self._body is not None:
                self._count(self._body.feed(data))
                data = self._body.rest
                if self._body.done:
                    self._body, self.asked = None, False
                    reader.ask_ahead()
            elif self._skip:
                data, self._skip = data[self._skip :], max(0, self._skip - len(data))
                if not self._skip:
                    self.asked = False
                    reader.ask_ahead()
            else:
                self._held += data
                end = self._held.find(END_OF_HEAD)
                if end < 0:
                    return
                head = parse_answer(self._held[: end + 4])
                data, self._held = self._held[end + 4 :], b""
                self._answered(head.status, head.headers)

    def _answered(self, status: int, headers: dict[bytes, bytes]) -> None:
        reader = self._reader
        if status == 404 or b"lp-trickle-closed" in headers:
            reader.over = True
        if status == 200 and b"transfer-encoding" in headers:
            self._body, self.headed = ChunkedBody(), True
        else:
            if status != 200:
                reader.heard.refused += 1
                reader.next = int(headers.get(b"lp-trickle-latest", b"%d" % reader.next))
            self._skip = int(headers.get(b"content-length", b"0"))
            self.asked = self._skip > 0
        reader.ask_ahead()

    def _count(self, piece: bytes) -> None:
        heard, size = self._reader.heard, self._reader.order.chunk_bytes
        heard.received += len(piece)
        heard.last_ns = now = time.monotonic_ns()
        while piece:
            inside = self._at % size
            part, piece = piece[: size - inside], piece[size - inside :]
            self._at += len(part)
            if inside < STAMP.size:
                self._stamp = (self._stamp if inside else b"") + part[: STAMP.size - inside]
            if self._at % size == 0:
                at, magic = STAMP.unpack(self._stamp)
                if magic == MAGIC:
                    heard.ages_ms.append((now - at) / 1e6)
                else:
                    heard.bad_stamps += 1


async def read(order: Order, line: Connection) -> Heard:
    """Reads until the parent has said how much there is, and nothing more comes."""
    heard = Heard()
    readers = [Reader(order, heard) for _ in range(order.readers)]
    for reader in readers:
        await reader.connect()
    line.send("ready")
    told = asyncio.Event()
    asyncio.get_running_loop().add_reader(line.fileno(), told.set)
    await told.wait()
    asyncio.get_running_loop().remove_reader(line.fileno())
    wanted = line.recv() * order.readers
    told_ns = time.monotonic_ns()
    while heard.received < wanted:
        await asyncio.sleep(0.05)
        if time.monotonic_ns() - max(heard.last_ns, told_ns) > QUIET_S * 1e9:
            break
    for reader in readers:
        for asking in reader.connections:
            asking._transport.abort()
    return heard


def reading(order: Order, line: Connection) -> None:
    heard = asyncio.run(read(order, line))
    line.send((heard, time.process_time()))


async def publish(order: Order) -> tuple[int, int]:
    """Publishes for so long. Returns the bytes sent and the segments that were refused."""
    filler = b"x" * (order.chunk_bytes - STAMP.size)
    frame = b"%x\r\n" % order.chunk_bytes
    ends = [await asyncio.open_connection("127.0.0.1", order.port) for _ in range(2)]
    begun = due = time.perf_counter()
    seq = sent = errors = 0

    def ask(writer: asyncio.StreamWriter, seq: int) -> None:
        line = f"POST {order.path}/{seq} HTTP/1.1\r\nHost: bench\r\nTransfer-Encoding: chunked"
        writer.write(f"{line}\r\n\r\n".encode())

    async def hear(reader: asyncio.StreamReader) -> bool:
        answer = b"HTTP/1.1 100"
        while answer.startswith(b"HTTP/1.1 100"):
            answer = await reader.readuntil(END_OF_HEAD)
        length = re.search(rb"[Cc]ontent-[Ll]ength: (\d+)", answer)
        await reader.readexactly(int(length[1]) if length else 0)
        return answer.startswith(b"HTTP/1.1 200")

    ask(ends[0][1], 0)
    while time.perf_counter() - begun < order.seconds:
        writer, (other_reader, other_writer) = ends[seq % 2][1], ends[1 - seq % 2]
        errors += seq > 0 and not await hear(other_reader)
        ask(other_writer, seq + 1)
        for number in range(order.chunks):
            if order.per_s:
                due += 1 / order.per_s
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tail = b"\r\n" + (LAST_CHUNK if number == order.chunks - 1 else b"")
            writer.writelines([frame, STAMP.pack(time.monotonic_ns(), MAGIC), filler, tail])
            sent += order.chunk_bytes
            await writer.drain()
        seq += 1
    errors += not await hear(ends[1 - seq % 2][0])
    for _, writer in ends:
        writer.transport.abort()
    return sent, errors


def main() -> None:
    port, path, chunk_bytes, chunks, per_s, readers, seconds = sys.argv[1:]
    count = min(int(readers), max(1, (os.cpu_count() or 2) - 1))
    shares = [int(readers) // count + (i < int(readers) % count) for i in range(count)]
    orders = [
        Order(int(port), path, int(chunk_bytes), int(chunks), float(per_s), share, float(seconds))
        for share in shares
    ]
    context = multiprocessing.get_context("spawn")
    lines, processes = [], []
    for order in orders:
        mine, theirs = context.Pipe()
        process = context.Process(target=reading, args=(order, theirs))
        process.start()
        lines.append(mine)
        processes.append(process)
    for line in lines:
        line.recv()
    cpu, begun_ns = time.process_time(), time.monotonic_ns()
    sent, errors = asyncio.run(publish(orders[0]))
    ended_ns = time.monotonic_ns()
    for line in lines:
        line.send(sent)
    told = [line.recv() for line in lines]
    for process in processes:
        process.join()
    ages = sorted(age for heard, _ in told for age in heard.ages_ms) or [0.0]
    said = {
        "sent": sent,
        "received": sum(heard.received for heard, _ in told),
        "elapsed_s": (max([ended_ns, *(heard.last_ns for heard, _ in told)]) - begun_ns) / 1e9,
        "p50_ms": ages[len(ages) // 2],
        "p99_ms": ages[len(ages) * 99 // 100],
        "load_cpu_s": time.process_time() - cpu + sum(spent for _, spent in told),
        "bad_stamps": sum(heard.bad_stamps for heard, _ in told),
        "refused": sum(heard.refused for heard, _ in told),
        "publish_errors": errors,
    }
    print(json.dumps(said))


if __name__ == "__main__":
    main()
