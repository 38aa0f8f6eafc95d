"""What runs may cost: the budget of a start, planning that counts too, estimates beforehand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from flowbuilder.budget import Budget, Spending
from flowbuilder.client.session import Session
from flowbuilder.costs import Estimate
from flowbuilder.errors import Conflict
from flowbuilder.flow import Flow, Step
from flowbuilder.plan import Plan, Usage
from flowbuilder.planner.base import PlanEvent
from flowbuilder.settings import Settings
from flowbuilder.types import JsonValue

if TYPE_CHECKING:
    from flowbuilder.estimate import Part

#: A budget as callers give it.
Bounds: TypeAlias = Budget | Mapping[str, Any] | str | None


def budget_of(given: Bounds, settings: Settings) -> Budget | None:
    """Return the budget of a run: what was given, and from the settings what was not.

    Raises:
        InvalidValue: `budget_invalid`.
    """
    own, usual = Budget.read(given), Budget.read(settings.run_budget)
    return usual if own is None else own.or_else(usual)


def spent_on(usage: Usage, more: Spending | None = None) -> Spending | None:
    """Return what planning has spent, and `more`; None when that is nothing."""
    spent = more or Spending()
    if usage.calls:
        tokens = usage.prompt_tokens + usage.completion_tokens
        spent += Spending.of(tokens, usage.cost_usd or None)  # no tokens are free: not known
    return spent or None


def check_planning(budget: Budget | None, spent: Spending | None) -> None:
    """Refuse to start what is over its budget by its planning alone.

    Raises:
        Conflict: `budget_exceeded`.
    """
    if budget is None or spent is None:
        return
    for name, used, most in (
        ("tokens", spent.tokens, budget.tokens),
        ("usd", spent.usd, budget.usd),
    ):
        if most is not None and used > most:
            raise Conflict(
                f"over budget: planning has used {used:g} {name} of at most {most:g}",
                code="budget_exceeded",
                hint="Start it with a larger budget.",
                details={"budget": name, "spent": used, "limit": most},
            )


async def estimate(
    session: Session,
    flow: Flow,
    input: JsonValue = None,
    *,
    parts: Mapping[str, Part] | None = None,
) -> Estimate:
    """Return the estimate of a run of a flow, by what its tools took in this workspace."""
    from flowbuilder.estimate import estimate_flow

    registry = session.registry
    tools = {step.tool: registry.get(step.tool) for step in _steps(flow, parts or {})}
    refs = {name if tool is None else tool.ref for name, tool in tools.items()}
    prices = None
    if any(tool is not None and tool.needs_model for tool in tools.values()):
        from flowbuilder.models.prices import price_of

        prices = await price_of(session.settings)
    return await asyncio.to_thread(  # a long flow takes a while
        estimate_flow,
        flow,
        registry,
        input=input,
        history=await session.store.tool_history(sorted(refs)),
        prices=prices,
        slots=session.settings.concurrency,
        parts=parts,
    )


def _steps(flow: Flow, parts: Mapping[str, Part]) -> Iterator[Step]:
    yield from flow.steps
    for part in parts.values():
        yield from _steps(part.flow, part.parts)


def _parts(plan: Plan) -> dict[str, Part]:
    from flowbuilder.estimate import Part

    return {
        child.step: Part(flow=child.plan.flow, parts=_parts(child.plan))
        for child in plan.children
        if child.plan.flow is not None
    }


async def with_estimate(session: Session, event: PlanEvent) -> PlanEvent:
    """Return an event with the estimate of its plan, if it carries one with a flow."""
    plan = event.plan
    if plan is None or plan.flow is None or plan.estimate is not None:
        return event
    found = await estimate(session, plan.flow, plan.input, parts=_parts(plan))
    made: Plan = replace(plan, estimate=found)
    data = {**event.data, "plan": made.as_json()} if "plan" in event.data else event.data
    return replace(event, plan=made, data=data)
