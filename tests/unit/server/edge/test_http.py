"""Errors become problem documents; bodies are read with suspicion."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.edge.http import JSON_DEPTH_MAX, parse_object, problem
from server.errors import BadRequest, NoRunnerFree, NotAllowed, StreamNotFound


def test_a_problem_says_what_happened_and_what_to_do() -> None:
    answer = problem(StreamNotFound("nobody publishes 'kitchen'"))
    assert answer.status == 404
    assert answer.content_type == "application/problem+json"
    body = json.loads(answer.text or "")
    assert body["code"] == "stream_not_found"
    assert body["detail"] == "nobody publishes 'kitchen'"
    assert body["remedy"] == StreamNotFound.remedy


def test_what_may_work_later_says_when() -> None:
    assert problem(NoRunnerFree("all busy")).headers["Retry-After"] == "1"
    assert "Retry-After" not in problem(BadRequest("never")).headers


def test_a_missing_token_names_the_scheme() -> None:
    assert problem(NotAllowed("no token")).headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "is not JSON"),
        ("[1]", "must be a JSON object, not list"),
        ('"x"', "must be a JSON object, not str"),
        ("[" * 100_000, "is not JSON"),
        ('{"a":' * (JSON_DEPTH_MAX + 1) + "1" + "}" * (JSON_DEPTH_MAX + 1), "nests deeper than"),
    ],
)
def test_a_body_that_is_no_object_is_refused(text: str, told: str) -> None:
    with pytest.raises(BadRequest, match=told):
        parse_object(text, what="the body")


@given(st.text(max_size=200))
def test_noise_is_refused_or_an_object(text: str) -> None:
    with suppress(BadRequest):
        assert isinstance(parse_object(text, what="params"), dict)
