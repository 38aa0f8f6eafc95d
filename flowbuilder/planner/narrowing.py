"""Plan with the tools that the user brought first, with starter tools where they are needed.

A small model that is shown two tools for one thing takes either.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from flowbuilder.errors import (
    Fix,
    FlowBuilderError,
    ModelError,
    ModelOutputError,
    PlanningError,
    Problem,
    Severity,
)
from flowbuilder.plan import Plan, Usage
from flowbuilder.planner.base import PlanEvent, PlanRequest
from flowbuilder.planner.brought import with_brought_tools
from flowbuilder.planner.relevance import Relevance
from flowbuilder.planner.rivals import without_rivals
from flowbuilder.planner.second_opinion import second_opinion
from flowbuilder.planner.telling import completed, sentence
from flowbuilder.settings import Settings
from flowbuilder.toolkit import is_starter
from flowbuilder.tools import Tool

Planning: TypeAlias = Callable[[PlanRequest, Usage], AsyncIterator[PlanEvent]]


async def own_tools_first(
    planning: Planning, request: PlanRequest, settings: Settings
) -> AsyncIterator[PlanEvent]:
    """Plan with the user's tools alone; where that plan is in doubt, with starter tools besides.

    Of two plans in doubt the one with the user's tools alone stays. `planning` plans a request;
    what was used before counts as its own.
    """
    spent, doubted = Usage(), None
    if (own := await _with_own_tools(request, settings)) is not None:
        try:
            async for event in planning(own, spent):
                if event.plan is None or _is_beyond_doubt(event.plan):
                    yield event
                else:
                    doubted, spent = event.plan, event.plan.usage
            if doubted is None:
                return
        except (PlanningError, ModelOutputError) as error:
            spent = _used(error)
    request = without_rivals(request)
    try:
        async for event in planning(request, spent):
            yield _chosen(event, doubted, request) if own else event
    except (PlanningError, ModelError) as error:
        if doubted is None:
            raise
        yield _completed(doubted, _used(error, spent))


def _is_beyond_doubt(plan: Plan) -> bool:
    return plan.certain and not plan.questions


def _chosen(event: PlanEvent, doubted: Plan | None, request: PlanRequest) -> PlanEvent:
    """Return the event of the better plan of two: one with starter tools must be beyond doubt."""
    plan = event.plan
    if plan is None:
        return event
    unspoken = _unspoken(plan, request)
    if doubted is None:
        return completed(_with_doubts(plan, unspoken)) if unspoken else event
    better = _is_beyond_doubt(plan) and not unspoken
    return event if better else _completed(doubted, plan.usage)


def _unspoken(plan: Plan, request: PlanRequest) -> list[Tool]:
    """Return the starter tools of a plan that do what no word of the goal says."""
    steps = plan.flow.steps if plan.flow else ()
    tools = [request.registry.get(step.tool) for step in steps]
    relevance = Relevance(request.goal, list(request.registry))
    starters = [tool for tool in tools if tool and is_starter(tool)]
    return [tool for tool in starters if not relevance.orders(tool, plainly=True)]


def _with_doubts(plan: Plan, unspoken: Sequence[Tool]) -> Plan:
    """Return a plan with a warning for each tool that nobody asked for."""
    doubts = tuple(
        Problem(
            code="tool_unspoken",
            pointer="",
            message=f"no word of the goal asks for {name}",
            severity=Severity.WARNING,
            fix=Fix.USER,
        )
        for name in dict.fromkeys(tool.name for tool in unspoken)
    )
    notes = tuple(sentence(item) for item in doubts)
    return replace(
        plan,
        certain=False,
        problems=plan.problems + doubts,
        notes=plan.notes + notes,
    )


def _completed(plan: Plan, usage: Usage) -> PlanEvent:
    return completed(replace(plan, usage=usage))


def _used(error: FlowBuilderError, otherwise: Usage | None = None) -> Usage:
    known: dict[str, Any] | None = getattr(error, "usage", None)
    return Usage(**known) if known else otherwise or Usage()


async def _with_own_tools(request: PlanRequest, settings: Settings) -> PlanRequest | None:
    """Return the request without starter tools; None if there is nothing to choose, or they serve.

    They do where the rules are certain of it.
    """
    narrow = with_brought_tools(request)
    if narrow is None:
        return None
    opinion = await second_opinion(request, list(request.registry), settings)
    known = {tool.name for tool in narrow.registry}
    return narrow if all(name in known for name in opinion.tools) else None
