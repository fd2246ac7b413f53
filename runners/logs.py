"""A child's words, on their way into its parent's log.

A child writes one JSON object per record to its standard error; whatever else it or a library
prints is taken as a line of text. `LineCutter` and `LineBudget` are pure: they keep a child that
prints a gigabyte from filling its parent's memory or log.
"""

import json
import logging
import sys
from typing import Any, Final

# A line is for people; a longer one is a dump, and its beginning says which.
MAX_LINE_BYTES: Final = 4096

# More than any healthy child says, while a hot loop says a million.
MAX_LINES_PER_S: Final = 200

_PLAIN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class LineCutter:
    """Takes bytes as they come and returns the lines that they complete, cut to a length."""

    def __init__(self, *, limit_bytes: int = MAX_LINE_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._begun = bytearray()

    def feed(self, data: bytes) -> list[str]:
        *whole, rest = data.split(b"\n")
        lines = []
        for part in whole:
            self._keep(part)
            lines.append(self._begun.decode(errors="replace").rstrip("\r"))
            self._begun.clear()
        self._keep(rest)
        return [line for line in lines if line]

    def flush(self) -> list[str]:
        """Returns the last line if it has no end."""
        return self.feed(b"\n")

    def _keep(self, part: bytes) -> None:
        self._begun += part[: self._limit_bytes - len(self._begun)]


class LineBudget:
    """Says which lines of a talkative child are still worth passing on."""

    def __init__(self, *, lines_per_s: int = MAX_LINES_PER_S) -> None:
        self._lines_per_s = lines_per_s
        self._second = -1
        self._spent = 0
        self._held_back = 0

    def admits(self, now: float) -> bool:
        if int(now) != self._second:
            self._second, self._spent = int(now), 0
        self._spent += 1
        if self._spent <= self._lines_per_s:
            return True
        self._held_back += 1
        return False

    def take_held_back(self) -> int:
        """Returns how many lines were not passed on since it was last asked."""
        count, self._held_back = self._held_back, 0
        return count


class JsonLines(logging.Formatter):
    """One JSON object per record, for a parent to read back."""

    def format(self, record: logging.LogRecord) -> str:
        extra = {name: value for name, value in vars(record).items() if name not in _PLAIN}
        line: dict[str, Any] = {
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **extra,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure(*, for_parent: bool, level: int = logging.INFO) -> None:
    """Sends this process's log to its standard error, as lines for a parent or for a person."""
    root = logging.getLogger()
    output = logging.StreamHandler(sys.stderr)
    plain = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    output.setFormatter(JsonLines() if for_parent else plain)
    root.handlers = [output]
    root.setLevel(level)
    logging.captureWarnings(capture=True)


def relay(line: str, *, child: str, fallback: logging.Logger) -> None:
    """Logs a child's line here, under the name and level it had there."""
    record = _parsed(line)
    if record is None:
        fallback.info("%s", line, extra={"child": child})
        return
    level = logging.getLevelNamesMapping().get(str(record.pop("level", "")).upper(), logging.INFO)
    logger = logging.getLogger(str(record.pop("logger", fallback.name)))
    event = str(record.pop("event", ""))
    extra = {name: value for name, value in record.items() if name not in _PLAIN}
    logger.log(level, "%s", event, extra={**extra, "child": extra.get("child", child)})


def readable(line: str) -> str:
    """Returns a child's line as a person would read it."""
    record = _parsed(line)
    if record is None:
        return line
    hidden = ("level", "logger", "event", "exception", "child")
    fields = [f"{name}={value}" for name, value in record.items() if name not in hidden]
    trace = str(record.get("exception", "")).strip().splitlines()[-1:]
    return " ".join([str(record["event"]), *fields, *trace])


def _parsed(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and "event" in record else None
