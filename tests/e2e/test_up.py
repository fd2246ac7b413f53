"""`penstock up`, as its user starts and stops it."""

import socket
import time

import aiohttp
import psutil
import pytest

from tests.conftest import shared_memory
from tests.support.processes import FREE_PORTS, penstock, program

STOP_MAX_S = 5.0
START_MAX_S = 3.0


async def test_serves_its_page_soon_after_start() -> None:
    async with program(*penstock("up", *FREE_PORTS)) as node, aiohttp.ClientSession() as http:
        url = (await node.said(r"Open (http://\S+)")).group(1)
        async with http.get(url) as page:
            assert page.status == 200
            assert "Penstock" in await page.text()
        assert time.monotonic() - node.began_at < START_MAX_S


async def test_ctrl_c_leaves_nothing_behind() -> None:
    before = shared_memory()
    async with program(*penstock("up", *FREE_PORTS)) as node:
        await node.said(r"Open (http://\S+)")
        family = psutil.Process(node.pid).children(recursive=True)
        assert family, "a node has runner processes"
        began = time.monotonic()
        assert await node.interrupt() == 0
        assert time.monotonic() - began < STOP_MAX_S
        _, alive = psutil.wait_procs(family, timeout=0.5)
        assert not alive
    assert shared_memory() <= before
    assert not [line for line in node.lines if "Traceback" in line], node.lines


async def test_children_of_a_killed_node_die_too() -> None:
    async with program(*penstock("up", *FREE_PORTS)) as node:
        await node.said(r"Open (http://\S+)")
        family = psutil.Process(node.pid).children(recursive=True)
        node.kill()
        _, alive = psutil.wait_procs(family, timeout=STOP_MAX_S)
        assert not alive


@pytest.mark.parametrize(
    ("setting", "kind"),
    [
        ("gateway.http.port", socket.SOCK_STREAM),
        ("gateway.rtmp.port", socket.SOCK_STREAM),
        ("gateway.webrtc.port", socket.SOCK_DGRAM),
        ("orchestrator.port", socket.SOCK_STREAM),
    ],
)
async def test_a_busy_port_is_one_line_that_names_port_and_setting(
    setting: str, kind: socket.SocketKind
) -> None:
    with socket.socket(socket.AF_INET, kind) as holder:
        holder.bind(("127.0.0.1", 0))
        if kind is socket.SOCK_STREAM:
            holder.listen()
        port = holder.getsockname()[1]
        async with program(*penstock("up", *FREE_PORTS, f"--{setting}", str(port))) as node:
            await node.said(f"port {port} .*in use .*{setting}")
            assert await node.process.wait() == 2
    errors = [line for line in node.lines if "penstock:" in line]
    assert len(errors) == 1
    assert not [line for line in node.lines if "Traceback" in line], node.lines


async def test_an_unknown_flag_is_refused_with_the_near_name() -> None:
    async with program(*penstock("up", "--gateway.http.prot", "1")) as node:
        await node.said(r"unknown setting 'gateway.http.prot'.* did you mean 'gateway.http.port'")
        assert await node.process.wait() == 2


async def test_settings_can_be_shown_and_sampled() -> None:
    async with program(*penstock("config", "show", "--gateway.rtmp.port", "7")) as shown:
        await shown.said(r"gateway\.rtmp\.port\s+7\b")
        assert await shown.process.wait() == 0
    async with program(*penstock("config", "sample")) as sampled:
        await sampled.said(r"\[gateway\.rtmp\]")
        assert await sampled.process.wait() == 0
