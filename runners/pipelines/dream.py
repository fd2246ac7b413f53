"""Dream: a tiny neural network with random weights imagines a picture over the picture.

A compositional pattern-producing network: place, time and the colours that come in are its input,
a colour is its output, and seed and words choose its weights. Nothing is trained or fetched, but
all that a model does is done: build, warm up, infer, rebuild on new parameters.
"""

import math
import zlib
from typing import Final, Literal

import cv2
import numpy as np
from pydantic import Field

from runners.pipelines.effect import Effect, FloatPlane, Plane, colourize, reduced, shrink, uint8
from runners.pipelines.palettes import glow
from runners.sdk import BaseParams, Picture

# 256 x 144 for 720p: the network's patterns are smooth, and each pixel costs 800 multiplications.
_LONGEST_SIDE: Final = 256

_NEURONS: Final = 24

# Time goes round two circles of different length, so that patterns never jump and seldom repeat.
_FIRST_CIRCLE_S: Final = 13.0
_SECOND_CIRCLE_S: Final = 20.6


class Dream(Effect):
    """A small neural network dreams in colours over the picture."""

    name = "dream"
    title = "Neural dream"

    class Params(BaseParams):
        words: str = Field(
            "",
            max_length=200,
            title="Words",
            description="Any words; they choose the dream.",
        )
        seed: int = Field(
            7, ge=0, le=9999, title="Seed", description="Another number, another dream."
        )
        palette: Literal["wild", "synthwave", "ice", "fire", "aurora", "gold", "rainbow"] = Field(
            "wild", title="Palette", description="'wild' lets the network choose its colours."
        )
        amount: float = Field(
            0.7,
            ge=0,
            le=1,
            title="Amount",
            description="How much of the dream, how little of the picture.",
            json_schema_extra={"x-step": 0.05},
        )
        reaction: float = Field(
            1.2,
            ge=0,
            le=3,
            title="Reaction",
            description="How strongly the picture changes the dream.",
            json_schema_extra={"x-step": 0.1},
        )
        scale: float = Field(
            1.4,
            ge=0.3,
            le=4,
            title="Scale",
            description="How fine the patterns are.",
            json_schema_extra={"x-step": 0.1},
        )
        speed: float = Field(
            1,
            ge=0,
            le=5,
            title="Speed",
            description="How fast the dream flows.",
            json_schema_extra={"x-step": 0.1},
        )

    params: Params

    def resize(self) -> None:
        self._size = reduced(self.width, self.height, _LONGEST_SIDE)
        width, height = self._size
        pixels = width * height
        self._hidden = np.empty((_NEURONS, pixels), np.float32)
        self._deeper = np.empty((_NEURONS, pixels), np.float32)
        self._dreamt_s = 0.0
        self._out = self.blank()

    def tune(self) -> None:
        params = self.params
        words = " ".join(params.words.lower().split())
        draw = np.random.default_rng([params.seed, zlib.crc32(words.encode())])

        def weights(outputs: int, inputs: int, spread: float) -> FloatPlane:
            return draw.normal(0, spread, (outputs, inputs)).astype(np.float32)

        place = weights(_NEURONS, 3, 1.3)
        self._from_time = weights(_NEURONS, 4, 0.7)
        self._from_colour = weights(_NEURONS, 3, 0.9) * params.reaction
        self._second = weights(_NEURONS, _NEURONS, 0.42)
        self._third = weights(3, _NEURONS, 0.55)
        # What does not change from frame to frame is computed once: the place of every pixel.
        self._from_place = place @ self._places()
        self._table = None if params.palette == "wild" else glow(params.palette)

    def draw(self, rgb: Picture) -> Picture:
        self._dreamt_s += self.elapsed_s * self.params.speed
        width, height = self._size
        dreamt = self._dream(shrink(rgb, self._size)).reshape(height, width, 3)
        colours = dreamt if self._table is None else self._coloured(dreamt)
        cv2.resize(colours, (self.width, self.height), dst=self._out, interpolation=cv2.INTER_CUBIC)
        amount = self.params.amount
        cv2.addWeighted(self._out, amount, rgb, 1 - amount, 0, dst=self._out)
        return self._out

    def _dream(self, small: Picture) -> Picture:
        """Runs the network over every pixel; returns its three outputs as bytes."""
        pixels = small.reshape(-1, 3).T.astype(np.float32) * (2 / 255) - 1
        angles = [self._dreamt_s * 2 * math.pi / s for s in (_FIRST_CIRCLE_S, _SECOND_CIRCLE_S)]
        time = np.array([f(angle) for angle in angles for f in (math.sin, math.cos)], np.float32)
        np.matmul(self._from_colour, pixels, out=self._hidden)
        self._hidden += self._from_place
        self._hidden += (self._from_time @ time)[:, None]
        np.tanh(self._hidden, out=self._hidden)
        np.matmul(self._second, self._hidden, out=self._deeper)
        np.sin(self._deeper * np.float32(1.6), out=self._deeper)
        values = np.tanh(self._third @ self._deeper)
        values += 1
        values *= 127.5
        return np.ascontiguousarray(values.astype(np.uint8).T)

    def _coloured(self, dreamt: Picture) -> Picture:
        """Takes the first output for the colour and the second for its light."""
        assert self._table is not None
        colours = colourize(dreamt[..., 0].copy(), self._table)
        light: Plane = uint8(cv2.convertScaleAbs(dreamt[..., 1].copy(), alpha=0.6, beta=100))
        return uint8(cv2.multiply(colours, cv2.merge([light, light, light]), scale=1 / 255))

    def _places(self) -> FloatPlane:
        """Returns x, y and the distance from the centre, each as one row over all pixels."""
        width, height = self._size
        scale = self.params.scale
        shape = width / height
        x, y = np.meshgrid(np.linspace(-shape, shape, width), np.linspace(-1, 1, height))
        places = np.stack([x, y, np.hypot(x, y)]).reshape(3, -1) * scale
        return places.astype(np.float32)
