"""Cassettes: a model's answers, recorded once and played back byte for byte.

A cassette is a file of JSON lines: a head, and then one line for each request with its answer. A
request is found again by the hash of its canonical JSON. One that was never recorded is a failure,
which shows how it differs from the nearest one that was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from flowbuilder.errors import FlowBuilderError, InvalidValue, ModelError, NotFound
from flowbuilder.models import Message, Reply
from flowbuilder.plan import Usage
from flowbuilder.settings import Settings
from flowbuilder.strictjson import Limits, loads
from flowbuilder.types import JsonObject, JsonValue

FORMAT = "flowbuilder-cassette-1"
#: Bytes of one recorded request with its answer, and how deep its JSON may be.
_LINE = Limits(depth=100, bytes=16 * 1_048_576)
#: Of the settings, those that what a planner asks depends on.
_SETTINGS = ("plan_repairs", "model_max_tokens", "max_steps")
_REPLAYED = "http://cassette.invalid/v1"


class CassetteMiss(FlowBuilderError):
    """A request was never recorded."""

    default_code = "cassette_miss"

    def __init__(self, message: str, *, difference: str) -> None:
        super().__init__(message, hint="Record the suite again: flowbuilder eval record.")
        self.difference = difference
        """A unified diff from the nearest recorded request to this one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """One request and its answer."""

    key: str
    request: JsonObject
    answer: JsonObject
    """`{text, truncated, usage, steps?, value?}` or `{error}`."""

    def line(self) -> bytes:
        """Return the line of the cassette."""
        fields = {"key": self.key, "request": self.request, "answer": self.answer}
        return orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cassette:
    """What was recorded, in the order in which it was asked."""

    model: str
    settings: JsonObject
    """What the requests depended on: `own`, and some settings by name."""
    recorded: tuple[Recorded, ...]

    def text(self) -> bytes:
        """Return the file's content."""
        head = {"format": FORMAT, "model": self.model, "settings": self.settings}
        lines = [orjson.dumps(head, option=orjson.OPT_SORT_KEYS)]
        lines += [item.line() for item in self.recorded]
        return b"\n".join(lines) + b"\n"

    def replaying(self, settings: Settings) -> Settings:
        """Return settings with which a planner asks what it asked when this was recorded."""
        known = {name: self.settings[name] for name in _SETTINGS if name in self.settings}
        base = _REPLAYED if self.settings.get("own") else None
        return settings.model_copy(
            update={**known, "model": self.model, "model_api_base": base, "model_api_key": None}
        )


def read_cassette(path: Path) -> Cassette:
    """Read a cassette.

    Raises:
        NotFound: The file cannot be read (cassette_not_found).
        InvalidValue: It is no cassette, or a line was changed (cassette_invalid).
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise NotFound(
            f"{path} cannot be read: {error.strerror}", code="cassette_not_found"
        ) from None
    head = _object(lines[0] if lines else b"", path, 1)
    model, settings = head.get("model"), head.get("settings")
    if head.get("format") != FORMAT or not isinstance(model, str) or not isinstance(settings, dict):
        raise _broken(path, 1, f"it does not begin as a {FORMAT}")
    recorded = [_recorded(line, path, number) for number, line in enumerate(lines[1:], 2) if line]
    return Cassette(model=model, settings=settings, recorded=tuple(recorded))


def head_of(settings: Settings) -> JsonObject:
    """Return what the requests of a planner with these settings depend on."""
    known: JsonObject = {name: getattr(settings, name) for name in _SETTINGS}
    return {"own": settings.model_api_base is not None, **known}


def asked(
    kind: str,
    messages: Sequence[Message],
    schema: Any,
    max_tokens: int | None,
    temperature: float | None,
) -> JsonObject:
    """Return a request as JSON: all that the answer may depend on, besides the model."""
    shape = schema.model_json_schema() if hasattr(schema, "model_json_schema") else schema
    told: list[JsonValue] = [
        {"role": message["role"], "content": message["content"]} for message in messages
    ]
    return {
        "kind": kind,
        "messages": told,
        "schema": shape,
        "max_tokens": max_tokens,
        "temperature": temperature,
    }


def key_of(request: JsonObject) -> str:
    """Return the hash of a request, 64 hex digits; the order of keys does not count."""
    return hashlib.sha256(orjson.dumps(request, option=orjson.OPT_SORT_KEYS)).hexdigest()


def lines_of(request: JsonObject) -> list[str]:
    """Return a request as lines that can be compared: texts line by line, the rest as JSON."""
    lines = [f"{name}: {request[name]}" for name in ("kind", "max_tokens", "temperature")]
    messages: Any = request["messages"]
    for message in messages:
        lines.append(f"[{message['role']}]")
        lines += message["content"].splitlines()
    shape = orjson.dumps(request["schema"], option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
    return lines + shape.decode().splitlines()


def reply_as_json(reply: Reply) -> JsonObject:
    """Return an answer as it is recorded."""
    usage = reply.usage.as_json()
    return {"text": reply.text, "truncated": reply.truncated, "usage": usage}


def reply_from(answer: JsonObject) -> Reply:
    """Return a recorded answer."""
    return Reply(
        text=str(answer["text"]), truncated=answer["truncated"] is True, usage=usage_from(answer)
    )


def usage_from(answer: JsonObject) -> Usage:
    """Return what a recorded answer took."""
    usage: Any = answer["usage"]
    return Usage(**usage)


def error_as_json(error: ModelError) -> JsonObject:
    """Return a model's failure as it is recorded."""
    return {
        "type": type(error).__name__,
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "retryable": error.retryable,
        "status": error.status,
    }


def error_from(answer: JsonObject) -> ModelError:
    """Return a recorded failure, of the class that it had."""
    from flowbuilder import errors

    told: Any = dict(answer["error"]) if isinstance(answer["error"], dict) else {}
    kind = getattr(errors, str(told.pop("type", "")), ModelError)
    made = kind if isinstance(kind, type) and issubclass(kind, ModelError) else ModelError
    return made(told.pop("message", "the model failed"), **told)


def _object(line: bytes, path: Path, number: int) -> JsonObject:
    try:
        value = loads(line, limits=_LINE)
    except InvalidValue as error:
        raise _broken(path, number, error.message) from None
    if not isinstance(value, dict):
        raise _broken(path, number, "it is no object")
    return value


def _recorded(line: bytes, path: Path, number: int) -> Recorded:
    value = _object(line, path, number)
    key, request, answer = value.get("key"), value.get("request"), value.get("answer")
    if not isinstance(request, dict) or not isinstance(answer, dict) or key != key_of(request):
        raise _broken(path, number, "its key is not that of its request")
    return Recorded(key=str(key), request=request, answer=answer)


def _broken(path: Path, number: int, why: str) -> InvalidValue:
    return InvalidValue(
        f"{path.name} is no cassette: line {number}: {why}",
        pointer=f"/{number}",
        code="cassette_invalid",
    )
