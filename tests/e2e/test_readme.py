"""The README's examples run as they stand; only the ports are the test's own."""

import asyncio
import json
import re
import sys
from pathlib import Path

import pytest

from tests.support.node import NodeClient, node_here
from tests.support.processes import ROOT, program

README = (ROOT / "README.md").read_text()
SHELL = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
RUN_MAX_S = 30.0


def localised(command: str, client: NodeClient) -> str:
    return command.replace("http://localhost:8080", client.url).replace(
        "rtmp://localhost:1935/live", client.rtmp_url
    )


async def output_of(command: str) -> str:
    async with program("sh", "-c", command) as shell, asyncio.timeout(RUN_MAX_S):
        await shell.process.wait()
        await asyncio.sleep(0)
    return "\n".join(shell.lines)


async def test_the_five_examples_do_what_they_say() -> None:
    pipelines, publish, status, update, events = SHELL
    async with node_here() as (_, client):
        listed = json.loads(await output_of(localised(pipelines, client)))
        assert {"toon", "neon"} <= {offer["name"] for offer in listed["pipelines"]}
        async with program("sh", "-c", "exec " + localised(publish, client).strip()):
            await client.until_live("mystream")
            report = json.loads(await output_of(localised(status, client)))
            assert (report["state"], report["pipeline"]) == ("live", "neon")
            assert json.loads(await output_of(localised(update, client))) == {}
            followed = await output_of(localised(events, client))
    first = json.loads(followed.split("data: ", 1)[1].splitlines()[0])
    assert (first["pipeline"], first["params"]["levels"]) == ("toon", 4)


async def test_the_example_effect_is_a_pipeline_that_a_runner_serves(tmp_path: Path) -> None:
    (tmp_path / "negative.py").write_text(PYTHON[0])
    reference = f"{tmp_path}/negative.py:Negative"
    command = (sys.executable, "-m", "server", "runner", "--pipeline", reference)
    async with program(*command, "--runner.port", "0") as runner:
        await runner.said(r"http://127\.0\.0\.1:\d+")


@pytest.mark.parametrize("target", re.findall(r"\]\((?!http)([^)]+)\)", README))
def test_every_link_leads_somewhere(target: str) -> None:
    assert (ROOT / target).exists()
