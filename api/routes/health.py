"""Liveness and readiness: the only routes without a caller."""

from __future__ import annotations

from fastapi import APIRouter

from flowbuilder.api.dependencies import Engine
from flowbuilder.api.problems import Unavailable, documented
from flowbuilder.api.schemas import Health, Readiness

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Is the process alive?")
async def healthz() -> Health:
    """Answer without touching the database: a dead database is no reason to restart this."""
    return Health()


@router.get("/readyz", summary="Can it take work?", responses=documented(500, 503))
async def readyz(builder: Engine) -> Readiness:
    """Ask the database; one that is down, or whose schema is behind, gives a problem."""
    missing = await builder.pending_migrations()
    if missing:
        raise Unavailable(
            f"{len(missing)} migrations of this version are not applied to the database.",
            code="schema_behind",
            hint="Run: flowbuilder migrate",
        )
    await builder.queue_depth()
    return Readiness()
