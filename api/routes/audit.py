"""The log of who did what."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from flowbuilder.api.dependencies import Caller, Users
from flowbuilder.api.identities import AuditOut, AuditPage
from flowbuilder.api.refusals import Forbidden
from flowbuilder.executor.records import DEFAULT_WORKSPACE

router = APIRouter(prefix="/audit", tags=["audit"])

_NEWEST = 9_223_372_036_854_775_807


@router.get("", summary="Read the log")
async def read_log(
    accounts: Users,
    caller: Caller,
    of: Annotated[
        Literal["workspace", "installation"],
        Query(description="What it is about; the installation's is for its administrators."),
    ] = "workspace",
    before: Annotated[int, Query(ge=1, le=_NEWEST, description="Only older lines.")] = _NEWEST,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> AuditPage:
    """Return lines of the log, newest first. No line is ever changed."""
    place: str | None = caller.workspace or DEFAULT_WORKSPACE
    if of == "installation":
        if not caller.instance_admin:
            raise Forbidden("This is for administrators of the installation.")
        place = None
    found = await accounts.log.audit(place, before=before, limit=limit + 1)
    items = [AuditOut.model_validate(one) for one in found[:limit]]
    return AuditPage(items=items, next_before=items[-1].id if len(found) > limit else None)
