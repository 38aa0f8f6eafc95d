"""Log lines: one for each event, with what they are about, without secrets and line breaks.

Everything goes through the standard library's logging, so that the lines of uvicorn, httpx and
litellm look the same and pass the same redactor, which comes last. What a line is about (a run, a
step, a request) is read off the context in which it is written.
"""

from __future__ import annotations

import json
import logging
import math
import sys
import threading
import traceback
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from flowbuilder.secrecy import REDACTOR
from flowbuilder.settings import Settings
from flowbuilder.telemetry import tracing

if TYPE_CHECKING:
    from flowbuilder.types import JsonObject, JsonValue

#: The attempt that a line is about: `(run_id, step, attempt)`.
ATTEMPT: ContextVar[tuple[str, str | None, int] | None] = ContextVar(
    "flowbuilder_attempt", default=None
)
#: The request that a line is about, and the workspace that this one is about.
REQUEST_ID: ContextVar[str | None] = ContextVar("flowbuilder_request", default=None)
WORKSPACE: ContextVar[str | None] = ContextVar("flowbuilder_workspace", default=None)

#: Loggers of libraries that bring handlers of their own, which would write past ours.
_LOUD = (
    *("uvicorn", "uvicorn.error", "uvicorn.access", "httpx"),
    *("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"),
)
#: What every record has; anything else was handed over as `extra`.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {
    *("message", "asctime", "taskName"),
    "color_message",  # uvicorn's, the same once more for a terminal
}
_LONGEST_TEXT = 16_384
_ESCAPES = {
    code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) != "\t"
} | {
    ord("\n"): "\\n",
    ord("\r"): "\\r",
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}


def one_line(text: str) -> str:
    """Return a text without anything that begins a line or moves a terminal's cursor."""
    return text.translate(_ESCAPES)


def about() -> JsonObject:
    """Return what a line that is written here is about; what is not known is left out."""
    found: JsonObject = {}
    if (attempt := ATTEMPT.get()) is not None:
        found["run_id"], found["step"], found["attempt"] = attempt
    if (request := REQUEST_ID.get()) is not None:
        found["request_id"] = request
    if (workspace := WORKSPACE.get()) is not None:
        found["workspace"] = workspace
    if (trace := tracing.current()) is not None:
        found["trace_id"], found["span_id"] = trace.split("-")[1:3]
    return found


class _Formatter(logging.Formatter):
    """What both formats have in common."""

    def parts(self, record: logging.LogRecord) -> tuple[str, JsonObject, str | None]:
        """Return the message, what it is about, and the traceback."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError):  # arguments that do not fit are no reason to lose a line
            message = str(record.msg)
        extra: JsonObject = {
            name: _plain(value)
            for name, value in vars(record).items()
            if name not in _STANDARD and not name.startswith("_")
        }
        trace = record.exc_text
        if trace is None and record.exc_info and record.exc_info[0] is not None:
            trace = "".join(traceback.format_exception(*record.exc_info))
        return message[:_LONGEST_TEXT], {**about(), **extra}, trace


class JsonFormatter(_Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        message, said, trace = self.parts(record)
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: JsonObject = {
            **said,
            "at": at.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": message,
        }
        if trace is not None:
            line["exception"] = trace[-_LONGEST_TEXT:]
        clean = REDACTOR.fields(line)
        # ASCII alone: no sign in it ends a line for anybody
        return json.dumps(clean, ensure_ascii=True, default=str)


class TextFormatter(_Formatter):
    """A line for people; those of a traceback are marked, so that none can be made up."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        message, said, trace = self.parts(record)
        clean = REDACTOR.fields(said)
        assert isinstance(clean, dict)
        fields = "".join(f" {name}={one_line(str(value))}" for name, value in clean.items())
        head = f"{record.levelname} {record.name}: {one_line(REDACTOR.text(message))}{fields}"
        if trace is None:
            return head
        lines = REDACTOR.text(trace[-_LONGEST_TEXT:]).splitlines()
        return "\n".join([head, *(f"    | {one_line(text)}" for text in lines)])


def _plain(value: object) -> JsonValue:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return str(value)


def configure(
    settings: Settings,
    *,
    debug: bool = False,
    stream: TextIO | Callable[[], TextIO] | None = None,
) -> None:
    """Write every line of this process in the format of the settings, from now on.

    `stream`: where to, or what says where to; by default as the settings say.

    Our own messages at the set level, of libraries the warnings. What nobody has caught is a line
    as well.
    """
    # not `sys.stderr` as it is now: who replaces it later means the lines too
    handler = _Handler(stream or (lambda: getattr(sys, settings.log_stream)))
    handler.setFormatter(JsonFormatter() if settings.log_format == "json" else TextFormatter())
    root = logging.getLogger()
    for known in root.handlers[:]:
        if isinstance(known, _Handler) or _is_plain(known):
            root.removeHandler(known)
    root.addHandler(handler)
    adopt()
    own = "DEBUG" if debug else settings.log_level.upper()
    logging.getLogger("flowbuilder").setLevel(own)
    logging.captureWarnings(True)  # they are lines as all others
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


def adopt() -> None:
    """Take their own handlers from libraries that bring some, once lines are ours to write.

    Again after such a library was loaded: it adds them then.
    """
    if not any(isinstance(handler, _Handler) for handler in logging.getLogger().handlers):
        return
    for name in _LOUD:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True


class _Handler(logging.Handler):
    """Writes lines to a stream that is looked up for each of them."""

    def __init__(self, stream: TextIO | Callable[[], TextIO]) -> None:
        super().__init__()
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; a stream that is gone is nothing to stop for."""
        try:
            stream = self._stream() if callable(self._stream) else self._stream
            stream.write(self.format(record) + "\n")
            stream.flush()
        except (OSError, ValueError):
            return
        except Exception:
            self.handleError(record)


def _is_plain(handler: logging.Handler) -> bool:
    """Whether `logging.basicConfig` has made it."""
    return type(handler) is logging.StreamHandler


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    log = logging.getLogger("flowbuilder")
    log.critical("nobody has caught this", exc_info=(kind, error, trace))


def _uncaught_in_thread(given: Any) -> None:
    if given.exc_value is not None and not issubclass(given.exc_type, SystemExit):
        _uncaught(given.exc_type, given.exc_value, given.exc_traceback)
