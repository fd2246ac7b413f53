"""Pipelines that misbehave in one way each, for tests of what the runner makes of it."""

import os
import time
from typing import Any, cast

import numpy as np
from pydantic import Field

from runners.sdk import BaseParams, Frame, Picture, Pipeline


class SlowParams(BaseParams):
    """How slow."""

    effect_s: float = Field(0.2, ge=0, le=5)


class Slow(Pipeline):
    """Takes its time and changes nothing."""

    name = "slow"
    title = "Slow"
    Params = SlowParams

    def process(self, frame: Frame) -> Picture:
        assert isinstance(self.params, SlowParams)
        time.sleep(self.params.effect_s)
        return frame.rgb


class MoodParams(BaseParams):
    """What to do."""

    mood: str = Field("fine", pattern="^(fine|raise|hang|spin|die|withhold|print|grow|wrong)$")
    shade: int = Field(0, ge=0, le=255)


class Moody(Pipeline):
    """Does what it is told, however bad."""

    name = "moody"
    title = "Moody"
    Params = MoodParams

    def process(self, frame: Frame) -> Picture | None:
        assert isinstance(self.params, MoodParams)
        match self.params.mood:
            case "raise":
                raise RuntimeError("the lamp is broken")
            case "hang":
                time.sleep(3600)
            case "die":
                os.abort()
            case "withhold":
                return None
            case "print":
                print("x" * 100_000, flush=True)
            case "grow":
                wide: Picture = np.repeat(frame.rgb, 2, axis=1)
                return wide
            case "wrong":
                return _wrong(frame)
            case _:
                pass
        return np.full_like(frame.rgb, self.params.shade) if self.params.shade else frame.rgb


class Veil(Moody):
    """As above, but what it hides is never shown."""

    name = "veil"
    title = "Veil"
    original_on_error = False


class Heavy(Pipeline):
    """Takes a second to make."""

    name = "heavy"
    title = "Heavy"

    def __init__(self, params: BaseParams) -> None:
        super().__init__(params)
        time.sleep(1.0)

    def process(self, frame: Frame) -> Picture:
        return 255 - frame.rgb


def _wrong(frame: Frame) -> Picture:
    floats: Any = frame.rgb.astype(np.float32)
    return cast("Picture", floats)
