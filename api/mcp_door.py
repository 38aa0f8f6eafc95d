"""`/mcp` of the service: flowbuilder as an MCP server for whoever has a token or key of ours.

A call is made as its caller, in the workspace of the request, with the roles that they have at that
moment. Nothing about a caller is kept between two requests.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from flowbuilder.api.auth.access import Access
from flowbuilder.api.auth.callers import LOCAL, Principal, admit, judge
from flowbuilder.api.auth.tokens import Tokens
from flowbuilder.api.body import read_bytes, read_json
from flowbuilder.api.mcp import Seat, mcp_server_for
from flowbuilder.api.problems import problem_of, problem_response
from flowbuilder.api.rate_limits import limit_caller
from flowbuilder.api.refusals import Forbidden
from flowbuilder.client.tenancy import Tenants
from flowbuilder.errors import FlowBuilderError

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

_SEAT: ContextVar[Seat] = ContextVar("flowbuilder_mcp_seat")
#: Whoever is in the workspace gets in; what a tool takes, it says itself.
_HERE = Access(workspace=True)


class McpDoor:
    """Lets callers in, one by one, to an MCP server that keeps no sessions."""

    path = "/mcp"

    def __init__(self) -> None:
        self._opening = asyncio.Lock()
        self._manager: StreamableHTTPSessionManager | None = None
        self._running: asyncio.Task[None] | None = None
        self._over = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request of the protocol; whoever may not ask gets a problem."""
        request = Request(scope, receive)
        try:
            seat = await self._seat(request)
            if request.method != "POST":  # without sessions there is nothing to follow or end
                await _not_allowed(request.method)(scope, receive, send)
                return
            body = await _checked_body(request)
            manager = await self._opened(request.app)
        except FlowBuilderError as error:
            await problem_of(error)(scope, receive, send)
            return
        held = _SEAT.set(seat)
        try:
            await manager.handle_request(scope, _again(body, receive), send)
        finally:
            _SEAT.reset(held)

    async def close(self) -> None:
        """End what still goes on."""
        self._over.set()
        if self._running is not None:
            await self._running
        self._running = self._manager = None

    async def _seat(self, request: Request) -> Seat:
        """Return who is calling, and the view of their workspace.

        Raises:
            Unauthorized, Forbidden, NotFound, BadRequest: As for any route of members; a browser's
                page that is not the service's own is refused, too (`origin_not_allowed`).
            TooManyRequests: The caller asks too often.
        """
        _check_origin(request)
        tokens: Tokens | None = request.app.state.tokens
        if tokens is None:
            return Seat(builder=request.app.state.flowbuilder, caller=LOCAL, request=request)
        caller: Principal = await admit(request, tokens, request.headers.get("x-workspace"))
        await limit_caller(request, caller)
        judge(_HERE, caller, request.method)
        tenants: Tenants = request.app.state.tenants
        assert caller.workspace is not None
        builder = await tenants.of(caller.workspace)
        return Seat(builder=builder, caller=caller, request=request)

    async def _opened(self, app: FastAPI) -> StreamableHTTPSessionManager:
        """Return the running server; the first request starts it, as its library is large."""
        async with self._opening:
            if self._manager is None:
                self._over.clear()
                manager = _manager(app.state.settings.max_body_bytes)
                ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._running = asyncio.create_task(self._run(manager, ready))
                await asyncio.wait({self._running, ready}, return_when=asyncio.FIRST_COMPLETED)
                if self._running.done():  # it could not begin: its error is this request's
                    await self._running
                self._manager = manager
            return self._manager

    async def _run(
        self, manager: StreamableHTTPSessionManager, ready: asyncio.Future[None]
    ) -> None:
        async with manager.run():
            ready.set_result(None)
            await self._over.wait()


async def _checked_body(request: Request) -> bytes:
    """Return the body, which is as strict a JSON as everywhere. Raises: BadRequest."""
    # a value stands inside of message, parameters and arguments
    await read_json(request, inside=3)
    return await read_bytes(request)


def _again(body: bytes, receive: Receive) -> Receive:
    """Return how a body is received that was read already, and then what else comes."""
    waiting = [body]

    async def received() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return received


def _manager(max_body_bytes: int) -> StreamableHTTPSessionManager:
    from mcp.server.transport_security import TransportSecuritySettings

    server = mcp_server_for(_SEAT.get)
    # names and pages were looked at before: by `Hosts` and `_check_origin`
    server.streamable_http_app(
        stateless_http=True,
        json_response=True,
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        max_request_body_size=max_body_bytes,
    )
    return server.session_manager


def _not_allowed(method: str) -> Response:
    return problem_response(
        405,
        code="method_not_allowed",
        detail=f"{method} is not supported here; supported: POST.",
        headers={"Allow": "POST"},
    )


def _check_origin(request: Request) -> None:
    """Refuse pages of other origins: a browser says whose page it is. Raises: Forbidden."""
    given = request.headers.getlist("origin")
    own = request.headers.get("host", "")
    if any(one.partition("://")[2].lower() != own.lower() for one in given):
        raise Forbidden("Pages from elsewhere cannot use this.", code="origin_not_allowed")
