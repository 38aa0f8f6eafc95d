"""From a goal to a plan, and from a plan to a run or a saved flow."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Response

from flowbuilder.api.body import body_schema, json_body, optional_json_body
from flowbuilder.api.dependencies import (
    Builder,
    Caller,
    IdempotencyKey,
    OpenStreams,
    PlanId,
)
from flowbuilder.api.events import MEDIA_TYPE, EventStream, format_event, told, wants_stream
from flowbuilder.api.problems import documented, moved
from flowbuilder.api.requests import AcceptBody, PlanBody
from flowbuilder.api.schemas import AcceptOut, FlowOut, PlanList, PlanOut, PlanSummary, RunOut
from flowbuilder.client import FlowBuilder
from flowbuilder.client.planning import require_valid
from flowbuilder.errors import DefinitionError, FlowBuilderError, InvalidValue
from flowbuilder.planner.base import PlanEvent, PlanEventType
from flowbuilder.types import JsonObject

router = APIRouter(prefix="/plans", tags=["plans"])

Wanted = Annotated[PlanBody, Depends(json_body(PlanBody))]
Acceptance = Annotated[AcceptBody, Depends(optional_json_body(AcceptBody))]
ENDS = (PlanEventType.COMPLETED, PlanEventType.FAILED)


@router.post(
    "",
    summary="Plan for a goal",
    status_code=201,
    response_model=PlanOut,
    responses={
        200: {
            "description": "With `Accept: text/event-stream`: the plan's events while it is made. "
            "The data of `plan_completed` holds the plan.",
            "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
        },
        **documented(400, 413, 415, 502, 504),
    },
    openapi_extra=body_schema("PlanBody"),
)
async def create_plan(
    builder: Builder,
    streams: OpenStreams,
    body: Wanted,
    response: Response,
    accept: Annotated[str | None, Header()] = None,
) -> PlanOut | Response:
    """Make a plan and store it. It runs nothing: that takes an acceptance."""
    if wants_stream(accept, None):
        streams.check()
        events = builder.plan_stream(body.goal, input=body.input, input_schema=body.input_schema)
        # what is wrong from the start is told by the status, not inside a stream
        first = await anext(aiter(events))
        return EventStream(told(_plan_events(first, events)), streams)
    plan = await builder.plan(body.goal, input=body.input, input_schema=body.input_schema)
    response.headers["Location"] = f"/api/v1/plans/{plan.id}"
    return PlanOut.model_validate(plan.as_json())


async def _plan_events(first: PlanEvent, events: AsyncIterator[PlanEvent]) -> AsyncGenerator[bytes]:
    """Format a plan's events, up to the terminal one."""
    async with aclosing(_all(first, events)) as every:
        seq, ended = 0, False
        try:
            async for event in every:
                seq += 1
                ended = ended or event.type in ENDS
                yield format_event(seq, event.type.value, _envelope(seq, event))
        except FlowBuilderError:
            # a planner that told of its failure raises it as well
            if not ended:
                raise


async def _all(first: PlanEvent, events: AsyncIterator[PlanEvent]) -> AsyncGenerator[PlanEvent]:
    try:
        yield first
        async for event in events:
            yield event
    finally:
        if isinstance(events, AsyncGenerator):
            await events.aclose()


def _envelope(seq: int, event: PlanEvent) -> JsonObject:
    return {
        "stream": event.plan.id if event.plan else None,
        "seq": seq,
        "type": event.type.value,
        "run_id": None,
        "step_name": None,
        "task_id": None,
        "attempt": None,
        "at": datetime.now(UTC).isoformat(),
        "actor": None,
        "data": event.data,
    }


@router.get("", summary="List plans")
async def list_plans(builder: Builder, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> PlanList:
    """Return the newest plans."""
    rows = await builder.plans(limit=limit)
    return PlanList(items=[PlanSummary.of(row) for row in rows])


@router.get("/{plan_id}", summary="Show a plan", responses=documented(404))
async def get_plan(builder: Builder, plan_id: PlanId) -> PlanOut:
    """Return a plan as it was made."""
    return PlanOut.model_validate((await builder.get_plan(plan_id)).as_json())


@router.post(
    "/{plan_id}/accept",
    summary="Accept a plan",
    responses={
        201: {"description": "A run was started.", "model": AcceptOut},
        **documented(400, 404, 409, 413, 415),
    },
    openapi_extra=body_schema("AcceptBody", required=False),
)
async def accept_plan(
    builder: Builder,
    caller: Caller,
    plan_id: PlanId,
    body: Acceptance,
    response: Response,
    idempotency_key: IdempotencyKey,
) -> AcceptOut:
    """Start a run of the plan, save its flow, or both. Accepting twice gives the same run."""
    flow = await _saved(builder, plan_id, body.save) if body.save is not False else None
    run: RunOut | None = None
    if body.run:
        try:
            started = await builder.accept_plan(
                plan_id, input=body.input, idempotency_key=idempotency_key, by=caller.name
            )
        except (DefinitionError, InvalidValue) as error:
            # problems of the plan itself point into its document
            of_input = isinstance(error, InvalidValue) or error.code == "input_invalid"
            raise moved(error, "/input" if of_input else "") from None
        run = RunOut.of(started.row)
        response.status_code = 201 if started.created else 200
        response.headers["Location"] = f"/api/v1/runs/{started.id}"
    return AcceptOut(plan_id=plan_id, flow=flow, run=run)


async def _saved(builder: FlowBuilder, plan_id: str, save: bool | str) -> FlowOut:
    document = require_valid(await builder.get_plan(plan_id)).document()
    if isinstance(save, str):
        document["flow"] = save
    handle = await builder.save_flow(document)
    return FlowOut.of(handle.row)
