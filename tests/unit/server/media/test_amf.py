"""AMF0 values survive the way there and back, and what is malformed is refused."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.media import amf
from server.media.errors import RtmpProtocolError

VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(min_size=1, max_size=8), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(values=st.lists(VALUES, max_size=5))
def test_values_survive_the_way_there_and_back(values: list[object]) -> None:
    assert amf.decode(amf.encode(*values)) == values


def test_a_connect_command_as_ffmpeg_sends_it_is_read() -> None:
    wire = bytes.fromhex(
        "020007636f6e6e656374 003ff0000000000000 03 0003617070 0200046c697665"
        "0004747970650200 0a6e6f6e70726976617465 000009".replace(" ", "")
    )
    assert amf.decode(wire) == ["connect", 1.0, {"app": "live", "type": "nonprivate"}]


def test_an_array_with_names_is_read_whatever_count_it_claims() -> None:
    assert amf.decode(b"\x08\0\0\x03\xe8\0\x01a\x05\0\0\x09") == [{"a": None}]


def test_a_long_string_a_date_and_undefined_are_read() -> None:
    long = "x" * 70_000
    date = b"\x0b" + b"\x42\x77\0\0\0\0\0\0" + b"\0\0"
    assert amf.decode(amf.encode(long) + date + b"\x06") == [long, 1580547964928.0, None]


@pytest.mark.parametrize(
    ("wire", "problem"),
    [
        (b"\x02\0\x09short", "in the middle"),
        (b"\x03\0\x01a" * 40 + b"\x05", "deeper"),
        (b"\x0a\xff\xff\xff\xff", "over the limit"),
        (b"\x05" * 5000, "more than"),
        (b"\x07\0\0", "type 7"),
        (b"\x00\x01", "in the middle"),
    ],
)
def test_what_is_malformed_or_too_much_is_refused(wire: bytes, problem: str) -> None:
    with pytest.raises(RtmpProtocolError, match=problem):
        amf.decode(wire)


@given(noise=st.binary(max_size=300))
def test_noise_is_refused_and_never_crashes(noise: bytes) -> None:
    with suppress(RtmpProtocolError):
        amf.decode(noise)
