"""One web request with its redirects: judged hop by hop, unpacked in bounded pieces."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from typing import Any

import httpx

from flowbuilder.toolkit.egress import EgressPolicy, EgressRefused
from flowbuilder.tools import Fail

MAX_REDIRECTS = 5
MAX_HEADERS = 100
_CHUNK = 65_536
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: What a hop to another origin still may see.
_HARMLESS = frozenset({"accept", "accept-encoding", "accept-language", "user-agent"})
#: Headers that describe the connection or the framing: a request that sets them can be smuggled.
_HOP_HEADERS = frozenset(
    {
        *("host", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade"),
        *("te", "trailer", "expect", "accept-encoding", "proxy-authorization", "proxy-connection"),
    }
)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")


def has_header(headers: dict[str, str], name: str) -> bool:
    """Tell whether a header of this name (in lower case) is among them."""
    return any(key.lower() == name for key in headers)


def build_request(
    policy: EgressPolicy,
    method: str,
    url: str,
    headers: dict[str, str],
    query: dict[str, Any],
    content: bytes | None,
) -> httpx.Request:
    """Return a request to a judged URL with judged headers.

    Raises:
        Fail: `egress_refused` or `http_invalid`.
    """
    _check_headers(headers)
    target = policy.check_url(url)
    pairs = [(name, text) for name, value in query.items() for text in _texts(value)]
    if pairs:
        target = target.copy_with(params=[*target.params.multi_items(), *pairs])
    base = {"Accept": "*/*", "User-Agent": "flowbuilder"}
    kept = {name: value for name, value in base.items() if not has_header(headers, name.lower())}
    kept |= headers
    kept["Accept-Encoding"] = "gzip, deflate"  # what can be unpacked in bounded pieces
    return httpx.Request(method, target, headers=kept, content=content)


def _texts(value: Any) -> list[str]:
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    if value is None:
        return []
    if isinstance(value, bool):
        return ["true" if value else "false"]
    return [str(value)]


def _check_headers(headers: dict[str, str]) -> None:
    if len(headers) > MAX_HEADERS:
        raise Fail(f"more than {MAX_HEADERS} headers", code="http_invalid")
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise Fail(f"{name[:80]!r} is no header name", code="http_invalid")
        if name.lower() in _HOP_HEADERS:
            raise Fail(f"the header {name} is set by the client itself", code="http_invalid")
        plain = value.isascii() and value.replace("\t", "").isprintable()
        if not plain or len(value) > 8192:
            raise Fail(f"the value of header {name} is not plain ASCII text", code="http_invalid")


async def exchange(
    transport: httpx.AsyncBaseTransport,
    policy: EgressPolicy,
    request: httpx.Request,
    max_bytes: int,
    follow: bool,
) -> tuple[httpx.Response, bytes]:
    """Send a request, follow its redirects, and return the last response with its body.

    Raises:
        Fail: A hop is refused, there are too many, or the body is larger than `max_bytes`.
        httpcore.NetworkError, httpcore.ProtocolError: The connection failed.
    """
    for _ in range(MAX_REDIRECTS + 1):
        response = await transport.handle_async_request(request)
        try:
            location = response.headers.get("location")
            if not (follow and response.status_code in _REDIRECTS and location):
                return response, await _read(response, max_bytes)
            request = _next_hop(policy, request, response.status_code, location)
        finally:
            await response.aclose()
    raise Fail(f"more than {MAX_REDIRECTS} redirects", code="http_redirects")


def _next_hop(
    policy: EgressPolicy, request: httpx.Request, status: int, location: str
) -> httpx.Request:
    try:
        target = policy.check_url(str(request.url.join(location)))
    except httpx.InvalidURL as error:
        raise EgressRefused(f"the redirect leads to no URL: {error}") from None
    if request.url.scheme == "https" and target.scheme == "http":
        raise EgressRefused("a redirect from https to http is not followed", kind="redirect")
    keeps_method = status in (307, 308) or request.method in ("GET", "HEAD")
    same_origin = _origin(request.url) == _origin(target)
    if keeps_method and request.content and not same_origin:
        raise EgressRefused("a redirect would send the body to another origin", kind="redirect")
    dropped = {"host", "content-length"} | (set() if keeps_method else {"content-type"})
    headers = {
        name: value
        for name, value in request.headers.items()
        if name not in dropped and (same_origin or name in _HARMLESS)
    }
    return httpx.Request(
        request.method if keeps_method else "GET",
        target,
        headers=headers,
        content=request.content or None if keeps_method else None,
    )


def _origin(url: httpx.URL) -> tuple[str, bytes, int]:
    return url.scheme, url.raw_host, url.port or (443 if url.scheme == "https" else 80)


async def _read(response: httpx.Response, max_bytes: int) -> bytes:
    unpack = _unpacker(response.headers.get("content-encoding", ""))
    body = bytearray()
    assert isinstance(response.stream, httpx.AsyncByteStream)
    async for chunk in response.stream:
        for piece in unpack(chunk):
            body += piece
            if len(body) > max_bytes:
                raise Fail(f"the answer is larger than {max_bytes} bytes", code="http_too_large")
    if isinstance(unpack, _Inflater) and unpack.is_cut_short:
        raise Fail("the packed body ends in the middle", code="http_encoding")
    return bytes(body)


def _unpacker(encoding: str) -> Callable[[bytes], Any]:
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return lambda chunk: (chunk,)
    if name not in ("gzip", "x-gzip", "deflate"):
        raise Fail(f"the content encoding {name[:60]!r} was not asked for", code="http_encoding")
    return _Inflater(raw_allowed=name == "deflate")


class _Inflater:
    """Unpacks in pieces of bounded size, so that a small answer cannot fill the memory at once."""

    def __init__(self, *, raw_allowed: bool) -> None:
        self._stream = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib, by its header
        self._raw_allowed = raw_allowed
        self._begun = False

    @property
    def is_cut_short(self) -> bool:
        """Whether something came, but not its end."""
        return self._begun and not self._stream.eof

    def __call__(self, chunk: bytes) -> Any:
        waiting = chunk
        self._begun = self._begun or bool(chunk)
        while waiting:
            try:
                piece = self._stream.decompress(waiting, _CHUNK)
            except zlib.error as error:
                if not self._raw_allowed:
                    raise Fail(
                        f"the body cannot be unpacked: {error}", code="http_encoding"
                    ) from None
                self._stream, piece = zlib.decompressobj(-zlib.MAX_WBITS), b""
                self._raw_allowed = False
                continue
            self._raw_allowed = False
            yield piece
            waiting = self._stream.unconsumed_tail
            if not piece and self._stream.eof:
                return
