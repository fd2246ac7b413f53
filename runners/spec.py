"""What a runner offers, in words that a node can read without loading a pipeline."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class PipelineInfo:
    """One pipeline, described for people and for the forms that a page makes of it.

    Attributes:
        name: How it is asked for.
        title: What a person reads.
        description: One sentence.
        schema: JSON schema of its parameters, an object.
        defaults: The parameters that hold where none are given; they satisfy the schema.
    """

    name: str
    title: str
    description: str
    schema: dict[str, Any]
    defaults: dict[str, Any]
