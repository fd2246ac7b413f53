"""The rules of the house that a linter cannot know."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from server.config import NodeConfig
from server.config_load import settings

ROOT = Path(__file__).parents[2]
PACKAGES = ("server", "trickle", "runners", "chain")

ROLES = ("gateway", "orchestrator")

# What a node may import of `runners`; the rest loads codecs and pipelines, in child processes.
LIGHT_RUNNERS = ("spec", "messages", "health", "pacing", "link", "host", "pool", "errors")

# Nobody on the left may import anything on the right.
FORBIDDEN = {
    "trickle": ("server", "runners", "chain", "web"),
    "chain": ("server", "runners", "trickle", "web"),
    "runners": ("server", "chain", "web"),
    "server.media": ("server.edge", "server.wire", *(f"server.{role}" for role in ROLES)),
    "server.edge": ("server.node", *(f"server.{role}" for role in ROLES)),
    "server.obs": ("server.edge", "server.media", "server.node"),
    **{
        f"server.{role}": ("server.node", *(f"server.{other}" for other in ROLES if other != role))
        for role in ROLES
    },
}

# A core holds protocol or arithmetic and nothing else. These modules say so by being listed.
PURE = (
    "trickle/channel.py",
    "trickle/cursors.py",
    "trickle/errors.py",
    "trickle/headers.py",
    "trickle/segment.py",
    "trickle/table.py",
    "trickle/media/annexb.py",
    "trickle/media/mpegts.py",
    "trickle/media/packets.py",
    "trickle/media/sps.py",
    "trickle/media/stamps.py",
    "runners/health.py",
    "runners/messages.py",
    "runners/pacing.py",
    "runners/stats.py",
    "runners/live/events.py",
    "runners/live/settings.py",
    "server/gateway/catalogue.py",
    "server/gateway/latency.py",
    "server/gateway/progress.py",
    "server/gateway/status.py",
    "server/media/amf.py",
    "server/media/flv.py",
    "server/media/gop.py",
    "server/media/rtmp_chunks.py",
    "server/media/rtmp_session.py",
    "server/media/segmenter.py",
    "server/media/stream_stats.py",
    "server/media/timeline.py",
    "server/media/rtc/clock.py",
    "server/media/rtc/estimate.py",
    "server/media/rtc/h264.py",
    "server/media/rtc/negotiation.py",
    "server/media/rtc/order.py",
    "server/media/rtc/receiver.py",
    "server/media/rtc/reception.py",
    "server/media/rtc/rtcp.py",
    "server/media/rtc/rtp.py",
    "server/media/rtc/sdp.py",
    "server/media/rtc/sender.py",
    "server/media/rtc/twcc.py",
)
IMPURE = (
    *("asyncio", "socket", "time", "random", "os", "threading"),
    *("aiohttp", "aiortc", "aioice", "av", "torch", "web3"),
)


@cache
def imports(path: Path) -> tuple[str, ...]:
    return tuple(found(path))


def found(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=str(module), names=names):
                yield module
                yield from (f"{module}.{name.name}" for name in names)
            case _:
                pass


def inside(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def modules() -> list[str]:
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return [str(path.relative_to(ROOT)) for path in paths]


@pytest.mark.parametrize("module", modules())
def test_imports_point_downwards(module: str) -> None:
    name = module.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    for package, forbidden in FORBIDDEN.items():
        if inside(name, package):
            for imported in imports(ROOT / module):
                assert not any(inside(imported, lower) for lower in forbidden), imported


@pytest.mark.parametrize("module", [m for m in modules() if m.startswith("server/")])
def test_a_node_imports_only_the_light_half_of_runners(module: str) -> None:
    for imported in imports(ROOT / module):
        if inside(imported, "runners") and imported != "runners":
            assert imported.split(".")[1] in LIGHT_RUNNERS, imported


@pytest.mark.parametrize("module", [m for m in modules() if m.startswith("trickle/")])
def test_trickle_does_not_know_what_it_carries(module: str) -> None:
    if not module.startswith("trickle/media/"):
        assert not [name for name in imports(ROOT / module) if inside(name, "trickle.media")]


@pytest.mark.parametrize("module", PURE)
def test_cores_do_no_input_or_output(module: str) -> None:
    assert not [name for name in imports(ROOT / module) if name.split(".")[0] in IMPURE]


@pytest.mark.parametrize(
    "module", [m for m in PURE if not m.endswith(("errors.py", "headers.py", "packets.py"))]
)
def test_every_core_has_its_own_unit_test(module: str) -> None:
    path = Path(module)
    assert (ROOT / "tests/unit" / path.parent / f"test_{path.name}").exists()


@pytest.mark.parametrize("module", modules())
def test_every_module_says_what_it_is(module: str) -> None:
    assert ast.get_docstring(ast.parse((ROOT / module).read_text()))


def test_every_setting_is_explained() -> None:
    assert all(
        (setting.field.description or "").endswith(".") for setting in settings(NodeConfig())
    )


NAMED = re.findall(
    r"`((?:server|trickle|runners|chain)\.[a-z_.]+)`", (ROOT / "ARCHITECTURE.md").read_text()
)


@pytest.mark.parametrize("name", sorted(set(NAMED)))
def test_what_the_architecture_names_is_there(name: str) -> None:
    path = ROOT / name.replace(".", "/")
    assert path.is_dir() or path.with_suffix(".py").exists()
