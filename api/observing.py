"""Every request, as numbers, log lines and traces see it: by its route, never by its address.

This is the outermost layer, so that it also sees what is refused before a route is found. Each
request gets an id: a caller's own, where that can be one, else a new one.
"""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.datastructures import Headers, MutableHeaders
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flowbuilder.api.auth.access import ACCESS, Level
from flowbuilder.api.events import Streams
from flowbuilder.client import FlowBuilder
from flowbuilder.metrics import HTTP_DURATION, SSE_CONNECTIONS, TRIGGER
from flowbuilder.telemetry import conventions, logs, tracing

log = logging.getLogger("flowbuilder.access")

HEADER = "X-Request-Id"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
#: What looks in every few seconds leaves no trace.
_PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
#: The route of a request that has none.
UNMATCHED = "unmatched"


class Observing:
    """Counts, logs and traces requests, and gives each its id."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._routes: _Routes | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request and take note of it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if self._routes is None:
            self._routes = _Routes(scope["app"])
        headers = Headers(scope=scope)
        watched = _Watched(send, _request_id(headers))
        request = logs.REQUEST_ID.set(watched.request_id)
        trigger = TRIGGER.set("api")
        workspace = logs.WORKSPACE.set(None)
        try:
            if tracing.is_on() and scope["path"] not in _PROBES:
                await self._traced(scope, receive, watched, headers)
            else:
                await self.app(scope, receive, watched)
        finally:
            self._note(scope, watched)
            logs.WORKSPACE.reset(workspace)
            TRIGGER.reset(trigger)
            logs.REQUEST_ID.reset(request)

    async def _traced(
        self, scope: Scope, receive: Receive, watched: _Watched, headers: Headers
    ) -> None:
        assert self._routes is not None
        theirs = tracing.read(headers.get("traceparent"))
        follow = (
            theirs is not None
            and tracing.follows_callers()
            and self._routes.takes_a_caller(scope["method"], scope["path"])
        )
        with tracing.span(
            "HTTP",
            kind="server",
            root=True,
            parent=theirs if follow else None,
            links=() if follow else (theirs,),
            attributes={
                conventions.HTTP_METHOD: _method(scope),
                conventions.REQUEST_ID: watched.request_id,
            },
        ) as span:
            await self.app(scope, receive, watched)
            route = self._routes.template(scope)
            span.rename(f"{_method(scope)} {route}")
            span.note({conventions.HTTP_ROUTE: route, conventions.HTTP_STATUS: watched.status or 0})
            if watched.status is None or watched.status >= 500:
                span.fail(str(watched.status or "no_answer"))

    def _note(self, scope: Scope, watched: _Watched) -> None:
        assert self._routes is not None
        route, method = self._routes.template(scope), _method(scope)
        kind = f"{watched.status // 100}xx" if watched.status else "none"
        HTTP_DURATION.observe(watched.seconds, route, method, kind)
        if not log.isEnabledFor(logging.INFO):
            return
        shown = self._routes.shown(scope)
        client = scope.get("client")
        log.info(
            "%s %s %s",
            method,
            shown[:500],
            watched.status or "-",
            extra={
                "duration_ms": round(watched.seconds * 1000, 3),
                "client": client[0] if client else None,
            },
        )


@asynccontextmanager
async def observing(app: FastAPI) -> AsyncIterator[None]:
    """Show what the service holds open, and answer probes on a port of their own if one is set."""
    streams: Streams = app.state.streams
    builder: FlowBuilder = app.state.flowbuilder
    detach = SSE_CONNECTIONS.attach(lambda: {(): float(streams.open)})
    try:
        async with builder.probe_port(stopping=lambda: streams.closing):
            yield
    finally:
        detach()


class _Watched:
    """A way to send that notes the status, when it was over, and adds the request's id."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._began = time.perf_counter()
        self._ended: float | None = None
        self.request_id = request_id
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        """Send a part of the answer."""
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            headers = MutableHeaders(scope=message)
            headers[HEADER] = self.request_id
            if headers.get("content-type", "").startswith("text/event-stream"):
                self._ended = time.perf_counter()  # how long it is read says nothing of us
        await self._send(message)

    @property
    def seconds(self) -> float:
        """How long the answer took; of a stream, until it began."""
        return (self._ended or time.perf_counter()) - self._began


class _Routes:
    """The templates of an application's routes, by their functions."""

    def __init__(self, app: FastAPI) -> None:
        self._templates: dict[Callable[..., Any], str] = {}
        self._public: set[str] = set()
        self._closed: list[tuple[frozenset[str], re.Pattern[str]]] = []
        for context in iter_route_contexts(app.routes):
            if context.endpoint is None or context.path is None:
                continue
            self._templates[context.endpoint] = context.path
            methods = frozenset(context.methods or ())
            rows = [ACCESS.get(f"{method} {context.path}") for method in methods]
            if any(row is not None and row.level is Level.PUBLIC for row in rows):
                self._public.add(context.path)
            else:
                self._closed.append((methods, compile_path(context.path)[0]))

    def template(self, scope: Scope) -> str:
        """Return the route of a request that was served."""
        return self._templates.get(scope.get("endpoint"), UNMATCHED)  # type: ignore[arg-type]

    def shown(self, scope: Scope) -> str:
        """Return what a log may show of a request's address; no query is in it.

        An address may be a secret itself (a webhook's, a link's): of public routes there is the
        template, and of what is no route only how it begins.
        """
        route = self.template(scope)
        if route == UNMATCHED:
            begin = "/".join(scope["path"].split("/", 2)[:2])
            return f"{begin[:16]}…"
        return route if route in self._public else str(scope["path"])

    def takes_a_caller(self, method: str, path: str) -> bool:
        """Whether this leads to a route that somebody has to be known for. For traces alone."""
        return any(method in methods and found.match(path) for methods, found in self._closed)


def _method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in _METHODS else "other"


def _request_id(headers: Headers) -> str:
    given = headers.get(HEADER)
    return given if given is not None and _ID.fullmatch(given) else uuid.uuid4().hex
