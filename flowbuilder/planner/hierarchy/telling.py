"""The events that tell of the steps of a parent flow."""

from __future__ import annotations

from collections.abc import Iterator

from flowbuilder.plan import Plan
from flowbuilder.planner.base import PlanEvent, PlanEventType
from flowbuilder.types import JsonObject


def step_events(plan: Plan) -> Iterator[PlanEvent]:
    """Yield an event for each step of a plan's own flow."""
    steps = plan.flow.document()["steps"] if plan.flow is not None else []
    for position, step in enumerate(steps if isinstance(steps, list) else []):
        data: JsonObject = {"step": step, "position": position, "problems": []}
        yield PlanEvent(type=PlanEventType.STEP_ADDED, data=data)
