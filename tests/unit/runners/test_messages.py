import pytest

from runners.errors import LinkError
from runners.messages import Given, Ping, Update, from_map, to_map


@pytest.mark.parametrize(
    "message",
    [
        Ping(3),
        Update(None, {"levels": 5}, 9),
        Given(1, shown=False, epoch=2, effect_s=0.5, error="RuntimeError: x"),
    ],
)
def test_a_message_survives_the_way_there(message: Ping | Update | Given) -> None:
    assert from_map(to_map(message)) == message


@pytest.mark.parametrize("body", [None, [], {}, {"t": "ping"}, {"t": "ping", "number": 1, "x": 2}])
def test_what_is_no_message_is_refused(body: object) -> None:
    with pytest.raises(LinkError):
        from_map(body)
