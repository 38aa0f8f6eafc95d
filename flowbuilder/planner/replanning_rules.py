"""Re-planning by rules: another tool that does the same, or without a step that may be left out."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections import Counter
from dataclasses import replace
from typing import Any

from flowbuilder.errors import PlanningError
from flowbuilder.flow import Flow
from flowbuilder.graph import dependencies, descendants
from flowbuilder.likeness import is_alike
from flowbuilder.plan import Plan
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.replanning import (
    Edit,
    FailedStep,
    NoWay,
    ReplanRequest,
    judged,
)
from flowbuilder.planner.replanning_goal import is_optional
from flowbuilder.planner.rules.planner import RulePlanner
from flowbuilder.schemapaths import type_names
from flowbuilder.settings import Settings
from flowbuilder.tools import HARMLESS, Effects, Tool, ToolRegistry
from flowbuilder.tools.ranking import stem, words
from flowbuilder.types import JsonObject, JsonSchema

_RANKS = {effects: rank for rank, effects in enumerate(Effects)}
#: Verbs that say no more than that something is got: they make no two tools alike or different.
_GETTING = frozenset(
    stem(word)
    for word in (
        "get", "fetch", "return", "read", "look", "find", "show", "give", "load", "retrieve",
        "lookup", "tell", "report", "provide", "answer", "ask", "query", "request", "call", "use",
        "up", "by", "name", "given", "one", "using", "via", "service", "api", "provider", "source",
        "backup", "primary", "secondary", "main", "first", "second", "alternative", "fallback",
        "mirror", "again", "other", "another", "same", "new", "old", "fast", "slow", "v1", "v2",
    )
)  # fmt: skip
#: How much of what a tool is about another one must be about, too.
_SHARED = 0.5


class RuleRePlanner:
    """A re-planner that needs no model."""

    name = "rules"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def replan(self, request: ReplanRequest) -> Edit:
        """Replace each failed step by a like one, or leave it out where the goal lets it.

        Raises:
            NoWay: A failed step can neither be replaced nor left out.
        """
        edit = Edit()
        for failed in request.failed:
            if failed.id not in edit.removed:
                edit = await self._around(request, failed, edit)
        if problems := judged(request, edit):
            raise NoWay(f"no other plan holds together: {problems[0].message}", problems=problems)
        return edit

    async def _around(self, request: ReplanRequest, failed: FailedStep, edit: Edit) -> Edit:
        """Return the edit with a way around one failed step. Raises: NoWay."""
        if not failed.denied:
            alike = await asyncio.to_thread(_alternatives, request, failed)  # of a whole catalogue
            for tool in [*alike, *await self._chosen(request, failed)]:
                args = _args_for(request, failed, tool)
                new: JsonObject = {"id": failed.id, "tool": tool.name, "args": args}
                if "for_each" in request.steps[failed.id]:
                    new["for_each"] = request.steps[failed.id]["for_each"]
                tried = replace(edit, steps=(*edit.steps, new))
                if not judged(replace(request, failed=(failed,)), tried):
                    note = f"Step {failed.id} uses {tool.name}, because {failed.tool} failed."
                    return replace(tried, notes=(*edit.notes, note))
        if is_optional(request, failed.id):
            return _without(request, failed, edit)
        if failed.denied:
            raise NoWay(
                f"step {failed.id} was denied, and the goal does not say that it may be left out"
            )
        raise NoWay(f"no other tool does what {failed.tool} does in step {failed.id}")

    async def _chosen(self, request: ReplanRequest, failed: FailedStep) -> list[Tool]:
        """Return the tool that the goal is planned with where those that failed are not there.

        It counts only if the plan is certain, and the same but for this one tool.
        """
        if not request.goal or _replaceable(request, failed) is None:
            return []
        gone = failed.tried | {failed.tool}
        rest = ToolRegistry([tool for tool in request.registry if tool.name not in gone])
        plan = await self._planned(request, rest)
        if plan is None or plan.flow is None or not (plan.valid and plan.certain):
            return []
        before = Counter(str(step["tool"]).partition("@")[0] for step in request.steps.values())
        after = Counter(step.tool for step in plan.flow.steps)
        new, old = list((after - before).elements()), list((before - after).elements())
        found = rest.get(new[0]) if len(new) == 1 and old == [failed.tool] else None
        return [] if found is None or _rises(request, failed, found) else [found]

    async def _planned(self, request: ReplanRequest, tools: ToolRegistry) -> Plan | None:
        """Plan the whole goal with these tools; None when that does not work."""
        asked = PlanRequest(
            id=str(uuid.uuid4()),
            goal=request.goal,
            registry=tools,
            input=request.input,
            flows=request.flows,
        )
        plan: Plan | None = None
        try:
            async for event in RulePlanner(self._settings).stream(asked):
                plan = event.plan or plan
        except PlanningError:
            return None
        return plan


def _without(request: ReplanRequest, failed: FailedStep, edit: Edit) -> Edit:
    """Return the edit without a step and all that depends on it. Raises: NoWay."""
    flow = Flow.model_validate(request.document)
    gone = {failed.id, *descendants(dependencies(flow), [failed.id])}
    if begun := sorted(gone & request.started):
        raise NoWay(f"step {begun[0]} depends on step {failed.id} and has started already")
    why = "denied" if failed.denied else "failed"
    named = ", ".join(name for name in request.steps if name in gone)
    note = f"Left out: {named}. Step {failed.id} {why}, and the goal says that it may be left out."
    return replace(edit, removed=edit.removed | gone, notes=(*edit.notes, note))


def _replaceable(request: ReplanRequest, failed: FailedStep) -> Tool | None:
    """Return the tool of a step that another one may stand in for; None where none may."""
    step = request.steps[failed.id]
    if "compensate" in step:
        return None  # what undoes one tool does not undo another
    return request.registry.get(str(step["tool"]))


def _rises(request: ReplanRequest, failed: FailedStep, other: Tool) -> bool:
    """Whether a tool does more than the one in whose place it would stand."""
    tool = _replaceable(request, failed)
    return tool is None or _RANKS[other.effects] > _RANKS[tool.effects]


def _alternatives(request: ReplanRequest, failed: FailedStep) -> list[Tool]:
    """Return the tools that do the same with no more effects, the likest first."""
    tool = _replaceable(request, failed)
    if tool is None:
        return []
    ranked = []
    for other in request.registry:
        if other.name in failed.tried | {failed.tool} or _rises(request, failed, other):
            continue
        if (likeness := _likeness(tool, other)) >= _SHARED:
            ranked.append((-likeness, other.name, other))
    return [other for _, _, other in sorted(ranked, key=lambda item: item[:2])]


def _likeness(tool: Tool, other: Tool) -> float:
    """Return how much of what a tool is about, its parameters aside, another one is about."""
    about, also = _topic(tool), _topic(other)
    if tool.effects not in HARMLESS and _verb(tool) not in _verbs(other):
        return 0.0
    verb = _verb(tool)
    if verb not in _GETTING and verb not in _verbs(other):
        return 0.0
    return len(about & also) / len(about) if about else 0.0


def _topic(tool: Tool) -> set[str]:
    parameters = {stem for name in _properties(tool.input_schema) for stem in words(name)}
    told = words(f"{tool.name.replace('_', ' ')} {tool.summary}")
    return set(told) - parameters - _GETTING


def _verb(tool: Tool) -> str:
    """Return the verb that a summary begins with."""
    return next(iter(words(tool.summary)), "")


def _verbs(tool: Tool) -> set[str]:
    named = words(re.sub(r"[._]", " ", tool.name))
    said = {stem for text in tool.keywords for stem in words(text)}
    return {_verb(tool), *named, *said}


def _properties(schema: JsonSchema) -> dict[str, Any]:
    found = schema.get("properties")
    return found if isinstance(found, dict) else {}


def _args_for(request: ReplanRequest, failed: FailedStep, tool: Tool) -> JsonObject:
    """Return a step's arguments under the names that another tool has for them."""
    step: Any = request.steps[failed.id]
    given: JsonObject = step.get("args", {})
    old = request.registry.require(str(step["tool"]))
    known = _properties(tool.input_schema)
    args: JsonObject = {}
    lost = {}
    for name, value in given.items():
        if name in known or not known:
            args[name] = value
        else:
            lost[name] = value
    required = [name for name in tool.input_schema.get("required", ()) if name not in args]
    for name, value in lost.items():
        shape = _properties(old.input_schema).get(name, {})
        like = [item for item in known if item not in args and is_alike(name, item)]
        open_ = [item for item in required if item not in args]
        found = like or (open_ if len(lost) == 1 and len(open_) == 1 else [])
        if len(found) == 1 and _same_type(shape, known[found[0]], old, tool):
            args[found[0]] = value
    return args


def _same_type(one: Any, other: Any, old: Tool, new: Tool) -> bool:
    if not isinstance(one, dict) or not isinstance(other, dict):
        return False
    have, want = type_names(one, old.input_schema), type_names(other, new.input_schema)
    return have is None or want is None or bool(have & want)
