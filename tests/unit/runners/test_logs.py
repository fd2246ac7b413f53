import itertools
import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runners import logs


@given(text=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200), max_size=6))
def test_any_cut_gives_the_same_lines(text: bytes, cuts: list[int]) -> None:
    whole = logs.LineCutter()
    expected = whole.feed(text) + whole.flush()
    cutter = logs.LineCutter()
    edges = [0, *sorted(cuts), 200]
    got = [line for a, b in itertools.pairwise(edges) for line in cutter.feed(text[a:b])]
    assert got + cutter.flush() == expected


def test_a_line_without_end_is_cut_and_not_kept() -> None:
    cutter = logs.LineCutter(limit_bytes=10)
    for _ in range(1000):
        cutter.feed(b"x" * 1000)
    assert cutter.feed(b"\nnext\n") == ["x" * 10, "next"]


def test_a_talkative_child_is_heard_again_in_the_next_second() -> None:
    budget = logs.LineBudget(lines_per_s=2)
    assert [budget.admits(1.0) for _ in range(4)] == [True, True, False, False]
    assert budget.admits(2.0)
    assert budget.take_held_back() == 2
    assert budget.take_held_back() == 0


def test_a_record_survives_the_way_home(caplog: pytest.LogCaptureFixture) -> None:
    record = logging.LogRecord("paint", logging.ERROR, "f", 1, "%s left", ("two",), None)
    record.pots = 2
    line = logs.JsonLines().format(record)
    logs.relay(line, child="model", fallback=logging.getLogger("x"))
    (home,) = caplog.records
    assert (home.name, home.levelname, home.getMessage()) == ("paint", "ERROR", "two left")
    assert vars(home)["pots"] == 2
    assert vars(home)["child"] == "model"


@pytest.mark.parametrize("line", ["{broken", "{}", "[1]", '{"level": 3}', "plain"])
def test_what_is_no_record_is_a_line_of_text(line: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    logs.relay(line, child="model", fallback=logging.getLogger("fallback"))
    assert [(r.name, r.getMessage()) for r in caplog.records] == [("fallback", line)]


def test_a_record_cannot_overwrite_what_logging_itself_keeps(
    caplog: pytest.LogCaptureFixture,
) -> None:
    line = json.dumps({"event": "x", "level": "error", "args": [1], "msg": "y", "lineno": 9})
    logs.relay(line, child="model", fallback=logging.getLogger("x"))
    assert caplog.records[0].getMessage() == "x"


def test_a_readable_line_has_the_event_its_fields_and_the_end_of_its_trace() -> None:
    line = json.dumps(
        {"level": "error", "logger": "x", "event": "failed", "n": 1, "exception": "T\nE: boom"}
    )
    assert logs.readable(line) == "failed n=1 E: boom"
