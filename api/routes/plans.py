"""From a goal to a plan, and from a plan to a run or a saved flow."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from flowbuilder.api.auth.changes import note_change
from flowbuilder.api.body import body_schema, json_body, optional_json_body
from flowbuilder.api.dependencies import (
    Builder,
    Caller,
    IdempotencyKey,
    PlanId,
    as_uuid,
)
from flowbuilder.api.events import MEDIA_TYPE, wants_stream
from flowbuilder.api.plan_schemas import PlanList, PlanOut, PlanSummary
from flowbuilder.api.plan_streams import PlanStreams
from flowbuilder.api.problem_documents import documented
from flowbuilder.api.problems import BadRequest, moved
from flowbuilder.api.rate_limits import PLANS
from flowbuilder.api.requests import AcceptBody, PlanBody, bounds
from flowbuilder.api.schemas import (
    AcceptOut,
    FlowOut,
    RunOut,
    VersionOut,
)
from flowbuilder.client import FlowBuilder
from flowbuilder.client.roles import Role
from flowbuilder.errors import DefinitionError, InvalidValue
from flowbuilder.plan import Plan

router = APIRouter(prefix="/plans", tags=["plans"])

Wanted = Annotated[PlanBody, Depends(json_body(PlanBody))]
Streaming = Annotated[PlanStreams, Depends()]
Acceptance = Annotated[AcceptBody, Depends(optional_json_body(AcceptBody))]


@router.post(
    "",
    summary="Plan for a goal",
    status_code=201,
    response_model=PlanOut,
    responses={
        200: {
            "description": "With `Accept: text/event-stream`: the plan's events while it is made. "
            "The data of `plan_completed` holds the plan. With `start`, events `run` tell of the "
            "run that goes on meanwhile.",
            "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
        },
        **documented(400, 404, 413, 415, 429, 502, 504),
    },
    openapi_extra=body_schema("PlanBody"),
    dependencies=[PLANS],
)
async def create_plan(
    builder: Builder,
    caller: Caller,
    streams: Streaming,
    body: Wanted,
    response: Response,
    accept: Annotated[str | None, Header()] = None,
) -> PlanOut | Response:
    """Make a plan and store it. It runs nothing: that takes an acceptance, or `start`."""
    if wants_stream(accept, None):
        streams.check()
        if body.start is not None:
            caller.require(Role.MEMBER)  # a key that builds does not run by that
            early = builder.start_early(
                body.goal,
                input=body.input,
                input_schema=body.input_schema,
                pinned=body.pinned,
                by=caller.name,
            )
            return await streams.early(early, builder)
        events = builder.plan_stream(
            body.goal, input=body.input, input_schema=body.input_schema, pinned=body.pinned
        )
        return await streams.plan(events)
    if body.start is not None:
        raise BadRequest(
            "`start` goes with a stream: nothing could be told of the run otherwise.",
            pointer="/start",
            code="start_needs_stream",
            hint="Send Accept: text/event-stream, or POST /api/v1/runs with the goal.",
        )
    plan = await builder.plan(
        body.goal, input=body.input, input_schema=body.input_schema, pinned=body.pinned
    )
    response.headers["Location"] = f"/api/v1/plans/{plan.id}"
    return PlanOut.of(plan)


@router.get("", summary="List plans", responses=documented(404))
async def list_plans(
    builder: Builder,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
) -> PlanList:
    """Return plans, newest first."""
    before = None if cursor is None else as_uuid(cursor, "plan")
    # one more than asked for tells whether there is another page
    rows = await builder.plans(limit=limit + 1, before=before)
    items = [PlanSummary.of(row) for row in rows[:limit]]
    return PlanList(items=items, next_cursor=items[-1].id if len(rows) > limit else None)


@router.get("/{plan_id}", summary="Show a plan", responses=documented(404))
async def get_plan(builder: Builder, plan_id: PlanId) -> PlanOut:
    """Return a plan as it was made."""
    return PlanOut.of(await builder.get_plan(plan_id))


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
    request: Request,
    builder: Builder,
    caller: Caller,
    plan_id: PlanId,
    body: Acceptance,
    response: Response,
    idempotency_key: IdempotencyKey,
) -> AcceptOut:
    """Start a run of the plan, save its flow, or both. Accepting twice gives the same run.

    A plan that changes a stored flow becomes a new version of it.
    """
    plan = await builder.get_plan(plan_id)
    changes = plan.changes is not None and body.save is False
    runs = body.run and not (changes and "run" not in body.model_fields_set)
    if runs:
        caller.require(Role.MEMBER)  # a key that builds does not run by that
    if body.save is not False or changes:
        slug = body.save if isinstance(body.save, str) else plan.changes if changes else _slug(plan)
        await note_change(request, "flow", str(slug))
    flow = await _saved(builder, plan, body.save) if body.save is not False else None
    version = VersionOut.of(await builder.accept_edit(plan)) if changes else None
    run: RunOut | None = None
    if runs:
        try:
            started = await builder.accept_plan(
                plan_id,
                input=body.input,
                idempotency_key=idempotency_key,
                by=caller.name,
                budget=bounds(body.budget),
                replan=body.replan,
            )
        except (DefinitionError, InvalidValue) as error:
            # problems of the plan itself point into its document
            of_input = isinstance(error, InvalidValue) and error.code != "budget_invalid"
            of_input = of_input or error.code == "input_invalid"
            raise moved(error, "/input" if of_input else "") from None
        run = RunOut.of(started.row)
        response.status_code = 201 if started.created else 200
        response.headers["Location"] = f"/api/v1/runs/{started.id}"
    return AcceptOut(plan_id=plan_id, flow=flow, version=version, run=run)


def _slug(plan: Plan) -> str | None:
    return None if plan.flow is None else plan.flow.flow


async def _saved(builder: FlowBuilder, plan: Plan, save: bool | str) -> FlowOut:
    document = (await builder.publish_plan(plan)).document()
    if isinstance(save, str):
        document["flow"] = save
    handle = await builder.save_flow(document)
    return FlowOut.of(handle.row)
