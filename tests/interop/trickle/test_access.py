"""Tokens and origins, as clients meet them."""

import json
import time
from collections.abc import AsyncGenerator
from urllib.parse import quote

import aiohttp
import pytest
import pytest_asyncio

from tests.interop.trickle.conftest import QUICK, listening
from tests.interop.trickle.wire import Serving
from trickle.access import Access, Keys, Right, sign
from trickle.errors import NotAllowed
from trickle.publisher import TricklePublisher
from trickle.serve import TrickleServer
from trickle.subscriber import TrickleSubscriber

SECRET = b"nobody knows"


@pytest_asyncio.fixture
async def guarded() -> AsyncGenerator[Serving]:
    """One channel with fixed tokens, `ch`, and one without, `open`."""
    server = TrickleServer(limits=QUICK)
    server.create("ch", keys=Keys(publish="pub", subscribe="sub"))
    server.create("open")
    async with listening(server) as serving:
        yield serving


@pytest_asyncio.fixture
async def signed() -> AsyncGenerator[Serving]:
    server = TrickleServer(limits=QUICK, autocreate=True, access=Access(secret=SECRET))
    server.create("ch")
    async with listening(server) as serving:
        yield serving


def bearer(token: str) -> str:
    return f"Authorization: Bearer {token}"


def token(right: Right, channel: str = "ch", *, for_s: int = 60) -> str:
    return sign(SECRET, right, channel, expires_at_s=int(time.time()) + for_s)


@pytest.mark.parametrize(
    "line",
    ["POST ch", "POST ch/0", "DELETE ch", "DELETE ch/0", "GET ch/0", "GET ch/next", "GET ch",
     "GET ch/stream", "HEAD ch/0"],
)  # fmt: skip
async def test_nothing_is_done_without_a_token(guarded: Serving, line: str) -> None:
    wire = await guarded.connect()
    reply = await wire.ask(line)
    assert (reply.status, reply["www-authenticate"]) == (401, 'Bearer realm="trickle"')
    if not line.startswith("HEAD"):
        problem = json.loads(reply.body)
        assert (problem["code"], problem["status"]) == ("token_missing", 401)
        assert "Bearer" in problem["remedy"]
    assert guarded.server.exists("ch")
    assert guarded.server.counters.not_allowed == 1 + (line == "GET ch/next")


async def test_each_token_gives_its_own_right_only(guarded: Serving) -> None:
    assert (await guarded.ask("POST ch/0", bearer("sub"), body=b"a")).status == 401
    assert (await guarded.ask("POST ch/0", bearer("pub"), body=b"a")).status == 200
    assert (await guarded.ask("GET ch/0", bearer("pub"))).status == 401
    assert (await guarded.ask("GET ch/0", bearer("sub"))).body == b"a"
    assert (await guarded.ask("GET ch/0?token=sub")).body == b"a"
    assert (await guarded.ask("GET ch/next", bearer("pub"))).body == b"1"


async def test_channel_without_keys_beside_it_stays_open(guarded: Serving) -> None:
    assert (await guarded.ask("POST open/0", body=b"a")).status == 200
    assert (await guarded.ask("GET open/0")).body == b"a"


async def test_signed_token_is_good_for_one_right_on_one_channel_until_it_ends(
    signed: Serving,
) -> None:
    async def code(line: str, given: str) -> str:
        reply = await signed.ask(line, bearer(given))
        return str(json.loads(reply.body)["code"]) if reply.status == 401 else str(reply.status)

    assert await code("GET ch/next", token(Right.SUBSCRIBE)) == "200"
    assert await code("GET ch/9", token(Right.PUBLISH)) == "token_wrong"
    assert await code("GET ch/9", token(Right.SUBSCRIBE, "other")) == "token_wrong"
    assert await code("GET ch/9", token(Right.SUBSCRIBE, for_s=-1)) == "token_expired"
    longer = token(Right.SUBSCRIBE).replace(".subscribe.", ".subscribe.9")
    assert await code("GET ch/9", longer) == "token_wrong"
    assert await code("GET ch/9", "t1.subscribe.x.y") == "token_wrong"
    assert await code("GET ch/9", "\xe4") == "token_wrong"


async def test_channel_is_not_made_for_who_may_not_publish_on_it(signed: Serving) -> None:
    assert (await signed.ask("POST fresh/0", body=b"a")).status == 401
    assert not signed.server.exists("fresh")
    good = token(Right.PUBLISH, "fresh")
    assert (await signed.ask("POST fresh/0", bearer(good), body=b"a")).status == 200


async def test_clients_send_their_tokens(guarded: Serving) -> None:
    url = guarded.url()
    async with (
        TricklePublisher(url, token="pub") as publisher,
        TrickleSubscriber(f"{url}?token=sub", start=0) as subscriber,
    ):
        await publisher.publish(b"a")
        assert await (await subscriber.next()).read() == b"a"
    assert not guarded.server.exists("ch")


async def test_clients_without_one_are_told_at_once(guarded: Serving) -> None:
    async with TricklePublisher(guarded.url()) as publisher:
        with pytest.raises(NotAllowed):
            await publisher.next()
    async with TricklePublisher(guarded.url(), token="sub") as publisher:
        with pytest.raises(NotAllowed) as caught:
            writer = await publisher.next()
            await writer.finish(b"a")
            await publisher.flush()
    assert "sub" not in str(caught.value)
    async with TrickleSubscriber(guarded.url(), token="pub") as subscriber:
        with pytest.raises(NotAllowed):
            await subscriber.next()
    assert guarded.server.exists("ch")


def test_tokens_do_not_show_in_what_is_logged() -> None:
    assert "pub" not in repr(Keys(publish="pub", subscribe="pub"))
    assert "knows" not in repr(Access(secret=SECRET, operator="knows"))


async def test_page_that_can_set_no_header_puts_its_token_in_the_address(
    signed: Serving,
) -> None:
    url = signed.url().replace("http", "ws") + "/stream"
    good = quote(token(Right.SUBSCRIBE))
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(url)
        async with session.ws_connect(f"{url}?token={good}") as socket:
            assert "mime_type" in await socket.receive_json(timeout=5)


# ---------------------------------------------------------------------- origins

PAGE = "Origin: https://page.example"


@pytest_asyncio.fixture
async def shared() -> AsyncGenerator[Serving]:
    """A server that one page may use."""
    server = TrickleServer(limits=QUICK, origins=["https://page.example"])
    server.create("ch", mime_type="video/MP2T")
    async with listening(server) as serving:
        yield serving


async def test_page_may_see_every_answer_and_its_headers(shared: Serving) -> None:
    waiting = await shared.connect()
    waiting.request("GET ch/0", PAGE)
    await shared.settled()
    posted = await shared.ask("POST ch/0", PAGE, body=b"a")
    replies = [posted, await waiting.reply()]
    for line in ("GET ch/0", "GET ch/9", "GET no/0", "GET ch/next", "GET ch", "GET ch/x"):
        replies.append(await shared.ask(line, PAGE))  # noqa: PERF401 - one after the other
    stream = await shared.connect()
    stream.request("GET ch/stream", PAGE)
    replies.append(await stream.head())
    for reply in replies:
        assert reply["access-control-allow-origin"] == "https://page.example"
        assert "Lp-Trickle-Seq" in (reply["access-control-expose-headers"] or "")
        assert reply["vary"] == "Origin"


async def test_page_that_asks_first_is_told_what_it_may(shared: Serving) -> None:
    reply = await shared.ask("OPTIONS ch/0", PAGE, "Access-Control-Request-Method: POST")
    assert (reply.status, reply.body) == (200, b"")
    assert reply["access-control-allow-origin"] == "https://page.example"
    assert "DELETE" in (reply["access-control-allow-methods"] or "")
    assert "Authorization" in (reply["access-control-allow-headers"] or "")


async def test_strange_page_may_not(shared: Serving) -> None:
    strange = "Origin: https://evil.example"
    assert (await shared.ask("OPTIONS ch/0", strange)).status == 403
    assert (await shared.ask("GET ch/next", strange))["access-control-allow-origin"] is None


async def test_next_request_on_the_connection_is_judged_by_its_own_origin(
    shared: Serving,
) -> None:
    wire = await shared.connect()
    assert (await wire.ask("GET ch/next", PAGE))["access-control-allow-origin"] is not None
    assert (await wire.ask("GET ch/next"))["access-control-allow-origin"] is None


async def test_every_page_may_where_that_is_said() -> None:
    server = TrickleServer(limits=QUICK, origins=["*"])
    server.create("ch")
    async with listening(server) as serving:
        reply = await serving.ask("GET ch/next", PAGE)
    assert (reply["access-control-allow-origin"], reply["vary"]) == ("*", None)


async def test_nothing_is_said_of_origins_where_none_were_allowed(serving: Serving) -> None:
    assert (await serving.ask("GET ch/next", PAGE))["access-control-allow-origin"] is None
