"""One long response over many segments: as bytes, as events, as WebSocket messages."""

import asyncio
import json
from base64 import b64decode
from dataclasses import replace

import aiohttp
import pytest

from tests.interop.trickle.conftest import QUICK, listening
from tests.interop.trickle.wire import Reply, Serving, Wire
from trickle.serve import TrickleServer
from trickle.window import Window


async def stream(serving: Serving, query: str = "", *headers: str) -> tuple[Wire, Reply]:
    wire = await serving.connect()
    wire.request(f"GET ch/stream{query}", *headers)
    return wire, await wire.head()


async def body(wire: Wire) -> bytes:
    """All that is still to come of a chunked body."""
    pieces = []
    while piece := await wire.read_chunk():
        pieces.append(piece)
    return b"".join(pieces)


async def test_bytes_of_all_segments_come_as_one_body_that_ends_with_the_channel(
    serving: Serving,
) -> None:
    await serving.publish(0, b"ab")
    wire, head = await stream(serving, "?from=0")
    assert (head.status, head["content-type"]) == (200, "video/MP2T")
    assert await wire.read_chunk() == b"ab"
    posting = await serving.post(1)
    posting.chunk(b"c")
    assert await wire.read_chunk() == b"c"
    posting.chunk(b"d")
    posting.end()
    assert await wire.read_chunk() == b"d"
    await serving.publish(2, b"")
    await serving.publish(3, b"e")
    assert await wire.read_chunk() == b"e"
    assert (await serving.ask("DELETE ch")).status == 200
    assert await wire.read_chunk() == b""
    assert await wire.is_closed()
    assert serving.server.paces == {}


async def test_stream_begins_with_the_segment_that_is_being_written(serving: Serving) -> None:
    await serving.publish(0, b"old")
    posting = await serving.post(1)
    posting.chunk(b"new")
    wire, _ = await stream(serving)
    assert await wire.read_chunk() == b"new"


async def test_stream_may_begin_before_anything_was_published(serving: Serving) -> None:
    wire, head = await stream(serving)
    assert head.status == 200
    await serving.publish(0, b"a")
    assert await wire.read_chunk() == b"a"


async def test_gap_is_skipped_and_counted_behind_the_last_byte(serving: Serving) -> None:
    wire, _ = await stream(serving, "?from=0", "TE: trailers")
    await serving.publish(0, b"a")
    await serving.publish(50, b"b")
    assert await wire.read_chunk() == b"a"
    assert await wire.read_chunk() == b"b"
    serving.server.close_channel("ch")
    assert await wire.exactly(26) == b"0\r\nLp-Trickle-Gaps: 49\r\n\r\n"[:26]
    assert serving.server.counters.gaps == 49


async def test_start_that_is_gone_begins_with_the_oldest_there_is(serving: Serving) -> None:
    await serving.publish(20, b"a")
    await serving.publish(21, b"b")
    wire, _ = await stream(serving, "?from=0")
    assert await wire.read_chunk() == b"a"
    assert await wire.read_chunk() == b"b"


@pytest.mark.parametrize(
    ("query", "status"), [("?from=5", 470), ("?from=x", 400), ("?from=-3", 400), ("?behind=x", 400)]
)
async def test_start_that_cannot_be_is_refused(serving: Serving, query: str, status: int) -> None:
    assert (await serving.ask(f"GET ch/stream{query}")).status == status


async def test_stream_of_no_channel_is_404(serving: Serving) -> None:
    assert (await serving.ask("GET no/stream")).status == 404


async def test_stream_is_a_bad_index_where_go_is_followed(like_go: Serving) -> None:
    reply = await like_go.ask("GET ch/stream")
    assert (reply.status, reply.body) == (400, b"Invalid idx\n")


async def test_head_of_a_stream_ends_at_once(serving: Serving) -> None:
    wire = await serving.connect()
    wire.request("HEAD ch/stream")
    assert (await wire.head()).status == 200
    assert await wire.is_closed()


async def test_publisher_that_starts_over_is_followed(serving: Serving) -> None:
    await serving.publish(4, b"before")
    wire, _ = await stream(serving)
    assert await wire.read_chunk() == b"before"
    posting = await serving.post(0, "Lp-Trickle-Reset: 1")
    posting.chunk(b"after")
    posting.end()
    assert await wire.read_chunk() == b"after"


async def test_segment_deleted_before_it_was_written_does_not_stop_the_stream(
    serving: Serving,
) -> None:
    wire, _ = await stream(serving, "?from=0")
    assert (await serving.ask("DELETE ch/0")).status == 200
    await serving.publish(1, b"b")
    assert await wire.read_chunk() == b"b"


async def test_reader_who_is_behind_gets_all_the_ring_held_when_the_channel_ends(
    serving: Serving,
) -> None:
    big = bytes(400_000)
    for seq in range(8):
        await serving.publish(seq, big)
    # Nobody reads this socket yet, so most of it still waits when the channel goes.
    wire = await serving.connect()
    wire.request("GET ch/stream?from=0")
    await serving.settled()
    serving.server.close_channel("ch")
    await wire.head()
    assert len(await body(wire)) == 8 * len(big)


async def test_slow_reader_goes_on_at_the_beginning_of_the_live_segment() -> None:
    window = Window(max_segment_bytes=1 << 20, spare_bytes=1 << 20, max_bytes=4 << 20)
    server = TrickleServer(limits=replace(QUICK, window=window, reader_stall_s=30.0))
    server.create("ch")
    async with listening(server) as serving:
        wire = await serving.connect()
        wire.request("GET ch/stream?from=0", "Accept: text/event-stream")
        await serving.settled()
        publisher = server.local_publisher("ch")
        for seq in range(60):
            await publisher.publish(b"%03d" % seq + bytes(300_000))
        server.close_channel("ch")
        await wire.head()
        events = (await body(wire)).split(b"\n\n")
    ids = [int(e.split(b"\n")[0][4:]) for e in events if e.startswith(b"id: ")]
    gaps = [json.loads(e.split(b"data: ")[1]) for e in events if e.startswith(b"event: gap")]
    missing = sum(gap["to"] - gap["from"] for gap in gaps)
    assert ids == sorted(set(ids))
    assert missing > 0
    assert len(ids) + missing == 60
    assert json.loads(events[-2].split(b"data: ")[1]) == {"gaps": missing}


async def events(serving: Serving, mime_type: str, *payloads: bytes, query: str = "") -> list[str]:
    serving.server.create("events", mime_type=mime_type)
    wire = await serving.connect()
    wire.request(f"GET events/stream{query}", "Accept: text/event-stream")
    assert (await wire.head())["content-type"] == "text/event-stream"
    for seq, payload in enumerate(payloads):
        await serving.publish(seq, payload, "events")
    serving.server.close_channel("events")
    return (await body(wire)).decode().split("\n\n")


async def test_events_carry_json_as_it_is_with_the_number_as_id(serving: Serving) -> None:
    got = await events(serving, "application/json", b'{"a":1}', b"", b'{"b":\n2}\n')
    assert got == [
        "retry: 1000",
        'id: 0\ndata: {"a":1}',
        'id: 2\ndata: {"b":\ndata: 2}',
        'event: end\ndata: {"gaps":0}',
        "",
    ]


@pytest.mark.parametrize(
    ("mime_type", "data"), [("video/MP2T", b"plain"), ("application/json", b"\xff\n\x00")]
)
async def test_other_bytes_are_told_in_base64(
    serving: Serving, mime_type: str, data: bytes
) -> None:
    got = await events(serving, mime_type, data)
    lines = got[1].split("\n")
    assert lines[:2] == ["id: 0", "event: base64"]
    assert b64decode(lines[2].removeprefix("data: ")) == data


async def test_page_that_comes_back_gets_what_it_has_not_had(serving: Serving) -> None:
    for seq in range(3):
        await serving.publish(seq, b"%d" % seq)
    wire, _ = await stream(serving, "", "Accept: text/event-stream", "Last-Event-ID: 0")
    assert await wire.read_chunk() == b"retry: 1000\n\n"
    assert (await wire.read_chunk()).startswith(b"id: 1\n")


async def test_quiet_stream_says_that_it_lives(serving: Serving) -> None:
    wire, _ = await stream(serving, "", "Accept: text/event-stream")
    assert await wire.read_chunk() == b"retry: 1000\n\n"
    assert await wire.read_chunk() == b":\n\n"


async def test_websocket_carries_bytes_that_say_where_they_belong(serving: Serving) -> None:
    url = serving.url().replace("http", "ws") + "/stream?from=0"
    await serving.publish(0, b"ab")
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        assert await socket.receive_json(timeout=5) == {"mime_type": "video/MP2T"}
        got = [await socket.receive_bytes(timeout=5) for _ in range(2)]
        posting = await serving.post(1)
        for piece in (b"c", b"d"):
            posting.chunk(piece)
            got.append(await socket.receive_bytes(timeout=5))
        await serving.publish(9, b"e")
        posting.end()
        got.append(await socket.receive_bytes(timeout=5))
        marks = [
            (int.from_bytes(m[:8], "big"), int.from_bytes(m[8:16], "big"), m[16:]) for m in got
        ]
        assert marks == [(0, 0, b"ab"), (0, 2, b""), (1, 0, b"c"), (1, 1, b"d"), (1, 2, b"")]
        assert await socket.receive_json(timeout=5) == {"gap": {"from": 2, "to": 9}}
        assert (await socket.receive_bytes(timeout=5))[16:] == b"e"
        assert (await socket.receive_bytes(timeout=5))[16:] == b""
        serving.server.close_channel("ch")
        assert await socket.receive_json(timeout=5) == {"end": {"gaps": 7}}
        assert (await socket.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == 1000


async def test_websocket_that_is_closed_by_the_page_leaves_nothing(serving: Serving) -> None:
    url = serving.url().replace("http", "ws") + "/stream"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        await socket.receive_json(timeout=5)
        await socket.ping(b"there?")
        await socket.send_str("not wanted, and passed over")
        await socket.close()
    await serving.settled()
    assert serving.server.paces == {}


async def test_websocket_of_a_strange_page_is_refused(serving: Serving) -> None:
    url = serving.url() + "/stream"
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await session.ws_connect(url, origin="https://evil.example")
    assert caught.value.status == 403


async def test_what_is_no_websocket_is_told_so(serving: Serving) -> None:
    reply = await serving.ask("GET ch/stream", "Upgrade: websocket", "Connection: Upgrade")
    assert (reply.status, reply["sec-websocket-version"]) == (426, "13")


async def test_frame_that_is_not_masked_ends_the_websocket(serving: Serving) -> None:
    wire = await serving.connect()
    wire.request(
        "GET ch/stream",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    head = await wire.head()
    assert (head.status, head["sec-websocket-accept"]) == (101, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    wire.send(b"\x81\x02hi")
    async with asyncio.timeout(5):
        said = await wire.reader.read()
    assert b"\x03\xeaframes from a client must be masked" in said
