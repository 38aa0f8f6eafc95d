"""A guard of the local service against web pages that point a name of theirs at this machine.

Without users, whoever can connect may start runs. A service that listens on a loopback address
is safe from other machines, but not from the browser on this one: a page may let its own host name
resolve to 127.0.0.1 and then counts as the same origin. Such a request carries the foreign name in
`Host`, which is what gives it away.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from urllib.parse import unquote

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from flowbuilder.api.problems import problem_response

#: A request line that names the server as well, as for a proxy: `GET http://name/path HTTP/1.1`.
_ABSOLUTE = re.compile(r"https?://(?P<host>[^/]*)(?P<path>/.*)?", re.IGNORECASE | re.DOTALL)
#: `name`, `name:port`, `[v6]` or `[v6]:port`.
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9_.-]*)(:[0-9]{1,5})?", re.IGNORECASE)


class Hosts:
    """Refuses requests for names that are not the service's.

    With `names` it answers to these alone; else, where nobody logs in (`local`), to local names
    only, and not to pages of other origins. A request with two names, or one that cannot be read,
    is refused in any case, and so is one whose request line names another server than its header.
    """

    def __init__(self, app: ASGIApp, *, local: bool, names: Sequence[str] = ()) -> None:
        self.app = app
        self.local = local
        self.names = [name.lower() for name in names]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request, or answer 400, 403 or 421."""
        answer: Response | None = None
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            answer = self._refusal(headers) or _straighten(scope, headers)
        await (answer or self.app)(scope, receive, send)

    def _refusal(self, headers: Headers) -> Response | None:
        hosts = headers.getlist("host")
        if self.local and not self.names:
            if len(hosts) > 1 or not all(is_local(host) for host in hosts):
                return problem_response(
                    421,
                    code="host_not_local",
                    detail="This service answers to local names only.",
                    extra={
                        "hint": "Let users log in (FLOWBUILDER_AUTH=users), or name its names "
                        "in FLOWBUILDER_ALLOWED_HOSTS."
                    },
                )
        elif len(hosts) > 1 or not all(_HOST.fullmatch(host.strip()) for host in hosts):
            return problem_response(
                400, code="host_invalid", detail="The Host header cannot be read."
            )
        # without a name (as in HTTP/1.0) it may be meant for anybody
        if self.names and not (hosts and all(self._is_named(host) for host in hosts)):
            return problem_response(
                421, code="host_unknown", detail="This service answers to other names."
            )
        if self.local and not all(_is_local_origin(one) for one in headers.getlist("origin")):
            return problem_response(
                403,
                code="origin_not_local",
                detail="Pages from elsewhere cannot use this service.",
            )
        return None

    def _is_named(self, host: str) -> bool:
        found = _HOST.fullmatch(host.strip())
        name = found["name"].lower().removesuffix(".") if found else ""
        return any(
            name.endswith(known[1:]) if known.startswith("*.") else name == known
            for known in self.names
        )


def _straighten(scope: Scope, headers: Headers) -> Response | None:
    """Let a request line that names the server be like any other; refuse one that is neither.

    Whoever is in front decides by one of the two names, so they have to be the same.
    """
    raw: bytes = scope.get("raw_path") or scope["path"].encode("utf-8", "replace")
    target = raw.decode("latin-1")
    if target.startswith("/"):
        return None
    found = _ABSOLUTE.fullmatch(target)
    named = [host.strip().lower() for host in headers.getlist("host")]
    if found is None or [found["host"].lower()] != named:
        return problem_response(
            400,
            code="request_target_invalid",
            detail="The request line names no address, or another server than the Host header.",
        )
    path = found["path"] or "/"
    scope["path"], scope["raw_path"] = unquote(path), path.encode("latin-1")
    return None


def _is_local_origin(origin: str) -> bool:
    """Say whether a page's origin is on this machine; `null` is anybody's."""
    scheme, _, host = origin.partition("://")
    return scheme in ("http", "https") and bool(host) and is_local(host)


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
