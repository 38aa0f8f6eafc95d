"""How often the service is asked, by whom: buckets in memory, and shared ones in the database.

Every request passes the bucket of its address, then that of its caller; both are this process's own
and cost next to nothing. What is dear (starts of runs, plans, emitted events) besides takes a token
from a bucket that all processes share. Tokens are drawn ahead, a tenth of a second's worth at a
time, so that a busy caller costs ten statements a second and not one for each request.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flowbuilder.api.auth.callers import Principal, principal
from flowbuilder.api.problems import problem_of
from flowbuilder.api.refusals import TooManyRequests
from flowbuilder.client import FlowBuilder
from flowbuilder.limits import Rate
from flowbuilder.settings import Settings

#: Callers and addresses that are remembered; who asks rarely is forgotten first.
MOST_BUCKETS = 10_000
#: Tokens that were drawn and not used count so long.
DRAWN_SECONDS = 1.0
#: What a request draws from a shared bucket, by its route.
KINDS = {
    "POST /api/v1/runs": "starts",
    "POST /api/v1/runs/{run_id}/retry": "starts",
    "POST /api/v1/plans/{plan_id}/accept": "starts",
    "POST /api/v1/plans": "plans",
    "POST /api/v1/plans/{plan_id}/edit": "plans",
    "POST /api/v1/flows/{slug}/edit": "plans",
    "POST /api/v1/events": "triggers",
}
_SCOPE_KEY = "flowbuilder.rate_limit"
_FULL_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How a bucket stands after a request, as its answer tells."""

    name: str
    rate: Rate
    left: int
    wait_seconds: float = 0.0

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers; the older three only where the request is refused."""
        count, span = self.rate.count, max(1, math.ceil(self.rate.seconds))
        reset = max(1, math.ceil(self.wait_seconds)) if self.wait_seconds else span
        told = {
            "ratelimit-policy": f'"{self.name}";q={count};w={span}',
            "ratelimit": f'"{self.name}";r={self.left};t={reset}',
        }
        if self.wait_seconds:
            told |= {
                "ratelimit-limit": str(count),
                "ratelimit-remaining": str(self.left),
                "ratelimit-reset": str(reset),
            }
        return [(name.encode(), value.encode()) for name, value in told.items()]


class Buckets:
    """Token buckets in memory, one for each key, all of one size."""

    def __init__(
        self, name: str, rate: Rate, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self.rate = rate
        self._clock = clock
        self._per_second = rate.count / rate.seconds
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> Standing:
        """Take a token; `wait_seconds` of the answer is above 0 when there is none."""
        now = self._clock()
        level, at = self._levels.pop(key, (0.0, now))
        level = max(0.0, level - (now - at) * self._per_second)
        wait = (level + 1 - self.rate.count) / self._per_second
        if wait <= 1e-9:
            level, wait = level + 1, 0.0
        self._levels[key] = (level, now)
        if len(self._levels) > MOST_BUCKETS:
            self._levels.popitem(last=False)
        left = max(0, int(self.rate.count - level))
        return Standing(name=self.name, rate=self.rate, left=left, wait_seconds=wait)


@dataclass(slots=True)
class _Drawn:
    """Tokens of a shared bucket that this process has drawn."""

    tokens: int = 0
    until: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class SharedBuckets:
    """Token buckets of all processes, one for each caller."""

    def __init__(
        self, name: str, rate: Rate, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self.rate = rate
        self._clock = clock
        self._per_second = rate.count / rate.seconds
        self._drawn: OrderedDict[str, _Drawn] = OrderedDict()

    async def take(self, builder: FlowBuilder, key: str) -> Standing:
        """Take a token, drawing some more when there is none here. Raises: DatabaseUnavailable."""
        drawn = self._drawn.setdefault(key, _Drawn())
        self._drawn.move_to_end(key)
        if len(self._drawn) > MOST_BUCKETS:
            self._drawn.popitem(last=False)
        async with drawn.lock:
            wait = 0.0
            if not drawn.tokens or self._clock() > drawn.until:
                wanted = max(1, int(self._per_second * DRAWN_SECONDS / 10))
                drawn.tokens, wait = await builder.store.take_tokens(
                    f"{self.name}:{key}",
                    wanted,
                    size=self.rate.count,
                    per_second=self._per_second,
                )
                drawn.until = self._clock() + DRAWN_SECONDS
            if drawn.tokens:
                drawn.tokens -= 1
                wait = 0.0
        return Standing(name=self.name, rate=self.rate, left=drawn.tokens, wait_seconds=wait)


class RateLimits:
    """What the settings allow each address and each caller."""

    def __init__(self, settings: Settings) -> None:
        self.addresses = Buckets("address", Rate.read(settings.rate_addresses))
        self.callers = Buckets("requests", Rate.read(settings.rate_requests))
        self.shared = {
            "starts": SharedBuckets("starts", Rate.read(settings.rate_starts)),
            "plans": SharedBuckets("plans", Rate.read(settings.rate_plans)),
            "triggers": SharedBuckets("triggers", Rate.read(settings.rate_triggers)),
        }
        self._planning = 0
        self._most_planning = settings.planning_at_once

    @asynccontextmanager
    async def planning(self) -> AsyncIterator[None]:
        """Count a planning call while it goes on. Raises: `too_many_plannings`."""
        if self._planning >= self._most_planning:
            raise TooManyRequests(
                f"This process makes {self._most_planning} plans at once; try again shortly.",
                seconds=_FULL_SECONDS,
                code="too_many_plannings",
            )
        self._planning += 1
        try:
            yield
        finally:
            self._planning -= 1


def limits_of(settings: Settings, *, local: bool) -> RateLimits | None:
    """Return the limits that hold; none where one person alone uses the service."""
    on = settings.rate_limits == "on" or (settings.rate_limits == "auto" and not local)
    return RateLimits(settings) if on else None


def _noted(scope: Scope, standing: Standing) -> None:
    """Let the answer tell how a bucket stands. Raises: TooManyRequests when it is empty."""
    scope[_SCOPE_KEY] = standing
    if standing.wait_seconds > 0:
        raise TooManyRequests(
            f"There were too many requests ({standing.name}: {standing.rate}); try again later.",
            seconds=standing.wait_seconds,
        )


def _who(caller: Principal) -> str:
    return caller.key_id or caller.user_id or caller.name


async def limit_caller(request: Request, caller: Annotated[Principal, Depends(principal)]) -> None:
    """Count a request of a caller, and what it is about. Raises: TooManyRequests."""
    limits: RateLimits | None = request.app.state.rate_limits
    if limits is None:
        return
    who = _who(caller)
    _noted(request.scope, limits.callers.take(who))
    kind = request.app.state.rate_kinds.get(request.scope["endpoint"])
    if kind is not None:
        await limit_shared(request, kind, who)


async def limit_shared(request: Request, kind: str, key: str) -> None:
    """Take a token of a bucket that all processes share: `starts`, `plans` or `triggers`.

    For what comes without a caller, such as webhooks, `key` says whose bucket it is.

    Raises:
        TooManyRequests: There is none; `Retry-After` says when to come again.
    """
    limits: RateLimits | None = request.app.state.rate_limits
    if limits is not None:
        builder: FlowBuilder = request.app.state.flowbuilder
        _noted(request.scope, await limits.shared[kind].take(builder, key))


async def limit_starts(request: Request, caller: Principal) -> None:
    """Count a start of a caller that comes by another way than a route. Raises: TooManyRequests."""
    await limit_shared(request, "starts", _who(caller))


async def planning_slot(request: Request) -> AsyncIterator[None]:
    """Count a planning call of this process until its answer is sent. Raises: TooManyRequests."""
    limits: RateLimits | None = request.app.state.rate_limits
    if limits is None:
        yield
        return
    async with limits.planning():
        yield


@asynccontextmanager
async def planning_of(request: Request, caller: Principal) -> AsyncIterator[None]:
    """Count what a request plans besides something else. Raises: TooManyRequests."""
    await limit_shared(request, "plans", _who(caller))
    async with asynccontextmanager(planning_slot)(request):
        yield


#: For routes that plan.
PLANS: Any = Depends(planning_slot)


def by_endpoint(routes: Sequence[BaseRoute]) -> dict[Callable[..., Any], str]:
    """Return what requests of the routes' functions draw from."""
    return {
        context.endpoint: KINDS[f"{method} {context.path}"]
        for context in iter_route_contexts(routes)
        for method in context.methods or ()
        if context.endpoint is not None and f"{method} {context.path}" in KINDS
    }


class AddressLimits:
    """Refuses an address that asks too often before anybody looks who it is; writes the headers."""

    def __init__(self, app: ASGIApp, *, limits: RateLimits) -> None:
        self.app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request, or answer 429."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def told(message: Message) -> None:
            standing: Standing | None = scope.get(_SCOPE_KEY)
            if message["type"] == "http.response.start" and standing is not None:
                headers = [*message.get("headers", []), *standing.headers()]
                message = {**message, "headers": headers}
            await send(message)

        client = scope.get("client")
        try:
            _noted(scope, self._limits.addresses.take(network_of(client[0] if client else None)))
        except TooManyRequests as error:
            await problem_of(error)(scope, receive, told)
            return
        del scope[_SCOPE_KEY]  # of an address only a refusal is told
        await self.app(scope, receive, told)


def network_of(address: str | None) -> str:
    """Return what an address counts as; a network of one customer is one in IPv6."""
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return "unknown"
    if isinstance(found, ipaddress.IPv6Address):
        found = found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False).network_address
    return str(found)
