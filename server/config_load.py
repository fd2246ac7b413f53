"""Builds the settings tree: defaults, then a TOML file, then the environment, then flags.

The same dotted key works everywhere: `gateway.http.port` in TOML, PENSTOCK_GATEWAY_HTTP_PORT in
the environment, `--gateway.http.port` on the command line. An unknown key is refused with the
name it was probably meant to be.
"""

import difflib
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from server.config import NodeConfig
from server.errors import ConfigError

ENV_PREFIX: Final = "PENSTOCK_"
FILE_NAME: Final = "penstock.toml"


@dataclass(frozen=True, slots=True)
class Setting:
    """One leaf of the tree."""

    key: str
    field: FieldInfo
    value: Any


def load(
    file: Path | None = None,
    env: Mapping[str, str] | None = None,
    flags: Mapping[str, str] | None = None,
) -> NodeConfig:
    """Reads all sources, the later winning over the earlier.

    Raises:
        ConfigError: A key is unknown or a value is wrong; says which, where, and what would do.
    """
    known = {setting.key for setting in settings(NodeConfig())}
    values: dict[str, tuple[Any, str]] = {}
    for key, value, source in _all(file, env or {}, flags or {}, known):
        if key not in known:
            raise ConfigError(f"unknown setting {key!r} in {source}{_suggest(key, known)}")
        values[key] = (value, source)
    try:
        return NodeConfig.model_validate(_nest({key: value for key, (value, _) in values.items()}))
    except ValidationError as error:
        raise ConfigError(_explain(error, values)) from None


def settings(section: BaseModel, prefix: str = "") -> Iterator[Setting]:
    """Yields every setting with its value: a section's own first, then its subsections'."""
    inner: list[tuple[str, BaseModel]] = []
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            inner.append((name, value))
        else:
            yield Setting(f"{prefix}{name}", field, value)
    for name, subsection in inner:
        yield from settings(subsection, f"{prefix}{name}.")


def sample(config: NodeConfig) -> str:
    """A `penstock.toml` with every setting, its meaning, and its value in `config`."""
    lines: list[str] = []
    section = ""
    for setting in settings(config):
        parent, _, name = setting.key.rpartition(".")
        if parent != section:
            section = parent
            lines += ["", f"[{section}]"]
        lines.append(f"# {setting.field.description}")
        # TOML has no null: a setting without a value is shown as a comment.
        line = f"{name} = {_toml(setting.value)}"
        lines.append(line if setting.value is not None else f'# {name} = ""')
    return "\n".join(lines).lstrip() + "\n"


def _all(
    file: Path | None, env: Mapping[str, str], flags: Mapping[str, str], known: set[str]
) -> Iterator[tuple[str, Any, str]]:
    if file is not None:
        try:
            table = tomllib.loads(file.read_text())
        except OSError as error:
            raise ConfigError(f"cannot read {file}: {error.strerror}") from None
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{file} is not TOML: {error}") from None
        for key, value in _flatten(table):
            yield key, value, str(file)
    by_env = {ENV_PREFIX + key.upper().replace(".", "_"): key for key in known}
    for name in sorted(env):
        if name.startswith(ENV_PREFIX):
            if name not in by_env:
                raise ConfigError(f"unknown variable {name}{_suggest(name, set(by_env))}")
            key = by_env[name]
            yield key, _from_text(key, env[name]), name
    for key, text in flags.items():
        yield key, _from_text(key, text), f"--{key}"


def _from_text(key: str, text: str) -> Any:
    """A list is written with commas in the environment and in flags."""
    default = {setting.key: setting.value for setting in settings(NodeConfig())}.get(key)
    if isinstance(default, tuple):
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def _flatten(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        *parents, name = key.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = value
    return tree


def _explain(error: ValidationError, values: Mapping[str, tuple[Any, str]]) -> str:
    problems = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"] if isinstance(part, str))
        value, source = values.get(key, (problem["input"], "the settings"))
        problems.append(f"{key} in {source}: {problem['msg']}, not {value!r}")
    return "; ".join(problems)


def _suggest(key: str, known: set[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _toml(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, Path):
        value = str(value)
    return json.dumps(value)  # JSON's strings, numbers and booleans are TOML's
