import asyncio
import contextlib
import itertools
import struct
import threading

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runners.errors import LinkError
from runners.link import MAX_MESSAGE_BYTES, AsyncLink, BlockingLink, LinkReader, encode, pair
from runners.messages import Given, Message, Open, Ping, Pong, Ready, Take

MESSAGES: list[Message] = [
    Ping(7),
    Ready({"port": 8000, "pipelines": [{"name": "toon"}]}),
    Open("toon", {"levels": 5, "colour": "rot"}, 3),
    Take(9, 1, 2),
    Given(9, shown=True, epoch=3, effect_s=0.004, error=None),
]
WIRE = b"".join(encode(message) for message in MESSAGES)


@given(cuts=st.lists(st.integers(0, len(WIRE)), max_size=12))
def test_any_cut_gives_the_same_messages(cuts: list[int]) -> None:
    reader = LinkReader()
    edges = [0, *sorted(cuts), len(WIRE)]
    got = [m for a, b in itertools.pairwise(edges) for m in reader.feed(WIRE[a:b])]
    assert got == MESSAGES


def test_a_message_over_the_limit_is_refused_before_it_has_come() -> None:
    with pytest.raises(LinkError, match="over the limit"):
        LinkReader().feed(struct.pack(">I", MAX_MESSAGE_BYTES + 1))


def test_a_message_over_the_limit_is_not_sent() -> None:
    with pytest.raises(LinkError, match="over the limit"):
        encode(Ready({"x": b"0" * MAX_MESSAGE_BYTES}))


@pytest.mark.parametrize(
    "body",
    [b"\xc1", msgpack.packb([1]), msgpack.packb({"t": "nonsense"}), msgpack.packb({"t": "ping"})],
)
def test_what_is_no_message_breaks_the_link(body: bytes) -> None:
    with pytest.raises(LinkError):
        LinkReader().feed(struct.pack(">I", len(body)) + body)


@given(noise=st.binary(max_size=200))
def test_noise_never_raises_anything_else(noise: bytes) -> None:
    with contextlib.suppress(LinkError):
        LinkReader().feed(noise)


async def test_a_thread_and_an_event_loop_talk_until_one_of_them_leaves() -> None:
    ours, theirs = pair()
    other = BlockingLink(theirs)

    def echo() -> None:
        while (message := other.receive()) is not None:
            assert isinstance(message, Ping)
            other.send(Pong(message.number))
            if message.number == 3:
                break
        other.close()

    thread = threading.Thread(target=echo)
    thread.start()
    async with await AsyncLink.over(ours) as link:
        for number in (1, 2, 3):
            link.send(Ping(number))
        answers = [message async for message in link]
    await asyncio.to_thread(thread.join)
    assert answers == [Pong(1), Pong(2), Pong(3)]


def test_sending_to_one_who_left_says_so() -> None:
    ours, theirs = pair()
    BlockingLink(theirs).close()
    link = BlockingLink(ours)
    assert link.receive() is None
    assert link.send(Ping(1)) is False
    link.close()


def test_ending_a_link_wakes_the_thread_that_waits_on_it() -> None:
    ours, theirs = pair()
    link = BlockingLink(ours)
    got: list[object] = []
    thread = threading.Thread(target=lambda: got.append(link.receive()))
    thread.start()
    link.end()
    thread.join(2)
    assert got == [None]
    link.close()
    theirs.close()
