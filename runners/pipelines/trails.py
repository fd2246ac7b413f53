"""Light trails: every bright thing that moves draws a line that fades."""

from typing import Final, Literal

import cv2
import numpy as np
from pydantic import Field

from runners.pipelines.effect import Effect, decay
from runners.sdk import BaseParams, Picture

# How long red, green and blue last in comparison: what fades last is the colour of the tail.
_TINTS: Final = {
    "none": (1.0, 1.0, 1.0),
    "ember": (1.0, 0.5, 0.22),
    "ice": (0.25, 0.6, 1.0),
    "violet": (0.8, 0.22, 1.0),
    "toxic": (0.3, 1.0, 0.25),
}

# A step of less than this would be lost in rounding, so a slow fade takes fewer steps instead.
_LEAST_STEP: Final = 0.03


class Trails(Effect):
    """Bright things that move leave glowing trails, as in a long exposure."""

    name = "trails"
    title = "Light trails"

    class Params(BaseParams):
        length: float = Field(
            0.7,
            ge=0.05,
            le=5,
            title="Length",
            description="How long a trail takes to lose half its light.",
            json_schema_extra={"x-step": 0.05, "x-unit": "s"},
        )
        threshold: int = Field(
            130,
            ge=0,
            le=250,
            title="Threshold",
            description="How bright a thing must be to leave a trail; 0 lets everything.",
            json_schema_extra={"x-step": 5},
        )
        tint: Literal["none", "ember", "ice", "violet", "toxic"] = Field(
            "ember", title="Tint", description="The colour that a trail takes as it fades."
        )

    params: Params

    def resize(self) -> None:
        self._light = self.blank()
        self._bright = self.blank()
        self._out = self.blank()
        self._unfaded_s = 0.0

    def draw(self, rgb: Picture) -> Picture:
        self._fade()
        threshold = self.params.threshold
        cv2.threshold(rgb, threshold, 255, cv2.THRESH_TOZERO, dst=self._bright)
        cv2.max(self._light, self._bright, dst=self._light)
        cv2.max(self._light, rgb, dst=self._out)
        return self._out

    def _fade(self) -> None:
        self._unfaded_s += self.elapsed_s
        left = decay(self._unfaded_s, self.params.length)
        if left > 1 - _LEAST_STEP:
            return
        lasting = np.array(_TINTS[self.params.tint])
        kept = left ** (1 / lasting)
        values = np.arange(256)[:, None]
        # At least one less each time, or the last glimmer would stay for ever.
        faded = np.minimum((values * kept).round(), np.maximum(values - 1, 0))
        table = faded.astype(np.uint8).reshape(1, 256, 3)
        cv2.LUT(self._light, table, dst=self._light)
        self._unfaded_s = 0.0
