"""Logs: one JSON object a line on standard error. They never hold a raw id, a key or a body."""

from __future__ import annotations

import logging
import sqlite3
import sys
import traceback

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_SHARED: list[Processor] = [
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure_logs(level: str) -> None:
    """Send our own logs and those of the libraries through one formatter."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                show_exception,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # Alembic reports each start; only what goes wrong is of interest.
    logging.getLogger("alembic").setLevel("WARNING")
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


def show_exception(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Put an exception's type and where it went by into a line, innermost last.

    Its message may quote what a client sent, so only those of the system and of stores are shown.
    """
    found = event.pop("exc_info", None)
    if isinstance(found, BaseException):
        error: BaseException | None = found
    elif isinstance(found, tuple):
        error = found[1]
    else:
        error = sys.exc_info()[1] if found else None
    if error is not None:
        event["exception"] = type(error).__name__
        if isinstance(error, (sqlite3.Error, OSError)):
            event["reason"] = str(error)
        event["at"] = [
            f"{frame.filename}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(error.__traceback__)
        ]
    return event
