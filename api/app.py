"""The application: routes under one parent that knows the caller, errors as problems, OpenAPI."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flowbuilder.api import problems
from flowbuilder.api.auth.access import by_endpoint
from flowbuilder.api.auth.documenting import show_access
from flowbuilder.api.auth.mode import tokens_of
from flowbuilder.api.body import MODELS
from flowbuilder.api.dependencies import authorize, principal
from flowbuilder.api.events import Streams
from flowbuilder.api.hosts import Hosts, is_loopback
from flowbuilder.api.routes import (
    approvals,
    audit,
    auth,
    emitting,
    exchange,
    flows,
    health,
    keys,
    limits,
    memory,
    plans,
    policy,
    replans,
    revisions,
    runs,
    secrets,
    subscriptions,
    users,
    workspaces,
)
from flowbuilder.api.routes import tools as tool_routes
from flowbuilder.client import FlowBuilder
from flowbuilder.client.tenancy import Tenants
from flowbuilder.flow import Flow
from flowbuilder.settings import Settings
from flowbuilder.tools import Tool

PREFIX = "/api/v1"
DESCRIPTION = """\
A goal in plain language becomes a plan, the plan a validated flow, the flow a durable run; people
approve what is risky, and everyone follows one gapless stream of events.

Bodies are strict JSON: no duplicate keys, no NaN, no NUL characters, bounded in depth and size,
unknown keys refused. Every error is a problem document (RFC 9457) with a stable `code`.
"""


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
    it is open already and is not closed here.
    """
    if settings is None:
        settings = flowbuilder.settings if flowbuilder is not None else Settings.load()
    tokens = tokens_of(settings)
    own = tuple(tools)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            if flowbuilder is None:
                opened = FlowBuilder.connect(settings=settings, tools=own, worker=worker)
                _serve(app, await stack.enter_async_context(opened))
            stack.push_async_callback(app.state.tenants.close)
            if tokens is not None:
                await app.state.tenants.open()
            yield
            app.state.streams.stop()

    app = FastAPI(
        title="flowbuilder",
        summary="From a goal in plain language to a flow that runs durably.",
        description=DESCRIPTION,
        version=_version(),
        lifespan=lifespan,
        # the interactive pages load scripts from elsewhere
        docs_url=None,
        redoc_url=None,
        # a redirect would be built from the request's own Host header
        redirect_slashes=False,
    )
    app.state.settings = settings
    app.state.streams = Streams()
    app.state.tokens = tokens
    if flowbuilder is not None:
        _serve(app, flowbuilder)
    _mount(app)
    app.state.access = by_endpoint(app)
    problems.install(app)
    app.add_middleware(HeadRequests)
    app.add_middleware(
        Hosts, local=tokens is None and is_loopback(settings.host), names=settings.allowed_hosts
    )
    return app


def _serve(app: FastAPI, flowbuilder: FlowBuilder) -> None:
    app.state.flowbuilder = flowbuilder
    app.state.tenants = Tenants(flowbuilder)


def _mount(app: FastAPI) -> None:
    """Put every route but the public ones under the one parent that knows the caller."""
    parent = APIRouter(
        prefix=PREFIX,
        # what is to be noted is noted before the answer is sent
        dependencies=[Depends(principal), Depends(authorize, scope="function")],
        responses=problems.documented(400, 401, 403, 404, 422, 500, 503),
    )
    planning = (plans, revisions, memory, policy)
    running = (flows, exchange, runs, replans, approvals, emitting, limits, subscriptions)
    tenancy = (users, workspaces, keys, audit, secrets)
    for module in (*planning, *running, *tenancy, tool_routes):
        parent.include_router(module.router)
    parent.include_router(auth.router)
    app.include_router(parent)
    public = APIRouter(prefix=PREFIX, responses=problems.documented(422, 429, 500, 503))
    public.include_router(auth.public)
    app.include_router(public)
    app.include_router(health.router)

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _openapi(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _openapi(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document: FastAPI's, with problems and the bodies of our own gate."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=app.description,
        routes=app.routes,
    )
    models: list[type[BaseModel]] = sorted({*MODELS, Flow}, key=lambda model: model.__name__)
    _, bodies = models_json_schema(
        [(model, "validation") for model in models],
        ref_template="#/components/schemas/{model}",
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(bodies["$defs"])
    schemas["Problem"] = problems.PROBLEM_SCHEMA
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    document["components"]["schemas"] = dict(sorted(schemas.items()))
    show_access(document)
    return document


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
