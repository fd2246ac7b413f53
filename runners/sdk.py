"""What a pipeline author imports: subclass `Pipeline`, declare `Params`, return a picture.

    class Negative(Pipeline):
        '''The picture, inverted.'''

        name = "negative"
        title = "Negative"

        class Params(BaseParams):
            amount: float = Field(1.0, ge=0, le=1, description="How far to go.")

        def process(self, frame: Frame) -> Picture:
            return cv2.addWeighted(frame.rgb, 1 - self.params.amount, 255 - frame.rgb, ...)

One instance serves one stream, in the model process, on one thread: state may live on `self`.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

Picture = npt.NDArray[np.uint8]  # height x width x 3, RGB


class BaseParams(BaseModel):
    """Parameters of a pipeline. Ranges and descriptions become sliders and their captions."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded picture.

    Attributes:
        rgb: The picture. It lies in shared memory and is reused for a later frame, so a pipeline
            that keeps it past `process` must copy it, and nobody may write to it.
        pts: When it is to be shown, in ticks of 1/90000 s.
        seq: Counts the frames of this stream that reached the pipeline.
    """

    rgb: Picture
    pts: int
    seq: int


class Pipeline:
    """Turns pictures into pictures.

    Attributes:
        name: How it is asked for: lower case, digits and dashes.
        title: What a person reads.
        params: The current parameters, an instance of this class's `Params`.
        original_on_error: Whether a frame is shown as it came where `process` raises. Say False
            where the effect is there to hide something; nothing is shown of that frame then.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    Params: ClassVar[type[BaseParams]] = BaseParams
    original_on_error: ClassVar[bool] = True

    def __init__(self, params: BaseParams) -> None:
        self.params = params

    def update(self, params: BaseParams) -> None:
        """Takes new parameters, between two frames. Override to recompute what depends on them."""
        self.params = params

    def process(self, frame: Frame) -> Picture | None:
        """Returns the picture to show, of any size, or None to show nothing for this frame.

        The returned array may be one that the pipeline keeps and changes at the next call.
        """
        raise NotImplementedError

    def close(self) -> None:
        """The stream has ended."""
