"""OBS Studio without a screen: a home of its own, Xvfb, and streaming from the first second.

What is written here is what OBS itself would write after its settings window was filled in by
hand: service "Custom", a server, a stream key, simple output mode.
"""

import json
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.processes import Program, program

NAME = "penstock"
SIZE = (640, 360)

# Everybody who lacks it is told; `make tools` installs it where it can.
needs_obs = pytest.mark.skipif(
    not (shutil.which("obs") and shutil.which("Xvfb")),
    reason="OBS is not tested: no obs or no Xvfb here (apt-get install obs-studio xvfb)",
)

_GLOBAL = f"""\
[General]
FirstRun=true
EnableAutoUpdates=false
[Basic]
Profile={NAME}
ProfileDir={NAME}
SceneCollection={NAME}
SceneCollectionFile={NAME}
"""

# README's advice: x264, a keyframe each second. RetryDelay is OBS's least.
_PROFILE = f"""\
[General]
Name={NAME}
[Video]
BaseCX={SIZE[0]}
BaseCY={SIZE[1]}
OutputCX={SIZE[0]}
OutputCY={SIZE[1]}
FPSCommon=30
[Output]
Mode=Simple
Reconnect=true
RetryDelay=1
MaxRetries=25
[SimpleOutput]
VBitrate=1000
ABitrate=96
StreamEncoder=x264
UseAdvanced=true
Preset=ultrafast
x264Settings=keyint=30 tune=zerolatency
"""

_SCENE = {
    "name": NAME,
    "current_scene": "Scene",
    "current_program_scene": "Scene",
    "scene_order": [{"name": "Scene"}],
    "sources": [
        {
            "id": "color_source",
            "versioned_id": "color_source_v3",
            "name": "White",
            "settings": {"color": 0xFFFFFFFF, "width": SIZE[0], "height": SIZE[1]},
        },
        {
            "id": "scene",
            "versioned_id": "scene",
            "name": "Scene",
            "settings": {"id_counter": 1, "items": [{"name": "White", "id": 1, "visible": True}]},
        },
    ],
}


@asynccontextmanager
async def obs_streaming(home: Path, *, server: str, key: str) -> AsyncGenerator[Program, None]:
    """OBS, streaming a white picture and silence to `server` under `key`."""
    _furnish(home / ".config" / "obs-studio", server, key)
    async with program("Xvfb", "-displayfd", "1", "-screen", "0", "800x600x24") as screen:
        display = (await screen.said(r"^(\d+)$", within_s=10)).group(1)
        async with program(
            *("obs", "--multi", "--disable-shutdown-check", "--startstreaming"),
            *("--profile", NAME, "--collection", NAME),
            HOME=str(home),
            XDG_CONFIG_HOME=str(home / ".config"),
            XDG_RUNTIME_DIR=str(home),
            DISPLAY=f":{display}",
            QT_QPA_PLATFORM="xcb",
            LIBGL_ALWAYS_SOFTWARE="1",
        ) as obs:
            try:
                yield obs
            finally:
                obs.kill()  # asked politely, it would ask back whether to stop streaming
                await obs.process.wait()


def _furnish(config: Path, server: str, key: str) -> None:
    profile, scenes = config / "basic" / "profiles" / NAME, config / "basic" / "scenes"
    for folder in (profile, scenes):
        folder.mkdir(parents=True)
    (config / "global.ini").write_text(_GLOBAL)
    (profile / "basic.ini").write_text(_PROFILE)
    service = {"type": "rtmp_custom", "settings": {"server": server, "key": key}}
    (profile / "service.json").write_text(json.dumps(service))
    (scenes / f"{NAME}.json").write_text(json.dumps(_SCENE))
