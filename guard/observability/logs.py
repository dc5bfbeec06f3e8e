"""The log: lines for people, or one JSON object per line. Neither holds what users wrote.

The text of an exception may quote what was asked, whoever raised it, and so may its source: of an exception the log has
the kind and the places it went through. Its text is for whoever sets ``log_level: debug``.
"""

import json
import logging
import sys
import threading
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, TextIO

from guard.policy.settings.observability import ObservabilityConfig

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
MEMBERS = (
    "reference", "verdict", "ending", "code", "license", "clause", "category", "model", "surface", "status",
    "duration", "trace_id", "policy", "not_evaluated", "not_listed_before",
)  # fmt: skip
"""What a line may have beside its message, by name: ``log.info(..., extra={"reference": ...})``."""
DEEPEST = 40
"""Places of one exception that are told, the innermost of them."""


class TextFormatter(logging.Formatter):
    """A line for people; an exception follows, without its text unless ``quoting``."""

    def __init__(self, *, quoting: bool, prefix: str = "") -> None:
        super().__init__(f"%(asctime)s %(levelname)s {prefix}%(message)s")
        self._quoting = quoting
        self._prefix = prefix

    def format(self, record: logging.LogRecord) -> str:
        """Return ``record``; where lines have a prefix, all of its lines have it."""
        text = super().format(record)
        return text.replace("\n", f"\n{self._prefix}") if self._prefix else text

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the library's name
        """Return the exception's kind and the places it went through."""
        return super().formatException(ei) if self._quoting else trace_of(ei[1])


class JsonFormatter(logging.Formatter):
    """One object per line: time (RFC 3339, UTC), level, logger, message, then what the line has beside it.

    ``always`` are members that every line has.
    """

    def __init__(self, *, quoting: bool, always: Mapping[str, Any] = MappingProxyType({})) -> None:
        super().__init__()
        self._quoting = quoting
        self._always = dict(always)

    def format(self, record: logging.LogRecord) -> str:
        """Return ``record`` as one line without its end."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "time": moment.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._always,
        }
        given = record.__dict__
        line |= {name: given[name] for name in MEMBERS if given.get(name) is not None}
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            line["exception"] = type(error).__name__
            line["traceback"] = (
                "".join(traceback.format_exception(error)).rstrip("\n") if self._quoting else trace_of(error)
            )
        return json.dumps(line, ensure_ascii=False, default=str)


def trace_of(error: BaseException | None) -> str:
    """Return the kinds of ``error`` and its causes with the places they went through, and nothing that they say."""
    lines: list[str] = []
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        frames = [(frame.f_code, number) for frame, number in traceback.walk_tb(error.__traceback__)]
        places = [f"  {code.co_filename}:{number} in {code.co_qualname}" for code, number in frames[-DEEPEST:]]
        lines += [type(error).__name__, *places]
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(lines)


def formatter(
    settings: ObservabilityConfig, prefix: str = "", always: Mapping[str, Any] = MappingProxyType({})
) -> logging.Formatter:
    """Return what writes the lines as ``settings`` say; ``prefix`` is of lines for people, ``always`` of objects."""
    quoting = settings.log_level == "debug"
    return (
        JsonFormatter(quoting=quoting, always=always)
        if settings.log_format == "json"
        else TextFormatter(quoting=quoting, prefix=prefix)
    )


def log_to(stream: TextIO, settings: ObservabilityConfig, worker: int | None = None) -> None:
    """Let the whole process log to ``stream``: Guard from the level set, everybody else from warnings.

    Warnings and what ends a thread are logged too, so that every line has the same form. Where several processes write
    to one stream every line has the number of its ``worker``.
    """
    handler = logging.StreamHandler(stream)
    named = ("", {}) if worker is None else (f"worker {worker}: ", {"worker": worker})
    handler.setFormatter(formatter(settings, *named))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("guard").setLevel(LEVELS[settings.log_level])
    # The admin port is a uvicorn server that would tell of its start and end; Guard says both once, of both ports.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    threading.excepthook = _thread_ended


def log_inside(settings: ObservabilityConfig) -> None:
    """Let Guard's own loggers write to standard error, inside a server that logs in its own way."""
    log = logging.getLogger("guard")
    if log.hasHandlers() and settings.log_format == "text":
        return  # the host takes Guard's lines with its own
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(settings, prefix="guard: "))
    log.handlers, log.propagate = [handler], False
    log.setLevel(LEVELS[settings.log_level])


def note_unhandled(_loop: Any, context: Mapping[str, Any]) -> None:
    """Log what an event loop could not hand to anybody: asyncio's own words quote arguments and errors."""
    error = context.get("exception")
    log = logging.getLogger("guard.loop")
    if error is None:
        log.error("the event loop met something that nobody handles")
    else:
        log.error("nobody handled an error: %s", type(error).__name__, exc_info=error)


def _thread_ended(ended: threading.ExceptHookArgs) -> None:
    error = ended.exc_value
    if error is not None and not isinstance(error, SystemExit):
        name = ended.thread.name if ended.thread is not None else "unknown"
        logging.getLogger("guard.loop").critical("thread %s ended: %s", name, type(error).__name__, exc_info=error)
