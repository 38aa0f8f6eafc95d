"""Strict comparison of a plan with a gold flow: nothing that is wrong goes unseen.

Neither ids of steps nor the order in which they are listed count. An invented tool costs, so does a
step that nobody asked for, and a plan that is none scores 0 everywhere.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from flowbuilder.evals.dataset import Accepted
from flowbuilder.evals.metrics.assignment import assign, same_graph
from flowbuilder.evals.metrics.graph import (
    PlanGraph,
    canonical,
    closure,
    longest_way,
    plan_graph,
    reduction,
)
from flowbuilder.types import JsonObject, JsonValue


@dataclass(frozen=True, kw_only=True, slots=True)
class Ratio:
    """How many of the plan's items are right, of how many there, and of how many wanted."""

    right: float
    planned: float
    wanted: float

    @property
    def precision(self) -> float:
        """Right ones of the planned ones; of nothing: 1 when nothing was wanted."""
        return self.right / self.planned if self.planned else float(not self.wanted)

    @property
    def recall(self) -> float:
        """Right ones of the wanted ones; of nothing: 1 when nothing was planned."""
        return self.right / self.wanted if self.wanted else float(not self.planned)

    @property
    def f1(self) -> float:
        """The harmonic mean; 1 when nothing was wanted and nothing planned."""
        total = self.planned + self.wanted
        return 2 * self.right / total if total else 1.0

    def as_json(self) -> JsonObject:
        """Return precision, recall and F1."""
        return {"precision": self.precision, "recall": self.recall, "f1": self.f1}


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanScores:
    """What a comparison gives. All rates lie from 0 to 1."""

    steps: Ratio
    """Steps that stand for one of the gold: same tool, counted as often as they are there."""
    edges: Ratio
    """Order between neighbours, after leaving out what a longer way implies."""
    references: Ratio
    """Producer, path of its output, consumer and argument."""
    producers: Ratio
    """As `references`, but for the path: for data that names none."""
    arguments: Ratio
    """Arguments by step, name and exact value."""
    arguments_like: Ratio
    """Arguments whose values are the same but for case, spaces and punctuation of texts."""
    approvals: Ratio
    """Steps that ask a person."""
    missing_order: float
    """Share of the gold's order, direct or not, that the plan does not keep."""
    needless_order: float
    """Share of the plan's order, direct or not, that the gold does not ask for."""
    unasked_steps: float
    """Share of the plan's steps that stand for none of the gold."""
    invented_tools: float
    """Share of the plan's steps whose tool does not exist; 0 when the tools are not known."""
    parallelism: float | None
    """How long the gold takes at least, against the plan: 1 when the plan is as quick or quicker;
    None when durations are not known."""
    exact: bool
    """Whether the plan is the gold but for ids and the order of listing, with other accepted values
    where there are several. Who is asked does not count: a policy decides that, not the planner."""

    def as_json(self) -> JsonObject:
        """Return all scores as JSON."""
        ratios = ("steps", "edges", "references", "producers", "arguments", "arguments_like")
        found: JsonObject = {name: getattr(self, name).as_json() for name in (*ratios, "approvals")}
        rates = (
            "missing_order", "needless_order", "unasked_steps", "invented_tools", "parallelism",
            "exact",
        )  # fmt: skip
        return found | {name: getattr(self, name) for name in rates}


def compare_plans(
    plan: object,
    gold: object,
    *,
    accepted: Mapping[str, Mapping[str, Accepted]] | None = None,
    tools: frozenset[str] | set[str] | None = None,
    durations: Mapping[str, tuple[float, float]] | None = None,
) -> PlanScores:
    """Hold a plan against a gold flow. Never raises.

    Args:
        plan: A flow document or a `Flow`; anything else is an empty plan.
        gold: The flow that is right.
        accepted: Arguments of the gold with several right values, by step id and name.
        tools: Names of the tools that exist.
        durations: Least and most seconds of the gold's steps, by id.
    """
    wanted = plan_graph(gold)
    comparison = _Comparison(plan_graph(plan), wanted, _right_values(wanted, accepted or {}))
    return comparison.scores(tools, durations or {})


def normalised(value: str) -> str:
    """Return a canonical value without what seldom matters: case, spaces, punctuation, quotes."""
    return re.sub(r"[\s\"'`.,;:!?/_*^()-]+", "", value).casefold()


_Values = dict[tuple[int, str], tuple[frozenset[str], bool]]


def _right_values(graph: PlanGraph, accepted: Mapping[str, Mapping[str, Accepted]]) -> _Values:
    """Return the right values of the gold's arguments that have several, by place and name."""
    return {
        (place, argument): (frozenset(map(canonical, choice.values)), choice.optional)
        for place, name in enumerate(graph.ids)
        for argument, choice in accepted.get(name, {}).items()
    }


class _Comparison:
    """Two graphs and which step stands for which."""

    def __init__(self, plan: PlanGraph, gold: PlanGraph, right: _Values) -> None:
        self._plan, self._gold, self._right = plan, gold, right
        self._memory: dict[tuple[int, int], tuple[int, int]] = {}
        self._found = assign(plan, gold, self._likeness)
        self._back = {theirs: ours for ours, theirs in self._found.items()}

    def scores(
        self,
        tools: frozenset[str] | set[str] | None,
        durations: Mapping[str, tuple[float, float]],
    ) -> PlanScores:
        plan, gold = self._plan, self._gold
        size, wanted = len(plan.steps), len(gold.steps)
        if wanted and not size:
            return self._nothing(known_durations=bool(durations))
        invented = sum(step.tool not in tools for step in plan.steps) if tools is not None else 0
        edges, missing, needless = self._order()
        arguments, like = self._arguments(exact=True), self._arguments(exact=False)
        return PlanScores(
            steps=Ratio(right=len(self._found), planned=size, wanted=wanted),
            edges=edges,
            references=self._references(paths=True),
            producers=self._references(paths=False),
            arguments=arguments,
            arguments_like=like,
            approvals=self._approvals(),
            missing_order=missing,
            needless_order=needless,
            unasked_steps=(size - len(self._found)) / size if size else 0.0,
            invented_tools=invented / size if size else 0.0,
            parallelism=self._parallelism(durations) if durations else None,
            exact=self._exact(arguments, edges),
        )

    def _nothing(self, *, known_durations: bool) -> PlanScores:
        """Return what no plan at all has: nothing, also of what the gold has none of."""
        gold = self._gold
        counts = {
            "steps": len(gold.steps),
            "edges": len(reduction(gold.order, closure(len(gold.steps), gold.order))),
            "references": len(gold.data),
            "producers": len(gold.data),
            "arguments": sum(len(step.arguments) for step in gold.steps),
            "approvals": sum(step.asks for step in gold.steps),
        }
        counts["arguments_like"] = counts["arguments"]
        found = {
            name: Ratio(right=0, planned=0, wanted=max(count, 1)) for name, count in counts.items()
        }
        return PlanScores(
            **found,
            missing_order=1.0,
            needless_order=1.0,
            unasked_steps=0.0,
            invented_tools=0.0,
            parallelism=0.0 if known_durations else None,
            exact=False,
        )

    def _likeness(self, ours: int, theirs: int) -> float:
        """Return the F1 of the arguments of two steps; 1 when neither has any."""
        right, total = self._shared(ours, theirs, exact=True)
        return 2 * right / total if total else 1.0

    def _shared(self, ours: int, theirs: int, *, exact: bool) -> tuple[int, int]:
        """Return how many arguments agree, and how many there are on both sides together.

        What may be left out counts on no side when it is left out.
        """
        if exact and (ours, theirs) in self._memory:
            return self._memory[ours, theirs]
        mine = self._plan.steps[ours].arguments
        gold = self._gold.steps[theirs].arguments
        right, total = 0, 0
        named = [name for place, name in self._right if place == theirs and name not in gold]
        for name in (*gold, *named):
            values, optional = self._right.get((theirs, name), (frozenset(), False))
            if name not in mine:
                total += not optional
            else:
                right += _agree(mine[name], {gold[name]} if name in gold else set(), values, exact)
                total += 2
        total += sum(name not in gold and name not in named for name in mine)
        if exact:
            self._memory[ours, theirs] = (right, total)
        return right, total

    def _arguments(self, *, exact: bool) -> Ratio:
        right = total = planned = 0
        for ours, step in enumerate(self._plan.steps):
            theirs = self._found.get(ours)
            planned += len(step.arguments)
            if theirs is None:
                total += len(step.arguments)
                continue
            agreeing, both = self._shared(ours, theirs, exact=exact)
            right += agreeing
            total += both
        total += sum(
            len(step.arguments)
            for theirs, step in enumerate(self._gold.steps)
            if theirs not in self._back
        )
        return Ratio(right=right, planned=planned, wanted=total - planned)

    def _references(self, *, paths: bool) -> Ratio:
        def item(edge: object, a: int | None, b: int | None) -> tuple[object, ...]:
            path = getattr(edge, "path", ()) if paths else ()
            return (a, path, b, getattr(edge, "where", ""))

        wanted = {item(edge, edge.producer, edge.consumer) for edge in self._gold.data}
        mine = {item(edge, edge.producer, edge.consumer) for edge in self._plan.data}
        right = {
            item(edge, self._found.get(edge.producer), self._found.get(edge.consumer))
            for edge in self._plan.data
        }
        lost = {
            (name, path, self._found.get(b), where) for name, path, b, where in self._plan.dangling
        }
        return Ratio(
            right=len(right & wanted) + len(lost & set(self._gold.dangling)),
            planned=len(mine) + len(self._plan.dangling),
            wanted=len(wanted) + len(self._gold.dangling),
        )

    def _order(self) -> tuple[Ratio, float, float]:
        """Return the edges, the share of the gold's order that is missing, and of ours needless."""
        plan, gold = self._plan, self._gold
        mine, theirs = closure(len(plan.steps), plan.order), closure(len(gold.steps), gold.order)
        kept = 0
        for ours, place in self._found.items():
            mapped = 0
            rest = mine[ours]
            while rest:
                low = rest & -rest
                other = self._found.get(low.bit_length() - 1)
                mapped |= 0 if other is None else 1 << other
                rest ^= low
            kept += (mapped & theirs[place]).bit_count()
        planned = sum(found.bit_count() for found in mine)
        wanted = sum(found.bit_count() for found in theirs)
        near, far = reduction(plan.order, mine), reduction(gold.order, theirs)
        right = sum((self._found.get(a), self._found.get(b)) in far for a, b in near)
        return (
            Ratio(right=right, planned=len(near), wanted=len(far)),
            (wanted - kept) / wanted if wanted else 0.0,
            (planned - kept) / planned if planned else 0.0,
        )

    def _parallelism(self, durations: Mapping[str, tuple[float, float]]) -> float:
        """Return the gold's longest way against the plan's; a step of nobody takes the mean."""
        gold = self._gold
        means = {name: (least + most) / 2 for name, (least, most) in durations.items()}
        usual = sum(means.values()) / len(means)
        theirs = [means.get(name, usual) for name in gold.ids]
        ours = [
            theirs[self._found[place]] if place in self._found else usual
            for place in range(len(self._plan.steps))
        ]
        best, taken = longest_way(theirs, gold.order), longest_way(ours, self._plan.order)
        return min(1.0, best / taken) if taken and best < math.inf else float(best == taken)

    def _approvals(self) -> Ratio:
        asked = [place for place, step in enumerate(self._plan.steps) if step.asks]
        wanted = sum(step.asks for step in self._gold.steps)
        right = sum(
            self._gold.steps[self._found[place]].asks for place in asked if place in self._found
        )
        return Ratio(right=right, planned=len(asked), wanted=wanted)

    def _exact(self, arguments: Ratio, edges: Ratio) -> bool:
        plan, gold = self._plan, self._gold
        if not self._right:
            return same_graph(plan, gold) is not None
        if len(plan.steps) != len(gold.steps) or len(self._found) != len(gold.steps):
            return False
        same = all(plan.steps[a].policies == gold.steps[b].policies for a, b in self._found.items())
        whole = arguments.f1 == 1 and edges.f1 == 1 and self._references(paths=True).f1 == 1
        return same and whole


def _agree(value: str, gold: set[str], values: frozenset[str], exact: bool) -> bool:
    if exact:
        return value in gold or value in values
    return normalised(value) in {normalised(other) for other in gold | values}


def scores_as_numbers(scores: PlanScores) -> dict[str, JsonValue]:
    """Return the figures that reports show, by name; in all of them 1 is best."""
    known = {} if scores.parallelism is None else {"parallelism": scores.parallelism}
    return {
        "step_f1": scores.steps.f1,
        "edge_f1": scores.edges.f1,
        "reference_f1": scores.references.f1,
        "argument_f1": scores.arguments.f1,
        "order_kept": 1.0 - scores.missing_order,
        "order_needed": 1.0 - scores.needless_order,
        **known,
        "exact": scores.exact,
    }
