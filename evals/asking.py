"""Asking and inventing, measured: what is asked when a goal lacks a value, and when it does not.

From each imported goal with a gold plan three trials are made, all answered by the oracle, which
knows the gold whatever the goal says:

* **removed**: one required value is taken out of the goal's words, and stands nowhere else in it;
  the oracle's plan still has it, which nobody stated. It has to be asked for.
* **whole**: the goal as it is. Nothing has to be asked.
* **invented**: the goal as it is, and one value of the plan is another one. It has to be asked for.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from flowbuilder.errors import FlowBuilderError
from flowbuilder.evals.catalogue import described_tools
from flowbuilder.evals.dataset import Case
from flowbuilder.evals.models.oracle import OracleModel
from flowbuilder.evals.statistics import bootstrap, mean
from flowbuilder.plan import Plan
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.model import ModelPlanner
from flowbuilder.planner.question_types import with_types
from flowbuilder.settings import Settings
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonObject, JsonValue
from flowbuilder.validation import validate

#: Of each figure the bar, and whether it is the least that is wanted or the most.
BARS = {
    "ask_recall": (0.95, True),
    "false_asks": (0.05, False),
    "invented_flagged": (0.95, True),
}
#: A goal that is left with fewer words asks for nothing any more.
_FEWEST_WORDS = 3
_BLANKS = re.compile(r"\s+")
#: Words, and numbers apart from a unit that is written to them.
_WORD = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+")
_NUMBER_WORDS = dict(
    zip(
        ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"],
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"],
        strict=True,
    )
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One goal, what the model answers, and what should be asked."""

    kind: str
    case: str
    goal: str
    document: JsonObject
    """What the oracle plans."""
    registry: ToolRegistry
    place: tuple[int, str] | None = None
    """Step and argument that have to be asked for; None: nothing has to."""
    value: JsonValue = None
    """What the plan has there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What came of a trial."""

    trial: Trial
    asked: tuple[tuple[int, str], ...]
    """Steps and arguments that were asked for."""
    failure: str | None = None
    """Why there is no plan, if there is none."""

    @property
    def right(self) -> bool:
        """Whether exactly what had to be asked was: that argument, or nothing."""
        if self.trial.place is None:
            return not self.asked
        return self.trial.place in self.asked

    def as_json(self) -> JsonObject:
        """Return the verdict as JSON."""
        place = self.trial.place
        return {
            "kind": self.trial.kind,
            "case": self.trial.case,
            "goal": self.trial.goal,
            "expected": None if place is None else f"{place[0]}.{place[1]}",
            "value": self.trial.value,
            "asked": [f"{step}.{name}" for step, name in self.asked],
            "right": self.right,
            "failure": self.failure,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """The figures over all trials."""

    verdicts: tuple[Verdict, ...]
    arguments: int
    """Values in the plans of whole goals: each could have been asked for needlessly."""
    seed: int = 0

    @property
    def passes(self) -> bool:
        """Whether every figure that there is keeps to its bar."""
        figures: Any = self.as_json()
        return all(
            value is None or (value >= bar if least else value <= bar)
            for name, (bar, least) in BARS.items()
            for value in [figures[name]["value"]]
        )

    def of(self, kind: str) -> list[Verdict]:
        """Return the verdicts of one kind of trial."""
        return [verdict for verdict in self.verdicts if verdict.trial.kind == kind]

    def as_json(self) -> JsonObject:
        """Return the figures with their 95 % intervals."""
        false_asks = [float(not verdict.right) for verdict in self.of("whole")]
        needless = sum(len(verdict.asked) for verdict in self.of("whole"))
        return {
            "ask_recall": self._figure("removed"),
            "false_asks": _figure(false_asks, self.seed),
            "false_asks_per_argument": needless / self.arguments if self.arguments else 0.0,
            "invented_flagged": self._figure("invented"),
        }

    def _figure(self, kind: str) -> JsonObject:
        return _figure([float(verdict.right) for verdict in self.of(kind)], self.seed)


def trials(cases: Iterable[Case], *, seed: int = 0) -> list[Trial]:
    """Return the trials of imported cases; the same seed gives the same ones."""
    usable = [case for case in cases if _is_sound(case)]
    pool = _values_by_type(usable)
    made: list[Trial] = []
    for case in usable:
        registry = described_tools(case.catalogue)
        document: Any = case.expect.flow
        whole = Trial(
            kind="whole", case=case.name, goal=case.goal, document=document, registry=registry
        )
        made.append(whole)
        random = Random(f"{seed}:{case.name}")
        if (removed := _removed(case, whole, random)) is not None:
            made.append(removed)
        if (invented := _invented(case, whole, pool, random)) is not None:
            made.append(invented)
    return made


async def measure_asking(
    cases: Iterable[Case], *, seed: int = 0, settings: Settings | None = None
) -> Asked:
    """Plan every trial with the oracle and return what was asked; needs no database."""
    found = settings or Settings()
    verdicts = [await _verdict(trial, found) for trial in trials(cases, seed=seed)]
    arguments = sum(
        len(step.get("args") or {})
        for verdict in verdicts
        if verdict.trial.kind == "whole"
        for step in _steps(verdict.trial.document)
    )
    return Asked(verdicts=tuple(verdicts), arguments=arguments, seed=seed)


async def _verdict(trial: Trial, settings: Settings) -> Verdict:
    planner = ModelPlanner(settings, OracleModel({trial.goal: trial.document}))
    request = PlanRequest(
        id="00000000-0000-0000-0000-000000000000", goal=trial.goal, registry=trial.registry
    )
    plan: Plan | None = None
    try:
        async for event in planner.stream(request):
            plan = event.plan or plan
    except FlowBuilderError as error:
        return Verdict(trial=trial, asked=(), failure=f"{error.code}: {error.message}")
    if plan is None or plan.flow is None:
        return Verdict(trial=trial, asked=(), failure="no plan")
    asked = with_types(plan, trial.registry).questions
    places = [_place(question.pointer) for question in asked]
    lost = len(plan.flow.steps) < len(_steps(trial.document))
    return Verdict(
        trial=trial,
        asked=tuple(place for place in places if place is not None),
        failure="a step was left out" if lost else None,
    )


# -- making trials ----------------------------------------------------------------------------


def _is_sound(case: Case) -> bool:
    """Whether a case has a gold plan that is one: what is wrong itself says nothing of asking."""
    if case.expect.flow is None or not case.catalogue:
        return False
    return validate(case.expect.flow, described_tools(case.catalogue)).valid


def _removed(case: Case, whole: Trial, random: Random) -> Trial | None:
    """Return a trial whose goal lacks one value, None where no value can be taken out."""
    found = []
    for place, values in _required(case, whole):
        goal = _without(case.goal, values)
        if goal is not None and not _stated_besides(goal, values, place, whole):
            found.append((place, goal, values[0]))
    if not found:
        return None
    place, goal, value = random.choice(found)
    return Trial(
        kind="removed",
        case=case.name,
        goal=goal,
        document=whole.document,
        registry=whole.registry,
        place=place,
        value=value,
    )


def _required(case: Case, whole: Trial) -> Iterator[tuple[tuple[int, str], list[JsonValue]]]:
    """Yield the places of required texts and numbers, each with all values that are right."""
    for index, step in enumerate(_steps(whole.document)):
        tool = whole.registry.get(str(step.get("tool")))
        choices = case.expect.accepted.get(str(step.get("id")), {})
        for name, value in (step.get("args") or {}).items():
            needed = tool is not None and name in tool.input_schema.get("required", ())
            plain = isinstance(value, str | int | float) and not isinstance(value, bool)
            if needed and plain and value != "":
                right = choices[name].values if name in choices else ()
                yield (index, name), list({repr(v): v for v in (value, *right)}.values())


def _without(goal: str, values: Sequence[JsonValue]) -> str | None:
    """Return the goal without the one place where a value stands, None if that is not one."""
    places = {
        match.span()
        for value in values
        for match in re.finditer(rf"(?<!\w){re.escape(_said(value))}(?!\w)", goal, re.IGNORECASE)
    }
    outer = {
        (start, end)
        for start, end in places
        if not any(s <= start and end <= e and (s, e) != (start, end) for s, e in places)
    }
    if len(outer) != 1:
        return None
    ((start, end),) = outer
    left = _BLANKS.sub(" ", goal[:start] + " " + goal[end:]).strip()
    return left if len(left.split()) >= _FEWEST_WORDS else None


def _stated_besides(
    goal: str, values: Sequence[JsonValue], place: tuple[int, str], whole: Trial
) -> bool:
    """Whether a value can still be read in the rest of the goal, or is another argument's too."""
    words = set(_WORD.findall(goal.lower()))
    for value in values:
        if _said(value).lower() in goal.lower() or _NUMBER_WORDS.get(_said(value)) in words:
            return True
        parts = [part for part in _WORD.findall(_said(value).lower()) if len(part) > 2]
        if any(part in words for part in parts):
            return True
    others = [
        value
        for index, step in enumerate(_steps(whole.document))
        for name, value in (step.get("args") or {}).items()
        if (index, name) != place
    ]
    return any(_said(values[0]).lower() in str(other).lower() for other in others)


def _invented(
    case: Case, whole: Trial, pool: dict[str, list[JsonValue]], random: Random
) -> Trial | None:
    """Return a trial whose plan has one value that nobody stated."""
    places = list(_required(case, whole))
    random.shuffle(places)
    for place, right in places:
        value = _another(right, whole, place, pool, case.goal, random)
        if value is not None:
            document = copy.deepcopy(whole.document)
            _steps(document)[place[0]]["args"][place[1]] = value
            return Trial(
                kind="invented",
                case=case.name,
                goal=case.goal,
                document=document,
                registry=whole.registry,
                place=place,
                value=value,
            )
    return None


def _another(
    right: Sequence[JsonValue],
    whole: Trial,
    place: tuple[int, str],
    pool: dict[str, list[JsonValue]],
    goal: str,
    random: Random,
) -> JsonValue:
    """Return a value of the same type that no word of the goal has, None if there is none."""
    step = _steps(whole.document)[place[0]]
    tool = whole.registry.require(str(step.get("tool")))
    shape = tool.input_schema.get("properties", {}).get(place[1], {})
    options = shape.get("enum") if isinstance(shape, dict) else None
    offered = list(options or pool[_type(right[0])])
    random.shuffle(offered)
    said = set(_WORD.findall(goal.lower()))
    for value in offered:
        words = _WORD.findall(_said(value).lower())
        if value not in right and words and not said & set(words):
            drawn: JsonValue = value
            return drawn
    return None


def _values_by_type(cases: Iterable[Case]) -> dict[str, list[JsonValue]]:
    """Return the texts and numbers of all gold plans, each once: what a model might make up."""
    found: dict[str, dict[str, JsonValue]] = {"str": {}, "int": {}, "float": {}}
    for case in cases:
        for step in _steps(case.expect.flow or {}):
            for value in (step.get("args") or {}).values():
                if isinstance(value, str | int | float) and not isinstance(value, bool) and value:
                    found[_type(value)].setdefault(repr(value), value)
    return {name: list(values.values()) for name, values in found.items()}


def _type(value: JsonValue) -> str:
    return type(value).__name__


def _said(value: JsonValue) -> str:
    """Return a value as a goal would have it."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _steps(document: Any) -> list[dict[str, Any]]:
    steps = document.get("steps")
    return steps if isinstance(steps, list) else []


def _place(pointer: str) -> tuple[int, str] | None:
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")]
    if len(parts) < 5 or parts[1] != "steps" or parts[3] != "args":
        return None
    return int(parts[2]), parts[4]


def _figure(values: Sequence[float], seed: int) -> JsonObject:
    if not values:
        return {"value": None, "low": None, "high": None, "trials": 0}
    interval = bootstrap(values, seed=seed)
    return {
        "value": mean(values),
        "low": interval.low,
        "high": interval.high,
        "trials": len(values),
    }
