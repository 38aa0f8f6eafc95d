"""Make one plan of the parts of a goal and of what was planned for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flowbuilder.errors import PlanningError, Problem, Severity
from flowbuilder.flow import Flow
from flowbuilder.plan import Plan, PlanStatus, Question, SubPlan, Usage
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.hierarchy.asking import lifted
from flowbuilder.planner.hierarchy.decomposition import Subgoal, Take
from flowbuilder.planner.hierarchy.interface import CHILD_TOOL, child_slug, interface_schema
from flowbuilder.planner.hierarchy.judging import child_problems, is_tainted, parent_problems
from flowbuilder.planner.hierarchy.taint import distrusted
from flowbuilder.planner.inputs import input_schema_of
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonObject, JsonSchema


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """A part of a goal, the plan that was made for it, and what it gives."""

    part: Subgoal
    plan: Plan
    gives: Mapping[str, str]
    """References into the plan's flow, by the name of the value. What a part should give and
    does not is missing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Assembly:
    """Everything that is known of a divided goal."""

    request: PlanRequest
    planned: Sequence[Planned]
    planner: str
    model: str | None
    usage: Usage
    slug: str


def taken_schema(part: Subgoal, parts: Sequence[Subgoal], request: PlanRequest) -> JsonSchema:
    """Return the input schema that a parent declares for a part: what its sources give."""
    shapes = _shapes(part, parts, request)
    return interface_schema(shapes, shapes.keys())


def _shapes(part: Subgoal, parts: Sequence[Subgoal], request: PlanRequest) -> dict[str, JsonSchema]:
    return {take.name: _shape(take, parts, request) for take in part.takes}


def _shape(take: Take, parts: Sequence[Subgoal], request: PlanRequest) -> JsonSchema:
    if take.question is not None:
        return {}
    if take.part is None:
        inputs = input_schema_of(request) or {}
        shape = dict((inputs.get("properties") or {}).get(take.member) or {})
        return {**shape, "$defs": inputs["$defs"]} if "$defs" in inputs else shape
    source = next(part for part in parts if part.id == take.part)
    return next(give.schema for give in source.gives if give.name == take.member)


def assembled(made: Assembly) -> Plan:
    """Return the plan: a parent whose steps call the parts.

    Raises:
        PlanningError: A part does not go with its interface (subgoal_mismatch).
    """
    registry = made.request.registry
    children: list[SubPlan] = []
    steps: list[dict[str, Any]] = []
    questions: list[Question] = []
    notes: list[str] = []
    tainted: set[str] = set()
    for place, item in enumerate(made.planned):
        dirty = {take.name for take in item.part.takes if take.part in tainted}
        child, asked, told = _child(item, dirty, made)
        notes += told
        if dirty or is_tainted(child.plan, registry):
            tainted.add(item.part.id)
        children.append(child)
        steps.append(_call(item.part, child, made))
        questions += [*_missing(item.part, place, made), *_moved(asked, place)]
    flow = Flow.model_validate(_document(made, steps))
    plan = Plan(
        id=made.request.id,
        goal=made.request.goal,
        planner=made.planner,
        model=made.model,
        flow=flow,
        input=made.request.input,
        certain=all(item.plan.certain for item in made.planned) and not questions,
        notes=tuple(dict.fromkeys([_about(children), *notes])),
        questions=tuple(questions),
        usage=made.usage,
        status=PlanStatus.NEEDS_ANSWERS if questions else PlanStatus.READY,
        children=tuple(children),
    )
    _check(plan, registry)
    return plan


def _about(children: Sequence[SubPlan]) -> str:
    return f"The goal is planned in {len(children)} parts, flows of their own that one flow calls."


def _child(
    item: Planned, dirty: set[str], made: Assembly
) -> tuple[SubPlan, list[tuple[str, str, Question]], list[str]]:
    """Return a part as a child, the questions of it that its parent asks, and notes."""
    registry, flow = made.request.registry, item.plan.flow
    assert flow is not None
    shapes = _shapes(item.part, [other.part for other in made.planned], made.request)
    asked = item.plan.questions
    moved = lifted(item.part.id, asked, flow.steps, flow, registry, shapes)
    if moved is None:
        raise PlanningError(
            f"the part {item.part.id} asks for something that cannot be handed to it",
            problems=item.plan.problems,
            code="subgoal_mismatch",
        )
    shapes.update(moved.schemas)
    inputs = interface_schema(shapes, shapes.keys())
    given = {give.name: give.schema for give in item.part.gives if give.name in item.gives}
    changes: dict[str, Any] = {
        "steps": [moved.steps[step.id] for step in flow.steps],
        "input": inputs,
        "output": {name: item.gives[name] for name in given} or None,
    }
    bare = replace(
        item.plan,
        flow=flow.model_copy(update=changes),
        questions=(),
        status=PlanStatus.READY,
        input=None,
    )
    plan, told = distrusted(bare, dirty, registry)
    assert plan.flow is not None
    slug = child_slug(made.slug, item.part.id, plan.flow)
    plan = replace(plan, flow=plan.flow.model_copy(update={"flow": slug}))
    child = SubPlan(
        step=item.part.id,
        plan=plan,
        input_schema=inputs,
        output_schema=interface_schema(given, given.keys()),
    )
    notes = [f"{item.part.id}: {note}" for note in (*item.plan.notes, *told)]
    return child, [*moved.questions], notes


def _call(part: Subgoal, child: SubPlan, made: Assembly) -> dict[str, Any]:
    assert child.plan.flow is not None
    given: JsonObject = {}
    for take in part.takes:
        source = f"steps.{take.part}" if take.part is not None else "input"
        if take.question is None and not _is_missing(take, made):
            given[take.name] = f"${{{{ {source}.{take.member} }}}}"
    step: dict[str, Any] = {
        "id": part.id,
        "tool": CHILD_TOOL,
        "description": part.goal[:300],
        "args": {"flow": child.plan.flow.flow, "input": given},
    }
    used = {take.part for take in part.takes if not _is_missing(take, made)}
    if order := sorted(part.needs - used):
        step["depends_on"] = order
    return step


def _is_missing(take: Take, made: Assembly) -> bool:
    """Whether the part that should give a value does not."""
    source = next((item for item in made.planned if item.part.id == take.part), None)
    return source is not None and take.member not in source.gives


def _missing(part: Subgoal, place: int, made: Assembly) -> list[Question]:
    """Return the questions for what a part takes and nobody gives."""
    found = []
    for take in part.takes:
        text = take.question
        if text is None and _is_missing(take, made):
            text = f"What is {take.name.replace('_', ' ')}? The part {take.part} does not find it."
        if text is not None:
            pointer = f"/steps/{place}/args/input/{take.name}"
            found.append(Question(id=f"{part.id}.{take.name}", text=text, pointer=pointer))
    return found


def _moved(asked: Sequence[tuple[str, str, Question]], place: int) -> list[Question]:
    call = f"/steps/{place}/args/input"
    return [replace(question, pointer=f"{call}/{name}") for _, name, question in asked]


def _document(made: Assembly, steps: list[dict[str, Any]]) -> dict[str, Any]:
    document: dict[str, Any] = {
        "flow": made.slug,
        "description": made.request.goal[:4000],
        "steps": steps,
    }
    if (inputs := input_schema_of(made.request)) is not None:
        document["input"] = inputs
    return document


def _check(plan: Plan, registry: ToolRegistry) -> None:
    """Refuse a plan whose parts do not fit together. Raises: PlanningError (subgoal_mismatch)."""
    wrong: list[Problem] = parent_problems(plan, registry)
    for number, child in enumerate(plan.children):
        where = f"/children/{number}/plan/flow"
        wrong += [
            replace(item, pointer=f"{where}{item.pointer}")
            for item in child_problems(child, registry)
        ]
    errors = [item for item in wrong if item.severity is Severity.ERROR]
    if errors:
        raise PlanningError(
            f"the parts of the plan do not fit together: {errors[0].message}",
            problems=errors,
            code="subgoal_mismatch",
            hint="Word the goal in smaller steps, or use a more capable model.",
        )
