"""Liveness, readiness and metrics: the routes without a caller."""

from __future__ import annotations

import hmac
import ipaddress

from fastapi import APIRouter, Request, Response

from flowbuilder.api.dependencies import Engine, OpenStreams
from flowbuilder.api.events import STOPPING
from flowbuilder.api.problem_documents import documented
from flowbuilder.api.problems import Unavailable
from flowbuilder.api.refusals import Unauthorized
from flowbuilder.api.schemas import Health, Readiness
from flowbuilder.client.probing import MEDIA_TYPE
from flowbuilder.errors import NotFound
from flowbuilder.settings import Settings

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Is the process alive?")
async def healthz() -> Health:
    """Answer without touching the database: a dead database is no reason to restart this."""
    return Health()


@router.get("/readyz", summary="Can it take work?", responses=documented(500, 503))
async def readyz(builder: Engine, streams: OpenStreams) -> Readiness:
    """Ask the database: its schema, the queue, notifications, master keys.

    False once the process was told to stop, before it stops to listen.
    """
    if streams.closing:
        raise Unavailable("This process is about to stop.", code=STOPPING)
    found = await builder.trouble()
    if found is not None:
        raise Unavailable(found.message, code=found.code, hint=found.hint)
    return Readiness()


@router.get(
    "/metrics",
    summary="Numbers for Prometheus",
    response_class=Response,
    responses={
        200: {"description": "Prometheus' text format.", "content": {"text/plain": {}}},
        **documented(401, 404, 500, 503),
    },
)
async def read_metrics(request: Request, builder: Engine) -> Response:
    """Show the metrics to whoever has the token for them; where nobody logs in, on this machine."""
    _check_reader(request)
    return Response(await builder.exposition(), media_type=MEDIA_TYPE)


def _check_reader(request: Request) -> None:
    """Raises: Unauthorized, or NotFound (metrics_closed)."""
    settings: Settings = request.app.state.settings
    if settings.metrics_token is not None:
        expected = f"Bearer {settings.metrics_token.get_secret_value()}".encode()
        if not hmac.compare_digest(request.headers.get("authorization", "").encode(), expected):
            raise Unauthorized("The token for metrics is needed.")
        return
    if request.app.state.tokens is not None or not _is_near(request):
        raise NotFound(
            "Metrics are not shown here.",
            code="metrics_closed",
            hint="Set FLOWBUILDER_METRICS_PORT for a port of their own, or "
            "FLOWBUILDER_METRICS_TOKEN.",
        )


def _is_near(request: Request) -> bool:
    """Whether the request comes from this machine."""
    if request.client is None:  # by a Unix socket
        return True
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
