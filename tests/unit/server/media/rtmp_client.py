"""The client's side of RTMP, as far as tests need it: what ffmpeg or OBS would send, in bytes."""

import struct

from server.media import amf
from server.media.rtmp_chunks import ChunkReader, ChunkWriter, Message

HELLO = b"\x03" + bytes(1536)
SERVER_HELLO_BYTES = 1 + 2 * 1536


class RtmpClient:
    """Writes what a client says, and reads what the server answers."""

    def __init__(self) -> None:
        self.answers: list[Message] = []
        self._writer = ChunkWriter()
        self._reader = ChunkReader()
        self._hello_left = SERVER_HELLO_BYTES

    def greet(self) -> bytes:
        return HELLO + bytes(1536)

    def command(self, name: str, *values: object, number: float = 1, stream: int = 0) -> bytes:
        return self.message(20, amf.encode(name, number, *values), stream=stream)

    def connect(self, app: str = "live", **more: object) -> bytes:
        return self.command("connect", {"app": app, **more})

    def publish(self, name: str = "kitchen") -> bytes:
        return self.command("createStream", None, number=4) + self.command(
            "publish", None, name, "live", number=5, stream=1
        )

    def media(self, kind: int, time_ms: int, body: bytes) -> bytes:
        return self.message(kind, body, time_ms=time_ms, stream=1)

    def message(self, kind: int, body: bytes, *, time_ms: int = 0, stream: int = 0) -> bytes:
        return self._writer.write(3, Message(kind, stream, time_ms, body))

    def set_chunk_bytes(self, size: int) -> bytes:
        written = self._writer.write(2, Message(1, 0, 0, struct.pack(">I", size)))
        self._writer.chunk_bytes = size
        return written

    def receive(self, data: bytes) -> None:
        """Takes what the server sent."""
        skipped = min(self._hello_left, len(data))
        self._hello_left -= skipped
        self.answers += self._reader.feed(data[skipped:])

    @property
    def greeted(self) -> bool:
        return not self._hello_left

    @property
    def commands(self) -> list[list[object]]:
        return [amf.decode(each.body) for each in self.answers if each.kind == 20]

    @property
    def statuses(self) -> list[str]:
        """The codes of all results and statuses, in order."""
        codes = []
        for values in self.commands:
            last = values[-1]
            if isinstance(last, dict) and "code" in last:
                codes.append(str(last["code"]))
        return codes

    @property
    def descriptions(self) -> list[str]:
        return [
            str(values[-1].get("description", ""))
            for values in self.commands
            if isinstance(values[-1], dict)
        ]
