"""Judge a plan of several flows: each child alone and by its interface, and the parent's edges."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from flowbuilder.errors import Problem, Severity
from flowbuilder.flow import Flow
from flowbuilder.plan import Plan, SubPlan
from flowbuilder.planner.hierarchy.interface import CHILD_TOOL, interface_tool, tool_name
from flowbuilder.tools import Tool, ToolRegistry
from flowbuilder.validation import validate
from flowbuilder.validation.catalogue import without_advice

#: The step that stands for what a child gives back, while it is judged.
_RESULT = "result_of_part"


def is_sound(plan: Plan, registry: ToolRegistry) -> bool:
    """Whether no flow of a plan has an error, and no edge between them."""
    return not any(item.severity is Severity.ERROR for item in found_problems(plan, registry))


def found_problems(plan: Plan, registry: ToolRegistry) -> list[Problem]:
    """Return the problems of a plan's flows and edges; those of a child point behind `children`."""
    found = parent_problems(plan, registry)
    for number, child in enumerate(plan.children):
        where = f"/children/{number}/plan/flow"
        problems = [*child_problems(child, registry), *found_problems_below(child, registry)]
        found += [replace(item, pointer=f"{where}{item.pointer}") for item in problems]
    return found


def found_problems_below(child: SubPlan, registry: ToolRegistry) -> list[Problem]:
    """Return the problems of a child's own children; none for a child that has none."""
    return found_problems(child.plan, registry) if child.plan.children else []


def child_problems(child: SubPlan, registry: ToolRegistry) -> list[Problem]:
    """Return what is wrong with a child alone, and with what it gives back."""
    flow = child.plan.flow
    if flow is None:
        return [Problem(code="no_steps", pointer="", message="the part has no flow")]
    document = as_interfaces(flow, child.plan.children)
    known = registry.merged(tools_of(child.plan.children, registry))
    wanted = child.output_schema
    result = flow.output if isinstance(flow.output, dict) else {}
    if wanted.get("properties"):
        checker = interface_tool(_RESULT, "Take the result.", wanted, {}, untrusted=False)
        step = {"id": _RESULT, "tool": checker.name, "args": result}
        document = {**document, "steps": [*document["steps"], step]}
        known = known.merged([checker])
    last = f"/steps/{len(flow.steps)}/args"
    return [
        replace(item, pointer=item.pointer.replace(last, "/output", 1))
        for item in without_advice(validate(document, known).problems)
    ]


def parent_problems(plan: Plan, registry: ToolRegistry) -> list[Problem]:
    """Return what is wrong with a parent whose calls are judged by the interfaces of its children.

    What is still to be asked is no problem.
    """
    assert plan.flow is not None
    known = registry.merged(tools_of(plan.children, registry))
    asked = {question.pointer for question in plan.questions}
    calls = {child.step for child in plan.children}
    inner = {
        f"/steps/{place}/args": f"/steps/{place}/args/input"
        for place, step in enumerate(plan.flow.steps)
        if step.id in calls
    }
    problems = without_advice(validate(as_interfaces(plan.flow, plan.children), known).problems)
    moved = [replace(item, pointer=_inside(item.pointer, inner)) for item in problems]
    return [item for item in moved if not _is_asked(item, asked)]


def _is_asked(problem: Problem, asked: Collection[str]) -> bool:
    """Whether a problem is only that an argument is missing which is being asked for."""
    if problem.code != "missing_argument":
        return False
    places = (pointer.rpartition("/") for pointer in asked)
    names = [name for above, _, name in places if above == problem.pointer]
    return any(problem.message.endswith(repr(name)) for name in names)


def judged_as(plan: Plan, registry: ToolRegistry) -> tuple[Flow, ToolRegistry]:
    """Return a plan's flow with calls of its parts as tools, and the registry that has these."""
    assert plan.flow is not None
    if not plan.children:
        return plan.flow, registry
    flow = Flow.model_validate(as_interfaces(plan.flow, plan.children))
    return flow, registry.merged(tools_of(plan.children, registry))


def as_interfaces(flow: Flow, children: tuple[SubPlan, ...]) -> dict[str, Any]:
    """Return a flow's document in which calls of children are steps of the tools they stand for."""
    document: dict[str, Any] = dict(flow.document())
    calls = {child.step for child in children}
    document["steps"] = [
        {**step, "tool": tool_name(str(step["id"])), "args": step["args"]["input"]}
        if step["id"] in calls and step["tool"] == CHILD_TOOL
        else step
        for step in document["steps"]
    ]
    return document


def tools_of(children: tuple[SubPlan, ...], registry: ToolRegistry) -> list[Tool]:
    """Return the tools that stand for children."""
    return [
        interface_tool(
            child.step,
            child.plan.goal or child.step,
            child.input_schema,
            child.output_schema,
            untrusted=is_tainted(child.plan, registry),
        )
        for child in children
    ]


def is_tainted(plan: Plan, registry: ToolRegistry) -> bool:
    """Whether somebody outside may have had a part in what a flow gives back."""
    own = {child.step for child in plan.children}
    steps = plan.flow.steps if plan.flow is not None else []
    return any(is_tainted(child.plan, registry) for child in plan.children) or any(
        _is_source(registry.get(step.tool)) for step in steps if step.id not in own
    )


def _is_source(tool: Tool | None) -> bool:
    return tool is None or tool.untrusted_output


def _inside(pointer: str, inner: Mapping[str, str]) -> str:
    head = "/".join(pointer.split("/", 4)[:4])
    return inner[head] + pointer[len(head) :] if head in inner else pointer
