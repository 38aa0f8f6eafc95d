"""A guard of the local service against web pages that point a name of theirs at this machine.

Without users, whoever can connect may start runs. A service that listens on a loopback address
is safe from other machines, but not from the browser on this one: a page may let its own host name
resolve to 127.0.0.1 and then counts as the same origin. Such a request carries the foreign name in
`Host`, which is what gives it away.
"""

from __future__ import annotations

import ipaddress
import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from flowbuilder.api.problems import problem_response

#: `name`, `name:port`, `[v6]` or `[v6]:port`.
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9_.-]*)(:[0-9]{1,5})?", re.IGNORECASE)


class LocalHosts:
    """Refuses requests for foreign names, if the service listens on a loopback address."""

    def __init__(self, app: ASGIApp, *, bound_to: str) -> None:
        self.app = app
        self.guarded = is_loopback(bound_to)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request, or answer 421."""
        if scope["type"] != "http" or not self.guarded:
            await self.app(scope, receive, send)
            return
        hosts = Headers(scope=scope).getlist("host")
        if len(hosts) <= 1 and all(is_local(host) for host in hosts):
            await self.app(scope, receive, send)
            return
        answer = problem_response(
            421,
            code="host_not_local",
            detail="This service answers to local names only.",
            extra={"hint": "Set FLOWBUILDER_HOST to the address that others shall reach it by."},
        )
        await answer(scope, receive, send)


def is_loopback(host: str) -> bool:
    """Say whether a listening address is reachable from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_local(host: str) -> bool:
    """Say whether a Host header can be nobody's name in the public DNS.

    That is so for an address, `localhost` and what is below it, and names without a dot.
    """
    found = _HOST.fullmatch(host.strip())
    if found is None:
        return False
    name = found["name"].strip("[]").lower().removesuffix(".")
    if "." not in name or name.endswith(".localhost"):
        return True
    try:
        return bool(ipaddress.ip_address(name))
    except ValueError:
        return False
