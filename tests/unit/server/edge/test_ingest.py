"""Only names that fit everywhere are names of streams, and secrets stay out of logs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.edge.ingest import STREAM_NAME, BadStreamName, PublishRequest, check_stream_name


@pytest.mark.parametrize("name", ["kitchen", "0", "a.b-c_d", "x" * 128])
def test_a_plain_name_is_taken(name: str) -> None:
    assert check_stream_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "-x", ".x", "a/b", "a b", "a?b", "x" * 129, "küche", "a\n", "..", "%41"]
)
def test_a_name_that_does_not_fit_everywhere_is_refused_with_what_does(name: str) -> None:
    with pytest.raises(BadStreamName) as caught:
        check_stream_name(name)
    assert caught.value.status == 400
    assert "letters, digits" in caught.value.advice


@given(name=st.text(max_size=2000))
def test_the_message_about_a_bad_name_is_never_long(name: str) -> None:
    if STREAM_NAME.fullmatch(name) is None:
        with pytest.raises(BadStreamName) as caught:
            check_stream_name(name)
        assert len(caught.value.message) < 2000


def test_a_token_does_not_show_when_the_request_is_printed() -> None:
    request = PublishRequest(stream="a", protocol="rtmp", peer="p", token="hush")
    assert "hush" not in repr(request)
