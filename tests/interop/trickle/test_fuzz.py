"""Five seconds of what `make fuzz` does for as long as one likes."""

import pytest

from tests.fuzz.trickle_http import fuzz

# On each of the two event loops.
EACH_S = 2.5


@pytest.mark.parametrize("seed", [1])
async def test_nonsense_in_any_state_neither_escapes_nor_stays(seed: int) -> None:
    outcome = await fuzz(EACH_S, seed)
    assert outcome.escaped == []
    assert outcome.left == []
    assert outcome.answered > 1000
