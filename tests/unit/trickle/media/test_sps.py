"""The size of the picture, from sets that real encoders wrote."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trickle.media.sps import DIMENSION_MAX, h264_picture_size, hevc_picture_size

X264 = {
    "6742c01eda0280bfe5c044000003000400000300c83c58ba80": (640, 360),  # baseline
    "6742c028da01e0089f97011000000300100000030320f1832a": (1920, 1080),  # cropped
    "67f4000d91968150878f8fffc1e4016a44000003000400000300c83c50aa80": (322, 242),  # 4:4:4
    "674d401ef405a127ebff023c01951000000300100000030321f142aa": (720, 572),  # interlaced
    "6764001eacb405017fc9ff805a805a080000030008000003019078b175": (640, 362),  # scaling lists
}
X265 = {
    "420101016000000300900000030000030078a003c0801107cb965654a4c2f0168080000003008000000c84": (
        1920,
        1080,
    ),
    "42010102200000030090000003000003003fa005220171cf236595952930bffc16a016a5a02000000300200000"
    "030321": (644, 362),  # ten bits
}


@pytest.mark.parametrize(("sps", "size"), X264.items())
def test_h264_size_is_that_of_the_picture_and_not_of_its_macroblocks(
    sps: str, size: tuple[int, int]
) -> None:
    assert h264_picture_size(bytes.fromhex(sps)) == size


@pytest.mark.parametrize(("sps", "size"), X265.items())
def test_hevc_size_is_that_of_the_conformance_window(sps: str, size: tuple[int, int]) -> None:
    assert hevc_picture_size(bytes.fromhex(sps)) == size


def test_a_set_that_is_cut_short_has_no_size() -> None:
    assert h264_picture_size(bytes.fromhex("6742c01eda")) is None
    assert hevc_picture_size(b"\x42\x01\x01") is None


@given(noise=st.binary(max_size=100))
def test_noise_has_a_plausible_size_or_none(noise: bytes) -> None:
    for size in (h264_picture_size(noise), hevc_picture_size(noise)):
        assert size is None or all(0 < side <= DIMENSION_MAX for side in size)
