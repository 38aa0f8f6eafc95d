"""Leave out the steps that a small model adds of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from flowbuilder.errors import Fix, Problem, Severity
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.document import (
    REFERENCE,
    given_to,
    not_after,
    steps_of,
    tool_of,
    unordered,
)
from flowbuilder.planner.evidence import Statement
from flowbuilder.planner.grounding import COMPOSED, Ground, is_used, stems
from flowbuilder.planner.literals import is_missed
from flowbuilder.planner.prompting import select_tools
from flowbuilder.planner.relevance import Relevance
from flowbuilder.planner.rules.lexicon import stems as word_stems
from flowbuilder.planner.rules.literals import Kind, find_literals
from flowbuilder.planner.surplus import asks, claimed_results
from flowbuilder.planner.unsupported import asks_incompletely
from flowbuilder.toolkit import is_starter
from flowbuilder.tools import HARMLESS, Tool, ToolRegistry
from flowbuilder.types import JsonObject, JsonValue

#: Literals that `lost_literals` does not know.
_SPOKEN = frozenset({Kind.LANGUAGE, Kind.CURRENCY})
_RECKONED = re.compile(
    r"(?i)\b(?:half|quarter|third|dozen|couple|pair|double|twice|triple|percent|hours?|minutes?|"
    r"days?|weeks?|months?|years?|noon|midnight|tomorrow|tonight|few|several|once|single)\b|%"
)
#: Words that order a look-up as such.
_LOOKS = re.compile(r"(?i)\b(?:look|check|find|show|see|list|fetch|read|retrieve|open|search)\b")
_LONG_WORD = re.compile(r"[^\W\d_]{4,}")
#: Letters that a value must have to be looked for in the goal.
_SAID = 3


def leave_out_steps(
    document: JsonObject,
    request: PlanRequest,
    *,
    kept_ids: Collection[str] = (),
    though_named: bool = False,
) -> list[JsonObject]:
    """Leave out steps that the goal does not ask for and whose result nothing uses.

    What acts on the world goes only if something necessary of it was made up, or all of it. Steps
    with one of the kept ids stay. With `though_named` a look-up goes too whose thing the goal
    names: an order to be found that is only to be paid back. Return what was left out.
    """
    left_out: list[JsonObject] = []
    if claimed_results(document, request.registry, Ground(request.goal), request.goal):
        return left_out  # what a message claims, an idle step may have been meant to find out
    relevance = Relevance(request.goal, select_tools(request))
    for step in reversed(steps_of(document)):
        tool, kept = tool_of(step, request.registry), steps_of(document)
        if tool is None or len(kept) < 2 or step.get("id") in kept_ids or _is_taken(step, kept):
            continue
        case = _Case(step, tool, document, request, relevance, though_named=though_named)
        if case.is_needed_by_nobody and not asks_incompletely(step, tool, request):
            document["steps"] = [not_after(item, step) for item in kept if item is not step]
            left_out.append(step)
    return left_out


def _is_taken(step: JsonObject, steps: list[JsonObject]) -> bool:
    """Whether any step takes a result, and does not only wait for it."""
    return is_used(step, [unordered(item) for item in steps if item is not step])


class _Case:
    """What speaks for leaving out one step."""

    def __init__(
        self,
        step: JsonObject,
        tool: Tool,
        document: JsonObject,
        request: PlanRequest,
        relevance: Relevance,
        *,
        though_named: bool,
    ) -> None:
        self._step, self._tool, self._document = step, tool, document
        self._steps, self._registry = steps_of(document), request.registry
        self._goal, self._ground = request.goal, Ground(request.goal)
        self._known = self._ground.stems | stems(request.goal, numbers=True)
        self._relevance, self._though_named = relevance, though_named
        self._harmless = tool.effects in HARMLESS

    @property
    def is_needed_by_nobody(self) -> bool:
        """Whether anything speaks for it."""
        return (
            self.is_invented
            or self.is_idle
            or self.is_hasty
            or self.is_a_thought
            or self.is_beside_the_point
        )

    @property
    def is_invented(self) -> bool:
        """All that it is given was made up, and it is no act that alone does what is wanted."""
        late = _follows_effects(self._step, self._steps, self._registry)
        others = self._is_unnamed and _others_act(self._step, self._steps, self._registry)
        invented = _is_invented(self._step, self._known, late=late)
        if not ((self._harmless or others) and invented):
            return False
        # A tool that the user brought is asked about where the goal has room for the step.
        room = self._is_stated or len(self._steps) <= self._relevance.clauses
        return is_starter(self._tool) or not room

    @property
    def _is_stated(self) -> bool:
        """Whether the goal states something that the step is given, perhaps in other words."""
        statement = Statement(self._goal)
        given = self._step.get("args")
        return any(
            statement.supports(value, {})
            for value in (_literals(given) if isinstance(given, dict) else ())
        )

    @property
    def is_idle(self) -> bool:
        """Nothing that the goal names would be lost without it; an act was made up in part."""
        return (
            self._is_surplus
            and self._is_made_up
            and _is_idle(self._step, self._document, self._registry, self._goal)
        )

    @property
    def is_hasty(self) -> bool:
        """It acts upon something made up where the goal only asks, and a look-up answers that."""
        acts = not self._harmless and self._is_made_up and asks(self._goal)
        return acts and _finds_out_for_nobody(self._steps, self._registry)

    @property
    def is_a_thought(self) -> bool:
        """It keeps or tells nothing but a thought of the model's."""
        return (
            self._is_unnamed
            and self._is_surplus
            and _is_only_composed(self._step, self._tool, self._goal)
            and not is_missed(self._step, self._document, self._registry, self._goal)
        )

    @property
    def is_beside_the_point(self) -> bool:
        """Of two look-ups by the same text it is the one of which the goal says no word."""
        if not self._harmless or self._speaks_of(self._tool):
            return False
        given = self._step.get("args")
        twins = [item for item in self._steps if item is not self._step and item.get("args")]
        return bool(given) and any(
            other.effects in HARMLESS and self._speaks_of(other)
            for item in twins
            if (other := tool_of(item, self._registry)) is not None
            if given_to(item) == given_to(self._step)
        )

    def _speaks_of(self, tool: Tool) -> bool:
        about = f"{tool.name} {tool.summary}".replace("_", " ")
        said = word_stems(" ".join(_LONG_WORD.findall(self._goal)))
        return bool(word_stems(" ".join(_LONG_WORD.findall(about))) & said)

    @property
    def _is_unnamed(self) -> bool:
        return not stems(self._tool.name.replace("_", " "), numbers=True) & self._known

    @property
    def _is_made_up(self) -> bool:
        return self._harmless or _is_made_up(self._step, self._tool, self._ground)

    @property
    def _is_surplus(self) -> bool:
        """Whether the goal does not ask for it, as far as its words tell."""
        ordered = self._relevance.orders(self._tool)
        many = len(self._steps) > self._relevance.clauses
        if not (self._though_named and self._harmless):
            return many and (self._is_unnamed or (self._though_named and not ordered))
        unsaid = not ordered or _has_nothing_of_its_own(self._step, self._steps)
        return not asks(self._goal) and (many or (unsaid and not _LOOKS.search(self._goal)))


def _is_made_up(step: JsonObject, tool: Tool, ground: Ground) -> bool:
    """Whether the goal says nothing of something that the tool needs: a timer of 120 minutes."""
    if _made_up_arguments(step, tool, ground):
        return True
    given = step.get("args")
    needed = set(tool.input_schema.get("required", ())) - COMPOSED
    return any(
        isinstance(value, str) and "${{" not in value and not ground.holds(value)
        for name, value in (given.items() if isinstance(given, dict) else ())
        if name in needed and "enum" not in tool.input_schema["properties"][name]
    )


def _made_up_arguments(step: JsonObject, tool: Tool, ground: Ground) -> list[str]:
    arguments = step.get("args")
    given = arguments if isinstance(arguments, dict) else {}
    needed = {name: given.get(name) for name in tool.input_schema.get("required", ())}
    return [
        name
        for name, value in needed.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
        if not ground.holds(value)
    ]


def made_up_numbers(document: JsonObject, registry: ToolRegistry, goal: str) -> list[Problem]:
    """Return a warning for each necessary number of an act that the goal says nothing of.

    None where the goal speaks of times or amounts that a number may be reckoned from.
    """
    reckoned = {Kind.DURATION, Kind.TIME} & {item.kind for item in find_literals(goal)}
    if reckoned or _RECKONED.search(goal):
        return []
    ground, problems = Ground(goal), []
    for index, step in enumerate(steps_of(document)):
        tool = tool_of(step, registry)
        if tool is None or tool.effects in HARMLESS:
            continue
        for name in _made_up_arguments(step, tool, ground):
            problems.append(
                Problem(
                    code="number_invented",
                    pointer=f"/steps/{index}/args/{name}",
                    message=f"the goal says no {name} for {tool.name}",
                    hint="Use another tool, or leave the step out.",
                    severity=Severity.WARNING,
                    fix=Fix.MODEL,
                )
            )
    return problems


def left_out_problem(
    step: JsonObject, registry: ToolRegistry, ground: Ground, errors: Sequence[Problem]
) -> Problem:
    """Return the warning for a step that was left out.

    The model is asked about it if the step was wrong, or if the goal does speak of its tool though
    not of what the tool was given.
    """
    tool = tool_of(step, registry)
    about = f"{tool.name} {tool.summary}".replace("_", " ") if tool else ""
    spoken = stems(" ".join(_LONG_WORD.findall(about))) & ground.stems
    arguments = step.get("args")
    values = arguments.values() if isinstance(arguments, dict) else ()
    given = any(ground.holds(value) for value in values)
    wrong = "; ".join(item.message for item in errors)
    return Problem(
        code="step_left_out",
        pointer="",
        message=f"{step.get('id')} ({step.get('tool')}) was left out: "
        + (wrong or "nothing in the goal asks for it"),
        hint="Write the step rightly if the goal needs it.",
        severity=Severity.WARNING,
        fix=Fix.MODEL if errors or (spoken and not given) else Fix.USER,
    )


def _is_idle(step: JsonObject, document: JsonObject, registry: ToolRegistry, goal: str) -> bool:
    """Whether others act and without this step nothing that the goal names would be lost."""
    if REFERENCE.search(repr(step.get("args"))):
        return False  # it is the end of a chain, which a later step forgot to use
    rest = [item for item in steps_of(document) if item is not step]
    tools = [tool_of(item, registry) for item in rest]
    if not any(tool and tool.effects not in HARMLESS for tool in tools):
        return False
    spoken = [item.text for item in find_literals(goal) if item.kind in _SPOKEN]
    carried = repr(step.get("args")).lower()
    if any(text.lower() in carried for text in spoken) or _alone_carries(step, rest, goal):
        return False
    return not is_missed(step, document, registry, goal)


def _has_nothing_of_its_own(step: JsonObject, steps: list[JsonObject]) -> bool:
    """Whether all that a look-up is given stands in a later step: an order that is refunded."""
    own: Any = step.get("args") or {}
    values = [json.dumps(value) for value in own.values()]
    for later in steps[steps.index(step) + 1 :]:
        given: Any = later.get("args") or {}
        if values and set(values) <= {json.dumps(value) for value in given.values()}:
            return True
    return False


def _finds_out_for_nobody(steps: list[JsonObject], registry: ToolRegistry) -> bool:
    """Whether there is a look-up whose result no step takes, because a person wants it."""
    return any(
        tool.effects in HARMLESS and not _is_taken(step, steps)
        for step in steps
        if (tool := tool_of(step, registry)) is not None
    )


def _is_only_composed(step: JsonObject, tool: Tool, goal: str) -> bool:
    """Whether a step keeps or tells nothing but texts that the model has thought up."""
    given: Any = step.get("args") or {}
    required = set(tool.input_schema.get("required", ()))
    texts = [value for name, value in given.items() if name in required]
    return (
        bool(texts)
        and required <= COMPOSED
        and all(
            isinstance(value, str) and "${{" not in value and value.lower() not in goal.lower()
            for value in texts
        )
    )


def _alone_carries(step: JsonObject, rest: list[JsonObject], goal: str) -> bool:
    """Whether a value of the step stands in the goal and in no other step: `open` to filter by."""
    arguments = step.get("args")
    values = arguments.values() if isinstance(arguments, dict) else ()
    texts = [value.lower() for value in values if isinstance(value, str) and len(value) >= _SAID]
    others = repr([item.get("args") for item in rest]).lower()
    return any(
        text not in others and re.search(rf"(?<!\w){re.escape(text)}(?!\w)", goal.lower())
        for text in texts
    )


def _others_act(step: JsonObject, steps: list[JsonObject], registry: ToolRegistry) -> bool:
    tools = [tool_of(item, registry) for item in steps if item is not step]
    return any(tool and tool.effects not in HARMLESS for tool in tools)


def _follows_effects(step: JsonObject, steps: list[JsonObject], registry: ToolRegistry) -> bool:
    before = steps[: next(index for index, item in enumerate(steps) if item is step)]
    tools = [tool_of(item, registry) for item in before]
    return any(tool and tool.effects not in HARMLESS for tool in tools)


def _is_invented(step: JsonObject, known: set[str], *, late: bool) -> bool:
    """Whether no literal of a step comes from the goal.

    A step that works on another's result counts only behind the last thing the goal wanted done.
    """
    texts = _texts(step.get("args"))
    written = [text for text in texts if text.strip() and not REFERENCE.search(text)]
    if not written or (len(written) < len(texts) and not late):
        return False
    return not any(stems(text, numbers=True) & known for text in written)


def _literals(value: JsonValue) -> Iterator[str | int | float]:
    """Yield the numbers and texts in a value that a goal could have said."""
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _literals(item)
    elif isinstance(value, str):
        if re.search(r"\w", value) and "${{" not in value:
            yield value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def _texts(value: JsonValue) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in _texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [value] if isinstance(value, str) else []
