"""Trickle on the command line: a server of its own, and both ends of a channel for pipes.

python -m trickle --port 8935 --autocreate
python -m trickle pub http://127.0.0.1:8935/ai/trickle/demo < file
python -m trickle sub http://127.0.0.1:8935/ai/trickle/demo > file
python -m trickle sign subscribe demo --secret-file secret
"""

import argparse
import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Final

from trickle.access import OPEN, Access, Right, sign
from trickle.channel import CURRENT
from trickle.errors import TrickleError
from trickle.publisher import TricklePublisher
from trickle.serve import TrickleServer
from trickle.subscriber import TrickleSubscriber
from trickle.table import Limits

# As much of a pipe as is there, up to this, becomes one write.
READ_BYTES: Final = 64 << 10


def main(argv: list[str] | None = None) -> int:
    """Runs what the arguments say. Returns the exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    work = {"pub": _pub, "sub": _sub}.get(arguments[0] if arguments else "", _serve)
    try:
        if arguments[:1] == ["sign"]:
            _sign(arguments)
            return 0
        _run(work(arguments))
    except (TrickleError, OSError, ValueError) as error:
        sys.stderr.write(f"trickle: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _run(work: Coroutine[object, object, None]) -> None:
    factory = None
    with contextlib.suppress(ImportError):
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(work)


async def _serve(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m trickle", description="Serve trickle channels over plain HTTP."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8935, help="0 picks a free one")
    parser.add_argument("--base", default="/ai/trickle/", help="path of all channels")
    parser.add_argument("--autocreate", action="store_true", help="a POST makes its channel")
    parser.add_argument("--changefeed", action="store_true", help="announce on _changes")
    parser.add_argument("--idle-s", type=float, default=300.0, help="close channels idle so long")
    parser.add_argument("--strict-go", action="store_true", help="go-livepeer's losses included")
    parser.add_argument("--lossless", type=int, metavar="N", help="readers may be N behind")
    parser.add_argument("--origin", action="append", default=[], help="web pages from there may")
    parser.add_argument("--list", action="store_true", help="name the channels in the status")
    parser.add_argument(
        "--secret-file", type=Path, help="ask for tokens that were signed with its content"
    )
    parser.add_argument("--operator-token-file", type=Path, help="this token opens everything")
    given = parser.parse_args(arguments)
    server = TrickleServer(
        given.base,
        autocreate=given.autocreate,
        changefeed=given.changefeed,
        strict_go=given.strict_go,
        access=_access(given),
        origins=given.origin,
        listing=given.list,
        metrics=True,
        lossless=given.lossless,
        limits=Limits(idle_s=given.idle_s, unused_s=given.idle_s, sweep_s=min(15.0, given.idle_s)),
    )
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    port = await loop.create_server(server.protocol, given.host, given.port, backlog=1024)
    async with port:
        host, number, *_ = port.sockets[0].getsockname()
        sys.stdout.write(f"trickle on http://{host}:{number}{server.base}\n")
        sys.stdout.flush()
        running = asyncio.create_task(server.run(), name="trickle.sweep")
        await stopped.wait()
        running.cancel()
        await asyncio.wait([running])


def _access(given: argparse.Namespace) -> Access:
    """Secrets come from files: what stands on a command line, everybody on the machine can read."""
    secret = None if given.secret_file is None else given.secret_file.read_bytes().strip()
    operator = None
    if given.operator_token_file is not None:
        operator = given.operator_token_file.read_text().strip()
    if secret == b"" or operator == "":
        raise ValueError("a secret that is empty keeps nothing secret")
    if secret is None and operator is None:
        return OPEN
    return Access(secret=secret, operator=operator)


def _sign(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m trickle sign", description="Make a token for one right on one channel."
    )
    parser.add_argument("right", choices=[Right.PUBLISH.value, Right.SUBSCRIBE.value])
    parser.add_argument("channel")
    parser.add_argument("--secret-file", type=Path, required=True)
    parser.add_argument("--valid-s", type=int, default=3600)
    given = parser.parse_args(arguments[1:])
    secret = given.secret_file.read_bytes().strip()
    until = int(time.time()) + given.valid_s
    sys.stdout.write(sign(secret, Right(given.right), given.channel, expires_at_s=until) + "\n")


async def _pub(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m trickle pub", description="Publish what comes on standard input."
    )
    _arguments(parser)
    parser.add_argument("--segment-s", type=float, default=1.0, help="a new segment this often")
    parser.add_argument("--lines", action="store_true", help="a segment per line instead")
    parser.add_argument("--mime", default="video/MP2T")
    given = parser.parse_args(arguments[1:])
    reader = await _standard_input()
    async with TricklePublisher(given.url, mime_type=given.mime) as publisher:
        if given.lines:
            while line := await reader.readline():
                await publisher.publish(line)
        else:
            await _in_segments(publisher, reader, given.segment_s)
        await publisher.flush()


async def _in_segments(
    publisher: TricklePublisher, reader: asyncio.StreamReader, segment_s: float
) -> None:
    loop = asyncio.get_running_loop()
    segment, begun_at = None, 0.0
    while data := await reader.read(READ_BYTES):
        if segment is not None and loop.time() - begun_at >= segment_s:
            await segment.close()
            segment = None
        if segment is None:
            segment, begun_at = await publisher.next(), loop.time()
        await segment.write(data)
    if segment is not None:
        await segment.close()


async def _sub(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m trickle sub", description="Write a channel to standard output."
    )
    _arguments(parser)
    parser.add_argument("--start", type=int, default=CURRENT, help="a number; -1 next, -2 current")
    given = parser.parse_args(arguments[1:])
    async with TrickleSubscriber(given.url, start=given.start) as subscriber:
        async for segment in subscriber:
            async for data in segment:
                # Blocks when the pipe is full, which is what a pipe is for.
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", help="of the channel; ?token= where the server asks for one")


async def _standard_input() -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=1 << 20)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    return reader


if __name__ == "__main__":
    sys.exit(main())
