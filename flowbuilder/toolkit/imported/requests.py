"""Calling an operation of a web API: arguments to a request, an answer to a result."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlencode

from flowbuilder.strictjson import dumps
from flowbuilder.toolkit.credentials import refuse_secrets_in_url, with_secrets
from flowbuilder.toolkit.egress import EgressPolicy, GuardedTransport
from flowbuilder.toolkit.exchange import build_request, exchange, has_header
from flowbuilder.toolkit.http import decode, judge, within
from flowbuilder.toolkit.imported.encoding import (
    Part,
    file_bytes,
    form_pairs,
    in_cookie,
    in_header,
    in_path,
    in_query,
    multipart,
)
from flowbuilder.toolkit.parsing import limits_of
from flowbuilder.tools import Context, Fail
from flowbuilder.types import JsonObject, JsonValue

_PLACE = re.compile(r"\{([^{}/]+)\}")
_DOTS = re.compile(r"(?:\.|%2e){1,2}", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """A value that goes into a path, a query, a header or a cookie."""

    argument: str
    """What the tool calls it."""
    name: str
    place: str
    required: bool
    description: str
    schema: Any = field(repr=False)
    style: str
    """How it is written, as OpenAPI calls that."""
    explode: bool
    """Whether a list is sent as several parameters, not with commas."""
    as_json: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """An operation of a web API, as far as calling it goes."""

    name: str
    method: str
    path: str
    server: str
    headers: dict[str, str] = field(repr=False)
    parameters: tuple[Parameter, ...]
    body_kind: Literal["json", "form", "multipart", "text", "file"] | None
    media_type: str
    """Of the body."""
    parts: Mapping[str, Part] = field(default_factory=dict)
    """How properties of a form are sent that say something about it."""


def make_handler(operation: Operation) -> Callable[..., Any]:
    """Return the function that calls an operation."""

    async def handler(__flowbuilder_context: Context, **arguments: Any) -> JsonObject:
        return await call(operation, __flowbuilder_context, arguments)

    return handler


async def call(operation: Operation, context: Context, arguments: JsonObject) -> JsonObject:
    """Send the request and return `{status, body}`.

    Raises:
        Fail, Retry, FlowBuilderError: As `http.request`.
    """
    settings = context.settings
    policy = EgressPolicy(allow_private=settings.http_allow_private)
    url, query, headers = _placed(operation, arguments)
    refuse_secrets_in_url([url, query])
    content = _content(operation, arguments, headers)
    if operation.method in ("POST", "PATCH") and not has_header(headers, "idempotency-key"):
        headers["Idempotency-Key"] = context.idempotency_key
    # What the operator says comes last: no argument can take its place.
    said = {name.lower() for name in operation.headers}
    kept = {name: value for name, value in headers.items() if name.lower() not in said}
    for name in refused_mentions(kept):
        raise Fail(f"the secret {name} is not for arguments", code="secret_not_allowed")
    sent = {**kept, **await with_secrets(context, url, operation.headers)}
    request = build_request(policy, operation.method, url, sent, query, content)
    seconds = settings.http_timeout.total_seconds()
    async with GuardedTransport(policy) as transport:
        response, payload = await within(
            seconds,
            lambda: exchange(transport, policy, request, settings.http_max_bytes, follow=False),
        )
    judge(response, "success")
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    body: JsonValue = None
    if payload:
        _, body = decode(payload, kind, response.charset_encoding, "auto", limits_of(context))
    return {"status": response.status_code, "body": body}


def refused_mentions(headers: Mapping[str, str]) -> list[str]:
    """Return the secrets that arguments refer to: who writes a flow gets none of the operator's."""
    from flowbuilder.secrecy import mentioned

    return [name for value in headers.values() for name in mentioned(value)]


def _placed(
    operation: Operation, arguments: JsonObject
) -> tuple[str, dict[str, Any], dict[str, str]]:
    """Return URL, query and headers. Raises: Fail (path_refused)."""
    paths: dict[str, str] = {}
    query: dict[str, Any] = {}
    headers: dict[str, str] = {}
    cookies: list[str] = []
    for item in operation.parameters:
        value = arguments.get(item.argument)
        if item.argument not in arguments or (value is None and not item.required):
            continue
        if item.as_json:
            value = dumps(value).decode()
        if item.place == "query":
            found = in_query(item.name, value, item.style, explode=item.explode)
            query |= {**found, **query}  # no property takes the place of what was there before
        elif item.place == "header":
            headers[item.name] = in_header(value, explode=item.explode)
        elif item.place == "cookie":
            cookies.append(in_cookie(item.name, value))
        else:
            paths[item.name] = in_path(item.name, value, item.style, explode=item.explode)
    if cookies:
        headers["Cookie"] = "; ".join(cookies)
    path = _PLACE.sub(lambda match: paths.get(match[1], ""), operation.path)
    given = operation.path.count("/")
    if path.count("/") != given or any(
        _DOTS.fullmatch(part) or not part for part in path.split("/")[1:-1]
    ):
        raise _refused()
    last = path.rpartition("/")[2]
    if _DOTS.fullmatch(last) or (not last and not operation.path.endswith("/")):
        raise _refused()
    return operation.server + path, query, headers


def _refused() -> Fail:
    return Fail("a value in the path is empty or leads to another place", code="path_refused")


def _content(operation: Operation, arguments: JsonObject, headers: dict[str, str]) -> bytes | None:
    """Return the body, and say in the headers what it is. Raises: Fail (http_invalid)."""
    if operation.body_kind is None or "body" not in arguments:
        return None
    body = arguments["body"]
    fields = body if isinstance(body, dict) else {}
    headers["Content-Type"] = operation.media_type
    if operation.body_kind == "json":
        return dumps(body)
    if operation.body_kind == "form":
        return urlencode(list(form_pairs(fields, operation.parts))).encode()
    if operation.body_kind == "multipart":
        headers["Content-Type"], content = multipart(fields, operation.parts)
        return content
    return file_bytes(body) if operation.body_kind == "file" else str(body).encode()
