"""What holds for every test: it leaves nothing behind."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import psutil
import pytest

# A process that was told to end may need a moment to be reaped.
REAP_S = 3.0


@pytest.fixture(autouse=True)
def leaves_nothing(request: pytest.FixtureRequest) -> Generator[None, None, None]:
    """Fails a test that leaves processes or shared memory, and an async one that leaves tasks."""
    if request.node.get_closest_marker("asyncio") is not None:
        request.getfixturevalue("leaves_no_tasks")
    before, memory = children(), shared_memory()
    yield
    # A shared fixture (a browser, a node) may start its processes inside a test.
    left = [psutil.Process(pid) for pid in children() - before - SHARED if psutil.pid_exists(pid)]
    _, alive = psutil.wait_procs(left, timeout=REAP_S)
    for child in alive:
        child.kill()
    assert not alive, f"left running: {[child.cmdline() for child in alive]}"
    assert shared_memory() <= memory, f"left in shared memory: {shared_memory() - memory}"


@pytest.fixture
async def leaves_no_tasks() -> AsyncGenerator[None, None]:
    before = asyncio.all_tasks()
    yield

    def left() -> list["asyncio.Task[Any]"]:
        known = {*before, asyncio.current_task()}
        return [task for task in asyncio.all_tasks() if task not in known]

    # What was cancelled or closed a moment ago may still have a turn to take.
    for _ in range(100):
        if not left():
            break
        await asyncio.sleep(0.01)
    assert not left(), f"left running: {left()}"


def shared_memory() -> set[str]:
    root = Path("/dev/shm")
    ours = ("psm_", "penstock", "wnsm_")
    return {p.name for p in root.iterdir() if p.name.startswith(ours)} if root.is_dir() else set()


# Processes that belong to a fixture wider than one test.
SHARED: set[int] = set()


def children() -> set[int]:
    """The pids of our children, from the kernel's own list where it has one: it is quick."""
    tasks = Path("/proc/self/task")
    try:
        return {
            int(pid) for task in tasks.iterdir() for pid in (task / "children").read_text().split()
        }
    except OSError:
        return {child.pid for child in psutil.Process().children()}
