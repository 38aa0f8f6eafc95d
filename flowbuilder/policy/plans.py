"""What policy means for a plan: one answer for those who make it, change it and show it."""

from __future__ import annotations

from flowbuilder.flow import Flow
from flowbuilder.plan import Plan
from flowbuilder.policy.applying import apply_policy
from flowbuilder.policy.deciding import Policies
from flowbuilder.tools import ToolRegistry


def asking_flow(
    plan: Plan, flow: Flow, registry: ToolRegistry, policies: Policies
) -> tuple[Flow, tuple[str, ...]]:
    """Return a plan's flow with the approvals that its runs will wait for, and why.

    Steps that call a part of the plan ask nobody: inside of the part people are asked what they
    must. Runs of a stored flow that a plan changes are no runs of a plan.

    Args:
        plan: Whose flow it is.
        flow: That flow, or one with the same steps.
        registry: The tools.
        policies: What holds; all of them.
    """
    asked, notes = apply_policy(flow, registry, policies, planned=plan.changes is None)
    parts = {child.step for child in plan.children}
    if not parts or not notes:
        return asked, notes
    steps = [
        given if given.id in parts else asking
        for given, asking in zip(flow.steps, asked.steps, strict=True)
    ]
    told = [note for note in notes if not any(f" {name} " in note for name in parts)]
    return asked.model_copy(update={"steps": steps}), tuple(told)
