"""Narrow a request over a large catalogue to the tools that its goal could need.

All that follows looks at these alone, so that planning costs the same over twenty tools and over
thousands, and the prompt has the same length.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.retrieval import retrieve, retriever_of
from flowbuilder.toolkit import is_starter
from flowbuilder.tools import Tool, ToolRegistry
from flowbuilder.types import JsonObject

#: A catalogue up to this size is shown whole; of a larger one only what fits the goal.
WHOLE_CATALOGUE = 30
SHORTLIST = 24
#: The same for planning by rules, which reads each tool closely and is told of none.
WHOLE_FOR_RULES = 100
SHORTLIST_FOR_RULES = 60
#: Characters of the lines of a shortlist; the least fitting tools go first.
_LONGEST_LIST = 20_000


async def narrowed(
    request: PlanRequest, *, whole: int = WHOLE_CATALOGUE, shown: int = SHORTLIST
) -> PlanRequest:
    """Return the request with the fitting ones of the user's tools, if it has more than `whole`.

    The starter tools stay. An index that has to be built first is built in a thread.
    """
    registry = request.registry
    if len(registry) <= whole:
        return request
    own = {tool.name for tool in registry if not is_starter(tool)}
    if len(own) <= whole:
        return request
    if not (found := retriever_of(registry)).is_current(registry):
        await asyncio.to_thread(found.update, registry)
    fitting = retrieve(
        registry, request.goal, shown, pinned=request.pinned, among=own, co_use=request.co_use
    )
    kept = {tool.name for tool in fitting} or set(sorted(own)[:shown])
    kept.update(request.pinned)
    rest = [tool for tool in registry if tool.name in kept or tool.name not in own]
    return replace(request, registry=ToolRegistry(rest), catalogue=registry)


def take_in(request: PlanRequest, step: JsonObject) -> None:
    """Let a plan have the tool that a step names, if the catalogue has it though it was not shown.

    A model may know it from examples, or from the goal's own words: it is there all the same.
    """
    named = str(step.get("tool"))
    if request.catalogue is None or request.registry.get(named) is not None:
        return
    known = request.catalogue.get(named)
    if known is not None:
        request.registry.add(known)


def fitting_tools(
    request: PlanRequest, tools: Sequence[Tool], line: Callable[[Tool], str]
) -> list[Tool]:
    """Return the tools to show of those given, in their order: all of a few, else what fits best.

    What is shown is as long as its lines.
    """
    if len(tools) <= WHOLE_CATALOGUE:
        return list(tools)
    by_name = {tool.name: tool for tool in tools}
    catalogue, goal, pinned = request.catalogue or request.registry, request.goal, request.pinned
    found = retrieve(
        catalogue, goal, SHORTLIST, pinned=pinned, among=by_name.keys(), co_use=request.co_use
    )
    pins = retriever_of(catalogue).pins(goal, pinned=pinned, among=by_name.keys())
    ranked = [by_name[tool.name] for tool in found] or list(tools[:SHORTLIST])
    kept = _within(ranked, len(pins), line)
    return [tool for tool in tools if tool.name in kept]


def _within(ranked: Iterable[Tool], pins: int, line: Callable[[Tool], str]) -> set[str]:
    """Return the names of the first tools whose lines are short enough together, and the pins."""
    kept, length = set(), 0
    for place, tool in enumerate(ranked):
        size = len(line(tool))
        if place < max(pins, 1) or length + size <= _LONGEST_LIST:
            kept.add(tool.name)
            length += size
    return kept
