"""Every stream by name: who publishes it, what is made of it, who watches.

A room is there while somebody publishes, or watches and hopes. It outlives its publisher by a
grace, so that one who comes back finds the viewers still there, and it outlives any orchestrator.
`Rooms` is what the edges know of the gateway: their `Ingest` and their `Viewing`.
"""

import asyncio
import hmac
import time
from collections.abc import Mapping
from typing import Any, Final

import structlog

from server.config import GatewayConfig
from server.edge.ingest import PublishRequest, check_stream_name
from server.errors import (
    BadParameters,
    NotAllowed,
    Overloaded,
    StreamNotFound,
    TooManyViewers,
)
from server.gateway.orchestrators import Orchestrators
from server.gateway.publishing import Publishing
from server.gateway.room import Room
from server.gateway.status import Report
from server.media.stream import LiveStream
from server.obs.metrics import Metrics

log = structlog.get_logger(__name__)

# The last word about a stream is kept so that a page that asks a moment late still learns it.
LAST_WORDS_MAX: Final = 256
LAST_WORDS_S: Final = 60.0


class Rooms:
    """All rooms of a gateway, and the tasks that live in them."""

    def __init__(
        self,
        config: GatewayConfig,
        orchestrators: Orchestrators,
        metrics: Metrics,
        *,
        token: str | None = None,
    ) -> None:
        self._config = config
        self._orchestrators = orchestrators
        self._metrics = metrics
        self._token = token
        self._rooms: dict[str, Room] = {}
        self._last_words: dict[str, tuple[float, Report]] = {}
        self._tasks: asyncio.TaskGroup | None = None
        metrics.streams.set_function(lambda: sum(room.publishing for room in self._rooms.values()))
        metrics.viewers.set_function(lambda: sum(room.viewers for room in self._rooms.values()))

    async def run(self) -> None:
        """Owns every room's task; returns when cancelled and all of them have ended."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self._tasks = None
                for room in tuple(self._rooms.values()):
                    room.close("the node is stopping")

    async def publish(self, request: PublishRequest) -> Publishing:
        """Lets a publisher in. The newest wins: one who was there before is told and dropped.

        Raises:
            NotAllowed: The token is missing or wrong.
            BadParameters: No orchestrator has such a pipeline, or it takes no such parameters.
            Overloaded: There are as many streams as the settings allow.
            NoRunnerFree, NoOrchestrator: Nobody can do the work now.
        """
        check_stream_name(request.stream)
        if self._token is not None and not hmac.compare_digest(
            (request.token or "").encode(), self._token.encode()
        ):
            raise NotAllowed("publishing here needs a token, and this is not it")
        pipeline = request.pipeline or self._config.default_pipeline
        params = request.params or {}
        (await self._orchestrators.catalogue()).check(pipeline, params)
        room = self._open_room(request.stream)
        if room is None or not room.publishing:
            busy = sum(other.publishing for other in self._rooms.values())
            if busy >= self._config.streams_max:
                raise Overloaded(
                    f"{busy} streams are live, as many as gateway.streams_max allows",
                    remedy="Wait for one to end, or raise gateway.streams_max.",
                )
        if room is None:
            room = self._open(request.stream)
        publishing = await room.admit(request.protocol, pipeline, params)
        self._metrics.publishes.labels(request.protocol).inc()
        log.info("publishing", stream=request.stream, protocol=request.protocol, pipeline=pipeline)
        return publishing

    async def view(self, stream: str, *, source: bool, wait: bool) -> LiveStream:
        """Lets a viewer in, perhaps before there is anything to see.

        Raises:
            StreamNotFound: Nobody publishes, and the viewer would not wait.
            TooManyViewers: The limit is reached.
        """
        check_stream_name(stream)
        room = self._open_room(stream)
        if (room is None or not room.publishing) and not (wait and self._config.viewer_wait_s):
            raise StreamNotFound(f"nobody publishes {stream!r}")
        if sum(room.viewers for room in self._rooms.values()) >= self._config.viewers_max:
            raise TooManyViewers(f"there are {self._config.viewers_max} viewers already")
        if room is None:
            if len(self._rooms) >= self._config.streams_max + self._config.viewers_max:
                raise Overloaded("too many viewers wait for streams that are not there")
            room = self._open(stream)
        room.viewer_came()
        return room.source if source else room.output

    def left(self, stream: str) -> None:
        """A viewer that `view` let in has gone."""
        room = self._rooms.get(stream)
        if room is not None:
            room.viewer_left()

    async def update(self, stream: str, update: Mapping[str, Any]) -> None:
        """Changes a live stream's parameters, or with `model_id` its pipeline.

        Raises:
            StreamNotFound: Nobody publishes it.
            BadParameters: The pipeline would not take them.
        """
        room = self._rooms.get(stream)
        if room is None or not room.publishing:
            raise StreamNotFound(f"nobody publishes {stream!r}")
        params = dict(update)
        pipeline = params.pop("model_id", room.pipeline)
        if not isinstance(pipeline, str):
            raise BadParameters("model_id must be a string, the name of a pipeline")
        if pipeline == room.pipeline:
            params = {**room.params, **params}
        (await self._orchestrators.catalogue()).check(pipeline, params)
        room.update(pipeline, params)

    def report(self, stream: str) -> Report:
        """What is to be said about a stream.

        Raises:
            StreamNotFound: It is not there, and was not a minute ago.
        """
        room = self._rooms.get(stream)
        if room is not None:
            return room.report()
        at, report = self._last_words.get(stream, (float("-inf"), None))
        if report is None or time.monotonic() - at > LAST_WORDS_S:
            raise StreamNotFound(f"there is no stream {stream!r}")
        return report

    def reports(self) -> list[Report]:
        return [room.report() for room in self._rooms.values()]

    def changed(self, stream: str) -> asyncio.Event | None:
        """Set whenever there is something new to say about a stream that is there."""
        room = self._rooms.get(stream)
        return room.changed if room is not None else None

    def _open_room(self, name: str) -> Room | None:
        room = self._rooms.get(name)
        return None if room is None or room.over else room

    def _open(self, name: str) -> Room:
        if self._tasks is None:
            raise Overloaded("the node is stopping")
        room = Room(name, self._config, self._orchestrators, self._metrics)
        self._rooms[name] = room
        self._tasks.create_task(self._live(room), name=f"room.{name}")
        return room

    async def _live(self, room: Room) -> None:
        """The outermost shell of a room: what breaks in one stream is no other's business."""
        try:
            await room.run()
        except Exception:
            log.exception("room failed", stream=room.name)
        finally:
            self._closed(room)

    def _closed(self, room: Room) -> None:
        if self._rooms.get(room.name) is room:
            del self._rooms[room.name]
        if room.was_published:
            now = time.monotonic()
            self._last_words = {
                name: (at, report)
                for name, (at, report) in self._last_words.items()
                if now - at < LAST_WORDS_S
            }
            if len(self._last_words) < LAST_WORDS_MAX:
                self._last_words[room.name] = (now, room.report())
