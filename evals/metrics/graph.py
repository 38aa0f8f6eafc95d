"""Plans as graphs: steps with tools and arguments, references between them, and order.

Anything can be read: what is no flow document, or no step, is a graph without it. Neither ids of
steps nor the order of listing mean anything: ids are replaced by places, and these are given by
what steps are and what is around them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from flowbuilder.errors import InvalidValue
from flowbuilder.flow import Flow
from flowbuilder.references import OPEN, Reference, Template, parse
from flowbuilder.strictjson import escape

_STEP = re.compile(r"\bsteps\.([A-Za-z_][A-Za-z0-9_]*)|\bsteps\[[\"']([^\"']*)[\"']\]")
#: How far around a step is looked to give it its place.
_ROUNDS = 6
#: Stands in a text for the reference that was there.
_HOLE = "\x00"


@dataclass(frozen=True, slots=True)
class DataEdge:
    """A reference: a step's argument takes a part of another step's output."""

    producer: int
    path: tuple[str | int, ...]
    consumer: int
    where: str
    """Pointer into the consumer's arguments, or `for_each` or `when`."""


@dataclass(frozen=True, slots=True)
class PlanStep:
    """A step, without its id."""

    tool: str
    arguments: Mapping[str, str]
    """Canonical texts of the arguments' values, a hole for each reference to a step."""
    values: Mapping[str, Any]
    """The arguments as they stand in the plan."""
    policies: str
    """What else tells steps apart: `for_each`, `when`, how it starts and fails; canonical."""
    asks: bool
    """Whether a person decides before it runs."""


@dataclass(frozen=True, slots=True)
class PlanGraph:
    """Steps by place, references, and which step waits for which."""

    steps: tuple[PlanStep, ...]
    data: tuple[DataEdge, ...]
    order: frozenset[tuple[int, int]]
    """Pairs (before, after): references and `depends_on` between steps that are there."""
    dangling: tuple[tuple[str, tuple[str | int, ...], int, str], ...] = ()
    """References to steps that are not there: name, path, consumer, where."""
    ids: tuple[str, ...] = ()
    """What the steps were called."""


def plan_graph(document: object) -> PlanGraph:
    """Return a flow document, or a `Flow`, as a graph. Never raises."""
    if isinstance(document, Flow):
        document = document.document()
    listed = document.get("steps") if isinstance(document, dict) else None
    given = [step for step in listed if isinstance(step, dict)] if isinstance(listed, list) else []
    places: dict[str, int] = {}
    for place, step in enumerate(given):
        places.setdefault(str(step.get("id")), place)
    steps: list[PlanStep] = []
    data: list[DataEdge] = []
    order: set[tuple[int, int]] = set()
    dangling: list[tuple[str, tuple[str | int, ...], int, str]] = []
    for place, step in enumerate(given):
        reader = _Reader(places, place)
        steps.append(reader.step(step))
        data += reader.edges
        dangling += reader.dangling
        order |= {(edge.producer, place) for edge in reader.edges}
        order |= {
            (places[name], place) for name in _names(step.get("depends_on")) if name in places
        }
    loops = {pair for pair in order if pair[0] == pair[1]}
    ids = tuple(str(step.get("id")) for step in given)
    read = PlanGraph(tuple(steps), tuple(data), frozenset(order - loops), tuple(dangling), ids)
    return _arranged(read)


def neighbours(graph: PlanGraph, shift: int = 0) -> list[list[tuple[str, int]]]:
    """Return, for each step, in which way others stand beside it; `shift` is added to places."""
    links: list[list[tuple[str, int]]] = [[] for _ in graph.steps]
    for edge in graph.data:
        kind = f"{edge.where} {edge.path!r}"
        links[edge.consumer].append((f"from {kind}", edge.producer + shift))
        links[edge.producer].append((f"to {kind}", edge.consumer + shift))
    for before, after in graph.order:
        links[after].append(("after", before + shift))
        links[before].append(("before", after + shift))
    return links


def sorted_arguments(step: PlanStep) -> tuple[tuple[str, str], ...]:
    """Return the canonical arguments of a step in the order of their names."""
    return tuple(sorted(step.arguments.items()))


def canonical(value: object) -> str:
    """Return a value as text: equal values give equal texts, and 3.0 is 3."""
    return orjson.dumps(_whole(value), option=orjson.OPT_SORT_KEYS).decode()


class _Reader:
    """Reads one step, and notes the references in it."""

    def __init__(self, places: Mapping[str, int], place: int) -> None:
        self._places = places
        self._place = place
        self.edges: list[DataEdge] = []
        self.dangling: list[tuple[str, tuple[str | int, ...], int, str]] = []

    def step(self, step: Mapping[str, Any]) -> PlanStep:
        args = step.get("args")
        args = args if isinstance(args, dict) else {}
        arguments = {
            str(name): canonical(self._without(value, f"/{escape(str(name))}"))
            for name, value in args.items()
        }
        policies = canonical(
            [
                self._without(step.get("for_each"), "for_each"),
                self._condition(step.get("when")),
                step.get("on_error", "fail"),
                step.get("trigger_rule", "all_success"),
            ]
        )
        return PlanStep(
            tool=str(step.get("tool", "")).partition("@")[0],
            arguments=arguments,
            values=args,
            policies=policies,
            asks=step.get("approval") is not None,
        )

    def _without(self, value: Any, where: str) -> Any:
        """Return a value with holes where it refers to steps."""
        if isinstance(value, str):
            return self._text(value, where) if OPEN in value else value
        if isinstance(value, list):
            return [self._without(item, f"{where}/{index}") for index, item in enumerate(value)]
        if isinstance(value, dict):
            return {
                str(key): self._without(item, f"{where}/{escape(str(key))}")
                for key, item in value.items()
            }
        return value

    def _text(self, text: str, where: str) -> Any:
        try:
            template: Template = parse(text)
        except InvalidValue:
            return text
        parts = [
            part if isinstance(part, str) else self._hole(part, where) for part in template.parts
        ]
        return {_HOLE: parts}

    def _hole(self, reference: Reference, where: str) -> Any:
        if reference.step is None:
            return [reference.root, *reference.path]
        producer = self._places.get(reference.step)
        if producer is None:
            self.dangling.append((reference.step, reference.path, self._place, where))
            return [_HOLE, "nowhere", reference.step, *reference.path]
        self.edges.append(DataEdge(producer, reference.path, self._place, where))
        return [_HOLE]

    def _condition(self, text: Any) -> Any:
        """Return a condition without the ids in it; each counts as a reference to the step."""
        if not isinstance(text, str):
            return text

        def hole(match: re.Match[str]) -> str:
            producer = self._places.get(match.group(1) or match.group(2))
            if producer is None:
                return match.group()
            self.edges.append(DataEdge(producer, (), self._place, "when"))
            return _HOLE

        return " ".join(_STEP.sub(hole, text).split())


def _arranged(graph: PlanGraph) -> PlanGraph:
    """Return a graph with its steps in an order that does not depend on how they were listed."""
    links = neighbours(graph)
    ranks = _ranks([(step.tool, sorted_arguments(step), step.policies) for step in graph.steps])
    for _ in range(_ROUNDS):
        near = [sorted((kind, ranks[other]) for kind, other in beside) for beside in links]
        ranks = _ranks([(own, *beside) for own, beside in zip(ranks, near, strict=True)])
    listed = sorted(range(len(ranks)), key=ranks.__getitem__)
    place = {old: new for new, old in enumerate(listed)}
    data = [
        DataEdge(place[edge.producer], edge.path, place[edge.consumer], edge.where)
        for edge in graph.data
    ]
    return PlanGraph(
        steps=tuple(graph.steps[old] for old in listed),
        data=tuple(sorted(data, key=repr)),
        order=frozenset((place[before], place[after]) for before, after in graph.order),
        dangling=tuple(
            (name, path, place[consumer], where) for name, path, consumer, where in graph.dangling
        ),
        ids=tuple(graph.ids[old] for old in listed),
    )


def _ranks(keys: Sequence[Any]) -> list[int]:
    order = {key: number for number, key in enumerate(sorted(set(keys)))}
    return [order[key] for key in keys]


def closure(size: int, order: Iterable[tuple[int, int]]) -> list[int]:
    """Return, for each place, the set of places that come after it, as bits.

    Cycles are taken as they are: who waits for himself comes after himself.
    """
    following: list[list[int]] = [[] for _ in range(size)]
    for before, after in order:
        following[before].append(after)
    reach = [0] * size
    waiting = list(range(size))
    queued = [True] * size
    preceding: list[list[int]] = [[] for _ in range(size)]
    for before, after in order:
        preceding[after].append(before)
    while waiting:  # from the last places on, so that a chain is done in one pass
        place = waiting.pop()
        queued[place] = False
        found = reach[place]
        for after in following[place]:
            found |= reach[after] | (1 << after)
        if found != reach[place]:
            reach[place] = found
            for before in preceding[place]:
                if not queued[before]:
                    queued[before] = True
                    waiting.append(before)
    return reach


def longest_way(durations: Sequence[float], order: Iterable[tuple[int, int]]) -> float:
    """Return how long steps take at least when all that can go on at once does.

    Where steps wait for each other there is no end: infinity.
    """
    size = len(durations)
    waits = [0] * size
    following: list[list[int]] = [[] for _ in range(size)]
    for before, after in order:
        waits[after] += 1
        following[before].append(after)
    ends = list(durations)
    listed = [place for place in range(size) if not waits[place]]
    for place in listed:
        for after in following[place]:
            ends[after] = max(ends[after], ends[place] + durations[after])
            waits[after] -= 1
            if not waits[after]:
                listed.append(after)
    return max(ends, default=0.0) if len(listed) == size else math.inf


def reduction(order: Iterable[tuple[int, int]], reach: Sequence[int]) -> set[tuple[int, int]]:
    """Return the edges that no longer way implies; in a graph with cycles all of them."""
    edges = set(order)
    if any(found >> place & 1 for place, found in enumerate(reach)):
        return edges
    following: dict[int, list[int]] = {}
    for before, after in edges:
        following.setdefault(before, []).append(after)
    return {
        (before, after)
        for before, after in edges
        if not any(reach[other] >> after & 1 for other in following[before] if other != after)
    }


def _names(value: Any) -> list[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []


def _whole(value: Any) -> Any:
    """Return a value with whole floats as integers; what is no JSON becomes text."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, dict):
        return {str(key): _whole(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_whole(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return str(value) if isinstance(value, int) and abs(value) >= 2**63 else value
    return str(value)
