"""The gate every request body passes: declared as JSON, bounded, strict, of the right shape."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from flowbuilder.api.problems import BadRequest, pointer_of
from flowbuilder.errors import DefinitionError, InvalidValue, Problem
from flowbuilder.settings import Settings
from flowbuilder.strictjson import Limits, loads
from flowbuilder.types import JsonValue

Model = TypeVar("Model", bound=BaseModel)

#: Bodies beyond this are read in a thread, so that streams and other requests go on meanwhile.
LARGE_BYTES = 65_536
#: So many findings are told of one body.
MAX_PROBLEMS = 100
#: Every model that a route reads; the OpenAPI document gets their schemas.
MODELS: set[type[BaseModel]] = set()


async def read_json(request: Request, *, inside: int = 1) -> JsonValue:
    """Read the body as strict JSON. A value may be as deep as allowed, `inside` so many levels.

    Raises:
        BadRequest: No body, not JSON (400), too large (413), or another media type (415).
    """
    raw = await read_bytes(request)
    if not raw:
        raise BadRequest("A JSON body is needed.", code="body_missing")
    _check_media_type(request)
    settings: Settings = request.app.state.settings
    limits = Limits(depth=settings.max_json_depth + inside, bytes=settings.max_body_bytes)
    try:
        if len(raw) > LARGE_BYTES:
            return await asyncio.to_thread(loads, raw, limits=limits)
        return loads(raw, limits=limits)
    except InvalidValue as error:
        raise BadRequest(
            error.message, pointer=error.pointer, code=error.code, hint=error.hint
        ) from None


async def read_bytes(request: Request, *, limit: int | None = None) -> bytes:
    """Read the body, no further than the bound, whatever its declared length.

    Raises:
        BadRequest: It is longer than `limit`, by default `max_body_bytes` (code body_too_large).
    """
    remembered: bytes | None = getattr(request.state, "raw_body", None)
    if remembered is not None:
        return remembered
    settings: Settings = request.app.state.settings
    limit = limit or settings.max_body_bytes
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:19]) > limit:
        raise _too_large(limit, settings)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise _too_large(limit, settings)
    request.state.raw_body = bytes(body)
    return bytes(body)


def _too_large(limit: int, settings: Settings) -> BadRequest:
    bounds = {
        settings.max_body_bytes: "The setting FLOWBUILDER_MAX_BODY_BYTES is the bound.",
        settings.max_value_bytes: "The setting FLOWBUILDER_MAX_VALUE_BYTES is the bound.",
    }
    return BadRequest(
        f"The body is longer than {limit} bytes.", code="body_too_large", hint=bounds.get(limit)
    )


def _check_media_type(request: Request) -> None:
    media, _, parameters = request.headers.get("content-type", "").partition(";")
    media = media.strip().lower()
    is_json = media == "application/json" or (
        media.startswith("application/") and media.endswith("+json")
    )
    charset = parameters.strip().lower().replace('"', "").replace(" ", "")
    plain = request.headers.get("content-encoding", "identity").strip().lower() == "identity"
    if not is_json or charset not in ("", "charset=utf-8") or not plain:
        raise BadRequest(
            "The body must be JSON in UTF-8, not compressed: "
            "send `Content-Type: application/json`.",
            code="media_type_unsupported",
        )


def validated(model: type[Model], value: JsonValue) -> Model:
    """Check a JSON value against a model.

    Raises:
        DefinitionError: code body_invalid, one problem with its pointer for every finding.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        found = error
    count = found.error_count()
    if count > MAX_PROBLEMS:
        raise DefinitionError(
            f"The body is wrong in more than {MAX_PROBLEMS} places.",
            problems=_some_problems(model, value),
            code="body_invalid",
        )
    problems = _problems(model, value, found)
    raise DefinitionError(
        f"The body is wrong in {len(problems)} place{'s' if len(problems) > 1 else ''}.",
        problems=problems,
        code="body_invalid",
    )


def _some_problems(model: type[BaseModel], value: JsonValue) -> list[Problem]:
    """Return what is wrong with the beginning of a value: a list of all would take seconds."""
    message = f"more than {MAX_PROBLEMS} problems; the others are not listed"
    more = Problem(code="more_problems", pointer="", message=message)
    begun = _begun(value, keep=frozenset(model.model_fields))
    try:
        model.model_validate(begun)
    except ValidationError as error:
        return [*_problems(model, begun, error)[:MAX_PROBLEMS], more]
    return [more]


def _begun(value: JsonValue, keep: frozenset[str] = frozenset()) -> JsonValue:
    """Return a value with the first members only of what is long, at every level."""
    if isinstance(value, list):
        return [_begun(item) for item in value[:MAX_PROBLEMS]]
    if not isinstance(value, dict):
        return value
    names = [name for name in value if name not in keep][:MAX_PROBLEMS]
    return {name: _begun(value[name]) for name in (*sorted(keep & value.keys()), *names)}


def _problems(model: type[BaseModel], value: JsonValue, error: ValidationError) -> list[Problem]:
    problems: dict[str, Problem] = {}
    for found in error.errors(include_url=False, include_input=False, include_context=False):
        kind = found["type"]
        pointer = pointer_of(_place(value, found["loc"], missing=kind == "missing"))
        # each branch of a union has its own finding: the first one is enough
        problems.setdefault(
            pointer,
            Problem(
                code=_CODES.get(kind, "value_invalid"),
                pointer=pointer,
                message=_message(found["msg"]),
                hint=_known_keys(model) if kind == "extra_forbidden" else None,
            ),
        )
    return list(problems.values())


_CODES = {"extra_forbidden": "unknown_key", "missing": "key_missing"}


def _place(value: JsonValue, location: tuple[int | str, ...], *, missing: bool) -> list[int | str]:
    """Return the parts of a location that are in the document: pydantic adds names of its own."""
    place: list[int | str] = []
    here = value
    for part in location:
        if isinstance(here, dict) and part in here:
            here = here[str(part)]
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            here = here[part]
        else:
            return [*place, part] if missing and part == location[-1] else place
        place.append(part)
    return place


def _message(text: str) -> str:
    text = text.removeprefix("Value error, ")
    return "this key is not known" if text == "Extra inputs are not permitted" else text


def _known_keys(model: type[BaseModel]) -> str:
    return "known keys: " + ", ".join(sorted(model.model_fields))


def json_body(model: type[Model]) -> Callable[[Request], Awaitable[Model]]:
    """Return a dependency that reads the body as this model."""
    MODELS.add(model)

    async def read(request: Request) -> Model:
        return validated(model, await read_json(request))

    return read


def optional_json_body(model: type[Model]) -> Callable[[Request], Awaitable[Model]]:
    """Return a dependency that takes no body at all for the model's defaults."""
    MODELS.add(model)

    async def read(request: Request) -> Model:
        if not await read_bytes(request):
            return validated(model, {})
        return validated(model, await read_json(request))

    return read


async def json_object(request: Request) -> dict[str, Any]:
    """Read the body as a JSON object, its meaning to be judged further in.

    Raises:
        DefinitionError: It is JSON, but no object (code document_not_object).
    """
    value = await read_json(request)
    if not isinstance(value, dict):
        raise DefinitionError(
            "A flow document is a JSON object.",
            problems=[
                Problem(
                    code="document_not_object",
                    pointer="",
                    message=f"expected an object, found {_kind(value)}",
                )
            ],
            code="document_not_object",
        )
    return value


async def optional_json_object(request: Request) -> dict[str, Any] | None:
    """Read the body as a JSON object; None when there is none."""
    return await json_object(request) if await read_bytes(request) else None


def _kind(value: JsonValue) -> str:
    if value is None:
        return "null"
    kinds = {bool: "a boolean", str: "a string", list: "an array"}
    return kinds.get(type(value), "a number")


def body_schema(schema: str, *, required: bool = True) -> dict[str, Any]:
    """Return the `openapi_extra` of a route whose body has the named component schema."""
    reference = {"$ref": f"#/components/schemas/{schema}"}
    content = {"application/json": {"schema": reference}}
    return {"requestBody": {"required": required, "content": content}}
