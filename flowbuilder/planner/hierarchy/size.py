"""Whether a goal is too large for one flow, by what can be counted."""

from __future__ import annotations

import asyncio

from flowbuilder.errors import PlanningError
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.hierarchy.bounds import Bounds
from flowbuilder.planner.retrieval import retriever_of
from flowbuilder.planner.rules.clauses import split_goal
from flowbuilder.planner.shortlist import SHORTLIST, WHOLE_CATALOGUE


async def is_large(request: PlanRequest, bounds: Bounds) -> bool:
    """Whether a goal asks for more than a flow should have, or for more tools than are shown."""
    if not bounds.may_divide:
        return False
    return things_asked(request.goal) > bounds.split or await _needs_many_tools(request)


def things_asked(goal: str) -> int:
    """Return how many things a goal asks for; very many where that cannot be told."""
    try:
        return len(split_goal(goal, frozenset()))
    except PlanningError:
        return len(goal)


async def _needs_many_tools(request: PlanRequest) -> bool:
    """Whether the parts of the goal speak of more tools than a planner is shown of a catalogue."""
    registry = request.registry
    if len(registry) <= WHOLE_CATALOGUE:
        return False
    found = retriever_of(registry)
    if not found.is_current(registry):
        await asyncio.to_thread(found.update, registry)
    return len(found.first_choices(request.goal, pinned=request.pinned)) > SHORTLIST
