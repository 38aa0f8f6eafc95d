"""What is stored about an attempt that went wrong: always clean, small JSON."""

from __future__ import annotations

from typing import Any

from flowbuilder.errors import (
    DefinitionError,
    FlowBuilderError,
    InvalidValue,
    ModelError,
    NotFound,
    SettingsError,
    error_json,
)
from flowbuilder.secrecy import REDACTOR
from flowbuilder.strictjson import LARGEST_INTEGER, SMALLEST_INTEGER
from flowbuilder.tools import Fail, Retry
from flowbuilder.types import JsonObject, JsonValue

_LONGEST_MESSAGE = 2000
_LONGEST_TEXT = 500
_MOST_ENTRIES = 20
_DEEPEST = 6
#: Read beyond what is kept, so that a secret that begins within it is seen whole.
_OVERHANG = 5000

#: The same call would fail in the same way.
_FINAL = (InvalidValue, DefinitionError, SettingsError, NotFound)


def is_final(error: BaseException) -> bool:
    """Whether another attempt is pointless."""
    if isinstance(error, ModelError):
        return not error.retryable
    return isinstance(error, (Fail, *_FINAL))


def describe(error: BaseException) -> JsonObject:
    """Return `{code, message, type, …}` of anything that a handler raised.

    Works for errors whose own text cannot be had, is not storable, or is endless.
    """
    name = clean_text(type(error).__name__, 100)
    try:
        body = _describe(error)
    except BaseException as second:  # str() of a stranger's error may raise anything
        body = {
            "code": "exception",
            "message": f"{name} (its text cannot be had: {type(second).__name__})",
        }
    return {**body, "type": name}


def _describe(error: BaseException) -> JsonObject:
    if isinstance(error, FlowBuilderError):
        body = error_json(error)
        pointer = getattr(error, "pointer", "")
        if pointer:
            body["pointer"] = pointer
    elif isinstance(error, Fail):
        body = {"code": error.code, "message": str(error)}
    elif isinstance(error, Retry):
        body = {"code": "retry_requested", "message": str(error)}
    elif isinstance(error, Exception):
        text = str(error)
        name = type(error).__name__
        body = {"code": "exception", "message": f"{name}: {text}" if text else name}
    else:  # SystemExit, KeyboardInterrupt: a handler may end itself, not the worker
        body = {"code": "exception", "message": f"the handler raised {type(error).__name__}"}
    return {key: _clean(value, 0) for key, value in body.items()}


def clean_text(value: Any, longest: int = _LONGEST_MESSAGE) -> str:
    """Return a text that PostgreSQL can store: no NUL, no lone surrogates, not endless."""
    text = value if isinstance(value, str) else str(value)
    text = text[: longest + _OVERHANG].encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    if REDACTOR:  # before it is cut: half a secret at the end would not be found
        text = REDACTOR.text(text)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _clean(value: Any, depth: int) -> JsonValue:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and SMALLEST_INTEGER <= value <= LARGEST_INTEGER:
        return value
    if isinstance(value, dict) and depth < _DEEPEST:
        entries = list(value.items())[:_MOST_ENTRIES]
        return {clean_text(key, 100): _clean(item, depth + 1) for key, item in entries}
    if isinstance(value, list | tuple) and depth < _DEEPEST:
        return [_clean(item, depth + 1) for item in value[:_MOST_ENTRIES]]
    return clean_text(value, _LONGEST_TEXT if depth else _LONGEST_MESSAGE)
