"""Each role by itself: what `up` does in one process works as well in several."""

import aiohttp
import pytest

from tests.support.node import NodeClient
from tests.support.processes import ffmpeg_publish, penstock, program
from tests.support.waiting import until

LISTENS = r"(http://127\.0\.0\.1:\d+)"


async def test_gateway_and_orchestrator_in_two_terminals_do_what_up_does() -> None:
    alone = ("--orchestrator.port", "0", "--orchestrator.runners.count", "1")
    async with program(*penstock("orchestrator", *alone)) as seller:
        work = (await seller.said(f"Orchestrator at {LISTENS}")).group(1)
        ports = (
            *("--gateway.http.port", "0", "--gateway.rtmp.port", "0"),
            *("--gateway.webrtc.port", "0", "--gateway.orchestrators", work),
        )
        async with program(*penstock("gateway", *ports)) as buyer, aiohttp.ClientSession() as http:
            url = (await buyer.said(r"Open (http://\S+)")).group(1)
            rtmp = (await buyer.said(r"Server:\s+(rtmp://\S+)")).group(1)
            client = NodeClient(url, rtmp, http)
            await client.until_runner_ready()
            async with program(*ffmpeg_publish(f"{rtmp}/apart?pipeline=neon", audio=False)):
                report = await client.until_live("apart")
            assert report["orchestrator"] == work
            assert report["output"]["frames"] > 0


async def test_a_gateway_without_an_orchestrator_says_so_and_what_to_do() -> None:
    ports = (
        *("--gateway.http.port", "0", "--gateway.rtmp.port", "0"),
        *("--gateway.webrtc.port", "0", "--gateway.orchestrators", "http://127.0.0.1:9"),
    )
    async with program(*penstock("gateway", *ports)) as gateway, aiohttp.ClientSession() as http:
        url = (await gateway.said(r"Open (http://\S+)")).group(1)
        async with http.get(f"{url}/pipelines") as answer:
            problem = await answer.json(content_type=None)
    assert (answer.status, problem["code"]) == (503, "no_orchestrator")
    assert "penstock orchestrator" in problem["remedy"]


async def test_one_runner_alone_speaks_the_contract_of_an_ai_runner() -> None:
    command = penstock("runner", "--pipeline", "toon", "--runner.port", "0")
    async with program(*command) as runner, aiohttp.ClientSession() as http:
        url = (await runner.said(LISTENS)).group(1)

        async def is_loaded() -> bool:
            async with http.get(f"{url}/health") as answer:
                return bool((await answer.json())["status"] == "IDLE")

        await until(is_loaded, within_s=15)
        async with http.get(f"{url}/pipelines") as answer:
            assert [offer["name"] for offer in (await answer.json())["pipelines"]] == ["toon"]
        async with http.get(f"{url}/version") as answer:
            assert set(await answer.json()) == {"pipeline", "model_id", "version"}
        assert await runner.interrupt() == 0


@pytest.mark.parametrize("path", ["/openapi.json", "/docs", "/metrics", "/healthz"])
async def test_what_every_role_answers(quiet_node: NodeClient, path: str) -> None:
    orchestrator = (await quiet_node.get("/node"))["orchestrators"][0]
    for url in (quiet_node.url, orchestrator):
        async with quiet_node.http.get(url + path) as answer:
            assert answer.status == 200, url + path
            assert await answer.read()


async def test_every_route_is_described(quiet_node: NodeClient) -> None:
    described = set((await quiet_node.get("/openapi.json"))["paths"])
    assert {"/{stream}/whip", "/{stream}/whep", "/pipelines", "/metrics"} <= described
    for path in described:
        if "{" not in path:
            async with quiet_node.http.get(quiet_node.url + path) as answer:
                assert answer.status in (200, 503), path
