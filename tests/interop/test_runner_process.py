"""The runner as a process: the pool that keeps it, its HTTP contract, and how it dies."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import psutil
import pytest

from runners.pool import NoRunner, RunnerPool, RunnerRefused
from runners.spec import RunnerSpec
from tests.support.live_rig import channels, filming, trial
from tests.support.processes import program
from tests.support.waiting import until


@asynccontextmanager
async def pool_of(*pipelines: str, count: int = 1) -> AsyncGenerator[RunnerPool, None]:
    specs = [RunnerSpec(name=f"runner-{n}", pipelines=pipelines) for n in range(1, count + 1)]
    pool = RunnerPool(specs)
    await pool.start()
    try:
        await asyncio.wait_for(pool.ready(), 20)
        yield pool
    finally:
        await pool.close()


async def get(url: str) -> Any:
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        assert answer.status == 200
        return await answer.json()


async def test_a_job_goes_from_the_pool_through_the_process_and_back() -> None:
    async with pool_of("passthrough") as pool, channels() as stream:
        lease = await pool.acquire("passthrough")
        async with filming(stream):
            await lease.start(stream.job("passthrough").model_dump())
            await stream.sees(lambda: len(stream.seen) > 20)
            assert await get(f"{lease.url}/health") == {"status": "OK"}
        await lease.release()
        assert pool.states()["idle"] == 1


async def test_a_lent_runner_is_not_lent_again_before_it_is_given_back() -> None:
    async with pool_of("passthrough") as pool:
        lease = await pool.acquire("passthrough")
        with pytest.raises(NoRunner, match="1 busy"):
            await pool.acquire("passthrough")
        await lease.release()
        assert (await pool.acquire("passthrough")).runner_id == "runner-1"


async def test_asking_for_what_no_runner_has_says_what_there_is() -> None:
    async with pool_of("passthrough") as pool:
        with pytest.raises(NoRunner, match="there is passthrough"):
            await pool.acquire("neon")


async def test_a_killed_runner_is_replaced_and_its_borrower_told() -> None:
    async with pool_of("passthrough") as pool:
        lease = await pool.acquire("passthrough")
        pid = pool.describe()[0]["pid"]
        children = psutil.Process(pid).children()
        assert len(children) == 1
        psutil.Process(pid).kill()
        assert "SIGKILL" in await asyncio.wait_for(lease.lost(), 5)
        await until(lambda: pool.states()["idle"] == 1, within_s=10)
        assert pool.describe()[0]["restarts"] == 1
        await until(lambda: not children[0].is_running(), within_s=3)
        await lease.release()
        assert (await pool.acquire("passthrough")).restarts == 1


async def test_a_runner_whose_model_cannot_be_had_is_replaced() -> None:
    async with pool_of(*trial("Moody")) as pool, channels() as stream:
        lease = await pool.acquire("moody")
        async with filming(stream):
            await lease.start(stream.job("moody", mood="die").model_dump())
            assert "model process" in await asyncio.wait_for(lease.lost(), 25)
            await until(lambda: pool.states()["idle"] == 1, within_s=10)


async def test_a_runner_with_an_unknown_pipeline_fails_and_says_why() -> None:
    async with pool_of("toom") as pool:
        (runner,) = pool.describe()
    assert runner["state"] == "failed"
    assert "did you mean 'toon'" in runner["problem"]


async def test_by_itself_a_runner_with_an_unknown_pipeline_is_a_mistake_of_one_line() -> None:
    command = (sys.executable, "-m", "runners", "--pipeline", "toom", "--port", "0")
    async with program(*command) as runner:
        await runner.said("did you mean 'toon'")
        await asyncio.wait_for(runner.process.wait(), 5)
        assert runner.process.returncode == 2


async def test_bad_jobs_are_refused_with_a_reason() -> None:
    async with pool_of(*trial("Moody")) as pool, channels() as stream:
        lease = await pool.acquire("moody")
        job = stream.job("moody").model_dump()
        for change, reason in (
            ({"model_id": "neon"}, "unknown_model"),
            ({"params": {"shade": 999}}, "bad_parameters"),
            ({"subscribe_url": ""}, "bad_request"),
        ):
            with pytest.raises(RunnerRefused) as caught:
                await lease.start({**job, **change})
            assert (caught.value.status, caught.value.reason) == (400, reason)


async def test_the_http_contract_of_an_ai_runner() -> None:
    async with pool_of("passthrough", "toon") as pool, aiohttp.ClientSession() as http:
        base = (await pool.acquire("toon")).url
        assert await get(f"{base}/health/") == {"status": "IDLE"}
        version = await get(f"{base}/version")
        assert version["pipeline"] == "live-video-to-video"
        assert version["model_id"] == "passthrough"
        assert "gpu_info" in await get(f"{base}/hardware/info")
        assert "gpu_stats" in await get(f"{base}/hardware/stats")
        names = [info["name"] for info in (await get(f"{base}/pipelines"))["pipelines"]]
        assert names == ["passthrough", "toon"]
        async with http.get(f"{base}/metrics") as answer:
            assert "penstock_runner_restarts 0.0" in await answer.text()
        async with http.post(f"{base}/live-video-to-video", data=b"{not json") as answer:
            assert answer.status == 400
            assert (await answer.json())["detail"]["code"] == "bad_request"
        async with http.get(f"{base}/nothing") as answer:
            assert answer.status == 404
            assert "msg" in (await answer.json())["detail"]


async def test_with_auth_token_set_every_request_must_carry_it() -> None:
    command = (sys.executable, "-m", "runners", "--pipeline", "passthrough", "--port", "0")
    async with program(*command, AUTH_TOKEN="sesame") as runner, aiohttp.ClientSession() as http:
        url = (await runner.said(r"listening on (http://\S+)"))[1] + "/health"
        async with http.get(url) as refused:
            assert refused.status == 401
        async with http.get(url, headers={"Authorization": "Bearer sesame"}) as answer:
            assert answer.status == 200


async def test_closing_the_pool_leaves_no_process() -> None:
    async with pool_of("passthrough", count=2) as pool:
        pids = [runner["pid"] for runner in pool.describe()]
        family = [psutil.Process(pid) for pid in pids]
        family += [child for parent in family for child in parent.children(recursive=True)]
        assert len(family) == 4
    for process in family:
        assert not process.is_running()


async def test_by_itself_a_runner_says_where_it_is_and_leaves_at_ctrl_c() -> None:
    command = (sys.executable, "-m", "runners", "--pipeline", "passthrough", "--port", "0")
    async with program(*command) as runner:
        match = await runner.said(r"listening on (http://\S+)")
        await runner.said("ready: passthrough")
        assert await get(f"{match[1]}/health") == {"status": "IDLE"}
        children = psutil.Process(runner.pid).children()
        assert await runner.interrupt() == 0
    for child in children:
        assert not child.is_running()


async def test_a_busy_port_is_one_line_and_exit_code_2() -> None:
    command = (sys.executable, "-m", "runners", "--pipeline", "passthrough", "--port")
    async with program(*command, "0") as first:
        match = await first.said(r"listening on http://127.0.0.1:(\d+)")
        async with program(*command, match[1]) as second:
            await second.said(f"cannot listen on 127.0.0.1:{match[1]}.*--port")
            await asyncio.wait_for(second.process.wait(), 5)
            assert second.process.returncode == 2
            assert not any("Traceback" in line for line in second.lines)
