"""What workspaces use, and what they may use."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from flowbuilder.api.admitting import QuotaBody, UsageOut
from flowbuilder.api.auth.changes import note_change
from flowbuilder.api.body import body_schema, json_body
from flowbuilder.api.dependencies import Builder, Caller, Engine, Users
from flowbuilder.api.problem_documents import documented
from flowbuilder.api.routes.workspaces import Workspace
from flowbuilder.errors import NotFound
from flowbuilder.limits import Quotas

router = APIRouter(prefix="/workspaces", tags=["workspaces"])


@router.get("/{workspace}/usage", summary="Show what a workspace uses", responses=documented(404))
async def get_usage(
    builder: Builder, accounts: Users, caller: Caller, workspace: Workspace
) -> UsageOut:
    """Return what a workspace uses and may use. Bytes and events are counted now and then."""
    if caller.local and await accounts.find_workspace(workspace) != builder.workspace:
        raise NotFound("there is no such workspace", code="workspace_not_found")
    return UsageOut.of(await builder.admission.usage())


@router.put(
    "/{workspace}/quotas",
    summary="Say what a workspace may use",
    responses=documented(400, 404, 413, 415),
    openapi_extra=body_schema("QuotaBody"),
)
async def set_quotas(
    request: Request,
    engine: Engine,
    accounts: Users,
    caller: Caller,
    workspace: Workspace,
    body: Annotated[QuotaBody, Depends(json_body(QuotaBody))],
) -> UsageOut:
    """Set all quotas of a workspace; what is left out is as much as it likes."""
    place = engine.within(await accounts.find_workspace(workspace))
    quotas = Quotas(**body.model_dump())
    await note_change(request, "quotas", workspace, place)
    return UsageOut.of(await place.admission.set_quotas(quotas, by=caller.name))
