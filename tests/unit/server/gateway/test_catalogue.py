"""What no runner could take is refused at the gate, with the reason."""

import pytest

from server.errors import BadParameters
from server.gateway.catalogue import Catalogue, Offer

TOON = Offer(
    name="toon",
    title="Toon",
    description="Cartoon.",
    schema={
        "type": "object",
        "properties": {"levels": {"type": "integer", "minimum": 2, "maximum": 16}},
        "additionalProperties": False,
    },
)


def test_what_fits_the_schema_passes() -> None:
    Catalogue([TOON]).check("toon", {"levels": 5})


@pytest.mark.parametrize(
    ("pipeline", "params", "told"),
    [
        ("cartoon", {}, "no pipeline is called 'cartoon'; there are: toon"),
        ("toon", {"levels": 1}, "toon: levels: 1 is less than the minimum of 2"),
        ("toon", {"levels": "many"}, "toon: levels: 'many' is not of type 'integer'"),
        ("toon", {"level": 5}, "Additional properties are not allowed"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(
    pipeline: str, params: dict[str, object], told: str
) -> None:
    with pytest.raises(BadParameters, match=told):
        Catalogue([TOON]).check(pipeline, params)


def test_nothing_known_refuses_nothing() -> None:
    Catalogue().check("anything", {"at": "all"})


def test_the_first_orchestrator_to_name_a_pipeline_wins() -> None:
    other = Offer(name="toon", title="Other", description="", schema={})
    assert [offer.title for offer in Catalogue([TOON, other])] == ["Toon"]


def test_an_offer_survives_the_wire() -> None:
    assert Offer.from_json(TOON.to_json()) == TOON
