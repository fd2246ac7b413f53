"""Trickle and an aiohttp application on one port, over the same connections."""

import asyncio
import io
from collections.abc import AsyncGenerator

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from tests.interop.trickle.wire import Serving, Wire
from trickle.publisher import TricklePublisher
from trickle.serve import TrickleServer
from trickle.subscriber import TrickleSubscriber
from trickle.table import Limits

# More than any socket holds, so that it has to be sent in many turns.
LARGE = bytes(range(256)) * 40_000


async def _hello(_request: web.Request) -> web.Response:
    return web.Response(text="hello")


async def _echo(request: web.Request) -> web.Response:
    return web.Response(body=await request.read())


async def _large(_request: web.Request) -> web.Response:
    return web.Response(body=LARGE)


async def _stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(3):
        await response.write(b"tick ")
        await asyncio.sleep(0)
    await response.write_eof()
    return response


async def _websocket(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(f"heard {message.data}")
    return socket


@pytest_asyncio.fixture
async def shared() -> AsyncGenerator[Serving]:
    app = web.Application(client_max_size=64 << 20)
    app.add_routes(
        [
            web.get("/hello", _hello),
            web.post("/echo", _echo),
            web.get("/large", _large),
            web.get("/stream", _stream),
            web.get("/ws", _websocket),
        ]
    )
    runner = web.AppRunner(app)
    await runner.setup()
    fallback = runner.server
    assert fallback is not None
    server = TrickleServer(autocreate=True)
    port = await asyncio.get_running_loop().create_server(
        lambda: server.protocol(fallback), "127.0.0.1", 0
    )
    serving = Serving(server, port.sockets[0].getsockname()[1])
    yield serving
    port.close()
    server.close()
    await serving.hang_up()
    await runner.cleanup()
    await port.wait_closed()


async def test_one_pooled_connection_carries_both_kinds_in_any_order(shared: Serving) -> None:
    root = f"http://127.0.0.1:{shared.port}"
    connector = aiohttp.TCPConnector(limit=1)
    async with aiohttp.ClientSession(connector=connector) as client:
        for turn in range(4):
            async with client.post(f"{shared.url()}/{turn}", data=b"%d" % turn) as response:
                assert response.status == 200
            async with client.get(f"{root}/hello") as response:
                assert await response.text() == "hello"
            async with client.post(f"{root}/echo", data=io.BytesIO(LARGE)) as response:
                assert await response.read() == LARGE
            async with client.get(f"{shared.url()}/{turn}") as response:
                assert await response.read() == b"%d" % turn
            async with client.get(f"{root}/stream") as response:
                assert await response.read() == b"tick tick tick "
            async with client.get(f"{root}/large") as response:
                assert await response.read() == LARGE
    assert shared.server.counters.connections == 1


async def test_long_waiting_get_and_quick_requests_share_the_port(shared: Serving) -> None:
    root = f"http://127.0.0.1:{shared.port}"
    async with TricklePublisher(shared.url()) as publisher, aiohttp.ClientSession() as client:
        await publisher.publish(b"a")
        await publisher.flush()
        async with TrickleSubscriber(shared.url(), start=1) as subscriber:
            waiting = asyncio.create_task(subscriber.next())
            async with client.get(f"{root}/hello") as response:
                assert await response.text() == "hello"
            await publisher.publish(b"b")
            assert await (await waiting).read() == b"b"


async def test_websocket_keeps_its_connection_for_good(shared: Serving) -> None:
    async with (
        aiohttp.ClientSession() as client,
        client.ws_connect(f"http://127.0.0.1:{shared.port}/ws") as socket,
    ):
        for word in ("one", "GET /ai/trickle/ch/0 HTTP/1.1\r\n\r\n"):
            await socket.send_str(word)
            assert (await socket.receive_str()) == f"heard {word}"


@pytest.mark.parametrize("cut", range(1, 40, 6))
async def test_first_bytes_may_come_in_any_pieces(shared: Serving, cut: int) -> None:
    for path, status in (("/hello", 200), ("/ai/trickle/ch/next", 404), ("/ai/tric", 404)):
        wire = await shared.connect()
        request = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"
        wire.send(request[:cut])
        await asyncio.sleep(0.01)
        wire.send(request[cut:])
        assert (await wire.reply()).status == status


async def test_head_of_the_other_application_that_drips_is_cut_too() -> None:
    server = TrickleServer(limits=Limits(head_s=0.1))
    loop = asyncio.get_running_loop()
    port = await loop.create_server(lambda: server.protocol(asyncio.Protocol), "127.0.0.1", 0)
    wire = Wire(*await asyncio.open_connection("127.0.0.1", port.sockets[0].getsockname()[1]))
    wire.send("GET /hello HTTP/1.1\r\n")
    assert (await wire.reply()).status == 408
    await wire.hang_up()
    port.close()
    await port.wait_closed()


async def test_garbage_is_left_to_the_other_application_to_refuse(shared: Serving) -> None:
    wire = await shared.connect()
    wire.send(b"\x00\x01\x02 nonsense\r\n\r\n")
    assert (await wire.reply()).status == 400


async def test_client_that_leaves_during_the_others_answer_frees_everything(
    shared: Serving,
) -> None:
    wire = await shared.connect()
    wire.request("GET /large")
    await wire.head()
    wire.break_off()
    assert (await shared.ask("GET /hello")).status == 200
