"""Hold a model's plan against what the rules read in the goal, where the rules are certain.

The rules understand plainly worded goals alone, but those they hardly ever get wrong; a small model
understands more and now and then adds a step or drops one. Where the rules are certain and the two
disagree about the tools, the model is asked again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flowbuilder.errors import Fix, PlanningError, Problem, Severity
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.document import MENTION, with_texts
from flowbuilder.planner.hierarchy import in_one_flow
from flowbuilder.settings import Settings
from flowbuilder.tools import Tool
from flowbuilder.types import JsonObject, JsonValue


@dataclass(frozen=True, kw_only=True, slots=True)
class Opinion:
    """The steps that the rules are certain of; none where they are not certain."""

    steps: tuple[JsonObject, ...] = ()

    @property
    def tools(self) -> tuple[str, ...]:
        """The tools in order."""
        return tuple(str(step["tool"]).partition("@")[0] for step in self.steps)


async def second_opinion(
    request: PlanRequest, tools: Sequence[Tool], settings: Settings
) -> Opinion:
    """Return the steps that the goal names in order, none where the rules are not certain.

    A question is no order: what it asks for may take more than what it names.
    """
    from flowbuilder.planner.rules import RulePlanner

    if request.goal.rstrip().endswith("?"):
        return Opinion()
    plan = None
    try:
        async for event in RulePlanner(in_one_flow(settings)).stream(
            replace(request, id="second-opinion")
        ):
            plan = event.plan or plan
    except PlanningError:
        return Opinion()
    if plan is None or plan.flow is None or plan.questions or not (plan.certain and plan.valid):
        return Opinion()
    document: dict[str, Any] = plan.flow.document()
    found = Opinion(steps=tuple(document["steps"]))
    shown = {tool.name for tool in tools}
    return found if set(found.tools) <= shown else Opinion()


def borrow(document: JsonObject, opinion: Opinion, pointers: Iterable[str]) -> list[str]:
    """Give steps whose arguments cannot stand, and those behind them, the arguments of the rules.

    Only in a document with the same tools in the same order. Return one sentence for each change.
    """
    steps: Any = document.get("steps")
    if not opinion.steps or disagreement(document, opinion.tools):
        return []
    places = [int(found[1]) for item in pointers if (found := re.match(r"/steps/(\d+)/", item))]
    if not places:
        return []
    names = {
        str(theirs["id"]): str(ours["id"])
        for theirs, ours in zip(opinion.steps, steps, strict=True)
    }
    for ours, theirs in list(zip(steps, opinion.steps, strict=True))[min(places) :]:
        for key in ("args", "for_each", "when"):
            ours.pop(key, None)
            if key in theirs:
                ours[key] = _renamed(theirs[key], names)
    return [
        f"The arguments from {steps[min(places)]['id']} on are those that the rules read in the "
        "goal: the model's could not stand."
    ]


def _renamed(value: JsonValue, names: dict[str, str]) -> JsonValue:
    def rename(text: str) -> str:
        return MENTION.sub(lambda found: f"steps.{names.get(found[1], found[1])}", text)

    return with_texts(value, rename)


def disagreement(document: JsonObject, wanted: Sequence[str]) -> list[Problem]:
    """Return a problem if a document's tools are not the wanted ones in the wanted order."""
    steps = document.get("steps")
    found = [step.get("tool") for step in steps if isinstance(step, dict)] if steps else []  # type: ignore[union-attr]
    if not wanted or found == list(wanted):
        return []
    return [
        Problem(
            code="steps_differ",
            pointer="",
            message=f"the goal asks for exactly these steps: {', '.join(wanted)}",
            hint="Write these steps in this order, and no others.",
            severity=Severity.WARNING,
            fix=Fix.MODEL,
        )
    ]


def is_meant(problem: Problem, document: JsonObject, opinion: Opinion) -> bool:
    """Whether the rules too have a step there whose result nobody uses."""
    if problem.code != "result_unused" or not opinion.steps:
        return False
    place = int(problem.pointer.split("/")[2])
    if disagreement(document, opinion.tools):
        return False
    others = [step for index, step in enumerate(opinion.steps) if index != place]
    name = opinion.steps[place].get("id")
    used = set(MENTION.findall(repr(others)))
    return name not in used
