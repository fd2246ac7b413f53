"""What graphics cards this machine has, asked of the driver's own tool; none where there is none.

The tool runs as a short-lived process, so that a driver that hangs cannot hang the runner.
"""

import asyncio
import contextlib
import shutil
import time
from dataclasses import dataclass
from typing import Any, Final

_QUERY: Final = "uuid,name,memory.total,memory.free,compute_cap,utilization.gpu,utilization.memory"
_ANSWER_S: Final = 3.0
# Asked more often, the same is answered: the tool takes a good part of a second.
_FRESH_S: Final = 2.0
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Card:
    """One graphics card. Memory in bytes, utilization in percent."""

    uuid: str
    name: str
    memory_total: int
    memory_free: int
    major: int
    minor: int
    compute: int
    memory: int

    def info(self) -> dict[str, Any]:
        return {
            "id": self.uuid,
            "name": self.name,
            "memory_total": self.memory_total,
            "memory_free": self.memory_free,
            "major": self.major,
            "minor": self.minor,
        }

    def stats(self) -> dict[str, Any]:
        return {
            "id": self.uuid,
            "name": self.name,
            "memory_total": self.memory_total,
            "memory_free": self.memory_free,
            "utilization_compute": self.compute,
            "utilization_memory": self.memory,
        }


_last: tuple[float, list[Card]] = (float("-inf"), [])


async def cards() -> list[Card]:
    """Returns the cards, at most a moment old."""
    global _last
    now = time.monotonic()
    asked_at, known = _last
    if now - asked_at < _FRESH_S:
        return known
    found = parse(await _ask())
    _last = (now, found)
    return found


async def _ask() -> str:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ""
    form = "--format=csv,noheader,nounits"
    process = await asyncio.create_subprocess_exec(
        tool,
        f"--query-gpu={_QUERY}",
        form,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(_ANSWER_S):
            output, _ = await process.communicate()
    except TimeoutError:
        return ""
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return output.decode(errors="replace")


def parse(table: str) -> list[Card]:
    """Reads the tool's table; a line that is not understood is left out."""
    found = []
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        with contextlib.suppress(ValueError):
            uuid, name, total, free, capability, compute, memory = cells
            major, minor = capability.split(".")
            found.append(
                Card(
                    uuid,
                    name,
                    int(total) * _MIB,
                    int(free) * _MIB,
                    int(major),
                    int(minor),
                    _percent(compute),
                    _percent(memory),
                )
            )
    return found


def _percent(cell: str) -> int:
    """Cards that are split up say "[N/A]"."""
    return int(cell) if cell.isdigit() else 0
