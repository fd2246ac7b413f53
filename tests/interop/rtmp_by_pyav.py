"""Publishes thirty pictures by FFmpeg 8, which speaks Enhanced RTMP; Debian's does not yet.

    python -m tests.interop.rtmp_by_pyav URL ENCODER [OPTION=VALUE ...]

A program of its own, because PyAV keeps the interpreter's lock while it talks to the network.
"""

import sys
from fractions import Fraction

import av


def main(url: str, encoder: str, *options: str) -> None:
    pairs = dict(option.split("=", 1) for option in options)
    with av.open(url, "w", format="flv") as output:
        stream = output.add_stream(encoder, rate=30, options=pairs)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 320, 192, "yuv420p"
        for number in range(30):
            frame = av.VideoFrame(320, 192, "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 30)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


if __name__ == "__main__":
    main(*sys.argv[1:])
