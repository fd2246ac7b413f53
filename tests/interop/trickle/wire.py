"""The client's end of a connection, as bytes: what a test sends is what is on the wire."""

import asyncio
import contextlib
from dataclasses import dataclass, field

from trickle.serve import TrickleServer

# Long enough for a loaded machine; only a failing test waits for it.
PATIENCE_S = 5.0

# Something that must not happen is given this long to happen.
SILENCE_S = 0.05


@dataclass
class Reply:
    """A whole answer."""

    status_line: str
    headers: dict[str, str]
    body: bytes

    @property
    def status(self) -> int:
        return int(self.status_line.split(" ")[1])

    def __getitem__(self, name: str) -> str | None:
        return self.headers.get(name.lower())


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes | str) -> None:
        self.writer.write(data.encode() if isinstance(data, str) else data)

    def request(self, line: str, *headers: str, body: bytes = b"") -> None:
        """Sends a request: `request("GET ch/0")`."""
        method, path = line.split(" ")
        path = path if path.startswith("/") else f"/ai/trickle/{path}"
        lines = [f"{method} {path} HTTP/1.1", "Host: test", *headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join([*lines, "", ""]).encode() + body)

    def post(self, path: str, *headers: str) -> None:
        """Sends the head of a chunked POST."""
        self.request(f"POST {path}", "Transfer-Encoding: chunked", *headers)

    def chunk(self, data: bytes) -> None:
        self.send(b"%x\r\n%b\r\n" % (len(data), data))

    def end(self) -> None:
        self.send(b"0\r\n\r\n")

    async def head(self) -> Reply:
        """The next answer's head; its body stays on the wire."""
        async with asyncio.timeout(PATIENCE_S):
            raw = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status_line, *lines = raw[:-4].split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return Reply(status_line, headers, b"")

    async def reply(self, *, to_head: bool = False) -> Reply:
        """The next answer, whole."""
        while (reply := await self.head()).status == 100:
            pass
        if to_head:
            return reply
        if reply["transfer-encoding"] == "chunked":
            pieces = []
            while piece := await self.read_chunk():
                pieces.append(piece)
            reply.body = b"".join(pieces)
        elif reply["content-length"] is not None:
            reply.body = await self.exactly(int(reply["content-length"]))
        return reply

    async def ask(self, line: str, *headers: str, body: bytes = b"") -> Reply:
        self.request(line, *headers, body=body)
        return await self.reply(to_head=line.startswith("HEAD"))

    async def read_chunk(self) -> bytes:
        """One chunk of a body; empty at its end."""
        async with asyncio.timeout(PATIENCE_S):
            size = int((await self.reader.readuntil(b"\r\n"))[:-2], 16)
            data = await self.reader.readexactly(size)
            assert await self.reader.readexactly(2) == b"\r\n"
        return data

    async def exactly(self, size: int) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.readexactly(size)

    async def is_silent(self) -> bool:
        """Whether nothing comes for a while."""
        try:
            async with asyncio.timeout(SILENCE_S):
                return not await self.reader.read(1)
        except TimeoutError:
            return True

    async def is_closed(self) -> bool:
        """Whether the server has hung up, and said nothing more."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self.reader.read(1) == b""
        except ConnectionError:
            return True

    async def hang_up(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    def break_off(self) -> None:
        """As when the process at this end is killed."""
        self.writer.transport.abort()


@dataclass
class Serving:
    """A server and its port."""

    server: TrickleServer
    port: int
    wires: list[Wire] = field(default_factory=list)

    def url(self, channel: str = "ch") -> str:
        return f"http://127.0.0.1:{self.port}/ai/trickle/{channel}"

    async def connect(self) -> Wire:
        wire = Wire(*await asyncio.open_connection("127.0.0.1", self.port, limit=64 << 20))
        self.wires.append(wire)
        return wire

    async def ask(self, line: str, *headers: str, body: bytes = b"") -> Reply:
        """One request over a connection of its own."""
        wire = await self.connect()
        return await wire.ask(line, *headers, body=body)

    async def publish(self, seq: int, data: bytes, channel: str = "ch") -> Reply:
        return await self.ask(f"POST {channel}/{seq}", body=data)

    async def get(self, seq: int | str, channel: str = "ch") -> Wire:
        """A GET that has been sent, and that the server has seen."""
        wire = await self.connect()
        wire.request(f"GET {channel}/{seq}")
        await self.settled()
        return wire

    async def post(self, seq: int | str, *headers: str, channel: str = "ch") -> Wire:
        """A POST whose head has been sent, and seen."""
        wire = await self.connect()
        wire.post(f"{channel}/{seq}", *headers)
        await self.settled()
        return wire

    async def settled(self) -> None:
        """Returns when the server has taken up everything sent so far.

        It takes connections in turn, and answers this one at once; a few rounds are plenty.
        """
        for _ in range(2):
            wire = Wire(*await asyncio.open_connection("127.0.0.1", self.port))
            assert (await wire.ask("GET absent/next")).status == 404
            await wire.hang_up()

    async def hang_up(self) -> None:
        for wire in self.wires:
            await wire.hang_up()
