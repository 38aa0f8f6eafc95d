"""How many runs are under way at once, and how often they start."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends

from flowbuilder.api.admitting import AdmissionBody, AdmissionList, AdmissionOut
from flowbuilder.api.body import body_schema, json_body
from flowbuilder.api.dependencies import Builder, Caller, FlowSlug
from flowbuilder.api.problem_documents import documented

router = APIRouter(prefix="/admission", tags=["admission"])

Wanted = Annotated[AdmissionBody, Depends(json_body(AdmissionBody))]


@router.get("", summary="List the limits on runs")
async def list_admissions(builder: Builder) -> AdmissionList:
    """Return the limits on the workspace's runs, with what is under each of them now."""
    return AdmissionList(items=[AdmissionOut.of(row) for row in await builder.admission.list()])


@router.put(
    "",
    summary="Limit the workspace's runs",
    responses=documented(400, 413, 415),
    openapi_extra=body_schema("AdmissionBody"),
)
async def set_admission(builder: Builder, caller: Caller, body: Wanted) -> AdmissionOut:
    """Set the limit of the whole workspace, in the place of the one before.

    What is above it waits as `queued`, and is let in by itself. What is under way goes on.
    """
    return await _set(builder, None, body, caller.name)


@router.delete("", summary="Clear the limit", status_code=204, responses=documented(404))
async def clear_admission(builder: Builder) -> None:
    """Take the workspace's limit back; what it alone keeps back is let in."""
    await builder.admission.clear()


@router.get("/{slug}", summary="Show the limit on a flow's runs", responses=documented(404))
async def get_flow_admission(builder: Builder, slug: FlowSlug) -> AdmissionOut:
    """Return the limit on the runs of a flow, with what is under it now."""
    return AdmissionOut.of(await builder.admission.get(slug))


@router.put(
    "/{slug}",
    summary="Limit a flow's runs",
    responses=documented(400, 404, 413, 415),
    openapi_extra=body_schema("AdmissionBody"),
)
async def set_flow_admission(
    builder: Builder, caller: Caller, slug: FlowSlug, body: Wanted
) -> AdmissionOut:
    """Set the limit on the runs of a flow, in the place of the one before."""
    await builder.get_flow(slug)
    return await _set(builder, slug, body, caller.name)


@router.delete(
    "/{slug}", summary="Clear a flow's limit", status_code=204, responses=documented(404)
)
async def clear_flow_admission(builder: Builder, slug: FlowSlug) -> None:
    """Take the limit on the runs of a flow back."""
    await builder.admission.clear(slug)


async def _set(builder: Builder, slug: str | None, body: AdmissionBody, by: str) -> AdmissionOut:
    row = await builder.admission.set(slug, concurrency=body.concurrency, rate=body.rate, by=by)
    return AdmissionOut.of(row)
