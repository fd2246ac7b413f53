"""A line carries what was bound around it, even in a task, and never a secret."""

import asyncio
import io
import json
import logging
from collections.abc import Generator

import pytest
import structlog

from server.config import LogConfig, LogFormat
from server.obs import log


@pytest.fixture
def lines() -> Generator[io.StringIO, None, None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    stream = io.StringIO()
    log.configure(LogConfig(format=LogFormat.JSON), stream)
    yield stream
    structlog.reset_defaults()
    root.handlers, root.level = handlers, level


def last(lines: io.StringIO) -> dict[str, object]:
    return dict(json.loads(lines.getvalue().splitlines()[-1]))


async def test_tasks_inherit_what_was_bound(lines: io.StringIO) -> None:
    async def work() -> None:
        structlog.get_logger("test").info("sent", seq=7)

    with log.bound(stream="kitchen", session="a1"):
        await asyncio.create_task(work())
    found = last(lines)
    assert (found["event"], found["stream"], found["session"], found["seq"]) == (
        "sent",
        "kitchen",
        "a1",
        7,
    )
    structlog.get_logger("test").info("later")
    assert "stream" not in last(lines)


@pytest.mark.parametrize("name", ["token", "api_secret", "Authorization", "private_key"])
def test_secrets_are_masked_whoever_logs_them(lines: io.StringIO, name: str) -> None:
    structlog.get_logger("test").warning("refused", **{name: "hunter2"})
    assert "hunter2" not in lines.getvalue()
    assert last(lines)[name] == "***"
