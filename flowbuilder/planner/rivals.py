"""Leave out the starter tools that do what a tool of the user does.

A small model that is shown two tools for one thing takes either, or one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from flowbuilder.planner.argument_names import FILES
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.coercion import kinds_of
from flowbuilder.planner.relevance import mean_the_same
from flowbuilder.toolkit import is_starter
from flowbuilder.tools import Tool


def without_rivals(request: PlanRequest) -> PlanRequest:
    """Return the request without those starter tools that do what one of the user's tools does.

    Such do what the verbs of both mean alike to the same kind of thing: fetch a URL, filter rows.
    """
    own = [tool for tool in request.registry if not is_starter(tool)]
    rivals = {
        tool.name
        for tool, others in mean_the_same(list(request.registry), own)
        if is_starter(tool) and any(_kinds(tool) & _kinds(other) for other in others)
    }
    return replace(request, registry=request.registry.without(lambda tool: tool.name in rivals))


def _kinds(tool: Tool) -> set[str]:
    """Return what kinds of things a tool needs: a file, rows, or whatever the name says."""
    shapes: dict[str, Any] = tool.input_schema.get("properties", {})
    needed: Sequence[str] = tool.input_schema.get("required", ())
    return {
        "file" if name in FILES else "rows" if kinds_of(shapes[name]) == {"array"} else name
        for name in needed
    }
