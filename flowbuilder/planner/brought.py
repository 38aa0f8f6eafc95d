"""The tools that a user brought, beside the starter tools."""

from __future__ import annotations

from dataclasses import replace

from flowbuilder.planner.base import PlanRequest
from flowbuilder.toolkit import is_starter
from flowbuilder.tools import ToolRegistry


def with_brought_tools(request: PlanRequest) -> PlanRequest | None:
    """Return the request without starter tools; None if there is nothing to choose between.

    Who brings a tool for something wants it used, not the starter tool that does the same.
    """
    own = [tool for tool in request.registry if not is_starter(tool)]
    if not own or len(own) == len(request.registry):
        return None
    return replace(request, registry=ToolRegistry(own))
