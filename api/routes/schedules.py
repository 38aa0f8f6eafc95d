"""Schedules: flows that start by the clock."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request

from flowbuilder.api.auth.changes import note_change
from flowbuilder.api.body import body_schema, json_body
from flowbuilder.api.dependencies import Builder, Caller, as_uuid
from flowbuilder.api.problem_documents import documented
from flowbuilder.api.trigger_schemas import (
    ScheduleBody,
    ScheduleList,
    ScheduleOut,
    SchedulePatch,
    StandingOut,
)

router = APIRouter(prefix="/schedules", tags=["triggers"])


def _schedule_id(
    schedule_id: Annotated[str, Path(description="The schedule's id, a UUID.")],
) -> str:
    return as_uuid(schedule_id, "schedule")


ScheduleId = Annotated[str, Depends(_schedule_id)]


@router.get("", summary="List schedules")
async def list_schedules(builder: Builder) -> ScheduleList:
    """Return the schedules by name: when each is due, and what came of its last tick."""
    switch = await builder.schedules.held()
    return ScheduleList(
        items=[ScheduleOut.of(row) for row in await builder.schedules.list()],
        held_at=switch.held_at,
        held_reason=switch.reason,
    )


@router.post(
    "",
    summary="Make a schedule",
    status_code=201,
    responses=documented(400, 404, 409, 413, 415),
    openapi_extra=body_schema("ScheduleBody"),
)
async def add_schedule(
    request: Request,
    builder: Builder,
    caller: Caller,
    body: Annotated[ScheduleBody, Depends(json_body(ScheduleBody))],
) -> ScheduleOut:
    """Start a flow by the clock from now on."""
    await note_change(request, "schedule", body.name)
    return ScheduleOut.of(await builder.schedules.add(**body.model_dump(), by=caller.name))


@router.get("/{schedule_id}", summary="Show a schedule", responses=documented(404))
async def get_schedule(builder: Builder, schedule_id: ScheduleId) -> ScheduleOut:
    """Return a schedule."""
    return ScheduleOut.of(await builder.schedules.get(schedule_id))


@router.get(
    "/{schedule_id}/why", summary="Say why a schedule does not fire", responses=documented(404)
)
async def why_schedule(builder: Builder, schedule_id: ScheduleId) -> StandingOut:
    """Return the reasons, most important first, never none."""
    return StandingOut.of(await builder.schedules.why(schedule_id))


@router.patch(
    "/{schedule_id}",
    summary="Change a schedule",
    responses=documented(400, 404, 409, 413, 415),
    openapi_extra=body_schema("SchedulePatch"),
)
async def change_schedule(
    builder: Builder,
    caller: Caller,
    schedule_id: ScheduleId,
    body: Annotated[SchedulePatch, Depends(json_body(SchedulePatch))],
) -> ScheduleOut:
    """Change what the body names; the next tick is worked out anew."""
    changes = body.model_dump(exclude_unset=True)
    changes = {name: value for name, value in changes.items() if value is not None or name in _NULL}
    return ScheduleOut.of(await builder.schedules.change(schedule_id, by=caller.name, **changes))


#: What may be set to null; null elsewhere changes nothing.
_NULL = ("version", "input", "description")


@router.delete(
    "/{schedule_id}", summary="Delete a schedule", status_code=204, responses=documented(404)
)
async def remove_schedule(builder: Builder, schedule_id: ScheduleId) -> None:
    """Delete a schedule; its runs go on."""
    await builder.schedules.remove(schedule_id)


@router.post("/{schedule_id}/pause", summary="Pause a schedule", responses=documented(404))
async def pause_schedule(builder: Builder, caller: Caller, schedule_id: ScheduleId) -> ScheduleOut:
    """Fire no more until it is resumed."""
    return ScheduleOut.of(await builder.schedules.pause(schedule_id, by=caller.name))


@router.post("/{schedule_id}/resume", summary="Resume a schedule", responses=documented(404, 409))
async def resume_schedule(builder: Builder, caller: Caller, schedule_id: ScheduleId) -> ScheduleOut:
    """Fire again from now on; ticks of the pause start nothing."""
    return ScheduleOut.of(await builder.schedules.resume(schedule_id, by=caller.name))
