"""A runner process: `python -m runners --pipeline toon --host 127.0.0.1 --port 8000`.

By itself it is an ai-runner container without the container. Started by a node it also has a link,
over which it says its port when it is ready, and learns when to stop.
"""

import argparse
import asyncio
import contextlib
import logging
import sys
from typing import Final

from aiohttp import web

from runners import child, logs
from runners.health import RunnerStatus
from runners.live.api import application
from runners.live.runner import LiveRunner

log = logging.getLogger(__name__)

_EXIT_MISTAKE: Final = 2


def main() -> int:
    """Runs until told to stop, and returns the exit code."""
    options = _arguments()
    if options.link_fd is not None:
        child.prepare()
    level = logging.DEBUG if options.verbose else logging.INFO
    logs.configure(for_parent=options.link_fd is not None, level=level)
    _calm_libraries()
    try:
        import uvloop
    except ImportError:
        return asyncio.run(_serve(options))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(options))


def _calm_libraries() -> None:
    """Decoding and encoding have a thread each; more, for single steps, would only cost."""
    import cv2

    cv2.setNumThreads(1)


async def _serve(options: argparse.Namespace) -> int:
    lifeline = child.AsyncLifeline(options.link_fd) if options.link_fd is not None else None
    runner = LiveRunner(
        options.pipeline.split(","),
        on_change=lambda status, message: _say(lifeline, status, message),
    )
    http = web.AppRunner(application(runner), access_log=None, shutdown_timeout=1.0)
    await http.setup()
    try:
        site = web.TCPSite(http, options.host, options.port)
        try:
            await site.start()
        except OSError as error:
            where = f"{options.host}:{options.port}"
            log.error("cannot listen on %s: %s; choose another --port", where, error.strerror)  # noqa: TRY400
            return _EXIT_MISTAKE
        port = http.addresses[0][1]
        async with asyncio.TaskGroup() as group:
            running = group.create_task(runner.run(), name="runner")
            ready = group.create_task(_announce(runner, lifeline, options.host, port))
            try:
                if lifeline is not None:
                    await lifeline.run()
                else:
                    await _until_signalled_or(ready)
                await runner.stop("the runner is stopping")
            finally:
                ready.cancel()
                running.cancel()
    finally:
        await http.cleanup()
    return 0 if lifeline is not None or runner.pipelines else _EXIT_MISTAKE


async def _until_signalled_or(ready: asyncio.Task[bool]) -> None:
    """Waits for Ctrl-C, or for it to turn out that there will never be a model."""
    signalled = asyncio.create_task(child.until_signalled())
    try:
        await asyncio.wait((signalled, ready), return_when=asyncio.FIRST_COMPLETED)
        if ready.done() and ready.result():
            await signalled
    finally:
        signalled.cancel()


async def _announce(
    runner: LiveRunner, lifeline: child.AsyncLifeline | None, host: str, port: int
) -> bool:
    """Says that jobs may come, once they may; False when they never will."""
    if lifeline is None:
        log.info("listening on http://%s:%s", host, port)
    await runner.model.ready()
    if runner.health.failure is not None:
        return False
    if lifeline is not None:
        lifeline.ready({"port": port, "pipelines": runner.pipelines})
    else:
        log.info("ready: %s", ", ".join(info["name"] for info in runner.pipelines))
    return True


def _say(lifeline: child.AsyncLifeline | None, status: RunnerStatus, message: str) -> None:
    if lifeline is not None:
        lifeline.report(status.value, message)
    elif status is RunnerStatus.ERROR:
        log.error("%s", message)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="runners", description="One AI runner: live video in and out over trickle."
    )
    parser.add_argument(
        "--pipeline", default="effects", help="names with commas, 'effects', or ./file.py:Class"
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0 lets the system choose")
    parser.add_argument("--link-fd", type=int, default=None, help=argparse.SUPPRESS)
    parser.add_argument("--verbose", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
