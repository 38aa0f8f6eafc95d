"""What is noted of planning: how it ended, how many calls of a model it took, and its span."""

from __future__ import annotations

from collections.abc import AsyncIterator

from flowbuilder.errors import FlowBuilderError
from flowbuilder.metrics import PLANNER_ATTEMPTS, PLANNER_REQUESTS
from flowbuilder.planner.base import PlanEvent, Planner, PlanRequest
from flowbuilder.telemetry import conventions, tracing


async def watched(planner: Planner, request: PlanRequest) -> AsyncIterator[PlanEvent]:
    """Yield what a planner yields; its calls of models belong to one span.

    Raises:
        What the planner raises.
    """
    name = str(getattr(planner, "name", "own"))
    attributes: conventions.Attributes = {
        conventions.PLAN_ID: request.id,
        conventions.PLANNER: name,
    }
    span = tracing.start("plan", attributes=attributes)
    span.content(conventions.GOAL, request.goal)
    outcome = "abandoned"
    try:
        async for event in tracing.within(span, planner.stream(request)):
            if event.plan is not None:
                outcome = event.plan.status.value
                PLANNER_ATTEMPTS.observe(event.plan.usage.calls)
            yield event
    except FlowBuilderError as error:
        outcome = "failed"
        span.fail(error.code)
        raise
    except Exception as error:
        outcome = "failed"
        span.fail(type(error).__name__)
        raise
    finally:
        PLANNER_REQUESTS.add(1, outcome)
        span.note({conventions.OUTCOME: outcome})
        span.end()
