"""Log lines are an event and fields, and they know which stream they are about.

    log = structlog.get_logger(__name__)
    with bound(stream="kitchen", session="a1"):
        log.info("segment sent", seq=7, bytes=81_234)

Tasks started inside the block inherit what it bound. Values of fields whose name says that they
are secret are never written.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Final, TextIO

import structlog
from structlog.contextvars import bound_contextvars

from server.config import LogConfig, LogFormat

bound = bound_contextvars

# Any field with one of these words in its name is masked, whoever logs it.
SECRET_WORDS: Final = ("token", "secret", "password", "authorization", "private", "credential")


def configure(config: LogConfig, stream: TextIO = sys.stderr) -> None:
    """Sends structlog and the standard library's logging to `stream`, in one form."""
    level = logging.getLevelNamesMapping()[config.level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        mask_secrets,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _renderer(config.format, is_terminal=stream.isatty()),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    # Libraries that narrate: each packet, each candidate pair, each request.
    for chatty in ("aioice", "aiortc", "asyncio", "aiohttp.access"):
        logging.getLogger(chatty).setLevel(max(level, logging.WARNING))


def mask_secrets(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replaces the values of secret fields."""
    for name in event:
        if any(word in name.lower() for word in SECRET_WORDS):
            event[name] = "***"
    return event


def _renderer(form: LogFormat, *, is_terminal: bool) -> structlog.typing.Processor:
    if form is LogFormat.JSON:
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(colors=is_terminal)
