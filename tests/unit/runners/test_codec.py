from fractions import Fraction
from itertools import pairwise

import av
import cv2
import numpy as np
import pytest

from runners.codec import KEYFRAME_EVERY, Colour, Decoded, Decoder, Encoder, ToRgb, best_encoder
from runners.errors import Undecodable
from runners.sdk import Picture
from trickle.media.annexb import is_keyframe, parameter_sets
from trickle.media.packets import Codec, Packet

TICKS = 3000
COLOURS = [
    Colour(),
    Colour(matrix=1, range=1, primaries=1, transfer=1),
    Colour(matrix=1, range=2, primaries=1, transfer=1),
    Colour(matrix=6, range=2),
    Colour(matrix=9, range=1, primaries=9, transfer=14),
]


def bars(width: int = 320, height: int = 180) -> Picture:
    """Strong colours, which a wrong matrix would show at once."""
    picture = np.zeros((height, width, 3), np.uint8)
    for number, colour in enumerate([(250, 5, 5), (10, 200, 90), (30, 60, 240), (128, 128, 128)]):
        picture[:, width * number // 4 :] = colour
    return picture


def there_and_back(picture: Picture, colour: Colour) -> tuple[Decoded, Picture]:
    height, width = picture.shape[:2]
    (packet,) = Encoder(width, height, colour, name="libx264").encode(picture, 0)
    (decoded,) = Decoder(Codec.H264).decode(packet)
    rgb = np.empty((decoded.height, decoded.width, 3), np.uint8)
    ToRgb().convert(decoded, rgb)
    return decoded, rgb


@pytest.mark.parametrize("colour", COLOURS)
def test_colours_come_back_and_keep_their_name(colour: Colour) -> None:
    decoded, rgb = there_and_back(bars(), colour)
    assert decoded.colour == colour
    for x in (40, 120, 200, 280):
        assert np.abs(rgb[90, x].astype(int) - bars()[90, x]).max() <= 4


def test_each_picture_comes_out_at_once_with_its_own_time() -> None:
    encoder, decoder = Encoder(320, 180, Colour()), Decoder(Codec.H264)
    for number in range(40):
        picture = np.roll(bars(), number * 3, axis=1)
        (packet,) = encoder.encode(picture, number * TICKS)
        (decoded,) = decoder.decode(packet)
        assert packet.pts == packet.dts == decoded.pts == number * TICKS


def test_keyframes_come_every_second_and_when_asked_for() -> None:
    encoder = Encoder(320, 180, Colour())
    keys = []
    for number in range(90):
        (packet,) = encoder.encode(bars(), number * TICKS, keyframe=number == 45)
        assert packet.keyframe is is_keyframe(packet.data, Codec.H264)
        if packet.keyframe:
            assert parameter_sets(packet.data, Codec.H264)
            keys.append(number)
    assert keys == [0, 30, 45, 75]


def test_a_jump_in_time_gets_a_keyframe() -> None:
    encoder = Encoder(320, 180, Colour())
    times = [0, TICKS, 10 * KEYFRAME_EVERY, 5 * KEYFRAME_EVERY]
    assert [encoder.encode(bars(), pts)[0].keyframe for pts in times] == [True, False, True, True]


@pytest.mark.parametrize(("width", "height"), [(321, 181), (320, 181), (18, 18), (9, 7), (2, 2)])
def test_odd_and_tiny_sizes_are_encoded(width: int, height: int) -> None:
    decoded, _ = there_and_back(np.ascontiguousarray(bars()[:height, :width]), Colour())
    assert decoded.width == max(width & ~1, 16)
    assert decoded.height == max(height & ~1, 16)


def test_an_encoder_fits_its_size_and_colour_and_no_other() -> None:
    encoder = Encoder(320, 180, Colour())
    assert encoder.fits(bars(), Colour())
    assert encoder.fits(bars(321, 180), Colour())
    assert not encoder.fits(bars(640, 360), Colour())
    assert not encoder.fits(bars(), Colour(matrix=1))


def test_the_rate_stays_within_what_a_line_bears() -> None:
    encoder = Encoder(640, 360, Colour(), name="libx264")
    rng = np.random.default_rng(1)
    sizes = []
    for number in range(60):
        noise = rng.integers(0, 255, (45, 80, 3), np.uint8)
        picture = cv2.resize(noise, (640, 360), interpolation=cv2.INTER_NEAREST).astype(np.uint8)
        sizes.append(sum(len(p.data) for p in encoder.encode(picture, number * TICKS)))
    bits_per_s = sum(sizes) * 8 / 2
    assert bits_per_s < 640 * 360 * 4.5 * 2


def test_a_decoder_takes_a_new_resolution_without_being_told() -> None:
    decoder = Decoder(Codec.H264)
    sizes = []
    for picture in (bars(320, 180), bars(640, 360)):
        height, width = picture.shape[:2]
        (packet,) = Encoder(width, height, Colour()).encode(picture, 0)
        sizes += [(d.width, d.height) for d in decoder.decode(packet)]
    assert sizes == [(320, 180), (640, 360)]


def test_hevc_is_decoded_too() -> None:
    context = av.CodecContext.create("libx265", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = 320, 180, "yuv420p"
    context.framerate, context.time_base = Fraction(30), Fraction(1, 90_000)
    context.options = {"preset": "ultrafast", "tune": "zerolatency", "x265-params": "log-level=0"}
    frame = av.VideoFrame.from_ndarray(bars(), format="rgb24").reformat(format="yuv420p")
    frame.pts = 0
    coded = [*context.encode(frame), *context.encode(None)]
    decoded = Decoder(Codec.HEVC).decode(Packet(Codec.HEVC, bytes(coded[0]), 0, 0, keyframe=True))
    assert [(d.width, d.height) for d in decoded] == [(320, 180)]


def test_bytes_that_are_no_video_are_undecodable() -> None:
    decoder = Decoder(Codec.H264)
    with pytest.raises(Undecodable, match="h264 does not decode"):
        decoder.decode(Packet(Codec.H264, b"\0\0\0\1\x65" + b"\x5a" * 300, 0, 0, keyframe=True))


def test_the_best_encoder_is_one_that_works_here() -> None:
    (packet,) = Encoder(320, 180, Colour(), name=best_encoder()).encode(bars(), 0)
    assert packet.keyframe


def test_stamps_never_repeat() -> None:
    encoder = Encoder(320, 180, Colour())
    stamps = [encoder.encode(bars(), pts)[0].pts for pts in (7, 3011, 6050)]
    assert all(a < b for a, b in pairwise(stamps))
