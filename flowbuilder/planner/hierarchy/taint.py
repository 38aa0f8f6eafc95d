"""Approvals in a child for data from outside that its parent hands to it.

Policy sees a flow alone, for which its input is the user's own. What a part gets from another part
may come from a web page, so policy looks at the child once more with these members of the input as
outputs of a step that nobody trusts.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from flowbuilder.flow import Flow, Step
from flowbuilder.plan import Plan, SubPlan
from flowbuilder.planner.hierarchy.interface import child_slug
from flowbuilder.planner.hierarchy.rewriting import WHOLE_INPUT, Renaming
from flowbuilder.policy import apply_policy
from flowbuilder.tools import ToolRegistry

#: A tool that no registry has: what it gives is trusted by nobody.
_OUTSIDE = "subgoal.outside"
_STEP = "handed_over"


def with_distrust(
    flow: Flow, members: Collection[str], registry: ToolRegistry
) -> tuple[Flow, tuple[str, ...]]:
    """Return a flow with the approvals that untrusted members of its input ask for, and notes."""
    if not members:
        return flow, ()
    paths = {name: f"steps.{_STEP}.{name}" for name in members}
    renaming = Renaming(inputs={**paths, WHOLE_INPUT: f"steps.{_STEP}"})
    shown = [_shadow(step, renaming) for step in flow.steps]
    outside = Step(id=_STEP, tool=_OUTSIDE)
    judged, notes = apply_policy(flow.model_copy(update={"steps": [outside, *shown]}), registry)
    kept = [
        step.model_copy(update={"approval": seen.approval, "compensate": _asking(step, seen)})
        for step, seen in zip(flow.steps, judged.steps[1:], strict=True)
    ]
    return flow.model_copy(update={"steps": kept}), notes


def distrusted(
    plan: Plan, members: Collection[str], registry: ToolRegistry
) -> tuple[Plan, tuple[str, ...]]:
    """Return a plan that asks about what untrusted members of its input reach, and notes.

    A plan that has parts of its own hands them on: then nothing that these take is trusted.
    """
    assert plan.flow is not None
    if not members:
        return plan, ()
    if not plan.children:
        flow, notes = with_distrust(plan.flow, members, registry)
        return replace(plan, flow=flow), notes
    children: list[SubPlan] = []
    slugs: dict[str, str] = {}
    told: list[str] = []
    for child in plan.children:
        inner, said = distrusted(child.plan, [*child.input_schema["properties"]], registry)
        assert inner.flow is not None
        slug = child_slug(plan.flow.flow, child.step, inner.flow)
        slugs[child.step] = slug
        children.append(
            replace(child, plan=replace(inner, flow=inner.flow.model_copy(update={"flow": slug})))
        )
        told += said
    steps = [
        step.model_copy(update={"args": {**step.args, "flow": slugs[step.id]}})
        if step.id in slugs
        else step
        for step in plan.flow.steps
    ]
    flow = plan.flow.model_copy(update={"steps": steps})
    return replace(plan, flow=flow, children=tuple(children)), tuple(told)


def _shadow(step: Step, renaming: Renaming) -> Step:
    changes = {
        "args": renaming.value(dict(step.args)),
        "for_each": renaming.value(step.for_each),
        "when": None if step.when is None else renaming.condition(step.when),
    }
    return step.model_copy(update=changes)


def _asking(step: Step, seen: Step) -> object:
    if step.compensate is None or seen.compensate is None:
        return step.compensate
    return step.compensate.model_copy(update={"approval": seen.compensate.approval})
