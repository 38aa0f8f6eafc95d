"""Runs: start them, watch them, steer them."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from flowbuilder.api.auth.callers import Principal
from flowbuilder.api.body import body_schema, json_body, optional_json_body
from flowbuilder.api.dependencies import (
    Builder,
    Caller,
    IdempotencyKey,
    OpenStreams,
    RunId,
    as_uuid,
)
from flowbuilder.api.events import MEDIA_TYPE, wants_stream
from flowbuilder.api.problem_documents import documented
from flowbuilder.api.problems import moved
from flowbuilder.api.rate_limits import planning_of
from flowbuilder.api.requests import CancelBody, RetryBody, RunBody, StepBody, bounds
from flowbuilder.api.schemas import (
    EventPage,
    RunDetail,
    RunOut,
    RunPage,
    RunTreeOut,
    TaskOut,
    TaskPage,
    VersionOut,
)
from flowbuilder.api.steering import RetryOut, RetryPlan, WhyOut
from flowbuilder.api.streams.serving import run_page, run_stream
from flowbuilder.api.values import slim
from flowbuilder.client import FlowBuilder, Run
from flowbuilder.client.planning import require_valid
from flowbuilder.client.roles import Role
from flowbuilder.errors import Conflict, DefinitionError, InvalidValue
from flowbuilder.executor.states import RunStatus
from flowbuilder.flow import SLUG_PATTERN

router = APIRouter(prefix="/runs", tags=["runs"])

Wanted = Annotated[RunBody, Depends(json_body(RunBody))]
Cancellation = Annotated[CancelBody, Depends(optional_json_body(CancelBody))]
NewStep = Annotated[StepBody, Depends(json_body(StepBody))]
Retrial = Annotated[RetryBody, Depends(optional_json_body(RetryBody))]
After = Annotated[int, Query(ge=0, le=9_223_372_036_854_775_807)]


@router.post(
    "",
    summary="Start a run",
    status_code=201,
    response_model=RunOut,
    responses={
        200: {"description": "The key had started this run already.", "model": RunOut},
        **documented(400, 404, 409, 413, 415, 502, 504),
    },
    openapi_extra=body_schema("RunBody"),
)
async def start_run(
    request: Request,
    builder: Builder,
    caller: Caller,
    body: Wanted,
    response: Response,
    idempotency_key: IdempotencyKey,
) -> RunOut:
    """Start a run of a flow, of a document that is not saved, or of a goal.

    Members start what is published; a draft, a document or a goal takes a builder. A goal is
    planned first. When the plan is not valid, or the planner is not certain of it, nothing runs:
    the problem names the stored plan, which can be looked at and accepted.
    """
    if body.flow is None:
        caller.require(Role.BUILDER)
    try:
        async with planning_of(request, caller) if body.goal is not None else nullcontext():
            run = await _start(builder, body, caller, idempotency_key)
    except (DefinitionError, InvalidValue) as error:
        raise moved(error, _place(error, body)) from None
    response.status_code = 201 if run.created else 200
    response.headers["Location"] = f"/api/v1/runs/{run.id}"
    return RunOut.of(run.row)


async def _start(builder: FlowBuilder, body: RunBody, caller: Principal, key: str | None) -> Run:
    if body.goal is not None:
        return await _run_goal(builder, body, caller.name, key)
    subject: str | dict[str, Any] = body.flow if body.flow is not None else body.document or {}
    return await builder.execute(
        subject,
        body.input,
        version=body.version,
        idempotency_key=key,
        priority=body.priority,
        by=caller.name,
        budget=bounds(body.budget),
        replan=body.replan,
        published=not caller.holds(Role.BUILDER),
    )


def _place(error: DefinitionError | InvalidValue, body: RunBody) -> str:
    """Return where in the body that stands which the error is about."""
    if error.code == "budget_invalid":
        return ""
    if isinstance(error, InvalidValue) or error.code == "input_invalid":
        return "/input"
    return "/document" if body.document is not None else ""


async def _run_goal(builder: FlowBuilder, body: RunBody, by: str, key: str | None) -> Run:
    plan = await builder.plan(body.goal or "", input=body.input)
    require_valid(plan)
    if not plan.certain:
        raise Conflict(
            "the planner is not certain of this plan: look at it, then accept it",
            code="plan_uncertain",
            hint=f"GET /api/v1/plans/{plan.id}, then POST /api/v1/plans/{plan.id}/accept",
            details={"plan_id": plan.id, "notes": list(plan.notes)},
        )
    return await builder.accept_plan(
        plan,
        input=body.input,
        idempotency_key=key,
        priority=body.priority,
        by=by,
        budget=bounds(body.budget),
        replan=body.replan,
    )


@router.get("", summary="List runs", responses=documented(404))
async def list_runs(
    builder: Builder,
    flow: Annotated[str | None, Query(pattern=SLUG_PATTERN, description="Of this flow.")] = None,
    status: Annotated[RunStatus | None, Query(description="In this state.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
) -> RunPage:
    """Return runs, newest first."""
    before = (await builder.get_run(as_uuid(cursor, "run"))).id if cursor is not None else None
    # one more than asked for tells whether there is another page
    runs = await builder.runs(flow=flow, status=status, limit=limit + 1, before=before)
    items = [_listed(RunOut.of(run.row)) for run in runs[:limit]]
    return RunPage(items=items, next_cursor=items[-1].id if len(runs) > limit else None)


def _listed(run: RunOut) -> RunOut:
    return slim(run, input=f"{run.id}/values/input", output=f"{run.id}/values/output")


@router.get("/{run_id}", summary="Show a run", responses=documented(404))
async def get_run(builder: Builder, run_id: RunId) -> RunDetail:
    """Return a run with its steps, its output or its error, and what it has cost."""
    run = await builder.get_run(run_id)
    budget, trigger = await run.budget(), await run.trigger()
    found = RunDetail.with_steps(run.row, await run.steps(), budget, trigger)
    steps = [slim(one, output=f"{run_id}/values/steps.{one.step_id}") for one in found.steps]
    return found.model_copy(update={"steps": steps})


@router.get("/{run_id}/tasks", summary="List the tasks of a run", responses=documented(404))
async def list_tasks(
    builder: Builder,
    run_id: RunId,
    after: After = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 500,
) -> TaskPage:
    """Return tasks by id; a mapped step has one for each element."""
    run = await builder.get_run(run_id)
    rows = await run.tasks(limit=limit + 1, after=after)
    items = [
        slim(TaskOut.of(row), output=f"{run_id}/values/tasks.{row.id}") for row in rows[:limit]
    ]
    return TaskPage(items=items, next_after=int(items[-1].id) if len(rows) > limit else None)


@router.get(
    "/{run_id}/events",
    summary="Read or follow the events of a run",
    response_model=EventPage,
    responses={
        200: {
            "description": "A page of events or, with `Accept: text/event-stream` or "
            "`Last-Event-ID`, the stream: past events first, then each as it happens, up to the "
            "run's last. `id` is the event's number, `event` its type, `data` its envelope as "
            "JSON on one line.",
            "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
        },
        204: {"description": "The stream has ended and the client has its last event."},
        **documented(400, 404, 410, 429),
    },
)
async def run_events(
    request: Request,
    builder: Builder,
    caller: Caller,
    streams: OpenStreams,
    run_id: RunId,
    after: Annotated[After, Query(description="Only events with a higher number.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000, description="Of a page.")] = 500,
    accept: Annotated[str | None, Header()] = None,
    last_event_id: Annotated[
        str | None, Header(description="Resume a stream after this event.")
    ] = None,
) -> EventPage | Response:
    """Return events in order, without gaps, from any number on.

    A stream says of itself, without a number: `caught_up` when what was there has been sent, and
    `end` behind the run's last event. One that ends without `end` goes on where it was cut off.
    """
    if wants_stream(accept, last_event_id):
        return await run_stream(
            request, builder, caller, streams, run_id, last_event_id=last_event_id, after=after
        )
    run = await builder.get_run(run_id)
    return await run_page(builder, run.row, after, limit)


@router.post(
    "/{run_id}/cancel",
    summary="Cancel a run",
    responses=documented(400, 404, 409, 413, 415),
    openapi_extra=body_schema("CancelBody", required=False),
)
async def cancel_run(builder: Builder, caller: Caller, run_id: RunId, body: Cancellation) -> RunOut:
    """Cancel a run that has not ended."""
    run = await builder.get_run(run_id)
    return RunOut.of(await run.cancel(by=caller.name, reason=body.reason))


@router.post("/{run_id}/pause", summary="Pause a run", responses=documented(404, 409))
async def pause_run(builder: Builder, caller: Caller, run_id: RunId) -> RunOut:
    """Start no further task until the run is resumed; what runs already goes on."""
    run = await builder.get_run(run_id)
    return RunOut.of(await run.pause(by=caller.name))


@router.post("/{run_id}/resume", summary="Resume a run", responses=documented(404, 409))
async def resume_run(builder: Builder, caller: Caller, run_id: RunId) -> RunOut:
    """Go on with a paused run."""
    run = await builder.get_run(run_id)
    return RunOut.of(await run.resume(by=caller.name))


@router.post(
    "/{run_id}/steps",
    summary="Add a step to a run",
    status_code=201,
    responses=documented(400, 404, 409, 413, 415),
    openapi_extra=body_schema("StepBody"),
)
async def add_step(builder: Builder, caller: Caller, run_id: RunId, step: NewStep) -> VersionOut:
    """Add a step to a run that has not ended, and return the version that it executes from now.

    Pointers of problems go into the run's flow with the step in it.
    """
    policies = step.model_dump(exclude={"id"}, exclude_unset=True)
    run = await builder.get_run(run_id)
    caller.require(Role.MEMBER)  # a key that builds does not run by that
    return VersionOut.of(await run.add_step(step.id, by=caller.name, **policies))


@router.get("/{run_id}/why", summary="Say why a run does not move", responses=documented(404))
async def why_run(builder: Builder, run_id: RunId) -> WhyOut:
    """Return the reasons why a run does not move, the most important one first."""
    return WhyOut.of(await builder.why(run_id))


@router.get("/{run_id}/tree", summary="Show a run with its child runs", responses=documented(404))
async def run_tree(builder: Builder, run_id: RunId) -> RunTreeOut:
    """Return a run with its steps, and in each step the child runs that it has started."""
    return RunTreeOut.model_validate(await (await builder.get_run(run_id)).tree())


@router.post(
    "/{run_id}/retry",
    summary="Retry a run",
    status_code=201,
    response_model=RetryOut,
    responses={
        200: {"description": "The key had started this run already.", "model": RetryOut},
        **documented(400, 404, 409, 413, 415),
    },
    openapi_extra=body_schema("RetryBody", required=False),
)
async def retry_run(
    builder: Builder,
    caller: Caller,
    run_id: RunId,
    body: Retrial,
    response: Response,
    idempotency_key: IdempotencyKey,
) -> RetryOut:
    """Start a run anew that has ended, taking over the results of what it finished.

    The answer names the steps whose side effects may happen a second time.
    """
    run = await builder.get_run(run_id)
    new = await run.retry(body.from_step, by=caller.name, idempotency_key=idempotency_key)
    response.status_code = 201 if new.created else 200
    response.headers["Location"] = f"/api/v1/runs/{new.id}"
    return RetryOut.retried(new)


@router.get(
    "/{run_id}/retry",
    summary="Say what a retry would do",
    responses=documented(404, 409),
)
async def what_retry_does(
    builder: Builder,
    run_id: RunId,
    from_step: Annotated[
        str | None, Query(min_length=1, max_length=200, description="Run this step again, too.")
    ] = None,
) -> RetryPlan:
    """Return what a retry would take over, run again and repeat; nothing is started."""
    run = await builder.get_run(run_id)
    return RetryPlan.of(await run.what_retry_does(from_step))
