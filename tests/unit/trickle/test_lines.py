"""Documents go out as everybody can read them, and come in as anybody may have sent them."""

from collections.abc import AsyncIterator

import pytest

from trickle.errors import DocumentTooLarge
from trickle.lines import MAX_SEGMENT_BYTES, JsonPublisher, JsonSubscriber, parse


class Sent:
    """A publisher that keeps what it is given."""

    def __init__(self) -> None:
        self.segments: list[bytes] = []

    async def publish(self, data: bytes) -> None:
        self.segments.append(data)


class Channel:
    """A subscriber of segments that are all there."""

    def __init__(self, *segments: list[bytes]) -> None:
        self._segments = segments

    async def __aiter__(self) -> AsyncIterator["Segment"]:
        for pieces in self._segments:
            yield Segment(pieces)


class Segment:
    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


async def test_document_is_one_segment_in_one_piece() -> None:
    sent = Sent()
    await JsonPublisher(sent).send({"a": 1, "b": [None, "ü"]})
    assert sent.segments == [b'{"a":1,"b":[null,"\\u00fc"]}']


async def test_document_that_others_could_not_read_is_refused() -> None:
    with pytest.raises(DocumentTooLarge):
        await JsonPublisher(Sent()).send({"image": "x" * 40_000})


async def test_only_documents_come_out() -> None:
    channel = Channel(
        [b'{"a":', b"1}"],
        [],
        [b'{"keep":"alive"}'],
        [b'{"b":2}\n{"keep":"alive"}\n\n{"c":3}'],
        [b'[{"d":4}, 5]'],
        [b'no json\n{"e":5}\n'],
        [b"x" * (MAX_SEGMENT_BYTES + 1)],
        [b'{\n  "pretty": true\n}\n'],
    )
    subscriber = JsonSubscriber(channel)
    got = [document async for document in subscriber]
    assert got == [{"a": 1}, {"b": 2}, {"c": 3}, {"d": 4}, {"e": 5}, {"pretty": True}]
    assert subscriber.malformed == 3


@pytest.mark.parametrize("data", [b"", b"\n", b"  \r\n"])
def test_empty_segment_is_no_document_and_no_mistake(data: bytes) -> None:
    assert parse(data) == ([], 0)
