"""The application: the routes of the service with a state, errors as problems, OpenAPI."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flowbuilder.api import problems
from flowbuilder.api.auth.mode import tokens_of
from flowbuilder.api.events import Streams
from flowbuilder.api.hosts import Hosts, is_loopback
from flowbuilder.api.mcp_door import McpDoor
from flowbuilder.api.observing import Observing, observing
from flowbuilder.api.openapi import document_of
from flowbuilder.api.rate_limits import AddressLimits, limits_of
from flowbuilder.api.routes import approval_links
from flowbuilder.api.surface import surface
from flowbuilder.client import FlowBuilder
from flowbuilder.client.tenancy import Tenants
from flowbuilder.settings import Settings
from flowbuilder.tools import Tool

DESCRIPTION = """\
A goal in plain language becomes a plan, the plan a validated flow, the flow a durable run; people
approve what is risky, and everyone follows one gapless stream of events.

Bodies are strict JSON: no duplicate keys, no NaN, no NUL characters, bounded in depth and size,
unknown keys refused. Every error is a problem document (RFC 9457) with a stable `code`.
"""

#: What the framework would observe by itself as soon as a program has set up a provider.
_NO_TELEMETRY: Any = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}


def create_app(
    settings: Settings | None = None,
    *,
    flowbuilder: FlowBuilder | None = None,
    tools: Iterable[Tool | Callable[..., Any]] = (),
    worker: bool = False,
) -> FastAPI:
    """Build the service.

    Without `flowbuilder` it connects by its settings when it starts and closes when it stops;
    `worker` runs a worker in the same process. A FlowBuilder that is handed in stays its owner's:
    it is open already and is not closed here. Applications share their routes
    (`flowbuilder.api.surface`), so `dependency_overrides` of one has no effect on them.
    """
    if settings is None:
        settings = flowbuilder.settings if flowbuilder is not None else Settings.load()
    tokens = tokens_of(settings)
    own = tuple(tools)
    mounted, door = surface(), McpDoor()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            if flowbuilder is None:
                opened = FlowBuilder.connect(settings=settings, tools=own, worker=worker)
                _serve(app, await stack.enter_async_context(opened))
                app.state.owns_flowbuilder = True
            stack.push_async_callback(app.state.tenants.close)
            stack.push_async_callback(app.state.streams.close)
            stack.push_async_callback(app.state.mcp.close)
            if tokens is not None:
                await app.state.tenants.open()
            await stack.enter_async_context(observing(app))
            yield
            app.state.streams.stop()
            if app.state.retiring is not None:  # begun by the server at the signal
                await app.state.retiring

    app = FastAPI(
        title="flowbuilder",
        summary="From a goal in plain language to a flow that runs durably.",
        description=DESCRIPTION,
        version=_version(),
        lifespan=lifespan,
        routes=[*mounted.routes, Route(McpDoor.path, door, include_in_schema=False)],
        # the interactive pages load scripts from elsewhere
        docs_url=None,
        redoc_url=None,
        # a redirect would be built from the request's own Host header
        redirect_slashes=False,
        # its spans carry addresses and queries, which may be secrets; ours are in `Observing`
        telemetry=_NO_TELEMETRY,
    )
    app.state.settings = settings
    app.state.streams = Streams.of(settings)
    app.state.tokens = tokens
    app.state.rate_limits = limits_of(settings, local=tokens is None)
    app.state.owns_flowbuilder = False
    app.state.retiring = None
    if flowbuilder is not None:
        _serve(app, flowbuilder)
    app.state.mcp = door
    app.state.access = mounted.access
    app.state.rate_kinds = mounted.rate_kinds
    app.state.parameters = mounted.parameters
    _document(app)
    problems.install(app)
    app.add_middleware(HeadRequests)
    if app.state.rate_limits is not None:
        app.add_middleware(AddressLimits, limits=app.state.rate_limits)
    app.add_middleware(
        Hosts, local=tokens is None and is_loopback(settings.host), names=settings.allowed_hosts
    )
    app.add_middleware(Observing)
    app.add_middleware(approval_links.LinkPaths)
    return app


def _serve(app: FastAPI, flowbuilder: FlowBuilder) -> None:
    app.state.flowbuilder = flowbuilder
    app.state.tenants = Tenants(flowbuilder)


def _document(app: FastAPI) -> None:
    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = document_of(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _version() -> str:
    try:
        return version("flowbuilder")
    except PackageNotFoundError:  # a source tree that was not installed
        return "0+unknown"


class HeadRequests:
    """Answers HEAD as GET without the content; a stream is never begun for it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def without_content(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        headers = MutableHeaders(raw=list(scope["headers"]))
        for name in ("accept", "last-event-id"):
            del headers[name]
        asked = {**scope, "method": "GET", "headers": headers.raw}
        await self.app(asked, receive, without_content)
        scope["endpoint"] = asked.get("endpoint")  # for whoever looks at the request afterwards
