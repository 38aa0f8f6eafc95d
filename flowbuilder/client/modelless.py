"""Steps that need a language model where the settings at hand name none."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from flowbuilder.errors import Fix, Problem, Severity
from flowbuilder.flow import Flow
from flowbuilder.plan import Plan
from flowbuilder.settings import Settings
from flowbuilder.tools import ToolRegistry
from flowbuilder.validation.catalogue import completed


def model_problems(
    flow: Flow, registry: ToolRegistry, settings: Settings, *, only: Collection[str] | None = None
) -> list[Problem]:
    """Return a warning for each step that needs a model, where none is set; `only` of these steps.

    A doubt and no error: a worker elsewhere may have one.
    """
    if settings.model:
        return []
    found = []
    for position, step in enumerate(flow.steps):
        tool = registry.get(step.tool)
        if tool is None or not tool.needs_model or (only is not None and step.id not in only):
            continue
        found.append(
            Problem(
                code="model_missing",
                pointer=f"/steps/{position}/tool",
                message=f"{step.id} ({tool.name}) needs a language model, and none is set here",
                severity=Severity.WARNING,
                fix=Fix.USER,
            )
        )
    return completed(found)


def told_of_models(plan: Plan, registry: ToolRegistry, settings: Settings) -> Plan:
    """Return a plan that says where it, or a part of it, needs a model that is not set here.

    Of a stored flow's edit only what is new or changed counts.
    """
    if settings.model:
        return plan
    children = tuple(
        replace(child, plan=told_of_models(child.plan, registry, settings))
        for child in plan.children
    )
    told = plan if children == plan.children else replace(plan, children=children, certain=False)
    if told.flow is None:
        return told
    difference = plan.diff if plan.changes is not None else None
    only = None if difference is None else difference.touched
    known = {(item.code, item.pointer) for item in told.problems}
    new = [
        item
        for item in model_problems(told.flow, registry, settings, only=only)
        if (item.code, item.pointer) not in known
    ]
    if not new:
        return told
    return replace(
        told, problems=(*told.problems, *new), certain=False, certain_once_answered=False
    )
