"""Which pipelines the orchestrators offer, and whether parameters fit one. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import jsonschema

from server.errors import BadParameters


@dataclass(frozen=True, slots=True)
class Offer:
    """One pipeline as an orchestrator describes it."""

    name: str
    title: str
    description: str
    schema: Mapping[str, Any]
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Offer":
        return cls(
            name=str(document["name"]),
            title=str(document.get("title", document["name"])),
            description=str(document.get("description", "")),
            schema=dict(document.get("schema", {})),
            defaults=dict(document.get("defaults", {})),
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "schema": dict(self.schema),
            "defaults": dict(self.defaults),
        }


class Catalogue:
    """The union of what every reachable orchestrator offers; the first to name a pipeline wins."""

    def __init__(self, offers: Iterable[Offer] = ()) -> None:
        self._offers: dict[str, Offer] = {}
        for offer in offers:
            self._offers.setdefault(offer.name, offer)

    def __iter__(self) -> Iterator[Offer]:
        return iter(self._offers.values())

    def __len__(self) -> int:
        return len(self._offers)

    def check(self, pipeline: str, params: Mapping[str, Any]) -> None:
        """Refuses what no runner could take.

        With an empty catalogue nothing is known, and nothing is refused here: the runner will.

        Raises:
            BadParameters: The pipeline is unknown, or a parameter is; says which and why.
        """
        if not self._offers:
            return
        offer = self._offers.get(pipeline)
        if offer is None:
            raise BadParameters(
                f"no pipeline is called {pipeline!r}; there are: {', '.join(sorted(self._offers))}"
            )
        try:
            jsonschema.validate(dict(params), dict(offer.schema))
        except jsonschema.ValidationError as error:
            where = ".".join(str(part) for part in error.absolute_path)
            raise BadParameters(
                f"{pipeline}: {where + ': ' if where else ''}{error.message}"
            ) from None
        except jsonschema.SchemaError:
            return  # an orchestrator's broken schema is its own business
