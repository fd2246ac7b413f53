"""The picture as it came: what every measurement of the path compares with."""

from runners.sdk import Frame, Picture, Pipeline


class Passthrough(Pipeline):
    """The picture, untouched."""

    name = "passthrough"
    title = "Passthrough"

    def process(self, frame: Frame) -> Picture:
        return frame.rgb
