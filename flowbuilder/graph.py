"""Pure functions over step graphs. A graph is `{step id: ids it depends on}`, in document order."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeAlias

from flowbuilder.errors import InvalidValue
from flowbuilder.expressions import step_names
from flowbuilder.flow import Flow, Step
from flowbuilder.references import step_ids

Graph: TypeAlias = Mapping[str, Sequence[str]]


def dependencies(flow: Flow) -> dict[str, tuple[str, ...]]:
    """Return what each step depends on: `depends_on`, and the steps that its arguments,
    `for_each` and `when` refer to. Sorted by document order; unknown ids are kept at the end.
    References that cannot be read count for nothing: validation reports them.
    """
    place = {step.id: number for number, step in enumerate(flow.steps)}
    return {
        step.id: tuple(sorted(needs(step), key=lambda name: (place.get(name, len(place)), name)))
        for step in flow.steps
    }


def needs(step: Step) -> set[str]:
    """Return the ids that one step depends on."""
    found = set(step.depends_on)
    for part in (step.args, step.for_each):
        try:
            found |= step_ids(part)
        except InvalidValue:
            continue
    if step.when is not None:
        found |= step_names(step.when)
    return found


def dependents(graph: Graph) -> dict[str, list[str]]:
    """Return which steps depend on each step."""
    found: dict[str, list[str]] = {name: [] for name in graph}
    for name, before in graph.items():
        for other in before:
            if other in found:
                found[other].append(name)
    return found


def order(graph: Graph) -> list[str]:
    """Return the steps so that each comes after what it depends on, else in document order.

    Steps on a cycle are left out. Dependencies on unknown steps count for nothing.
    """
    place = {name: number for number, name in enumerate(graph)}
    return [name for layer in layers(graph) for name in sorted(layer, key=place.__getitem__)]


def layers(graph: Graph) -> list[list[str]]:
    """Return the steps by how long the longest path to them is: layer 0 depends on nothing."""
    after = dependents(graph)
    open_ = {
        name: sum(1 for other in set(before) if other in graph) for name, before in graph.items()
    }
    layer = [name for name, count in open_.items() if count == 0]
    found: list[list[str]] = []
    while layer:
        found.append(layer)
        following: list[str] = []
        for name in layer:
            for other in set(after[name]):
                open_[other] -= 1
                if open_[other] == 0:
                    following.append(other)
        layer = following
    return found


def cycles(graph: Graph) -> list[list[str]]:
    """Return cycles as paths that name their first step again at the end: `["a", "b", "a"]`.

    Every step that lies on some cycle is on a reported path or depends on one that is; each
    reported path is a real cycle, at most one for each group of mutually dependent steps.
    """
    ordered = set(order(graph))
    stuck = {name for name in graph if name not in ordered}
    found: list[list[str]] = []
    seen: set[str] = set()
    for start in graph:
        if start not in stuck or start in seen:
            continue
        path: list[str] = []
        places: dict[str, int] = {}
        name: str | None = start
        # From a step that never becomes ready, some dependency never does either: walking on
        # must come back to a step of the path, or to one that was walked before.
        while name is not None and name not in seen and name not in places:
            places[name] = len(path)
            path.append(name)
            name = next((other for other in graph[name] if other in stuck), None)
        if name is not None and name in places:
            loop = path[places[name] :]
            found.append([*reversed(loop[1:]), loop[0], loop[-1]] if len(loop) > 1 else loop * 2)
        seen |= set(path)
    return found


def descendants(graph: Graph, names: Iterable[str]) -> set[str]:
    """Return every step that depends, directly or not, on one of the given ones."""
    after = dependents(graph)
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        for other in after.get(waiting.pop(), ()):
            if other not in found:
                found.add(other)
                waiting.append(other)
    return found


def ancestors(graph: Graph, names: Iterable[str]) -> set[str]:
    """Return every step that one of the given ones depends on, directly or not."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        for other in graph.get(waiting.pop(), ()):
            if other not in found:
                found.add(other)
                waiting.append(other)
    return found


def leaves(graph: Graph) -> list[str]:
    """Return the steps that nothing depends on."""
    return [name for name, after in dependents(graph).items() if not after]


def roots(graph: Graph) -> list[str]:
    """Return the steps that depend on nothing."""
    return [name for name, before in graph.items() if not before]


def width(graph: Graph) -> int:
    """Return how many steps can run at once at most, judged by layers."""
    return max((len(layer) for layer in layers(graph)), default=0)


def is_known(graph: Graph, names: Collection[str]) -> bool:
    """Whether all the names are steps of the graph."""
    return all(name in graph for name in names)
