"""Tell whether one tool alone takes all that a goal names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from flowbuilder.errors import Severity
from flowbuilder.planner.coercion import takes_text
from flowbuilder.planner.forgetting import wants_gist
from flowbuilder.planner.grounding import COMPOSED
from flowbuilder.planner.literals import Literal, literals, taking
from flowbuilder.planner.rules.literals import Kind, find_literals
from flowbuilder.tools import HARMLESS, Tool

#: Arguments that any text of the goal may stand in.
_HEADED = frozenset({"subject", "title", "headline", "heading"})
#: What is done with a quoted text besides telling or keeping it.
_OTHERWISE = re.compile(
    r"(?i)\b(?:if|when|whenever|once|unless|translat\w+|replac\w+|search\w*|find\w*|look\w* for|"
    r"count\w*|whether|contains|mention\w*|occur\w*|rows?|lines?|entries|read|delet\w+|remov\w+|"
    r"every|each|after|before|result|spoken|speaks?|understand\w*|language|convert\w*)\b"
)
_QUOTED = re.compile(r"\"[^\"]*\"|“[^”]*”")


def sole_taker(goal: str, tools: Sequence[Tool]) -> Tool | None:
    """Return the only tool that a goal of one receiver and quoted texts can mean.

    None where the goal names anything else, or wants more done with the text.
    """
    named = literals(goal)
    quoted = [item for item in named if item.kind == "quoted text"]
    receivers = [item for item in named if item.severity is Severity.ERROR]
    if not quoted or len(receivers) != 1 or len(named) != len(quoted) + 1:
        return None
    bare = _QUOTED.sub(" ", goal)
    languages = [item for item in find_literals(bare) if item.kind is Kind.LANGUAGE]
    if languages or _OTHERWISE.search(bare) or wants_gist(goal):
        return None
    found = [tool for tool in tools if _takes(tool, receivers[0], len(quoted))]
    return found[0] if len(found) == 1 else None


def _takes(tool: Tool, receiver: Literal, texts: int) -> bool:
    shapes: dict[str, Any] = tool.input_schema.get("properties", {})
    required: Iterable[str] = tool.input_schema.get("required", ())
    own = [name for name in taking(receiver, tool) if takes_text(shapes[name])]
    told = [name for name in shapes if name in COMPOSED and takes_text(shapes[name])]
    bodies = [name for name in told if name not in _HEADED]
    needs = set(required) - set(own) - set(told)
    return (
        tool.effects not in HARMLESS
        and bool(own and bodies)
        and not needs
        and len(told) >= texts
        and own[0] in required
    )
