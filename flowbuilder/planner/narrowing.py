"""Plan with the tools that the user brought first, with starter tools where they are needed.

A small model that is shown two tools for one thing takes either.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

from flowbuilder.errors import NoFittingTool, PlanningError
from flowbuilder.plan import Usage
from flowbuilder.planner.base import PlanEvent, PlanRequest
from flowbuilder.planner.brought import with_brought_tools
from flowbuilder.planner.second_opinion import second_opinion
from flowbuilder.settings import Settings

Plan: TypeAlias = Callable[[PlanRequest, Usage], AsyncIterator[PlanEvent]]


async def own_tools_first(
    plan: Plan, request: PlanRequest, settings: Settings
) -> AsyncIterator[PlanEvent]:
    """Plan with the user's tools alone; where no plan comes out, with all tools.

    `plan` plans a request; what was used before counts as its own.
    """
    spent = Usage()
    if (own := await _with_own_tools(request, settings)) is not None:
        try:
            async for event in plan(own, spent):
                yield event
            return
        except PlanningError as error:
            known: dict[str, Any] = error.usage or {}
            spent = Usage(**known)
    async for event in plan(request, spent):
        yield event


async def _with_own_tools(request: PlanRequest, settings: Settings) -> PlanRequest | None:
    """Return the request without starter tools; None if there is nothing to choose, or they serve.

    They do where the rules are certain of it and know nothing to do with the others.
    """
    narrow = with_brought_tools(request)
    if narrow is None:
        return None
    opinion = await second_opinion(request, list(request.registry), settings)
    known = {tool.name for tool in narrow.registry}
    if all(name in known for name in opinion.tools) or await _serve(narrow, settings):
        return narrow
    return None


async def _serve(request: PlanRequest, settings: Settings) -> bool:
    """Whether the rules know what to do with these tools, certain or not."""
    from flowbuilder.planner.rules import RulePlanner

    try:
        async for _ in RulePlanner(settings).stream(request):
            pass
    except NoFittingTool:
        return False
    except PlanningError:
        return True
    return True
