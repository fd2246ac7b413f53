"""Paths, methods, errors: what a server says to requests that are not, or not quite, right."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from tests.interop.trickle.conftest import QUICK, listening
from tests.interop.trickle.wire import Serving, Wire
from trickle.errors import Refused
from trickle.serve import TrickleServer


@pytest.mark.parametrize("line", ["GET no/0", "GET no/next", "POST no/0", "DELETE no/0", "POST no"])
async def test_unknown_channel_is_404(serving: Serving, line: str) -> None:
    reply = await serving.ask(line)
    assert (reply.status, reply.body) == (404, b"Stream not found\n")
    assert reply["content-type"] == "text/plain; charset=utf-8"
    assert reply["x-content-type-options"] == "nosniff"
    assert (reply["connection"] == "close") == (line == "POST no/0")


async def test_deleting_an_unknown_channel_is_400(serving: Serving) -> None:
    reply = await serving.ask("DELETE no")
    assert (reply.status, reply.body) == (400, b"Invalid stream\n")


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("index", ["x", "1.0", "0x1", "9223372036854775808", "-3", "-9", "1_0"])
async def test_index_that_is_none_is_400(serving: Serving, method: str, index: str) -> None:
    reply = await serving.ask(f"{method} ch/{index}")
    assert (reply.status, reply.body) == (400, b"Invalid idx\n")


async def test_channel_is_looked_for_before_the_index_is_read(serving: Serving) -> None:
    assert (await serving.ask("GET no/x")).status == 404


@pytest.mark.parametrize("index", ["-1", "-2"])
async def test_negative_index_cannot_be_deleted_and_breaks_nothing(
    serving: Serving, index: str
) -> None:
    assert (await serving.ask(f"DELETE ch/{index}")).status == 400
    assert (await serving.publish(0, b"a")).status == 200


async def test_negative_index_to_post_is_400_but_for_next(serving: Serving) -> None:
    assert (await serving.ask("POST ch/-2", body=b"a")).status == 400


@pytest.mark.parametrize("index", ["+0", "00", "-0"])
async def test_index_is_read_as_go_reads_numbers(serving: Serving, index: str) -> None:
    await serving.publish(0, b"a")
    assert (await serving.ask(f"GET ch/{index}")).body == b"a"


async def test_deleting_a_segment_that_is_not_there_is_400(serving: Serving) -> None:
    reply = await serving.ask("DELETE ch/0")
    assert (reply.status, reply.body) == (400, b"Nonexistent segment\n")


async def test_next_is_answered_with_the_number_as_text(serving: Serving) -> None:
    reply = await serving.ask("GET ch/next")
    assert (reply.status, reply.body, reply["lp-trickle-latest"]) == (200, b"0", "0")
    assert reply["content-type"] == "text/plain; charset=utf-8"
    assert (await serving.ask("POST ch/next")).status == 400


@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS"])
async def test_other_methods_are_405_with_those_allowed(serving: Serving, method: str) -> None:
    reply = await serving.ask(f"{method} ch/0")
    assert (reply.status, reply["allow"]) == (405, "DELETE, GET, HEAD, POST")
    reply = await serving.ask(f"{method} ch")
    assert (reply.status, reply["allow"]) == (405, "DELETE, GET, HEAD, POST")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "OPTIONS"])
async def test_channel_itself_cannot_be_read_where_go_is_followed(
    like_go: Serving, method: str
) -> None:
    reply = await like_go.ask(f"{method} ch")
    assert (reply.status, reply["allow"]) == (405, "DELETE, POST")


@pytest.mark.parametrize("path", ["ch/", "ch/0/", "ch/0/1", "/", "/ai/other", "/ai/trickle"])
async def test_path_that_is_none_is_404(serving: Serving, path: str) -> None:
    reply = await serving.ask(f"GET {path}")
    assert (reply.status, reply.body) == (404, b"404 page not found\n")


@pytest.mark.parametrize(
    ("path", "clean"),
    [
        ("/ai/trickle//ch/0", "/ai/trickle/ch/0"),
        ("/ai/trickle/ch//0", "/ai/trickle/ch/0"),
        ("/ai/trickle/x/../ch/0", "/ai/trickle/ch/0"),
        ("/ai/trickle/./ch/", "/ai/trickle/ch/"),
    ],
)
async def test_unclean_path_is_sent_to_the_clean_one(
    serving: Serving, path: str, clean: str
) -> None:
    reply = await serving.ask(f"GET {path}")
    assert (reply.status, reply["location"]) == (307, clean)


async def test_name_is_percent_decoded(serving: Serving) -> None:
    serving.server.create("a/b", mime_type="")
    reply = await serving.ask("GET a%2Fb/next")
    assert reply.status == 200


async def test_query_and_whole_url_are_understood(serving: Serving) -> None:
    await serving.publish(0, b"a")
    assert (await serving.ask("GET ch/0?x=1")).body == b"a"
    wire = await serving.connect()
    wire.send("GET http://test/ai/trickle/ch/0 HTTP/1.1\r\nHost: test\r\n\r\n")
    assert (await wire.reply()).body == b"a"


async def test_creating_makes_a_channel_with_its_type(autocreating: Serving) -> None:
    reply = await autocreating.ask("POST new", "Expect-Content: text/plain")
    assert (reply.status, reply.body) == (200, b"")
    await autocreating.publish(0, b"a", channel="new")
    assert (await autocreating.ask("GET new/0"))["content-type"] == "text/plain"


async def test_creating_again_changes_nothing(autocreating: Serving) -> None:
    await autocreating.ask("POST new", "Expect-Content: text/plain")
    await autocreating.publish(0, b"a", channel="new")
    await autocreating.ask("POST new", "Expect-Content: text/html")
    reply = await autocreating.ask("GET new/0")
    assert (reply.body, reply["content-type"]) == (b"a", "text/plain")


async def test_first_segment_makes_a_channel_of_its_type(autocreating: Serving) -> None:
    assert (await autocreating.ask("POST new/0", "Content-Type: a/b", body=b"x")).status == 200
    assert (await autocreating.ask("GET new/0"))["content-type"] == "a/b"


async def test_creating_a_channel_that_exists_needs_no_permission(serving: Serving) -> None:
    assert (await serving.ask("POST ch")).status == 200
    assert (await serving.ask("POST ch", body=b"ignored")).status == 200


async def test_deleted_channel_starts_over_at_0(serving: Serving) -> None:
    await serving.publish(0, b"a")
    assert (await serving.ask("DELETE ch")).status == 200
    serving.server.create("ch", mime_type="")
    assert (await serving.ask("GET ch/next")).body == b"0"


async def test_hook_is_asked_before_a_channel_is_made(serving: Serving) -> None:
    asked: list[tuple[str, str, bool]] = []

    def hook(name: str, mime_type: str) -> None:
        asked.append((name, mime_type, server.exists(name)))

    server = TrickleServer(autocreate=True, before_create=hook)
    async with listening(server) as other:
        assert (await other.ask("POST new", "Expect-Content: text/plain")).status == 200
        assert (await other.ask("GET new/next")).status == 200
    assert asked == [("new", "text/plain", False)]


@pytest.mark.parametrize(
    ("error", "status"), [(Refused(403, "no"), 403), (Refused(599, "no"), 400), (OSError(), 500)]
)
async def test_refusal_of_a_hook_is_the_answer(
    serving: Serving, error: Exception, status: int
) -> None:
    def refuse(*_: str) -> None:
        raise error

    server = TrickleServer(autocreate=True, before_create=refuse, before_delete=refuse)
    server.create("old")
    async with listening(server) as other:
        assert (await other.ask("POST new")).status == status
        assert (await other.ask("GET new/next")).status == 404
        assert (await other.ask("DELETE old")).status == status
        assert (await other.ask("GET old/next")).status == 200


async def test_change_feed_tells_who_comes_and_goes(serving: Serving) -> None:
    async with listening(TrickleServer(autocreate=True, changefeed=True)) as other:
        await other.ask("POST fa")
        await other.ask("DELETE fa")
        bodies = [(await other.ask(f"GET _changes/{seq}")).body for seq in range(3)]
    assert bodies == [b'{"added":["_changes"]}', b'{"added":["fa"]}', b'{"removed":["fa"]}']


@pytest.mark.parametrize(
    "junk",
    [
        b"\x16\x03\x01\x02\x00 no TLS here\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /ai/trickle/ch/0 HTTP/9.9\r\n\r\n",
        b"POST /ai/trickle/ch/0 HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /ai/trickle/ch/0 HTTP/1.1\r\n"
        b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /ai/trickle/ch/0 HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /ai/trickle/ch/0 HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_400_and_the_end_of_the_connection(
    serving: Serving, junk: bytes
) -> None:
    wire = await serving.connect()
    wire.send(junk)
    assert (await wire.reply()).status == 400
    assert await wire.is_closed()


async def test_head_that_never_ends_is_refused(serving: Serving) -> None:
    wire = await serving.connect()
    wire.send(b"GET /ai/trickle/ch/0 HTTP/1.1\r\nX: " + b"y" * 40_000)
    assert (await wire.reply()).status == 431


async def test_head_that_drips_is_cut(serving: Serving) -> None:
    wire = await serving.connect()
    wire.send(b"GET /ai/trickle/ch/0 HTTP/1.1\r\nX: ")
    assert (await wire.reply()).status == 408


async def test_head_may_come_in_any_pieces(serving: Serving) -> None:
    await serving.publish(0, b"a")
    wire = await serving.connect()
    for byte in b"\r\nGET /ai/trickle/ch/0 HTTP/1.1\r\nHost: x\r\n\r\n":
        wire.send(bytes([byte]))
        await asyncio.sleep(0)
    assert (await wire.reply()).body == b"a"


async def test_connection_too_many_is_503(serving: Serving) -> None:
    async with AsyncExitStack() as stack:
        limits = type(QUICK)(max_connections=1)
        other = await stack.enter_async_context(listening(TrickleServer(limits=limits)))
        first = await other.connect()
        assert (await first.ask("GET a/next")).status == 404
        second = await other.connect()
        assert (await second.reply()).status == 503
        assert await second.is_closed()


async def test_channel_too_many_is_503(serving: Serving) -> None:
    limits = type(QUICK)(max_channels=1)
    async with listening(TrickleServer(autocreate=True, limits=limits)) as other:
        assert (await other.ask("POST a")).status == 200
        assert (await other.ask("POST b")).status == 503
        assert (await other.ask("POST b/0", body=b"x")).status == 503


async def test_client_that_asks_to_close_is_closed(serving: Serving, wire: Wire) -> None:
    reply = await wire.ask("POST ch/0", "Connection: close", body=b"a")
    assert (reply.status, reply["connection"]) == (200, "close")
    assert await wire.is_closed()


async def test_idle_channels_are_swept_and_busy_ones_are_not(serving: Serving) -> None:
    limits = type(QUICK)(idle_s=0.15, unused_s=0.15, sweep_s=0.02)
    server = TrickleServer(limits=limits)
    for name in ("idle", "busy", "_kept"):
        server.create(name)
    async with listening(server) as other:
        running = asyncio.create_task(server.run())
        waiting, writer = await other.get(0, "idle"), await other.post(0, channel="busy")
        async with asyncio.timeout(5):
            while server.exists("idle"):
                writer.chunk(b"tick")
                await asyncio.sleep(0.01)
        assert server.exists("busy")
        assert server.exists("_kept")
        assert (await waiting.reply())["lp-trickle-closed"] == "terminated"
        running.cancel()
        await asyncio.wait([running])
