"""What a runner offers and how one is started, in words that a node can read.

Nothing here loads a pipeline.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
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


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerSpec:
    """One runner process to keep running.

    Attributes:
        name: What it is called in logs and on the page.
        pipelines: Names as on the runner's command line: built-in ones, "effects" for all of
            those, or "./file.py:Class".
        host: Where its HTTP port listens.
        port: 0 lets the system choose.
        python: The interpreter. A pipeline with an environment of its own brings its own.
        env: Added to the environment.
    """

    name: str
    pipelines: tuple[str, ...] = ("effects",)
    host: str = "127.0.0.1"
    port: int = 0
    python: str = sys.executable
    env: Mapping[str, str] = field(default_factory=dict)

    def argv(self) -> list[str]:
        """The command line, without the link that a parent adds."""
        names = ",".join(self.pipelines)
        listen = ["--host", self.host, "--port", str(self.port)]
        return [self.python, "-m", "runners", "--pipeline", names, *listen]
