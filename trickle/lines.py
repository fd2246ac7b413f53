"""JSON documents over a trickle channel: control, events, data.

One document is one segment, sent in one piece and small enough for clients that read a segment
once, with a buffer of 32 KiB, and parse what they got. The other way round nothing is assumed:
empty segments, several lines, arrays and broken lines are all met in the wild.
"""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, Protocol

from trickle.errors import DocumentTooLarge

# ai-runner and pytrickle read a control segment with one read of this size.
MAX_DOCUMENT_BYTES: Final = 32 << 10

# What we are ready to collect of one segment before we pass it over.
MAX_SEGMENT_BYTES: Final = 1 << 20

# Keeps a quiet channel, and whatever lies between, from being taken for dead. Says nothing.
KEEPALIVE: Final[Mapping[str, Any]] = {"keep": "alive"}


class Publisher(Protocol):
    """Whoever can send a segment in one piece."""

    async def publish(self, data: bytes) -> None: ...


class Segment(Protocol):
    """Bytes as they come."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...


class Subscriber(Protocol):
    """Whoever hands out segments."""

    def __aiter__(self) -> AsyncIterator[Segment]: ...


class JsonPublisher:
    """Sends documents."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def send(self, document: Mapping[str, Any]) -> None:
        """Publishes one document.

        Raises:
            DocumentTooLarge: Others could not read it in one go.
            TrickleError: As the publisher's `publish`.
        """
        data = json.dumps(document, separators=(",", ":"), default=str).encode()
        if len(data) > MAX_DOCUMENT_BYTES:
            raise DocumentTooLarge(
                f"a document of {len(data)} bytes; {MAX_DOCUMENT_BYTES} is the most others read"
            )
        await self._publisher.publish(data)


class JsonSubscriber:
    """Iterates over the documents of a channel, keepalives left out.

    Attributes:
        malformed: Lines and segments that were no JSON objects, or too long.
    """

    def __init__(self, subscriber: Subscriber) -> None:
        self.malformed = 0
        self._subscriber = subscriber

    def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        return self._documents()

    async def _documents(self) -> AsyncIterator[dict[str, Any]]:
        async for segment in self._subscriber:
            data = bytearray()
            async for piece in segment:
                data += piece
                if len(data) > MAX_SEGMENT_BYTES:
                    break
            if len(data) > MAX_SEGMENT_BYTES:
                self.malformed += 1
                continue
            documents, malformed = parse(bytes(data))
            self.malformed += malformed
            for document in documents:
                if document != KEEPALIVE:
                    yield document


def parse(data: bytes) -> tuple[list[dict[str, Any]], int]:
    """Returns the objects in a segment, and how many of its lines were something else.

    A segment is one document, or one per line; an array stands for its items.
    """
    if not data.strip():
        return [], 0
    try:
        return _objects(json.loads(data))
    except ValueError:
        pass
    found: list[dict[str, Any]] = []
    malformed = 0
    for line in data.splitlines():
        if not line.strip():
            continue
        try:
            objects, bad = _objects(json.loads(line))
        except ValueError:
            objects, bad = [], 1
        found += objects
        malformed += bad
    return found, malformed


def _objects(value: Any) -> tuple[list[dict[str, Any]], int]:
    items = value if isinstance(value, list) else [value]
    objects = [item for item in items if isinstance(item, dict)]
    return objects, len(items) - len(objects)
