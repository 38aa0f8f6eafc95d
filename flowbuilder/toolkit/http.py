"""`http.get` and `http.request`: web requests behind the egress guard.

One time limit covers everything from the first look-up to the last byte of the last hop.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal

import httpcore
import httpx
import orjson
from pydantic import Field
from typing_extensions import TypedDict

from flowbuilder.errors import FlowBuilderError
from flowbuilder.strictjson import Limits
from flowbuilder.toolkit.credentials import refuse_secrets_in_url, with_secrets
from flowbuilder.toolkit.egress import EgressPolicy, GuardedTransport
from flowbuilder.toolkit.exchange import build_request, exchange, has_header
from flowbuilder.toolkit.parsing import limits_of, parse_json
from flowbuilder.tools import Context, Fail, Retry, tool

MAX_RETRY_AFTER = 3600.0
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
_JSON_TYPE = re.compile(r"^application/(?:[\w.+-]+\+)?json$|^text/json$")

Scalar = str | int | float | bool | None
Url = Annotated[str, Field(min_length=1, description="The address, with http:// or https://.")]
Headers = Annotated[
    dict[str, str] | None,
    Field(description="Headers to send, such as Authorization; secret://name stands for a secret."),
]
Query = Annotated[
    dict[str, Scalar | list[Scalar]] | None,
    Field(description="Query parameters, appended to the URL; a null is left out."),
]
Seconds = Annotated[
    float | None,
    Field(gt=0, le=3600, description="Time limit in seconds; by default the setting http_timeout."),
]
Expect = Annotated[
    Literal["success", "any"] | list[int],
    Field(description="Which statuses are good: 2xx, any at all, or the listed ones."),
]
Parse = Annotated[
    Literal["auto", "json", "text"],
    Field(description="How to read the body: auto goes by the content type."),
]


class HttpResponse(TypedDict):
    """What came back."""

    status: Annotated[int, Field(description="The status code, such as 200.")]
    url: Annotated[str, Field(description="The address that answered, after redirects.")]
    headers: Annotated[dict[str, str], Field(description="Response headers, names in lower case.")]
    content_type: Annotated[str, Field(description="The media type, without parameters.")]
    encoding: Annotated[Literal["json", "text", "base64"], Field(description="What `body` holds.")]
    body: Annotated[Any, Field(description="Parsed JSON, text, or base64 text of binary data.")]
    bytes: Annotated[int, Field(description="The size of the decompressed body.")]


@dataclass(frozen=True, kw_only=True)
class _Limits:
    seconds: float
    max_bytes: int


@tool(
    "http.get",
    effects="read",
    untrusted_output=True,
    timeout="2m",
    keywords=(
        "fetch, download, retrieve, get, load, read a web page, look up a page, website, "
        "url, link, online, internet, web address, api, crawl, scrape, open a link, call",
    ),
    examples=(
        "fetch https://example.org/prices.json",
        "download the page at https://example.org",
        "get the latest data from the API",
    ),
)
async def http_get(
    context: Context,
    url: Url,
    headers: Headers = None,
    query: Query = None,
    timeout_s: Seconds = None,
    expect: Expect = "success",
    parse: Parse = "auto",
) -> HttpResponse:
    """Fetch a web page or call a web API by GET and return its status, headers and body."""
    return await _send(
        context, "GET", url, headers, query, None, timeout_s, expect, parse, follow=True
    )


@tool(
    "http.request",
    effects="external",
    untrusted_output=True,
    timeout="2m",
    keywords=(
        "post, put, patch, delete, send data to an api, submit, call a web service, webhook, "
        "http, rest, notify a url, upload json, api call, trigger",
    ),
    examples=(
        "post the result to https://example.org/hook",
        "send a DELETE request to https://example.org/items/7",
        "call the API with a JSON body",
    ),
)
async def http_request(
    context: Context,
    method: Annotated[
        Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
        Field(description="The HTTP method."),
    ],
    url: Url,
    headers: Headers = None,
    query: Query = None,
    json: Annotated[
        Any, Field(description="A value to send as a JSON body; null is sent too.")
    ] = ...,
    body: Annotated[str | None, Field(description="A text to send as the body.")] = None,
    timeout_s: Seconds = None,
    expect: Expect = "success",
    parse: Parse = "auto",
    follow_redirects: Annotated[bool, Field(description="Follow up to five redirects.")] = True,
) -> HttpResponse:
    """Send an HTTP request of any method, with headers and a body, and return what came back."""
    sent = dict(headers or {})
    content = _content(json, body, sent)
    if method in ("POST", "PATCH") and not has_header(sent, "idempotency-key"):
        sent["Idempotency-Key"] = context.idempotency_key  # a repeated attempt says that it is one
    return await _send(
        context,
        method,
        url,
        sent,
        query,
        content,
        timeout_s,
        expect,
        parse,
        follow=follow_redirects,
    )


def _content(json: Any, body: str | None, headers: dict[str, str]) -> bytes | None:
    if json is not ...:
        if body is not None:
            raise Fail("give json or body, not both", code="http_invalid")
        if not has_header(headers, "content-type"):
            headers["Content-Type"] = "application/json"
        return orjson.dumps(json)
    if body is None:
        return None
    if not has_header(headers, "content-type"):
        headers["Content-Type"] = "text/plain; charset=utf-8"
    return body.encode()


async def _send(
    context: Context,
    method: str,
    url: str,
    headers: dict[str, str] | None,
    query: dict[str, Any] | None,
    content: bytes | None,
    timeout_s: float | None,
    expect: Literal["success", "any"] | list[int],
    parse: Literal["auto", "json", "text"],
    *,
    follow: bool,
) -> HttpResponse:
    settings = context.settings
    limits = _Limits(
        seconds=timeout_s or settings.http_timeout.total_seconds(),
        max_bytes=settings.http_max_bytes,
    )
    policy = EgressPolicy(allow_private=settings.http_allow_private)
    refuse_secrets_in_url([url, query or {}])
    sent = await with_secrets(context, url, headers or {})
    request = build_request(policy, method, url, sent, query or {}, content)
    async with GuardedTransport(policy) as transport:
        response, payload = await within(
            limits.seconds, lambda: exchange(transport, policy, request, limits.max_bytes, follow)
        )
    judge(response, expect)
    return _result(response, payload, parse, limits_of(context))


async def within(
    seconds: float, work: Callable[[], Awaitable[tuple[httpx.Response, bytes]]]
) -> tuple[httpx.Response, bytes]:
    """Return an answer that came in time. Raises: FlowBuilderError (http_timeout, http_failed)."""
    try:
        async with asyncio.timeout(seconds):
            return await work()
    except (TimeoutError, httpcore.TimeoutException):
        raise FlowBuilderError(
            f"the request did not end within {seconds:g} s", code="http_timeout"
        ) from None
    except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
        text = str(error) or type(error).__name__
        raise FlowBuilderError(f"the request failed: {text[:300]}", code="http_failed") from None


def judge(response: httpx.Response, expect: Literal["success", "any"] | list[int]) -> None:
    """Refuse a status that was not expected. Raises: Retry, Fail (http_status)."""
    status = response.status_code
    good = status in expect if isinstance(expect, list) else expect == "any" or 200 <= status < 300
    if good:
        return
    reason = f"{response.request.method} {_shown(response.request.url)} answered {status}"
    if status in _TRANSIENT:
        raise Retry(reason, after=_retry_after(response.headers.get("retry-after")))
    raise Fail(reason, code="http_status")


def _shown(url: httpx.URL) -> str:
    """Return a URL without its query, which may hold what should not be stored in an error."""
    return str(url.copy_with(query=None))


def _retry_after(value: str | None) -> timedelta | None:
    if value is None or not value.isascii() or not value.isdigit() or len(value) > 9:
        return None
    return timedelta(seconds=min(float(value), MAX_RETRY_AFTER))


def _result(
    response: httpx.Response,
    payload: bytes,
    parse: Literal["auto", "json", "text"],
    limits: Limits,
) -> HttpResponse:
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    encoding, body = decode(payload, kind, response.charset_encoding, parse, limits)
    return {
        "status": response.status_code,
        "url": str(response.request.url),
        "headers": {name.lower(): value for name, value in response.headers.items()},
        "content_type": kind,
        "encoding": encoding,
        "body": body,
        "bytes": len(payload),
    }


def decode(
    payload: bytes,
    kind: str,
    charset: str | None,
    parse: Literal["auto", "json", "text"],
    limits: Limits,
) -> tuple[Literal["json", "text", "base64"], Any]:
    """Return how a body is given, and the body. Raises: Fail, InvalidValue (it is no JSON)."""
    if parse == "json" or (parse == "auto" and payload and _JSON_TYPE.match(kind)):
        return "json", parse_json(payload, limits)
    try:
        text = payload.decode(charset or "utf-8-sig")
    except (UnicodeDecodeError, LookupError):
        text = None
    if text is not None and "\x00" not in text:
        return "text", text
    if parse == "text":
        raise Fail("the body is no text", code="http_body_invalid")
    return "base64", base64.b64encode(payload).decode()
