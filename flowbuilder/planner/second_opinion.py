"""Hold a model's plan against what the rules read in the goal, where the rules are certain.

The rules understand plainly worded goals alone, but those they hardly ever get wrong; a small model
understands more and now and then adds a step or drops one. Where the rules are certain and the two
disagree about the tools, the model is asked again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from flowbuilder.errors import Fix, PlanningError, Problem, Severity
from flowbuilder.planner.base import PlanRequest
from flowbuilder.settings import Settings
from flowbuilder.tools import Tool
from flowbuilder.types import JsonObject


async def certain_tools(
    request: PlanRequest, tools: Sequence[Tool], settings: Settings
) -> tuple[str, ...]:
    """Return the tools that the goal names in order, nothing where the rules are not certain.

    A question is no order: what it asks for may take more than what it names.
    """
    from flowbuilder.planner.rules import RulePlanner

    if request.goal.rstrip().endswith("?"):
        return ()
    plan = None
    try:
        async for event in RulePlanner(settings).stream(replace(request, id="second-opinion")):
            plan = event.plan or plan
    except PlanningError:
        return ()
    if plan is None or plan.flow is None or plan.questions or not (plan.certain and plan.valid):
        return ()
    found = tuple(step.tool.partition("@")[0] for step in plan.flow.steps)
    shown = {tool.name for tool in tools}
    return found if set(found) <= shown else ()


def disagreement(document: JsonObject, wanted: Sequence[str]) -> list[Problem]:
    """Return a problem if a document's tools are not the wanted ones in the wanted order."""
    steps = document.get("steps")
    found = [step.get("tool") for step in steps if isinstance(step, dict)] if steps else []  # type: ignore[union-attr]
    if not wanted or found == list(wanted):
        return []
    return [
        Problem(
            code="steps_differ",
            pointer="",
            message=f"the goal asks for exactly these steps: {', '.join(wanted)}",
            hint="Write these steps in this order, and no others.",
            severity=Severity.WARNING,
            fix=Fix.MODEL,
        )
    ]
