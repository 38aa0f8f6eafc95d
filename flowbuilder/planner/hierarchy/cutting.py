"""Cut a whole flow into a parent and its children: what crosses a cut becomes an interface.

Nothing is planned anew. A value that a child needs from outside is a member of its input, one that
is needed outside is a member of its output, each with the schema that the step's tool declares.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from flowbuilder.errors import Problem
from flowbuilder.flow import Flow, Step
from flowbuilder.graph import dependencies
from flowbuilder.plan import Plan, PlanStatus, Question, SubPlan
from flowbuilder.planner.hierarchy.asking import Lifted, free_name, lifted
from flowbuilder.planner.hierarchy.grouping import Group
from flowbuilder.planner.hierarchy.interface import (
    CHILD_TOOL,
    child_slug,
    interface_schema,
)
from flowbuilder.planner.hierarchy.rewriting import (
    WHOLE_INPUT,
    Renaming,
    reads_of,
    step_reads,
)
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonObject, JsonSchema


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Steps that become a child."""

    name: str
    """The id of the parent's step that calls it."""
    goal: str
    group: Group


@dataclass(kw_only=True)
class Cut:
    """A plan that is being cut."""

    plan: Plan
    flow: Flow
    parts: Sequence[Part]
    registry: ToolRegistry
    owner: dict[str, Part] = field(default_factory=dict)
    """The part that each step goes to; steps that stay in the parent have none."""
    gives: dict[str, list[str]] = field(default_factory=dict)
    """Steps of each part whose outputs are used outside of it, by the part's name."""

    def __post_init__(self) -> None:
        """Find which steps go where, and which of their outputs are used elsewhere."""
        for part in self.parts:
            self.gives[part.name] = []
            for place in part.group:
                self.owner[self.flow.steps[place].id] = part
        reads = [(self.owner.get(step.id), step_reads(step).steps) for step in self.flow.steps]
        wanted = {
            name for part, names in reads for name in names if part is not self.owner.get(name)
        }
        wanted |= reads_of(self.result).steps
        for step in self.flow.steps:
            owner = self.owner.get(step.id)
            if step.id in wanted and owner is not None:
                self.gives[owner.name].append(step.id)

    @property
    def result(self) -> Any:
        """What the run returns; a flow that names nothing returns what nothing depends on."""
        if self.flow.output is not None:
            return self.flow.output
        graph = dependencies(self.flow)
        used = {name for names in graph.values() for name in names}
        last = [step.id for step in self.flow.steps if step.id not in used]
        return {name: f"${{{{ steps.{name} }}}}" for name in last}

    def output_schema(self, step_id: str) -> JsonSchema:
        """Return the schema of what a step gives; of a map, of all its elements."""
        step = self.flow.step(step_id)
        tool = self.registry.get(step.tool) if step is not None else None
        schema: JsonSchema = dict(tool.output_schema) if tool is not None else {}
        if step is None or step.for_each is None:
            return schema
        inside = interface_schema({"items": schema}, ())
        found: JsonSchema = {"type": "array", "items": inside["properties"]["items"]}
        return {**found, "$defs": inside["$defs"]} if "$defs" in inside else found


def cut_flow(plan: Plan, flow: Flow, parts: Sequence[Part], registry: ToolRegistry) -> Plan | None:
    """Return the plan as a parent with a child for each part; None where a question cannot move."""
    cut = Cut(plan=plan, flow=flow, parts=parts, registry=registry)
    children: dict[str, SubPlan] = {}
    calls: dict[str, dict[str, Any]] = {}
    asked: list[Lifted] = []
    members = [*(flow.input.get("properties") or {}), *(step.id for step in flow.steps)]
    for part in parts:
        inside = [flow.steps[place] for place in part.group]
        moved = lifted(part.name, plan.questions, inside, flow, registry, members)
        if moved is None:
            return None
        asked.append(moved)
        child, call = _child(cut, part, moved)
        children[part.name], calls[part.name] = child, call
    return _parent(cut, children, calls, asked)


def _child(cut: Cut, part: Part, moved: Lifted) -> tuple[SubPlan, dict[str, Any]]:
    """Return a child, and the arguments that its parent calls it with."""
    inside = [cut.flow.steps[place] for place in part.group]
    names = {step.id for step in inside}
    found = [step_reads(step) for step in inside]
    outside = sorted({name for reads in found for name in reads.steps} - names, key=_order(cut))
    inputs = sorted({name for reads in found for name in reads.inputs})
    given = _given(cut, outside, inputs, moved)
    renaming = Renaming(
        steps={name: f"input.{given.step_names[name]}" for name in outside},
        inputs={name: f"input.{given.input_names[name]}" for name in inputs},
    )
    steps = [_moved(moved.steps[step.id], renaming, names) for step in inside]
    gives = cut.gives[part.name]
    shapes = {name: cut.output_schema(name) for name in gives}
    document: JsonObject = {
        "flow": cut.flow.flow,
        "description": part.goal[:4000],
        "input": interface_schema(given.schemas, given.schemas.keys()),
        "steps": [step.model_dump(mode="json", exclude_defaults=True) for step in steps],
        "output": {name: f"${{{{ steps.{name} }}}}" for name in gives} or None,
    }
    flow = Flow.model_validate(document)
    flow = flow.model_copy(update={"flow": child_slug(cut.flow.flow, part.name, flow)})
    plan = Plan(
        id=str(uuid.uuid5(uuid.UUID(cut.plan.id), part.name)),
        goal=part.goal,
        planner=cut.plan.planner,
        model=cut.plan.model,
        flow=flow,
        certain=cut.plan.certain,
        problems=tuple(_within(cut.plan.problems, part.group)),
    )
    child = SubPlan(
        step=part.name,
        plan=plan,
        input_schema=flow.input,
        output_schema=interface_schema(shapes, shapes.keys()),
    )
    return child, {"flow": flow.flow, "input": given.arguments}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Given:
    """What a child is given: names, schemas, and where the parent has it from."""

    step_names: Mapping[str, str]
    input_names: Mapping[str, str]
    schemas: Mapping[str, JsonSchema]
    arguments: JsonObject


def _given(cut: Cut, outside: Sequence[str], inputs: Sequence[str], moved: Lifted) -> _Given:
    properties: Mapping[str, Any] = cut.flow.input.get("properties") or {}
    definitions = cut.flow.input.get("$defs")
    taken = {*moved.schemas}
    input_names: dict[str, str] = {}
    for name in inputs:
        input_names[name] = free_name(name or "whole_input", taken)
        taken.add(input_names[name])
    schemas: dict[str, JsonSchema] = {}
    arguments: JsonObject = {}
    for name, inner in input_names.items():
        shape = dict(properties.get(name) or {}) if name else dict(cut.flow.input)
        schemas[inner] = {**shape, "$defs": definitions} if definitions else shape
        path = f"input.{name}" if name != WHOLE_INPUT else "input"
        arguments[inner] = f"${{{{ {path} }}}}"
    step_names: dict[str, str] = {}
    for name in outside:
        step_names[name] = free_name(name, taken)
        taken.add(step_names[name])
        schemas[step_names[name]] = cut.output_schema(name)
        arguments[step_names[name]] = f"${{{{ {_from_parent(cut, name)} }}}}"
    for name, shape in moved.schemas.items():
        schemas[name] = shape  # the answer becomes an argument of the call
    return _Given(
        step_names=step_names, input_names=input_names, schemas=schemas, arguments=arguments
    )


def _parent(
    cut: Cut,
    children: Mapping[str, SubPlan],
    calls: Mapping[str, dict[str, Any]],
    asked: Sequence[Lifted],
) -> Plan:
    renaming = Renaming(steps={name: _from_parent(cut, name) for name in cut.owner})
    graph = dependencies(cut.flow)
    steps: list[dict[str, Any]] = []
    places: dict[str, int] = {}
    for step in cut.flow.steps:
        part = cut.owner.get(step.id)
        if part is None:
            inline = _moved(step, renaming, {item.id for item in cut.flow.steps} - cut.owner.keys())
            written = inline.model_dump(mode="json", exclude_defaults=True)
            written = {"id": inline.id, "tool": inline.tool, **written}
            order = {cut.owner[name].name for name in graph[step.id] if name in cut.owner}
            places[step.id] = len(steps)
        elif part.name not in places:
            written = {"id": part.name, "tool": CHILD_TOOL, "description": part.goal[:300],
                       "args": calls[part.name]}  # fmt: skip
            within = {cut.flow.steps[place].id for place in part.group}
            needed = {name for item in within for name in graph[item]} - within
            order = {cut.owner[name].name if name in cut.owner else name for name in needed}
            places[part.name] = len(steps)
        else:
            continue
        order -= reads_of([written.get("args"), written.get("for_each")]).steps
        if waits := sorted({*written.get("depends_on", ()), *order}):
            written["depends_on"] = waits
        steps.append(written)
    document = {**cut.flow.document(), "steps": steps, "output": renaming.value(cut.result)}
    flow = Flow.model_validate(document)
    questions = _asked(cut, places, asked)
    return replace(
        cut.plan,
        flow=flow,
        problems=tuple(_outside(cut, places)),
        questions=questions,
        status=PlanStatus.NEEDS_ANSWERS if questions else cut.plan.status,
        children=tuple(children.values()),
    )


def _asked(cut: Cut, places: Mapping[str, int], asked: Sequence[Lifted]) -> tuple[Question, ...]:
    """Return the plan's questions in their order, each where its answer goes now."""
    moved = {
        old: replace(question, pointer=f"/steps/{places[item.part]}/args/input/{name}")
        for item in asked
        for old, name, question in item.questions
    }
    found = []
    for question in cut.plan.questions:
        place = _place(question.pointer)
        step = cut.flow.steps[place] if place is not None else None
        if question.id in moved:
            found.append(moved[question.id])
        elif step is not None and step.id in places:
            rest = question.pointer.split("/", 3)[3:]
            pointer = "/".join(("", "steps", str(places[step.id]), *rest))
            found.append(replace(question, pointer=pointer))
        else:
            found.append(question)
    return tuple(found)


def _outside(cut: Cut, places: Mapping[str, int]) -> list[Problem]:
    """Return the problems that are not of a child, where they stand now."""
    found = []
    for problem in cut.plan.problems:
        place = _place(problem.pointer)
        step = cut.flow.steps[place] if place is not None else None
        if step is not None and step.id in cut.owner:
            continue
        if step is not None and step.id in places:
            rest = problem.pointer.split("/", 3)[3:]
            pointer = "/".join(("", "steps", str(places[step.id]), *rest))
            problem = replace(problem, pointer=pointer)
        found.append(problem)
    return found


def _within(problems: Sequence[Problem], group: Group) -> list[Problem]:
    """Return the problems of a group's steps, pointing into its own document."""
    found = []
    for problem in problems:
        place = _place(problem.pointer)
        if place is not None and place in group:
            rest = problem.pointer.split("/", 3)[3:]
            pointer = "/".join(("", "steps", str(place - group.start), *rest))
            found.append(replace(problem, pointer=pointer))
    return found


def _moved(step: Step, renaming: Renaming, siblings: set[str]) -> Step:
    """Return a step with its references led elsewhere; it waits only for its siblings."""
    changes: dict[str, Any] = {
        "args": renaming.value(dict(step.args)),
        "for_each": renaming.value(step.for_each),
        "depends_on": [name for name in step.depends_on if name in siblings],
    }
    if step.when is not None:
        changes["when"] = renaming.condition(step.when)
    if step.limit is not None:
        changes["limit"] = step.limit.model_copy(update={"key": renaming.value(step.limit.key)})
    return step.model_copy(update=changes)


def _from_parent(cut: Cut, name: str) -> str:
    part = cut.owner.get(name)
    return f"steps.{part.name}.{name}" if part is not None else f"steps.{name}"


def _place(pointer: str) -> int | None:
    parts = pointer.split("/")
    return int(parts[2]) if pointer.startswith("/steps/") and parts[2].isdigit() else None


def _order(cut: Cut) -> Any:
    places = {step.id: place for place, step in enumerate(cut.flow.steps)}
    return lambda name: places.get(name, len(places))
