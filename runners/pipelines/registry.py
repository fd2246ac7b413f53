"""Finds pipelines by name, the built-in ones and a user's own, and describes them.

Importing this loads no pixels: cv2 and numpy come with the first pipeline that is loaded. The
runner's command line expands names here, its HTTP side asks for the catalog, and the model process
loads the class.
"""

import difflib
import importlib
import importlib.util
import sys
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from runners.spec import PipelineInfo

if TYPE_CHECKING:
    from runners.sdk import Pipeline

# In the order in which a page should offer them.
BUILT_IN: Final[Mapping[str, str]] = {
    "toon": "runners.pipelines.toon:Toon",
    "neon": "runners.pipelines.neon:Neon",
    "trails": "runners.pipelines.trails:Trails",
    "datamosh": "runners.pipelines.datamosh:Datamosh",
    "background": "runners.pipelines.background:Background",
    "dream": "runners.pipelines.dream:Dream",
    "fluid": "runners.pipelines.fluid:Fluid",
    "flow": "runners.pipelines.flow:Flow",
    "slitscan": "runners.pipelines.slitscan:SlitScan",
    "feedback": "runners.pipelines.feedback:Feedback",
    "kaleidoscope": "runners.pipelines.kaleidoscope:Kaleidoscope",
    "ascii": "runners.pipelines.ascii:Ascii",
    "dither": "runners.pipelines.dither:Dither",
    "heat": "runners.pipelines.heat:Heat",
    "soft": "runners.pipelines.soft:Soft",
    "passthrough": "runners.pipelines.passthrough:Passthrough",
}

# One word for all of the above, as in `penstock runner --pipeline effects`.
EFFECTS: Final = "effects"

# A module that a user's file becomes, so that it can neither shadow nor be shadowed.
_FILE_MODULE_PREFIX: Final = "penstock_pipeline_"


class PipelineError(ValueError):
    """A pipeline cannot be had."""


class UnknownPipeline(PipelineError):
    """No pipeline has this name.

    Attributes:
        name: What was asked for.
        near: The name that was probably meant, if one is near.
    """

    def __init__(self, name: str, known: Iterable[str]) -> None:
        names = sorted({*known, EFFECTS})
        close = difflib.get_close_matches(name.lower(), names, n=1)
        self.name = name
        self.near = close[0] if close else None
        remedy = f"did you mean {self.near!r}?" if self.near else f"known: {', '.join(names)}"
        super().__init__(f"there is no pipeline {name!r}; {remedy}")


class BadPipeline(PipelineError):
    """The reference leads to something that is not a usable pipeline."""

    def __init__(self, reference: str, reason: str) -> None:
        self.reference = reference
        self.reason = reason
        super().__init__(f"pipeline {reference!r}: {reason}")


def expand(names: Iterable[str]) -> list[str]:
    """Says which pipelines `names` means: "effects" becomes all built-in ones, repeats go.

    Raises:
        UnknownPipeline: A name is neither built in nor a reference with a colon.
    """
    expanded: dict[str, None] = {}
    for name in names:
        if name == EFFECTS:
            expanded.update(dict.fromkeys(BUILT_IN))
        elif name in BUILT_IN or ":" in name:
            expanded[name] = None
        else:
            raise UnknownPipeline(name, BUILT_IN)
    return list(expanded)


def references(names: Iterable[str]) -> dict[str, str]:
    """Maps each pipeline's own name to what `load` takes, for `names` as in `catalog`.

    A user's own pipeline is loaded to learn its name; the built-in ones are not.
    """
    return {name if name in BUILT_IN else load(name).name: name for name in expand(names)}


def catalog(names: Iterable[str]) -> list[PipelineInfo]:
    """Describes the pipelines that `names` means, in that order.

    Args:
        names: Built-in names, "effects", "./file.py:Class" or "package.module:Class".

    Raises:
        PipelineError: One of them cannot be had.
    """
    return [_describe(name, load(name)) for name in expand(names)]


def load(name: str) -> "type[Pipeline]":
    """Imports one pipeline's class, which may take a while for a user's own.

    Args:
        name: A built-in name, "./file.py:Class" or "package.module:Class".

    Raises:
        UnknownPipeline: No such built-in name.
        BadPipeline: The module does not import, or has no such pipeline.
    """
    reference = BUILT_IN.get(name, name)
    module_name, colon, class_name = reference.rpartition(":")
    if not colon:
        raise UnknownPipeline(name, BUILT_IN)
    is_file = module_name.endswith(".py")
    module = _load_file(name, Path(module_name)) if is_file else _load_module(name, module_name)
    found = getattr(module, class_name, None)
    if found is None:
        raise BadPipeline(name, f"{module_name} has no {class_name!r}{_or_rather(module)}")
    return _checked(name, found)


def _load_module(reference: str, module_name: str) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except ImportError as error:
        raise BadPipeline(reference, f"cannot import {module_name}: {error}") from error


def _load_file(reference: str, path: Path) -> ModuleType:
    path = path.expanduser().resolve()
    if not path.is_file():
        raise BadPipeline(reference, f"no such file: {path}")
    name = f"{_FILE_MODULE_PREFIX}{path.stem}_{zlib.crc32(bytes(path)):08x}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # pydantic and dataclasses look their module up while it loads
    try:
        spec.loader.exec_module(module)
    except (ImportError, SyntaxError) as error:
        del sys.modules[name]
        raise BadPipeline(reference, f"cannot import {path}: {error}") from error
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _or_rather(module: ModuleType) -> str:
    """Names the pipelines that the module does define, for an error message."""
    from runners.sdk import Pipeline

    names = [
        name
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, Pipeline) and value is not Pipeline
    ]
    return f"; it has {', '.join(sorted(names))}" if names else ""


def _checked(reference: str, found: object) -> "type[Pipeline]":
    from runners.sdk import Pipeline

    if not (isinstance(found, type) and issubclass(found, Pipeline)):
        raise BadPipeline(reference, "is not a subclass of runners.sdk.Pipeline")
    for attribute in ("name", "title"):
        if not isinstance(getattr(found, attribute, None), str):
            raise BadPipeline(reference, f"{found.__name__} has no {attribute!r}")
    try:
        found.Params()
    except ValidationError as error:
        wrong = ", ".join(".".join(map(str, item["loc"])) for item in error.errors())
        raise BadPipeline(reference, f"parameters without a valid default: {wrong}") from error
    return found


def _describe(reference: str, pipeline: "type[Pipeline]") -> PipelineInfo:
    # A stale or missing docstring would be inherited from Pipeline, which says nothing of this one.
    words = (vars(pipeline).get("__doc__") or pipeline.title).strip()
    schema = pipeline.Params.model_json_schema()
    schema["title"] = pipeline.title
    schema.pop("description", None)  # BaseParams' own docstring
    schema.setdefault("properties", {})
    name = reference if reference in BUILT_IN else pipeline.name
    return PipelineInfo(
        name=name,
        title=pipeline.title,
        description=" ".join(words.split("\n\n", maxsplit=1)[0].split()),
        schema=schema,
        defaults=pipeline.Params().model_dump(mode="json"),
    )
