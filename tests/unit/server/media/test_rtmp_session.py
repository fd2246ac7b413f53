"""A connection goes from handshake to publishing as clients expect it, and no other way."""

import struct
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.media import amf
from server.media.errors import RtmpProtocolError
from server.media.rtmp_chunks import Message
from server.media.rtmp_events import Event, Metadata, PublishEnded, PublishRequested
from server.media.rtmp_session import (
    HANDSHAKE_S,
    IDLE_S,
    NONCE_BYTES,
    PUBLISH_S,
    Phase,
    RtmpSession,
)
from tests.unit.server.media.rtmp_client import RtmpClient


class Pair:
    """A session and a client, and what went on between them."""

    def __init__(self) -> None:
        self.session = RtmpSession(nonce=bytes(NONCE_BYTES), now=0.0)
        self.client = RtmpClient()
        self.now = 0.0

    def send(self, data: bytes) -> list[Event]:
        events = self.session.feed(data, self.now)
        self.client.receive(self.session.take_output())
        return events

    def start(self) -> None:
        self.send(self.client.greet() + self.client.connect())
        self.send(self.client.publish())
        self.session.accept(self.now)
        self.client.receive(self.session.take_output())


@pytest.fixture
def pair() -> Pair:
    return Pair()


@pytest.fixture
def publishing(pair: Pair) -> Pair:
    pair.start()
    return pair


def test_a_publisher_is_let_in_step_by_step(pair: Pair) -> None:
    pair.send(pair.client.greet())
    pair.send(pair.client.connect())
    events = pair.send(pair.client.publish("kitchen"))
    assert events == [PublishRequested("live", "kitchen", ("", "", ""))]
    assert pair.client.statuses == ["NetConnection.Connect.Success"]
    pair.session.accept(0.0)
    pair.client.receive(pair.session.take_output())
    assert pair.client.statuses[-1] == "NetStream.Publish.Start"
    assert pair.session.phase is Phase.PUBLISHING


def test_the_handshake_echoes_the_clients_bytes(pair: Pair) -> None:
    nonce = bytes(range(256)) * 6
    pair.session.feed(b"\x03" + nonce, 0.0)
    answer = pair.session.take_output()
    assert (answer[0], answer[1537:]) == (3, nonce)


def test_commands_that_clients_send_on_the_way_are_answered(pair: Pair) -> None:
    pair.send(pair.client.greet() + pair.client.connect())
    for number, name in enumerate(("releaseStream", "FCPublish", "_checkbw"), start=10):
        pair.send(pair.client.command(name, None, "kitchen", number=number))
    answered = [(values[0], values[1]) for values in pair.client.commands[1:]]
    assert answered == [("_result", 10), ("_result", 11), ("_result", 12)]


def test_a_command_nobody_knows_is_an_error_for_who_waits_and_nothing_else(pair: Pair) -> None:
    pair.send(pair.client.greet() + pair.client.connect())
    pair.send(pair.client.command("sing", None, number=9))
    pair.send(pair.client.command("hum", None, number=0))
    assert [values[:2] for values in pair.client.commands[1:]] == [["_error", 9]]


def test_queries_of_the_name_the_app_and_the_url_arrive_together(pair: Pair) -> None:
    connect = pair.client.connect("live?a=1", tcUrl="rtmp://h/live?b=2")
    events = pair.send(pair.client.greet() + connect + pair.client.publish("k?c=3"))
    assert events == [PublishRequested("live", "k", ("c=3", "a=1", "b=2"))]


def test_another_app_is_refused_with_the_right_address(pair: Pair) -> None:
    pair.send(pair.client.greet() + pair.client.connect("other"))
    assert pair.client.statuses == ["NetConnection.Connect.Rejected"]
    assert "rtmp://host/live/" in pair.client.descriptions[0]
    assert pair.session.closing


def test_who_offers_codecs_is_told_those_we_take(pair: Pair) -> None:
    pair.send(pair.client.greet() + pair.client.connect(fourCcList=["av01", "hvc1"]))
    server = pair.client.commands[0][2]
    assert isinstance(server, dict)
    assert server["fourCcList"] == ["avc1", "hvc1", "mp4a", "Opus"]


def test_media_and_metadata_are_told_while_publishing(publishing: Pair) -> None:
    data = amf.encode("@setDataFrame", "onMetaData", {"encoder": "obs"})
    events = publishing.send(
        publishing.client.message(18, data, stream=1)
        + publishing.client.media(9, 40, b"video")
        + publishing.client.media(8, 41, b"audio")
    )
    assert events == [
        Metadata({"encoder": "obs"}),
        Message(9, 1, 40, b"video"),
        Message(8, 1, 41, b"audio"),
    ]


def test_media_before_publish_is_ignored(pair: Pair) -> None:
    pair.send(pair.client.greet() + pair.client.connect())
    assert pair.send(pair.client.media(9, 0, b"early")) == []


def test_unpublishing_is_told_once_and_publishing_again_is_asked_again(publishing: Pair) -> None:
    client = publishing.client
    events = publishing.send(
        client.command("FCUnpublish", None, "kitchen") + client.command("deleteStream", None, 1)
    )
    assert events == [PublishEnded()]
    assert publishing.send(client.publish("hall"))[0] == PublishRequested("live", "hall", ("",) * 3)


def test_a_publisher_that_leaves_while_being_asked_about_is_not_let_in(pair: Pair) -> None:
    pair.send(pair.client.greet() + pair.client.connect() + pair.client.publish())
    assert pair.send(pair.client.command("deleteStream", None, 1)) == [PublishEnded()]
    pair.session.accept(0.0)
    assert pair.session.phase is Phase.COMMANDS


def test_a_refused_publisher_is_told_why(pair: Pair) -> None:
    pair.send(pair.client.greet() + pair.client.connect() + pair.client.publish())
    pair.session.refuse("NetStream.Publish.BadName", "taken")
    pair.client.receive(pair.session.take_output())
    assert pair.client.statuses[-1] == "NetStream.Publish.BadName"
    assert pair.client.descriptions[-1] == "taken"
    assert pair.send(pair.client.media(9, 0, b"more")) == []


def test_playing_is_refused(pair: Pair) -> None:
    pair.send(pair.client.greet() + pair.client.connect())
    pair.send(pair.client.command("play", None, "kitchen", stream=1))
    assert pair.client.statuses[-1] == "NetStream.Play.Failed"
    assert pair.session.closing


def test_a_ping_is_answered_with_its_own_bytes(publishing: Pair) -> None:
    publishing.send(publishing.client.message(4, b"\0\x06abcd"))
    assert publishing.client.answers[-1].body == b"\0\x07abcd"


def test_what_is_received_is_acknowledged_within_the_window(publishing: Pair) -> None:
    client = publishing.client
    sent = client.set_chunk_bytes(65536) + client.message(5, struct.pack(">I", 20_000))
    publishing.send(sent)
    before = len(client.answers)
    for number in range(10):
        publishing.send(client.media(9, number, bytes(5_000)))
    acknowledged = [each for each in client.answers[before:] if each.kind == 3]
    assert 4 <= len(acknowledged) <= 6


def test_an_amf3_command_is_read_behind_its_zero_byte(pair: Pair) -> None:
    pair.send(pair.client.greet())
    pair.send(pair.client.message(17, b"\0" + amf.encode("connect", 1, {"app": "live"})))
    assert pair.client.statuses == ["NetConnection.Connect.Success"]


@pytest.mark.parametrize(
    ("phase", "late", "reason"),
    [
        (0, HANDSHAKE_S, "no handshake within 10 s"),
        (1, PUBLISH_S, "nothing published within 15 s"),
        (2, IDLE_S, "no data for 10 s"),
    ],
)
def test_who_is_late_is_told_how_late(pair: Pair, phase: int, late: float, reason: str) -> None:
    if phase == 1:
        pair.send(pair.client.greet())
    elif phase == 2:
        pair.start()
    assert pair.session.next_timer() == late
    assert pair.session.tick(late - 0.1) is None
    assert pair.session.tick(late) == reason


def test_every_byte_puts_off_the_idle_timer(publishing: Pair) -> None:
    publishing.now = 7.0
    publishing.send(b"\x03")
    assert publishing.session.next_timer() == 17.0


def test_nobody_is_late_while_waiting_for_our_answer(pair: Pair) -> None:
    pair.send(pair.client.greet() + pair.client.connect() + pair.client.publish())
    assert pair.session.next_timer() is None
    assert pair.session.tick(1000.0) is None


@pytest.mark.parametrize(
    ("build", "problem"),
    [
        (lambda c: c.command("createStream", None), "before connect"),
        (lambda c: c.connect() + c.connect(), "twice"),
        (lambda c: c.connect() + c.publish() + c.publish(), "twice"),
        (lambda c: c.connect() + c.publish("x" * 10_000), "too long"),
        (lambda c: c.message(20, amf.encode(7)), "without a name"),
        (lambda c: c.message(18, bytes(70_000)), "a command of"),
    ],
)
def test_what_breaks_the_protocol_is_refused(pair: Pair, build: object, problem: str) -> None:
    pair.send(pair.client.greet())
    assert callable(build)
    with pytest.raises(RtmpProtocolError, match=problem):
        pair.send(build(pair.client))


def test_what_is_not_rtmp_is_refused_at_its_first_byte(pair: Pair) -> None:
    with pytest.raises(RtmpProtocolError, match="version 3"):
        pair.send(b"GET / HTTP/1.1\r\n")


def conversation() -> bytes:
    client = RtmpClient()
    return (
        client.greet()
        + client.connect()
        + client.command("releaseStream", None, "kitchen", number=2)
        + client.publish()
        + client.media(9, 10, bytes(700))
        + client.media(8, 11, b"audio")
        + client.command("deleteStream", None, 1)
    )


CONVERSATION = conversation()


def outcome(pieces: list[bytes]) -> tuple[list[Event], bytes]:
    session = RtmpSession(nonce=bytes(NONCE_BYTES), now=0.0)
    events = [event for piece in pieces if piece for event in session.feed(piece, 0.0)]
    return events, session.take_output()


@given(cuts=st.lists(st.integers(0, len(CONVERSATION)), max_size=8))
def test_any_cut_gives_the_same_conversation(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(CONVERSATION)]
    pieces = [CONVERSATION[a:b] for a, b in pairwise(edges)]
    assert outcome(pieces) == outcome([CONVERSATION])


@given(at=st.integers(0, len(CONVERSATION)), noise=st.binary(min_size=1, max_size=200))
def test_noise_is_refused_and_never_crashes(at: int, noise: bytes) -> None:
    with suppress(RtmpProtocolError):
        outcome([CONVERSATION[:at], noise, CONVERSATION[at:]])
