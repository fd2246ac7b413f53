"""What goes wrong in the field: the stream goes on, or ends cleanly and says why."""

import asyncio
import sys
import time

import psutil
import pytest

from server.media.stream import StreamReader
from tests.support.node import NodeClient, node_here
from tests.support.processes import ffmpeg_publish, program
from tests.support.waiting import until
from trickle.media.packets import Packet

UPDATE = "/live/video-to-video/x/update"
JSON = "application/json"


def publish(client: NodeClient, name: str, pipeline: str = "passthrough") -> tuple[str, ...]:
    return ffmpeg_publish(f"{client.rtmp_url}/{name}?pipeline={pipeline}", size="640x360", rate=15)


def processes_named(*words: str) -> list[psutil.Process]:
    """Our descendants whose command line has all the words."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if all(word in process.cmdline() for word in words):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


class Watcher:
    """A viewer that notes what it sees."""

    def __init__(self) -> None:
        self.last_at = time.monotonic()
        self.gap_s = 0.0
        self.reason: str | None = None

    def packet(self, packet: Packet) -> None:
        if packet.codec.is_video:
            now = time.monotonic()
            self.gap_s = max(self.gap_s, now - self.last_at)
            self.last_at = now

    def ended(self, reason: str) -> None:
        self.reason = reason


async def test_viewers_of_a_vanished_publisher_are_let_go_within_ten_seconds() -> None:
    async with node_here() as (running, client):
        async with program(*publish(client, "gone")) as publisher:
            await client.until_live("gone")
            assert running.gateway is not None
            reader = StreamReader(await running.gateway.rooms.view("gone", source=False, wait=True))
            publisher.kill()
            began = time.monotonic()
            async with asyncio.timeout(12):
                async for _ in reader:
                    pass
            assert time.monotonic() - began < 10
        running.gateway.rooms.left("gone")
        await client.until("gone", lambda r: r["state"] in ("ended", "waiting"))
        await client.until_runner_ready(free=2)
        assert running.orchestrator is not None
        assert len(running.orchestrator.jobs) == 0


async def test_viewers_of_a_killed_webrtc_publisher_are_let_go_within_ten_seconds() -> None:
    async with node_here() as (node, client):
        assert node.gateway is not None
        url = f"{client.url}/cut/whip?pipeline=passthrough"
        command = (sys.executable, "-m", "tests.bench.live_client", "publish", url, "60")
        async with program(*command) as publisher:
            await client.until_live("cut")
            reader = StreamReader(await node.gateway.rooms.view("cut", source=False, wait=True))
            publisher.kill()
            began = time.monotonic()
            async with asyncio.timeout(12):
                async for _ in reader:
                    pass
            assert time.monotonic() - began < 10
        node.gateway.rooms.left("cut")


async def test_a_publisher_that_says_goodbye_frees_its_runner_before_the_grace_is_over() -> None:
    async with node_here() as (_, client):
        async with program(*publish(client, "bye")) as publisher:
            await client.until_live("bye")
            await publisher.interrupt()
            began = time.monotonic()
            await client.until_runner_ready(free=2)
        assert time.monotonic() - began < 4


async def test_a_publisher_that_comes_back_finds_its_viewers() -> None:
    async with node_here() as (running, client):
        assert running.gateway is not None
        watcher = Watcher()
        output = await running.gateway.rooms.view("back", source=False, wait=True)
        output.attach(watcher)
        async with program(*publish(client, "back")) as first:
            await client.until_live("back")
            first.kill()
            await first.process.wait()
        async with program(*publish(client, "back")):
            await client.until("back", lambda r: r["state"] == "live" and r["input"]["frames"] > 30)
            await until(lambda: time.monotonic() - watcher.last_at < 0.5, within_s=10)
        assert watcher.reason is None
        output.detach(watcher)
        running.gateway.rooms.left("back")


async def test_the_stream_survives_its_model_process() -> None:
    async with node_here() as (running, client):
        assert running.gateway is not None
        async with program(*publish(client, "model")):
            before = await client.until_live("model")
            watcher = Watcher()
            output = await running.gateway.rooms.view("model", source=False, wait=True)
            output.attach(watcher)
            for process in processes_named("runners.live.process"):
                process.kill()
            killed_at = time.monotonic()
            await client.until("model", lambda r: r["state"] == "restarting", within_s=5)
            await client.until_live("model", within_s=5)
            assert time.monotonic() - killed_at < 5
            after = await client.status("model")
            output.detach(watcher)
            running.gateway.rooms.left("model")
        assert after["runner"]["id"] == before["runner"]["id"]
        assert after["runner"]["restarts"] >= 1


async def test_the_stream_survives_its_runner() -> None:
    async with node_here() as (running, client):
        async with program(*publish(client, "runner")):
            before = await client.until_live("runner")
            assert running.orchestrator is not None
            runners = {r["id"]: r for r in running.orchestrator.pool.describe()}
            first = before["runner"]["id"]
            told = asyncio.create_task(
                client.until("runner", lambda r: r["state"] == "restarting", within_s=10)
            )
            await client.until("runner", lambda r: r["state"] == "live")
            psutil.Process(runners[first]["pid"]).kill()
            assert "restarting" in (await told)["message"]
            await client.until(
                "runner",
                lambda r: r["state"] == "live" and r["runner"]["id"] != first,
                within_s=10,
            )
        await client.until_runner_ready(free=2)


@pytest.mark.parametrize(
    ("method", "path", "body", "kind", "status", "code"),
    [
        ("POST", "/x/whip", b"hello", "application/sdp", 400, "bad_offer"),
        ("POST", "/x/whip", b"", "application/sdp", 400, "bad_offer"),
        ("POST", "/x/whip", b"v=0\r\n", "text/plain", 415, "unsupported_media"),
        ("POST", "/x/whip", b"a" * (1 << 17), "application/sdp", 413, "too_large"),
        ("POST", "/x/whep", b"hello", "application/sdp", 400, "bad_offer"),
        ("DELETE", "/x/whip/none", b"", "application/sdp", 404, "session_not_found"),
        (
            "POST",
            "/live/video-to-video/x/update",
            b"{}",
            "application/json",
            404,
            "stream_not_found",
        ),
        ("POST", UPDATE, b"[1]", JSON, 400, "bad_request"),
        ("POST", UPDATE, b"{", JSON, 400, "bad_request"),
        ("GET", "/live/video-to-video/x/status", b"", "text/plain", 404, "stream_not_found"),
        ("GET", "/nothing/here/at/all", b"", "text/plain", 404, "not_found"),
        ("PUT", "/pipelines", b"", "text/plain", 405, "bad_request"),
    ],
)
async def test_a_wrong_request_is_told_what_is_wrong_and_what_to_do(
    quiet_node: NodeClient, method: str, path: str, body: bytes, kind: str, status: int, code: str
) -> None:
    async with quiet_node.http.request(
        method, quiet_node.url + path, data=body or None, headers={"Content-Type": kind}
    ) as answer:
        problem = await answer.json(content_type="application/problem+json")
    assert (answer.status, problem["code"]) == (status, code)
    assert problem["remedy"]
    assert problem["detail"]
