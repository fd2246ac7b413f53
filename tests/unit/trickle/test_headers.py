"""Numbers are read as Go's Atoi reads them."""

import pytest

from trickle.headers import parse_index


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("+0", 0), ("007", 7), ("-1", -1), ("9223372036854775807", (1 << 63) - 1)],
)
def test_number_is_read(text: str, value: int) -> None:
    assert parse_index(text) == value


@pytest.mark.parametrize(
    "text", ["", " 1", "1 ", "1_0", "0x1", "1.0", "٣", "9223372036854775808", "1" * 5000, "--1"]
)
def test_anything_else_is_none(text: str) -> None:
    assert parse_index(text) is None
