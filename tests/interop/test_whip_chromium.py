"""Chromium publishes a canvas by WHIP and plays it by WHEP, through our routes."""

from aiohttp import web

from server.media.rtc.playing import PlaySession
from tests.support.chromium import PAGE, chromium_page
from tests.support.waiting import until
from tests.support.webrtc import running_node


async def page_route(_request: web.Request) -> web.Response:
    return web.Response(text=PAGE, content_type="text/html")


async def test_a_browser_sees_what_a_browser_shows() -> None:
    async with (
        running_node(extra_routes=[web.get("/page", page_route)]) as node,
        chromium_page(f"{node.url}/page") as page,
    ):
        session = await page.evaluate("publish('/cam/whip')")
        assert session.startswith("/cam/whip/")
        room = node.room("cam")
        await page.evaluate("play('/cam/whep')")
        await until(lambda: room.stream.stats().frames >= 90, within_s=15)
        # A browser left to itself begins with 300 kb/s. (How large a picture it makes of what it
        # may send depends on how busy the machine is: that is for a bench.)
        sent = await page.evaluate("stats(publisher, 'outbound-rtp')")
        assert max(report.get("targetBitrate", 0) for report in sent) > 1_000_000

        delays = sorted(await page.evaluate("delays()"))
        assert len(delays) > 45, "the numbers on the canvas were not read back"
        assert delays[len(delays) // 2] < 150
        sound, picture = sorted(
            await page.evaluate("stats(player, 'inbound-rtp')"), key=lambda s: s["kind"]
        )
        assert picture["framesDecoded"] > 45
        assert picture["packetsLost"] == 0
        assert sound["packetsReceived"] > 50

        keyframes = room.stream.stats().keyframes
        room.stream.request_keyframe()
        await until(lambda: room.stream.stats().keyframes > keyframes, within_s=3)

        await page.evaluate("player.close()")
        await until(lambda: node.endpoint.viewers == 0, within_s=10)
        status = await page.evaluate("fetch(whip, {method: 'DELETE'}).then(a => a.status)")
        assert status == 200
        await until(lambda: room.ends == ["client_left"], within_s=5)
        assert node.endpoint.sessions == 0


async def test_a_browser_whose_stream_ends_is_told() -> None:
    async with (
        running_node(extra_routes=[web.get("/page", page_route)]) as node,
        chromium_page(f"{node.url}/page") as page,
    ):
        await page.evaluate("play('/cam/whep')")
        await until(lambda: node.room("cam").stream.readers == 1, within_s=10)
        assert any(isinstance(s, PlaySession) for s in node.endpoint._sessions.values())
        node.room("cam").stream.end("over")
        # Its `connectionState` follows only when ICE times out.
        await page.wait_for_function(
            "player.getReceivers()[0].transport.state === 'closed'", timeout=5000
        )
