"""The guard on every outgoing request: which URLs, ports and addresses may be reached.

A name is resolved once, every address it stands for is judged, and the connection goes to exactly
a judged address, so that an answer which changes between check and connect gains nothing. TLS is
still verified for the name. Nothing is read from the environment: no proxies, no netrc.

`http_allow_private` opens private, loopback, link-local and shared address space. It never opens
the addresses at which clouds serve credentials, multicast, or reserved ranges.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

import httpcore
import httpx

from flowbuilder.metrics import EGRESS_BLOCKED
from flowbuilder.tools import Fail

Address = IPv4Address | IPv6Address
Resolver = Callable[[str, int], Awaitable[list[str]]]

SCHEMES = frozenset({"http", "https"})
MAX_URL_LENGTH = 8192
MAX_TRIED_ADDRESSES = 4
#: Services that a web request could be made to talk to by accident or by malice.
CLOSED_PORTS = frozenset(
    {
        *(0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95),
        *(101, 102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161),
        *(179, 389, 427, 445, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556),
        *(563, 587, 601, 636, 873, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 2375, 3306, 3389),
        *(3659, 4045, 4190, 5060, 5061, 5432, 5672, 6000, 6379, 6432, 6566, 6665, 6666, 6667),
        *(6668, 6669, 6679, 6697, 10080, 11211, 27017),
    }
)

_PRIVATE_4 = [
    IPv4Network(text)
    for text in (
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "198.18.0.0/15",
    )
]
_CLOSED_4 = [
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        # where clouds hand out credentials to whoever asks from inside
        "100.100.100.200/32",
        "168.63.129.16/32",
        "169.254.169.254/32",
        "169.254.170.2/32",
        "169.254.170.23/32",
    )
]
_PRIVATE_6 = [IPv6Network(text) for text in ("::1/128", "fc00::/7", "fe80::/10")]
_CLOSED_6 = [
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",
        "3fff::/20",
        "fd00:ec2::23/128",
        "fd00:ec2::254/128",
        "fd20:ce::254/128",
        "fe80::a9fe:a9fe/128",
    )
]
_GLOBAL_6 = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR = IPv6Network("2002::/16")
_NUMERIC_HOST = re.compile(r"^(0[xX][0-9a-fA-F]*|[0-9]+)$")
_AUTHORITY_END = re.compile(r"[/?#]")
_BAD_URL_CHARACTER = re.compile(r"[\x00-\x20\x7f\\\ud800-\udfff]")


class EgressRefused(Fail):
    """A request may not go where it was meant to go."""

    def __init__(self, reason: str, *, kind: str = "url") -> None:
        super().__init__(reason, code="egress_refused")
        EGRESS_BLOCKED.add(1, kind)


def embedded_v4(address: Address) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 address leads to (mapped, NAT64, 6to4), if any."""
    if isinstance(address, IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _SIX_TO_FOUR:
        return IPv4Address(int(address) >> 80 & 0xFFFFFFFF)
    return None


def is_open(address: Address, *, allow_private: bool) -> bool:
    """Tell whether an address may be connected to."""
    inner = embedded_v4(address)
    if inner is not None:
        return is_open(inner, allow_private=allow_private)
    if isinstance(address, IPv4Address):
        if any(address in network for network in _CLOSED_4):
            return False
        return allow_private or not any(address in network for network in _PRIVATE_4)
    if any(address in network for network in _CLOSED_6):
        return False
    if any(address in network for network in _PRIVATE_6):
        return allow_private
    # what is not global unicast is local, deprecated (site-local, IPv4-compatible) or unassigned
    return address in _GLOBAL_6 and not _is_isatap(address)


def _is_isatap(address: IPv6Address) -> bool:
    return (int(address) >> 32) & 0xFDFFFFFF == 0x00005EFE


async def system_resolver(host: str, port: int) -> list[str]:
    """Ask the system for the addresses of a name. Raises: OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True, kw_only=True)
class EgressPolicy:
    """What outgoing requests are held against."""

    allow_private: bool = False
    setting: str = "FLOWBUILDER_HTTP_ALLOW_PRIVATE"
    """What opens private addresses, told where one is refused."""
    resolver: Resolver = field(default=system_resolver)

    def check_url(self, text: str) -> httpx.URL:
        """Return a parsed URL that may be asked for, its fragment removed.

        Raises:
            EgressRefused: The scheme, the port or a literal address is closed, or the URL is
                written so that two readers could understand different hosts.
        """
        if len(text) > MAX_URL_LENGTH:
            raise EgressRefused(f"the URL is longer than {MAX_URL_LENGTH} characters")
        if _BAD_URL_CHARACTER.search(text):
            raise EgressRefused("the URL has a space, a backslash or a control character")
        try:
            url = httpx.URL(text)
            _ = url.host  # reads names such as xn--… as well, which may stand for nothing
        except (httpx.InvalidURL, ValueError) as error:
            raise EgressRefused(f"this is no URL: {error}") from None
        if url.scheme not in SCHEMES:
            raise EgressRefused("only http:// and https:// URLs can be requested")
        if url.userinfo or "@" in _AUTHORITY_END.split(text.partition("//")[2], maxsplit=1)[0]:
            raise EgressRefused("a URL with a user name or password in it is not requested")
        self._check_host(url)
        return url.copy_with(fragment=None)

    def _check_host(self, url: httpx.URL) -> None:
        host = url.raw_host.decode("ascii")
        if not host or "%" in host:
            raise EgressRefused("the URL has no usable host")
        if url.port is not None and (url.port in CLOSED_PORTS or not 0 < url.port < 65_536):
            raise EgressRefused(f"port {url.port} is not one for web requests", kind="port")
        literal = _literal(host)
        if literal is not None:
            self.check_address(literal, host)

    def check_address(self, address: Address, host: str) -> None:
        """Refuse an address that is closed. Raises: EgressRefused."""
        if not is_open(address, allow_private=self.allow_private):
            hint = "" if self.allow_private else f" ({self.setting} opens private ones)"
            raise EgressRefused(
                f"{host} is at an address that is closed to requests{hint}", kind="address"
            )

    async def addresses(self, host: str, port: int) -> list[str]:
        """Resolve a host once and return its addresses, every one of them judged.

        Raises:
            EgressRefused: One of the addresses is closed; a mixed answer is no good answer.
            httpcore.ConnectError: The name has no address.
        """
        literal = _literal(host)
        if literal is not None:
            found = [str(literal)]
        else:
            try:
                found = await self.resolver(host, port)
            except (OSError, UnicodeError) as error:
                raise httpcore.ConnectError(f"the name {host} has no address: {error}") from None
        if not found:
            raise httpcore.ConnectError(f"the name {host} has no address")
        for text in found:
            self.check_address(_parse(text, host), host)
        return found[:MAX_TRIED_ADDRESSES]


def _parse(text: str, host: str) -> Address:
    if "%" in text:
        raise EgressRefused(f"{host} is at an address with a zone", kind="address")
    return ipaddress.ip_address(text)


def _literal(host: str) -> Address | None:
    """Return the address a host is written as, None for a name. Raises: EgressRefused."""
    bare = host.removeprefix("[").removesuffix("]")
    if ":" in bare:
        try:
            return IPv6Address(bare)
        except ValueError:
            raise EgressRefused(f"{host} is no address") from None
    if _NUMERIC_HOST.match(bare.rstrip(".").rpartition(".")[2]):
        try:
            return IPv4Address(bare.rstrip("."))
        except ValueError:
            # 127.1, 0x7f000001 or 0177.0.0.1: forms that readers disagree about
            raise EgressRefused(f"{host} is no address in the usual form") from None
    return None


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Opens connections to judged addresses only."""

    def __init__(
        self, policy: EgressPolicy, inner: httpcore.AsyncNetworkBackend | None = None
    ) -> None:
        self._policy = policy
        self._inner = inner or httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        failure: Exception | None = None
        for address in await self._policy.addresses(host, port):
            try:
                return await self._inner.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore.ConnectError(f"{host} cannot be reached")

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.AsyncNetworkStream:
        raise EgressRefused("requests go over the network only")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """The context is costly to build and the same for every request."""
    return httpx.create_ssl_context(trust_env=False)


class GuardedTransport(httpx.AsyncBaseTransport):
    """An httpx transport over a pool whose connections the guard opens.

    Raises httpcore's own exceptions; follows no redirects, keeps no cookies, decodes nothing.
    """

    def __init__(
        self, policy: EgressPolicy, backend: httpcore.AsyncNetworkBackend | None = None
    ) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=_tls(), network_backend=GuardedBackend(policy, backend), retries=0
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._pool.handle_async_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(
                    scheme=request.url.raw_scheme,
                    host=request.url.raw_host,
                    port=request.url.port,
                    target=request.url.raw_path,
                ),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(
            status_code=response.status,
            headers=response.headers,
            stream=_Body(response),
            request=request,
        )

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __aiter__(self) -> Any:
        return self._response.aiter_stream()

    async def aclose(self) -> None:
        await self._response.aclose()
