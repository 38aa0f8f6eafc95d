"""Limits on tools: how many calls run at once, and how often one starts."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path

from flowbuilder.api.administration import LimitList, LimitOut
from flowbuilder.api.body import body_schema, json_body
from flowbuilder.api.dependencies import Builder, Caller
from flowbuilder.api.problem_documents import documented
from flowbuilder.api.requests import LimitBody

router = APIRouter(prefix="/limits", tags=["limits"])

Pattern = Annotated[
    str, Path(description="A tool's name, the beginning of names as in `http.*`, or `*`.")
]


@router.get("", summary="List limits")
async def list_limits(builder: Builder) -> LimitList:
    """Return the limits on tools, set and declared, with what is under each of them now."""
    return LimitList(items=[LimitOut.of(row) for row in await builder.limits.list()])


@router.get("/{pattern}", summary="Show a limit", responses=documented(404))
async def get_limit(builder: Builder, pattern: Pattern) -> LimitOut:
    """Return the limit of exactly this pattern."""
    return LimitOut.of(await builder.limits.get(pattern))


@router.put(
    "/{pattern}",
    summary="Set a limit",
    responses=documented(400, 404, 413, 415),
    openapi_extra=body_schema("LimitBody"),
)
async def set_limit(
    builder: Builder,
    caller: Caller,
    pattern: Pattern,
    body: Annotated[LimitBody, Depends(json_body(LimitBody))],
) -> LimitOut:
    """Set the limit of a tool, or of all whose names fit, in the place of the one before.

    A limit of nothing lifts what the tool declares. What runs already goes on.
    """
    row = await builder.limits.set(
        pattern, concurrency=body.concurrency, rate=body.rate, by=caller.name
    )
    return LimitOut.of(row)


@router.delete("/{pattern}", summary="Clear a limit", status_code=204, responses=documented(404))
async def clear_limit(builder: Builder, pattern: Pattern) -> None:
    """Take back what was set for a pattern; what its tool declares by itself counts again."""
    await builder.limits.clear(pattern)
