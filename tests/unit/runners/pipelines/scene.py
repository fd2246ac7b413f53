"""Test pictures: a room, a person swaying in front of it, a moving lamp and a waving hand.

Drawn, so that a test can say where things are; detailed enough that an effect shows on them.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from runners.sdk import Frame

Picture = npt.NDArray[np.uint8]
Spot = tuple[int, int]  # x, y

FRAME_TICKS = 3000  # 1/30 s


@dataclass(frozen=True)
class Scene:
    """A scene of one size."""

    width: int = 320
    height: int = 180

    def head(self, seq: int) -> Spot:
        return self._at(0.5 + 0.16 * np.sin(seq / 9), 0.42)

    def lamp(self, seq: int) -> Spot:
        return self._at(0.5 + 0.4 * np.cos(seq / 8), 0.3 + 0.2 * np.sin(seq / 8))

    def picture(self, seq: int) -> Picture:
        picture = self.room()
        self._person(picture, seq)
        cv2.circle(picture, self.lamp(seq), self._long(0.03), (255, 240, 180), -1, cv2.LINE_AA)
        picture.setflags(write=False)  # as the ring's pictures: nobody may write to them
        return picture

    def frames(self, count: int, start: int = 0) -> list[Frame]:
        return [
            Frame(rgb=self.picture(seq), pts=seq * FRAME_TICKS, seq=seq)
            for seq in range(start, start + count)
        ]

    def room(self) -> Picture:
        """The scene without what moves."""
        rows = np.linspace(0, 1, self.height)[:, None, None]
        columns = np.linspace(0, 1, self.width)[None, :, None]
        wall = np.array([70, 95, 120]) * (1 - rows) + np.array([150, 120, 95]) * rows
        picture = np.clip(wall + 50 * columns, 0, 255).astype(np.uint8)
        draw = np.random.default_rng(5)
        colours = draw.integers(40, 230, (14, 3))
        for book, colour in enumerate(colours.tolist()):
            left, top = self._at(0.04 + 0.022 * book, 0.12 + 0.01 * (book % 3))
            right, bottom = self._at(0.058 + 0.022 * book, 0.38)
            cv2.rectangle(picture, (left, top), (right, bottom), colour, -1)
        cv2.rectangle(picture, self._at(0.7, 0.1), self._at(0.95, 0.55), (190, 220, 245), -1)
        cv2.line(picture, self._at(0.825, 0.1), self._at(0.825, 0.55), (90, 70, 60), 2)
        cv2.rectangle(picture, self._at(0.7, 0.1), self._at(0.95, 0.55), (90, 70, 60), 3)
        cv2.putText(
            picture, "PENSTOCK", self._at(0.05, 0.9), cv2.FONT_HERSHEY_SIMPLEX,
            max(0.2, self.width / 500), (250, 250, 250), max(1, self.width // 300), cv2.LINE_AA,
        )  # fmt: skip
        grain = draw.normal(0, 3, (self.height, self.width, 1))
        return np.clip(picture + grain, 0, 255).astype(np.uint8)

    def _person(self, picture: Picture, seq: int) -> None:
        x, y = self.head(seq)
        unit = self._long(0.1)
        skin, dark = (224, 172, 140), (50, 35, 30)
        cv2.ellipse(picture, (x, y + unit * 3), (unit * 2, unit * 2), 0, 0, 360, (40, 90, 150), -1)
        cv2.ellipse(picture, (x, y), (unit * 3 // 4, unit), 0, 0, 360, skin, -1, cv2.LINE_AA)
        cv2.ellipse(
            picture, (x, y - unit // 3), (unit * 4 // 5, unit * 4 // 5), 0, 180, 360, dark, -1
        )
        for side in (-1, 1):
            eye = (x + side * unit // 3, y + unit // 8)
            cv2.circle(picture, eye, max(1, unit // 10), dark, -1, cv2.LINE_AA)
        cv2.ellipse(
            picture, (x, y + unit // 2), (unit // 3, unit // 6), 0, 0, 180, (170, 60, 60), 2
        )
        hand = self._at(0.75 + 0.06 * np.sin(seq / 2), 0.6 + 0.1 * np.cos(seq / 2))
        cv2.circle(picture, hand, unit // 2, skin, -1, cv2.LINE_AA)

    def _at(self, x: float, y: float) -> Spot:
        return int(x * self.width), int(y * self.height)

    def _long(self, share: float) -> int:
        return max(1, int(share * self.width))
