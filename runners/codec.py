"""Coded video to RGB and back, one picture at a time, nothing held back.

`Decoder` takes whole access units, so there is no parser that waits for the next one. `Encoder`
gives each picture's bytes when it is given the picture. Neither knows of streams or time; the
threads of `runners.live` do. Colours keep their meaning: the matrix and range that the input
names are undone on the way in, applied again on the way out, and named in the output.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any, Final, Literal

import av
import cv2
import numpy as np
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from runners.errors import Undecodable
from runners.sdk import Picture
from trickle.media.packets import CLOCK_HZ, Codec, Packet

# A trickle segment begins at a keyframe and should not be longer than this.
KEYFRAME_EVERY: Final = CLOCK_HZ

_TIME_BASE: Final = Fraction(1, CLOCK_HZ)
_DECODERS: Final = {Codec.H264: "h264", Codec.HEVC: "hevc"}
_NVENC: Final = "h264_nvenc"
_X264: Final = "libx264"
_OPTIONS: Final = {
    _X264: {"preset": "ultrafast", "tune": "zerolatency", "forced-idr": "1", "crf": "23"},
    _NVENC: {
        "preset": "p3",
        "tune": "ull",
        "zerolatency": "1",
        "delay": "0",
        "forced-idr": "1",
        "rc": "vbr",
        "cq": "25",
    },
}

# The rate that a viewer's line must bear, for quality 23 in most scenes: 4.1 Mbit/s at 720p.
_BITS_PER_PIXEL_S: Final = 4.5
_MIN_BITRATE: Final = 1_000_000
# A second of it may come at once. A smaller store turns every keyframe to mud.
_BUFFER_S: Final = 1.0

# One thread encodes 720p in 2 to 4 ms; larger pictures would eat into the time of the next.
_PIXELS_PER_THREAD: Final = 1280 * 720
_MAX_THREADS: Final = 4
# x264 works in macroblocks, and cannot take less than one.
_MIN_SIDE: Final = 16

# Values of H.264's and HEVC's VUI.
_UNSPECIFIED: Final = 2
# Matrices that swscale knows and OpenCV does not. Everything else is taken for BT.601, as FFmpeg
# takes what is unspecified; both ways, so that what passes through is unchanged.
_OTHER_MATRICES: Final = (
    Colorspace.ITU709,
    Colorspace.FCC,
    Colorspace.SMPTE240M,
    Colorspace.BT2020,
)


@dataclass(frozen=True, slots=True)
class Colour:
    """What the numbers of a video mean, as H.264 and HEVC have it in their VUI."""

    matrix: int = _UNSPECIFIED
    range: int = int(ColorRange.UNSPECIFIED)
    primaries: int = _UNSPECIFIED
    transfer: int = _UNSPECIFIED

    @property
    def is_plain(self) -> bool:
        """Whether OpenCV's conversion is the right one."""
        return self.matrix not in _OTHER_MATRICES and self.range != ColorRange.JPEG


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded picture, not yet RGB: whoever skips it has paid for nothing more."""

    frame: VideoFrame
    pts: int

    @property
    def width(self) -> int:
        return self.frame.width

    @property
    def height(self) -> int:
        return self.frame.height

    @property
    def colour(self) -> Colour:
        frame = self.frame
        is_full = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
        return Colour(
            int(frame.colorspace),
            int(ColorRange.JPEG) if is_full else int(frame.color_range),
            int(frame.color_primaries),
            int(frame.color_trc),
        )


class Decoder:
    """Decodes one video stream. A new codec needs a new decoder; a new resolution does not."""

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        self._context = _context(_DECODERS[codec], "r")
        # Frame threads would hold back a picture each, and one thread keeps up with live video.
        self._context.thread_count = 1
        self._context.flags |= Flags.low_delay

    def decode(self, packet: Packet) -> list[Decoded]:
        """Returns the pictures that the packet completes, usually one.

        Raises:
            Undecodable: The bytes are damaged. Go on at a keyframe.
        """
        coded = av.Packet(packet.data)
        coded.pts, coded.dts, coded.time_base = packet.pts, packet.dts, _TIME_BASE
        try:
            frames = self._context.decode(coded)
        except av.FFmpegError as error:
            raise Undecodable(f"{self.codec} does not decode: {error}") from error
        return [Decoded(frame, packet.pts if frame.pts is None else frame.pts) for frame in frames]


class ToRgb:
    """Turns decoded pictures into RGB. Of its own, because another thread may be decoding."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def convert(self, decoded: Decoded, into: Picture) -> None:
        """Writes the picture into `into`, which has its height and width."""
        colour = decoded.colour
        rgb = self._reformatter.reformat(
            decoded.frame,
            format="rgb24",
            src_colorspace=_matrix(colour),
            dst_colorspace=_matrix(colour),
            src_color_range=_range(colour),
            dst_color_range=ColorRange.JPEG,
            threads=1,
        )
        plane = rgb.planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        np.copyto(into.reshape(rgb.height, -1), rows[: rgb.height, : rgb.width * 3])


class Encoder:
    """Encodes pictures of one size to H.264: no B-frames, parameter sets at every keyframe."""

    codec: Final = Codec.H264

    def __init__(self, width: int, height: int, colour: Colour, *, name: str | None = None) -> None:
        """Opens an encoder.

        Args:
            width: Of the pictures; an odd last column is cut off.
            height: Likewise.
            colour: What the output is to say of its colours.
            name: FFmpeg's name of the encoder; the best that works here if not given.
        """
        self.width, self.height, self.colour = width & ~1, height & ~1, colour
        self.name = name or best_encoder()
        self._context = _open(self.name, max(self.width, _MIN_SIDE), self._even_height(), colour)
        self._planes = np.empty((self._context.height * 3 // 2, self._context.width), np.uint8)
        self._reformatter = VideoReformatter()
        self._last_keyframe: int | None = None

    def _even_height(self) -> int:
        return max(self.height, _MIN_SIDE)

    def fits(self, picture: Picture, colour: Colour) -> bool:
        """Whether this encoder is the right one for the picture."""
        height, width = picture.shape[:2]
        return (width & ~1, height & ~1, colour) == (self.width, self.height, self.colour)

    def encode(self, picture: Picture, pts: int, *, keyframe: bool = False) -> list[Packet]:
        """Returns the packet of this picture.

        It is a keyframe if that is asked for, and wherever the last one is a second back.
        """
        due = self._last_keyframe is None or not 0 <= pts - self._last_keyframe < KEYFRAME_EVERY
        frame = self._to_yuv(picture[: self.height, : self.width])
        frame.pts, frame.time_base = pts, _TIME_BASE
        frame.pict_type = PictureType.I if due or keyframe else PictureType.NONE
        if due or keyframe:
            self._last_keyframe = pts
        return [self._packet(coded) for coded in self._context.encode(frame)]

    def _to_yuv(self, picture: Picture) -> VideoFrame:
        context = self._context
        if (self.height, self.width) != (context.height, context.width):
            below, right = context.height - self.height, context.width - self.width
            picture = np.pad(picture, ((0, below), (0, right), (0, 0)), mode="edge")
        if self.colour.is_plain:
            cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420, dst=self._planes)
            return VideoFrame.from_numpy_buffer(self._planes, format="yuv420p")
        rgb = VideoFrame.from_numpy_buffer(np.ascontiguousarray(picture), format="rgb24")
        return self._reformatter.reformat(
            rgb,
            format="yuv420p",
            src_colorspace=_matrix(self.colour),
            dst_colorspace=_matrix(self.colour),
            src_color_range=ColorRange.JPEG,
            dst_color_range=_range(self.colour),
            threads=1,
        )

    def _packet(self, coded: "av.Packet[Any]") -> Packet:
        assert coded.pts is not None
        return Packet(self.codec, bytes(coded), coded.pts, coded.pts, coded.is_keyframe)


@cache
def best_encoder() -> str:
    """Says which encoder to use: the card's, where there is one that works, else x264.

    Data-centre cards have no encoder although the library names one, so a picture is tried.
    """
    try:
        context = _open(_NVENC, 256, 256, Colour())
        context.encode(VideoFrame(256, 256, "yuv420p"))
        context.encode(None)
    except (av.FFmpegError, ValueError):
        return _X264
    return _NVENC


def _open(name: str, width: int, height: int, colour: Colour) -> VideoCodecContext:
    context = _context(name, "w")
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base = _TIME_BASE
    context.framerate = Fraction(30)  # what the rate control plans with; stamps say what is
    context.max_b_frames = 0
    context.gop_size = 600  # keyframes come when they are asked for
    bitrate = max(_MIN_BITRATE, round(width * height * _BITS_PER_PIXEL_S))
    context.options = {
        **_OPTIONS[name],
        "maxrate": str(bitrate),
        "bufsize": str(round(bitrate * _BUFFER_S)),
    }
    context.thread_count = min(_MAX_THREADS, -(-width * height // _PIXELS_PER_THREAD))
    context.colorspace = colour.matrix
    context.color_range = colour.range
    context.color_primaries = colour.primaries
    context.color_trc = colour.transfer
    context.open()
    return context


def _context(name: str, mode: Literal["r", "w"]) -> VideoCodecContext:
    context = av.CodecContext.create(name, mode)
    assert isinstance(context, VideoCodecContext)
    return context


def _matrix(colour: Colour) -> int:
    return colour.matrix if colour.matrix in _OTHER_MATRICES else int(Colorspace.ITU601)


def _range(colour: Colour) -> ColorRange:
    return ColorRange.JPEG if colour.range == ColorRange.JPEG else ColorRange.MPEG
