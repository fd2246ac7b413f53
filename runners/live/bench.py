"""The work bench of the model process: one pipeline, one stream, one frame at a time.

Settings change between two frames and never inside one. Another pipeline is loaded on a thread
beside the one that works, so that the picture does not stop meanwhile.
"""

import logging
import os
import select
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from pydantic import ValidationError

from runners.errors import BadParams, PictureTooLarge, RunnerError, UnknownModel
from runners.link import BlockingLink
from runners.messages import Close, Given, Message, Open, Opened, Refused, Take, Update
from runners.pipelines import registry
from runners.ring import Header, Ring
from runners.sdk import BaseParams, Frame, Picture, Pipeline

log = logging.getLogger(__name__)

# Enough to know what a pipeline raised; the log has the rest.
_MAX_ERROR: Final = 500
# Where every frame fails, the trace of one in so many is logged.
_TRACES_APART_S: Final = 5.0


@dataclass(slots=True)
class _Loaded:
    """What came of loading a pipeline beside the one that works."""

    order: Open | Update
    pipeline: Pipeline | None
    failure: RunnerError | None


class Bench:
    """Does what the runner orders over `link`."""

    def __init__(
        self, link: BlockingLink, inward: Ring, outward: Ring, references: Mapping[str, str]
    ) -> None:
        """Makes a bench.

        Args:
            link: To the runner.
            inward: Where frames come.
            outward: Where results go.
            references: The pipelines that may be asked for, and what the registry calls them.
        """
        self._link = link
        self._inward = inward
        self._outward = outward
        self._references = references
        self._name = ""
        self._pipeline: Pipeline | None = None
        self._epoch = 0
        self._loading = False
        self._loaded: deque[_Loaded] = deque()
        self._later: deque[Update] = deque()
        self._wake, self._woken = os.pipe()
        self._last_trace_at = float("-inf")

    def run(self) -> None:
        """Works until the link ends."""
        while (message := self._next()) is not None:
            match message:
                case Take():
                    self._take(message)
                case Open():
                    self._close()
                    self._install(self._load(message))
                case Update():
                    self._later.append(message)
                case Close():
                    self._close()
                case _:
                    pass
            self._settle()
        self._close()

    def _next(self) -> Message | None:
        """Waits for an order, and puts a pipeline that has been loaded into place meanwhile."""
        while not self._link.has_received:
            ready, _, _ = select.select([self._link.fileno(), self._wake], [], [])
            if self._wake in ready:
                os.read(self._wake, 1)
                self._loading = False
                self._install(self._loaded.popleft())
                self._settle()
            if self._link.fileno() in ready:
                break
        return self._link.receive()

    # ---- frames

    def _take(self, take: Take) -> None:
        header, rgb = self._inward.read(take.slot)
        rgb.flags.writeable = False
        began = time.perf_counter()
        picture, error = self._process(Frame(rgb, header.pts, header.seq))
        effect_s = time.perf_counter() - began
        if picture is not None:
            try:
                self._put(picture, header, take.into)
            except PictureTooLarge as problem:
                picture, error = None, str(problem)
        self._link.send(Given(take.seq, picture is not None, self._epoch, effect_s, error))

    def _process(self, frame: Frame) -> tuple[Picture | None, str | None]:
        pipeline = self._pipeline
        if pipeline is None:
            return None, "no pipeline is open"
        try:
            return _checked(pipeline.process(frame)), None
        except Exception as error:  # noqa: BLE001 - an author's code may raise anything
            self._trace("pipeline failed", error)
            return frame.rgb if pipeline.original_on_error else None, _describe(error)

    def _put(self, picture: Picture, header: Header, into: int) -> None:
        height, width = picture.shape[:2]
        result = Header(header.seq, header.pts, self._epoch, width, height, header.captured_at)
        np.copyto(self._outward.stamp(into, result), picture)

    def _trace(self, event: str, error: Exception) -> None:
        now = time.monotonic()
        if now - self._last_trace_at > _TRACES_APART_S:
            self._last_trace_at = now
            log.warning(event, exc_info=error, extra={"pipeline": self._name})

    # ---- settings

    def _settle(self) -> None:
        """Takes up the settings that wait, one after the other."""
        while self._later and not self._loading:
            update = self._later.popleft()
            if update.pipeline in (None, self._name):
                self._update(update)
            else:
                self._loading = True
                threading.Thread(target=self._load_beside, args=(update,), daemon=True).start()

    def _update(self, update: Update) -> None:
        pipeline = self._pipeline
        if pipeline is None:
            return
        try:
            merged = {**pipeline.params.model_dump(), **update.params}
            params = _validated(type(pipeline), merged)
            pipeline.update(params)
        except RunnerError as error:
            self._refuse(update.epoch, error.code, error.message)
        except Exception as error:  # noqa: BLE001 - an author's code may raise anything
            self._trace("pipeline refused parameters", error)
            self._refuse(update.epoch, "pipeline_failed", _describe(error))
        else:
            self._opened(update.epoch)

    def _load_beside(self, update: Update) -> None:
        self._loaded.append(self._load(update))
        os.write(self._woken, b"\0")

    def _load(self, order: Open | Update) -> _Loaded:
        name = order.pipeline or ""
        try:
            kind = registry.load(self._reference(name))
            return _Loaded(order, kind(_validated(kind, order.params)), None)
        except RunnerError as error:
            return _Loaded(order, None, error)
        except Exception as error:  # an author's code may raise anything
            log.warning("pipeline does not load", exc_info=error, extra={"pipeline": name})
            return _Loaded(order, None, RunnerError(f"{name} does not load: {_describe(error)}"))

    def _reference(self, name: str) -> str:
        reference = self._references.get(name)
        if reference is None:
            known = ", ".join(self._references)
            raise UnknownModel(f"this runner has no pipeline {name!r}; it has {known}")
        return reference

    def _install(self, loaded: _Loaded) -> None:
        if loaded.failure is not None:
            self._refuse(loaded.order.epoch, loaded.failure.code, loaded.failure.message)
            return
        self._close_pipeline()
        self._pipeline = loaded.pipeline
        self._name = loaded.order.pipeline or ""
        self._opened(loaded.order.epoch)

    def _opened(self, epoch: int) -> None:
        assert self._pipeline is not None
        self._epoch = epoch
        params = self._pipeline.params.model_dump(mode="json")
        self._link.send(Opened(epoch, self._name, params))

    def _refuse(self, epoch: int, code: str, message: str) -> None:
        self._link.send(Refused(epoch, code, message[:_MAX_ERROR]))

    def _close(self) -> None:
        self._later.clear()
        self._close_pipeline()

    def _close_pipeline(self) -> None:
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None:
            try:
                pipeline.close()
            except Exception as error:  # noqa: BLE001 - an author's code may raise anything
                self._trace("pipeline failed to close", error)


def _validated(kind: type[Pipeline], params: Mapping[str, Any]) -> BaseParams:
    try:
        return kind.Params.model_validate(dict(params))
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, it['loc']))}: {it['msg']}" for it in error.errors())
        raise BadParams("; ".join(problems)) from error


def _checked(picture: Any) -> Picture | None:
    if picture is None:
        return None
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8:
        raise TypeError("process() must return a numpy array of uint8, or None")
    if picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
        raise TypeError(f"process() must return height x width x 3, not {picture.shape}")
    return picture


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:_MAX_ERROR]
