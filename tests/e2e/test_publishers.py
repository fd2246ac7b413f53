"""Who may publish, and what happens when two want the same name."""

import asyncio
from pathlib import Path

from tests.support.node import NodeClient, node_here
from tests.support.processes import ffmpeg_publish, program

PATIENCE_S = 15.0


def publish(client: NodeClient, name: str, query: str = "pipeline=passthrough") -> tuple[str, ...]:
    return ffmpeg_publish(f"{client.rtmp_url}/{name}?{query}", size="320x240", rate=15)


async def test_the_newest_publisher_wins_and_viewers_stay() -> None:
    async with node_here() as (node, client):
        assert node.gateway is not None
        async with program(*publish(client, "same")) as first:
            report = await client.until_live("same")
            output = await node.gateway.rooms.view("same", source=False, wait=True)
            async with program(*publish(client, "same", "pipeline=neon")):
                async with asyncio.timeout(PATIENCE_S):
                    assert await first.process.wait() != 0
                now = await client.until(
                    "same", lambda r: r["state"] == "live" and r["pipeline"] == "neon"
                )
                # The job went on; only its publisher and its pipeline changed.
                assert now["runner"]["id"] == report["runner"]["id"]
                assert not output.ended
            node.gateway.rooms.left("same")


async def test_publishing_may_need_a_token(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("open sesame\n")
    async with node_here(gateway__publish_token_file=str(secret)) as (_, client):
        for query in ("", "token=wrong"):
            async with program(*publish(client, "kept", query)) as refused:
                async with asyncio.timeout(PATIENCE_S):
                    assert await refused.process.wait() != 0
        headers = {"Content-Type": "application/sdp"}
        async with program(*publish(client, "kept", "token=open%20sesame")):
            await client.until_live("kept")
        async with client.http.post(
            f"{client.url}/kept/whip", data=OFFER, headers=headers
        ) as answer:
            problem = await answer.json(content_type=None)
            assert (answer.status, problem["code"]) == (401, "not_allowed")
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_one_stream_too_many_is_told_the_limit() -> None:
    async with node_here(gateway__streams_max="1") as (_, client):
        async with program(*publish(client, "one")):
            await client.until_live("one")
            async with client.http.post(
                f"{client.url}/two/whip", data=OFFER, headers={"Content-Type": "application/sdp"}
            ) as answer:
                problem = await answer.json(content_type=None)
        assert (answer.status, problem["code"]) == (503, "overloaded")
        assert "gateway.streams_max" in problem["remedy"]
        assert answer.headers["Retry-After"]


async def test_a_stream_too_many_for_the_runners_is_told_to_wait() -> None:
    async with node_here(orchestrator__runners__count="1") as (_, client):
        async with program(*publish(client, "first")):
            await client.until_live("first")
            async with client.http.post(
                f"{client.url}/next/whip", data=OFFER, headers={"Content-Type": "application/sdp"}
            ) as answer:
                problem = await answer.json(content_type=None)
            assert (answer.status, problem["code"]) == (503, "no_runner_free")
        await client.until_runner_ready()
        async with program(*publish(client, "next")):
            await client.until_live("next")


# What ffmpeg's and OBS' WHIP clients offer, shortened to what an answer needs.
OFFER = "\r\n".join(
    (
        "v=0",
        "o=- 1 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        "m=video 9 UDP/TLS/RTP/SAVPF 106",
        "c=IN IP4 0.0.0.0",
        "a=mid:0",
        "a=sendonly",
        "a=rtcp-mux",
        "a=rtpmap:106 H264/90000",
        "a=fmtp:106 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:abcdefghijklmnopqrstuvwx",
        "a=fingerprint:sha-256 " + ":".join(["AB"] * 32),
        "a=setup:actpass",
        "a=ssrc:1 cname:x",
        "",
    )
)
