"""What the RTMP edge does with a connection, from who comes to who is cut off, in virtual time."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from server.edge.ingest import PublishRequest
from server.edge.rtmp import RtmpServer
from server.edge.rtmp_connection import ANSWER_S, LINGER_S, RtmpConnection
from server.errors import NotAllowed
from server.media.rtmp_session import HANDSHAKE_S, IDLE_S
from tests.support.virtual_time import run_in_virtual_time
from tests.unit.server.media.flv_samples import (
    AAC_LC_48K_STEREO,
    aac,
    avcc,
    extended_video,
    prefixed,
    video,
)
from tests.unit.server.media.rtmp_client import RtmpClient
from trickle.media.packets import Packet


class Wire(asyncio.Transport):
    """A transport that keeps what is written, and loses the connection when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.reading = True
        self.half_closed = False
        self.gone = False
        self.stuck = False
        self.connection: RtmpConnection | None = None

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ("192.0.2.1", 5000) if name == "peername" else default

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return 10**6 if self.stuck else 0

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.half_closed = True

    def is_closing(self) -> bool:
        return self.gone

    def abort(self) -> None:
        self.gone = True
        asyncio.get_running_loop().call_soon(self.lose)

    def lose(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.connection_lost(None)


class Taken:
    def __init__(self, request: PublishRequest) -> None:
        self.request = request
        self.packets: list[Packet] = []
        self.ends: list[str] = []
        self.on_closed: Callable[[str], None] | None = None
        self.on_keyframe_wanted: Callable[[], None] | None = None

    def packet(self, packet: Packet) -> None:
        self.packets.append(packet)

    def end(self, reason: str, *, goodbye: bool = False) -> None:
        self.ends.append(reason)


class Door:
    """An ingest that answers after a while, with what it is told to."""

    def __init__(self) -> None:
        self.taken: list[Taken] = []
        self.after_s = 0.0
        self.error: Exception | None = None

    async def publish(self, request: PublishRequest) -> Taken:
        await asyncio.sleep(self.after_s)
        if self.error is not None:
            raise self.error
        self.taken.append(Taken(request))
        return self.taken[-1]


class Stage:
    """A server without a port, and one client."""

    def __init__(self, *, connections_max: int = 8) -> None:
        self.door = Door()
        self.server = RtmpServer(self.door, connections_max=connections_max)
        self.client = RtmpClient()
        self.wire = self.join()
        self.seen = 0

    def join(self) -> Wire:
        wire = Wire()
        connection = self.server.protocol_factory()
        assert isinstance(connection, RtmpConnection)
        wire.connection = connection
        connection.connection_made(wire)
        return wire

    def send(self, data: bytes) -> None:
        while data and self.wire.connection is not None:
            buffer = self.wire.connection.get_buffer(-1)
            piece, data = data[: len(buffer)], data[len(buffer) :]
            buffer[: len(piece)] = piece
            self.wire.connection.buffer_updated(len(piece))
        self.hear()

    def hear(self) -> None:
        self.client.receive(self.wire.written[self.seen :])
        self.seen = len(self.wire.written)

    async def publish(self, name: str = "kitchen", app: str = "live") -> Taken:
        self.send(self.client.greet() + self.client.connect(app) + self.client.publish(name))
        await asyncio.sleep(self.door.after_s + 0.001)
        self.hear()
        return self.door.taken[-1]

    def picture(self, time_ms: int = 0) -> bytes:
        return self.client.media(9, time_ms, video(1, prefixed(b"\x65idr")))

    def configurations(self) -> bytes:
        return self.client.media(9, 0, video(0, avcc())) + self.client.media(
            8, 0, aac(0, AAC_LC_48K_STEREO)
        )


def played(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    run_in_virtual_time(scene())


def test_packets_reach_the_publication_within_the_call_that_brought_them() -> None:
    async def scene() -> None:
        stage = Stage()
        taken = await stage.publish()
        stage.send(stage.configurations() + stage.picture(40))
        assert [packet.dts for packet in taken.packets] == [3600]
        stage.send(stage.client.media(8, 50, aac(1, b"frame")))
        assert len(taken.packets) == 2
        await stage.server.close()
        assert taken.ends == ["the node is shutting down"]

    played(scene)


@pytest.mark.parametrize(
    ("app", "name", "stream"),
    [
        ("live", "kitchen", "kitchen"),
        ("live/", "/kitchen/", "kitchen"),
        ("live/kitchen", "", "kitchen"),
    ],
)
def test_the_stream_is_named_by_the_key_or_by_the_path(app: str, name: str, stream: str) -> None:
    async def scene() -> None:
        stage = Stage()
        assert (await stage.publish(name, app)).request.stream == stream
        await stage.server.close()

    played(scene)


def test_queries_say_what_to_do_and_the_keys_own_comes_first() -> None:
    async def scene() -> None:
        stage = Stage()
        params = json.dumps({"levels": 5})
        taken = await stage.publish(f"k?pipeline=toon&params={params}", "live?pipeline=neon&pass=x")
        request = taken.request
        assert (request.pipeline, request.params, request.token) == ("toon", {"levels": 5}, "x")
        assert (request.protocol, request.peer) == ("rtmp", "192.0.2.1:5000")
        await stage.server.close()

    played(scene)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "no stream key"),
        ("a/b", "cannot be the name"),
        ("k?params=[1]", "not a JSON object"),
        ("k?params={", "not JSON"),
    ],
)
def test_a_request_that_cannot_be_is_refused_before_anyone_is_asked(name: str, says: str) -> None:
    async def scene() -> None:
        stage = Stage()
        stage.send(stage.client.greet() + stage.client.connect() + stage.client.publish(name))
        await asyncio.sleep(0.001)
        stage.hear()
        assert says in stage.client.descriptions[-1]
        assert stage.wire.half_closed
        assert stage.door.taken == []
        await stage.server.close()

    played(scene)


def test_a_refusal_is_told_with_its_remedy_and_the_peer_has_time_to_read_it() -> None:
    async def scene() -> None:
        stage = Stage()
        stage.door.error = NotAllowed("wrong token")
        stage.send(stage.client.greet() + stage.client.connect() + stage.client.publish())
        await asyncio.sleep(0.001)
        stage.hear()
        assert stage.client.statuses[-1] == "NetStream.Publish.Rejected"
        assert stage.client.descriptions[-1] == f"wrong token. {NotAllowed.remedy}"
        assert stage.wire.half_closed
        assert not stage.wire.gone
        await asyncio.sleep(LINGER_S)
        assert stage.wire.gone
        await asyncio.sleep(0)
        assert stage.server.connections == 0

    played(scene)


def test_a_gateway_that_fails_is_no_secret_but_its_details_are() -> None:
    async def scene() -> None:
        stage = Stage()
        stage.door.error = ZeroDivisionError("internal detail")
        stage.send(stage.client.greet() + stage.client.connect() + stage.client.publish())
        await asyncio.sleep(0.001)
        stage.hear()
        assert stage.client.descriptions[-1] == "The node failed; its log says why."
        await stage.server.close()

    played(scene)


def test_a_gateway_that_does_not_answer_is_not_waited_for() -> None:
    async def scene() -> None:
        stage = Stage()
        stage.door.after_s = 1000
        stage.send(stage.client.greet() + stage.client.connect() + stage.client.publish())
        await asyncio.sleep(ANSWER_S + 0.1)
        stage.hear()
        assert "too busy" in stage.client.descriptions[-1]
        await stage.server.close()

    played(scene)


def test_media_sent_before_the_answer_waits_for_it() -> None:
    async def scene() -> None:
        stage = Stage()
        stage.door.after_s = 5
        early = stage.configurations() + stage.picture(40)
        stage.send(stage.client.greet() + stage.client.connect() + stage.client.publish() + early)
        assert not stage.wire.reading
        await asyncio.sleep(5.1)
        assert stage.wire.reading
        assert len(stage.door.taken[0].packets) == 1
        await stage.server.close()

    played(scene)


def test_a_publisher_that_leaves_before_the_answer_leaves_no_publication() -> None:
    async def scene() -> None:
        stage = Stage()
        stage.door.after_s = 5
        stage.send(stage.client.greet() + stage.client.connect() + stage.client.publish())
        stage.wire.lose()
        await asyncio.sleep(5.1)
        assert stage.door.taken[0].ends == ["the publisher left before it was let in"]
        await stage.server.close()

    played(scene)


def test_a_connection_that_breaks_ends_its_publication_at_once() -> None:
    async def scene() -> None:
        stage = Stage()
        taken = await stage.publish()
        stage.wire.lose()
        assert taken.ends == ["the publisher disconnected"]
        assert stage.server.connections == 0

    played(scene)


def test_a_publisher_that_stops_may_publish_again_on_the_same_connection() -> None:
    async def scene() -> None:
        stage = Stage()
        first = await stage.publish("one")
        stage.send(stage.client.command("deleteStream", None, 1))
        assert first.ends == ["the publisher stopped"]
        stage.send(stage.client.publish("two"))
        await asyncio.sleep(0.001)
        stage.send(stage.configurations() + stage.picture())
        assert [len(each.packets) for each in stage.door.taken] == [0, 1]
        await stage.server.close()

    played(scene)


def test_silence_ends_the_publication_after_ten_seconds() -> None:
    async def scene() -> None:
        stage = Stage()
        taken = await stage.publish()
        await asyncio.sleep(7)
        stage.send(stage.configurations())
        await asyncio.sleep(IDLE_S - 0.1)
        assert taken.ends == []
        await asyncio.sleep(0.2)
        assert taken.ends == ["no data for 10 s"]
        await stage.server.close()

    played(scene)


def test_who_does_not_shake_hands_is_cut_off() -> None:
    async def scene() -> None:
        stage = Stage()
        await asyncio.sleep(HANDSHAKE_S + LINGER_S + 0.1)
        assert stage.wire.gone
        await asyncio.sleep(0)
        assert stage.server.connections == 0

    played(scene)


def test_a_publication_that_the_gateway_ends_is_cut_off_with_its_reason() -> None:
    async def scene() -> None:
        stage = Stage()
        taken = await stage.publish()
        assert taken.on_closed is not None
        taken.on_closed("another publisher took the stream")
        stage.hear()
        assert stage.client.statuses[-1] == "NetStream.Publish.BadName"
        assert stage.client.descriptions[-1] == "another publisher took the stream"
        stage.send(stage.configurations() + stage.picture())
        assert (taken.packets, taken.ends) == ([], [])
        await asyncio.sleep(LINGER_S + 0.1)
        assert stage.server.connections == 0

    played(scene)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (extended_video(0, b"av01", b""), "AV1 video is not taken here"),
        (video(1, b"\0\0\xff\xffabc"), "malformed"),
    ],
)
def test_media_that_cannot_go_on_ends_the_publication_with_the_reason(
    body: bytes, says: str
) -> None:
    async def scene() -> None:
        stage = Stage()
        taken = await stage.publish()
        stage.send(stage.configurations() + stage.client.media(9, 0, body))
        assert stage.client.statuses[-1] == "NetStream.Publish.Rejected"
        assert says in stage.client.descriptions[-1]
        assert says in taken.ends[0]
        await stage.server.close()

    played(scene)


def test_what_is_not_rtmp_is_cut_off() -> None:
    async def scene() -> None:
        stage = Stage()
        stage.send(b"GET / HTTP/1.1\r\n\r\n")
        assert stage.wire.half_closed
        await asyncio.sleep(LINGER_S + 0.1)
        assert stage.server.connections == 0

    played(scene)


def test_a_peer_that_does_not_read_is_cut_off() -> None:
    async def scene() -> None:
        stage = Stage()
        taken = await stage.publish()
        stage.wire.stuck = True
        stage.send(stage.client.message(4, b"\0\x06abcd"))
        assert stage.wire.gone
        assert taken.ends == ["the publisher does not read"]
        await stage.server.close()

    played(scene)


def test_one_connection_too_many_is_turned_away_and_the_others_stay() -> None:
    async def scene() -> None:
        stage = Stage(connections_max=1)
        second = stage.join()
        assert second.gone
        taken = await stage.publish()
        assert taken.ends == []
        await stage.server.close()

    played(scene)
