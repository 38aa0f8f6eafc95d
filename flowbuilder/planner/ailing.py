"""What ails a plan: the steps that have problems, and what a model must know to mend them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from flowbuilder.errors import Problem, Severity
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.document import steps_of
from flowbuilder.planner.judging import TOLD_ONLY, Judgement
from flowbuilder.planner.literals import literals, named_literals, taking
from flowbuilder.planner.tool_lines import result_type
from flowbuilder.planner.wire import to_answer
from flowbuilder.strictjson import dumps
from flowbuilder.tools import Tool
from flowbuilder.types import JsonObject

#: Tools that are shown beside those of the ailing steps, and steps where none is pointed at.
_MOST_TOOLS, _MOST_STEPS = 8, 12
#: Steps with problems that one round is about, and their problems; more are for the next.
_MOST_AILING, _MOST_PROBLEMS = 40, 80
#: Steps that stay and are shown by a line.
_MOST_OTHERS = 40
_WORD = re.compile(r"[a-z]{3,}")
_QUOTED = re.compile(r"'([^']+)'")
#: What a further step may mend, so that tools must be shown which no step has yet.
_WANTS_TOOLS = frozenset(
    {
        "unknown_tool",
        "bad_tool_name",
        "unknown_step_reference",
        "unknown_dependency",
        "number_invented",
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ailing:
    """What a round is about."""

    problems: tuple[Problem, ...]
    places: frozenset[int]
    """Of the steps that may be changed."""
    ids: frozenset[str]
    """Of the same steps."""
    tools: tuple[Tool, ...]


def ailments(judged: Judgement) -> tuple[Problem, ...]:
    """Return what a model is asked to mend: errors, and doubts of what it wrote itself."""
    doubts = set(judged.doubts)
    return tuple(
        item for item in judged.to_mend if item.code not in TOLD_ONLY and item not in doubts
    )


def is_ailing(judged: Judgement) -> bool:
    """Whether there is anything to ask a model about."""
    return bool(ailments(judged))


def fingerprint(judged: Judgement) -> frozenset[tuple[str, str]]:
    """Return what says whether a round was of use: codes and places, steps by their ids."""
    if judged.document is None:
        return frozenset({("", judged.answer)})
    steps = steps_of(judged.document)
    return frozenset((item.code, _by_id(item.pointer, steps)) for item in ailments(judged))


def _by_id(pointer: str, steps: Sequence[JsonObject]) -> str:
    parts = pointer.split("/")
    place = _place(pointer)
    if place is None or place >= len(steps):
        return pointer
    return "/".join([str(steps[place].get("id")), *parts[3:]])


def _place(pointer: str) -> int | None:
    found = re.match(r"/steps/(\d+)(?:/|$)", pointer)
    return int(found[1]) if found else None


def ailing(judged: Judgement, request: PlanRequest, tools: Sequence[Tool]) -> Ailing:
    """Return what a round is about. `tools` are all that may be shown, the likeliest first."""
    steps = steps_of(judged.document or {})
    problems = _first(ailments(judged))
    places = {place for problem in problems for place in _places_of(problem, steps)}
    wanted: list[Tool] = []
    for problem in problems:
        if _place(problem.pointer) is None:
            found, needed = _by_goal(problem, steps, request, tools)
            places |= found
            wanted += needed
        elif problem.code in _WANTS_TOOLS:
            wanted += _like(problem, steps, tools)
    own = [request.registry.get(str(steps[place].get("tool"))) for place in sorted(places)]
    shown = {tool.name: tool for tool in [*own, *wanted] if tool is not None}
    for name in judged.made_up:
        shown.pop(name, None)  # what misled the model once is not offered again
    if not shown:
        shown = {tool.name: tool for tool in tools[:_MOST_TOOLS]}
    ids = frozenset(str(steps[place].get("id")) for place in places)
    return Ailing(
        problems=problems,
        places=frozenset(places),
        ids=ids,
        tools=tuple(shown.values()),
    )


def _first(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """Return what one round can be about: the problems of the first steps, and of the whole."""
    kept: list[Problem] = []
    places: set[int] = set()
    for problem in problems:
        place = _place(problem.pointer)
        if place is not None and place not in places and len(places) >= _MOST_AILING:
            continue
        if place is not None:
            places.add(place)
        kept.append(problem)
    return tuple(kept[:_MOST_PROBLEMS])


def _places_of(problem: Problem, steps: Sequence[JsonObject]) -> Iterator[int]:
    """Yield the steps that a problem is about: of a cycle, all on it."""
    place = _place(problem.pointer)
    if place is None or place >= len(steps):
        return
    yield place
    if problem.code == "cycle":
        names = problem.message.rpartition(": ")[2].split(" -> ")
        yield from (at for at, step in enumerate(steps) if step.get("id") in names)


def _by_goal(
    problem: Problem, steps: Sequence[JsonObject], request: PlanRequest, tools: Sequence[Tool]
) -> tuple[set[int], list[Tool]]:
    """Return the steps and tools for a problem of the whole plan: that something was lost, say."""
    used = [str(step.get("tool")) for step in steps]
    if problem.code == "steps_differ":
        names = {name.strip() for name in problem.message.rpartition(": ")[2].split(",")}
        wanted = [tool for tool in tools if tool.name in names]
        found = {at for at, name in enumerate(used) if name not in names}
        return found | _using(found, steps), wanted
    goal = request.goal
    lost = [
        item
        for item in [*literals(goal), *named_literals(goal, request.registry)]
        if item.text in problem.message
    ]
    takers = [tool for tool in tools if any(taking(item, tool) for item in lost)]
    if takers:
        names = {tool.name for tool in takers}
        return {at for at, name in enumerate(used) if name in names}, takers[:_MOST_TOOLS]
    unused = [tool for tool in tools if tool.name not in used]
    return set(range(max(0, len(steps) - _MOST_STEPS), len(steps))), unused[:_MOST_TOOLS]


def _using(places: Collection[int], steps: Sequence[JsonObject]) -> set[int]:
    """Return the steps that use what some others give, and would have nothing without them."""
    names = "|".join(re.escape(str(steps[place].get("id"))) for place in places)
    used = re.compile(rf"\bsteps\.(?:{names})\b") if names else None
    return {
        at
        for at, step in enumerate(steps)
        if used is not None and used.search(dumps(step).decode())
    }


def _like(problem: Problem, steps: Sequence[JsonObject], tools: Sequence[Tool]) -> list[Tool]:
    """Return the tools that a wrong name may mean, those that it shares words with first."""
    place = _place(problem.pointer) or 0
    said = " ".join([*_QUOTED.findall(problem.message), str(steps[place].get("tool"))])
    words = set(_WORD.findall(said.lower()))
    used = {step.get("tool") for step in steps}

    def weight(tool: Tool) -> tuple[int, bool]:
        return (-len(words & set(_WORD.findall(tool.name.lower()))), tool.name in used)

    return sorted(tools, key=weight)[:_MOST_TOOLS]


def request_parts(judged: Judgement, found: Ailing, request: PlanRequest) -> dict[str, Any]:
    """Return what is shown in a round: problems, ailing steps, the others by a line, tools."""
    steps = steps_of(judged.document or {})
    tasks: Any = to_answer(judged.document or {}, judged.questions)["tasks"]
    return {
        "problems": [_told(item, steps) for item in found.problems],
        "steps": [tasks[place] for place in sorted(found.places)],
        "others": list(_others(steps, found, request)),
        "tools": found.tools,
    }


def _told(problem: Problem, steps: Sequence[JsonObject]) -> str:
    place = _place(problem.pointer)
    where = "the plan"
    if place is not None and place < len(steps):
        rest = problem.pointer.split("/")[3:]
        where = "step " + "/".join([str(steps[place].get("id")), *rest])
    hint = f" {problem.hint}" if problem.hint else ""
    weight = "" if problem.severity is Severity.ERROR else " (a doubt)"
    return f"- {where}{weight}: {problem.message}{hint}"


def _others(steps: Sequence[JsonObject], found: Ailing, request: PlanRequest) -> Iterator[str]:
    """Yield a line for each step that stays, of very many for the nearest."""
    at = sorted(found.places) or [len(steps)]
    others = [place for place in range(len(steps)) if place not in found.places]
    nearest = sorted(others, key=lambda place: min(abs(place - other) for other in at))
    for place in sorted(nearest[:_MOST_OTHERS]):
        step = steps[place]
        tool = request.registry.get(str(step.get("tool")))
        gives = result_type(tool) if tool is not None else "any"
        each = "a list, each " if step.get("for_each") is not None else ""
        yield f"- {step.get('id')}: {step.get('tool')}, gives {each}{gives}"
