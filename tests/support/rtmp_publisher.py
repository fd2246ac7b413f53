"""A publisher over RTMP that costs next to nothing: what ffmpeg made once, sent again and again."""

import asyncio
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit

from tests.support.processes import ffmpeg_publish
from tests.unit.server.media.rtmp_client import RtmpClient

STARTED = "NetStream.Publish.Start"
ANSWER_S = 15.0

_FLV_HEADER_BYTES = 9
_TAG_HEADER_BYTES = 11
_BACK_POINTER_BYTES = 4


@dataclass(frozen=True, slots=True)
class Tag:
    """One FLV tag; its body is the body of an RTMP message of the same kind."""

    kind: int
    time_ms: int
    body: bytes


@cache
def clip() -> tuple[Tag, ...]:
    """Half a second of picture and sound."""
    command = list(ffmpeg_publish("pipe:1", size="160x96", rate=10, extra=("-t", "0.5")))
    command.remove("-re")
    flv = subprocess.run(command, capture_output=True, check=True).stdout
    tags, at = [], _FLV_HEADER_BYTES + _BACK_POINTER_BYTES
    while at < len(flv):
        size = int.from_bytes(flv[at + 1 : at + 4], "big")
        time_ms = int.from_bytes(flv[at + 4 : at + 7], "big") | flv[at + 7] << 24
        begin = at + _TAG_HEADER_BYTES
        tags.append(Tag(flv[at], time_ms, flv[begin : begin + size]))
        at = begin + size + _BACK_POINTER_BYTES
    return tuple(tags)


@asynccontextmanager
async def rtmp_publishing(
    rtmp_url: str, key: str, *, politely: bool = True
) -> AsyncGenerator[None, None]:
    """Publishes the clip under `key` and stays connected, silently, until the body ends.

    Args:
        rtmp_url: As the node says it, with the application.
        key: The stream key, with its query.
        politely: Whether the connection is closed in the end or breaks.
    """
    where = urlsplit(rtmp_url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    client = RtmpClient()
    try:
        writer.write(client.greet() + client.connect() + client.publish(key))
        async with asyncio.timeout(ANSWER_S):
            while STARTED not in client.statuses:
                data = await reader.read(1 << 16)
                assert data, f"refused: {client.statuses} {client.descriptions}"
                client.receive(data)
        writer.write(b"".join(client.media(tag.kind, tag.time_ms, tag.body) for tag in clip()))
        await writer.drain()
        yield
    finally:
        if politely:
            writer.close()
            await writer.wait_closed()
        else:
            writer.transport.abort()
