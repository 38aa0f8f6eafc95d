"""Planning with a memory: the chosen planner's events are passed on, its plan is stored."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from typing import Any, cast

from flowbuilder.client.budgets import with_estimate
from flowbuilder.client.checking import limits_of
from flowbuilder.client.couse import learn_co_use
from flowbuilder.client.modelless import told_of_models
from flowbuilder.client.plan_watching import watched
from flowbuilder.client.policies import policed, policies_in_force
from flowbuilder.client.session import Session
from flowbuilder.costs import Estimate
from flowbuilder.errors import DefinitionError, Fix, InvalidValue, PlanningError, Problem, Severity
from flowbuilder.flow import Flow
from flowbuilder.plan import LONGEST_GOAL, Plan, PlanDesk, PlanStatus, Question, SubPlan, Usage
from flowbuilder.planner.base import PlanEvent, Planner, PlanRequest
from flowbuilder.planner.question_types import with_types
from flowbuilder.schemas import schema_problems
from flowbuilder.secrecy import REDACTOR
from flowbuilder.settings import Settings
from flowbuilder.strictjson import DOCUMENT_LIMITS, Limits, check
from flowbuilder.types import JsonObject, JsonSchema, JsonValue

#: Of an event that carries a whole plan: a document inside other values.
EVENT_LIMITS = Limits(depth=64, bytes=4 * DOCUMENT_LIMITS.bytes)


def choose_planner(session: Session) -> Planner:
    """Return the planner that the settings ask for: the model's, or the one by rules."""
    return planner_of(session.settings)


def planner_of(settings: Settings) -> Planner:
    """Return the planner of some settings."""
    if settings.model:
        from flowbuilder.models import ModelClient
        from flowbuilder.planner.hierarchy.model import in_parts_by_model

        return in_parts_by_model(settings, ModelClient(settings))
    from flowbuilder.planner.hierarchy.chapters import ChaptersPlanner
    from flowbuilder.planner.rules import RulePlanner

    return ChaptersPlanner(settings, RulePlanner)


async def plan_request(
    session: Session,
    goal: str,
    *,
    input: JsonValue = None,
    input_schema: JsonSchema | None = None,
    pinned: Sequence[str] = (),
    plan_id: str | None = None,
) -> PlanRequest:
    """Return what a planner is asked for.

    Raises:
        PlanningError: `goal_empty`, `goal_too_long`.
        NotFound: `tool_unknown`: there is no tool of a pinned name.
        InvalidValue: The input is no JSON value, or its schema none (schema_invalid).
    """
    request = PlanRequest(
        id=plan_id or str(uuid.uuid4()),
        goal=checked_goal(goal),
        registry=session.registry,
        input=check(input, limits=limits_of(session.settings), pointer="/input"),
        input_schema=_checked_schema(input_schema),
        flows=tuple(row.slug for row in await session.store.list_flows()),
        pinned=tuple(session.registry.require(name).name for name in pinned),
        co_use=await learn_co_use(session),
        policies=await policies_in_force(session, fresh=True),
    )
    if not session.settings.memory:
        return request
    from flowbuilder.client.remembering import with_memory

    return await with_memory(session, request)


async def stream_goal(
    session: Session,
    planner: Planner,
    goal: str,
    *,
    input: JsonValue = None,
    input_schema: JsonSchema | None = None,
    pinned: Sequence[str] = (),
    desk: PlanDesk | None = None,
) -> AsyncIterator[PlanEvent]:
    """Plan a goal as `stream_plan` does. Raises: as `plan_request` and `stream_plan`."""
    request = await plan_request(
        session, goal, input=input, input_schema=input_schema, pinned=pinned
    )
    async for event in stream_plan(session, planner, request, desk=desk):
        yield event


async def stream_plan(
    session: Session, planner: Planner, request: PlanRequest, *, desk: PlanDesk | None = None
) -> AsyncIterator[PlanEvent]:
    """Plan and yield each event; plan and events are stored before the last one is yielded.

    Whatever planner it is, its questions tell what may be answered. `desk`: where the plan is
    taken further.

    Raises:
        PlanningError, ModelError: No plan came out; nothing is stored.
    """
    await session.store.count_plan()
    seen: list[PlanEvent] = []
    async for told in watched(planner, request):
        event = policed(_silent(told), request.registry, request.policies)
        event = replace(event, stream=request.id)
        if event.plan is not None:
            plan = told_of_models(event.plan, session.registry, session.settings)
            plan = replace(with_types(plan, session.registry), desk=desk)
            event = replace(event, plan=plan, data={**event.data, "plan": plan.as_json()})
            event = await with_estimate(session, event)
        seen.append(event)
        if event.plan is not None:
            await store_whole(session, event.plan, seen)
        yield event


def _silent(event: PlanEvent) -> PlanEvent:
    """Return a planner's event without any secret that this process knows, whoever told it."""
    data = cast(JsonObject, REDACTOR.json(event.data))
    if event.plan is None or data == event.data:
        return replace(event, data=data) if data != event.data else event
    shown = cast(JsonObject, REDACTOR.json(event.plan.as_json()))
    try:
        return replace(event, data=data, plan=plan_from_json(shown, desk=event.plan.desk))
    except ValueError:
        raise PlanningError(
            "the plan names a step or a tool by a secret", code="plan_invalid"
        ) from None


async def make_plan(events: AsyncIterator[PlanEvent]) -> Plan:
    """Follow planning to its end and return the plan."""
    plan: Plan | None = None
    async for event in events:
        plan = event.plan or plan
    if plan is None:
        raise PlanningError("the planner ended without a plan")
    return plan


def plan_from_json(document: JsonObject, *, desk: PlanDesk | None = None) -> Plan:
    """Return the plan that `Plan.as_json()` wrote; `desk`: where it is taken further."""
    raw = cast("dict[str, Any]", document)
    usage = raw.get("usage") or {}
    return Plan(
        id=raw["id"],
        goal=raw["goal"],
        planner=raw["planner"],
        model=raw.get("model"),
        flow=Flow.model_validate(raw["flow"]) if raw.get("flow") else None,
        input=raw.get("input"),
        certain=raw.get("certain", True),
        certain_once_answered=raw.get("certain_once_answered", False),
        notes=tuple(raw.get("notes") or ()),
        problems=tuple(_problem(item) for item in raw.get("problems") or ()),
        questions=tuple(_question(item) for item in raw.get("questions") or ()),
        usage=Usage(**usage),
        status=PlanStatus(raw["status"]),
        estimate=Estimate.from_json(raw.get("estimate")),
        children=tuple(_child(item) for item in raw.get("children") or ()),
        parent=raw.get("parent"),
        revision=raw.get("revision", 1),
        answers=raw.get("answers") or {},
        edits=tuple(raw.get("edits") or ()),
        base=raw.get("base"),
        changes=raw.get("changes"),
        desk=desk,
    )


def require_valid(plan: Plan) -> Flow:
    """Return the flow of a plan that can run. Raises: DefinitionError with its problems."""
    if plan.flow is not None and plan.valid:
        return plan.flow
    asked = [
        Problem(code="answer_needed", pointer=item.pointer, message=item.text)
        for item in plan.questions
    ]
    raise DefinitionError(
        "the plan cannot run yet: "
        + ("it has questions" if asked and not plan.problems else "it has problems"),
        problems=(*plan.problems, *asked),
        code="plan_not_ready",
        hint=(
            "Answer what it asks."
            if asked and not plan.problems
            else "Word the goal anew with what is missing, or edit the flow by hand."
        ),
    )


async def store_whole(session: Session, plan: Plan, events: list[PlanEvent]) -> None:
    """Store a plan with all its events; neither a bad value nor a cancellation leaves a half."""
    for event in events:
        try:
            check(event.data, limits=EVENT_LIMITS)
        except InvalidValue as error:
            raise PlanningError(
                f"the plan holds a value that cannot be stored: {error.message}",
                problems=[error.as_problem()],
                code="plan_invalid",
            ) from None
    storing = asyncio.ensure_future(_store(session, plan, events))
    try:
        await asyncio.shield(storing)
    except asyncio.CancelledError:
        await asyncio.wait([storing])
        raise


async def _store(session: Session, plan: Plan, events: Iterable[PlanEvent]) -> None:
    told = [(event.type.value, event.data) for event in events]
    if not await session.store.store_plan(plan.as_json(), told):
        raise PlanningError(f"there is a plan {plan.id} already", code="plan_exists")


#: No name, address or value that is said in a goal is as long, and what reads goals would look for
#: the ends of words in it: letters that blanks part in their languages, and one sign repeated.
_NO_WORD = re.compile(r"[!-~\u00a1-\u024f]{4000}|([^\w\s])\1{199}")


def checked_goal(goal: str) -> str:
    """Return a goal without blanks around it.

    Raises:
        PlanningError: `goal_empty`, `goal_too_long`, or `goal_invalid`: no clean text, or a run of
            characters in it that is no word.
    """
    given: object = goal  # whatever a caller without a type checker hands in
    text = given.strip() if isinstance(given, str) else ""
    if not text:
        raise PlanningError("the goal is empty", code="goal_empty", hint="Say what is to be done.")
    if len(text) > LONGEST_GOAL:
        raise PlanningError(
            f"the goal has {len(text)} characters, at most {LONGEST_GOAL} are read",
            code="goal_too_long",
        )
    try:
        check(text)
    except InvalidValue as error:
        raise PlanningError(f"the goal is no text: {error.message}", code="goal_invalid") from None
    if _NO_WORD.search(text):
        raise PlanningError(
            "the goal holds a run of characters that is no word: 4,000, or 200 times the same one",
            code="goal_invalid",
            hint="Give data as the input of the plan, and say in the goal what is to be done.",
        )
    return text


def _checked_schema(schema: JsonSchema | None) -> JsonSchema | None:
    """Return the schema of a run's input. Raises: InvalidValue (schema_invalid)."""
    given: object = schema  # whatever a caller without a type checker hands in
    if given is None:
        return None
    if isinstance(given, dict):
        clean = check(given, limits=DOCUMENT_LIMITS, pointer="/input_schema")
        if isinstance(clean, dict) and not schema_problems(clean, ""):
            return clean
    raise InvalidValue(
        "the input's schema is no JSON Schema", pointer="/input_schema", code="schema_invalid"
    )


def _child(item: dict[str, Any]) -> SubPlan:
    return SubPlan(
        step=item["step"],
        plan=plan_from_json(item["plan"]),
        input_schema=item["input_schema"],
        output_schema=item["output_schema"],
    )


def _problem(item: dict[str, Any]) -> Problem:
    return Problem(
        code=item["code"],
        pointer=item["pointer"],
        message=item["message"],
        hint=item.get("hint"),
        severity=Severity(item.get("severity", "error")),
        fix=Fix(item.get("fix", "user")),
    )


def _question(item: dict[str, Any]) -> Question:
    return Question(
        id=item["id"],
        text=item["text"],
        pointer=item["pointer"],
        type=item.get("type") or {},
        options=tuple(item.get("options") or ()),
        reason=item.get("reason") or "",
        default=item.get("default"),
    )
