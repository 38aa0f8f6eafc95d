"""Pure functions over step graphs. A graph is `{step id: ids it depends on}`, in document order."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeAlias

from flowbuilder.errors import InvalidValue
from flowbuilder.expression_text import step_names
from flowbuilder.flow import Flow, Step
from flowbuilder.references import step_ids

Graph: TypeAlias = Mapping[str, Sequence[str]]


def dependencies(flow: Flow) -> dict[str, tuple[str, ...]]:
    """Return what each step depends on, by `depends_on` or by what it refers to.

    References stand in arguments, `for_each`, `when` and the key of a limit. Sorted by document
    order; unknown ids are kept at the end. References that cannot be read count for nothing:
    validation reports them.
    """
    place = {step.id: number for number, step in enumerate(flow.steps)}
    return {
        step.id: tuple(sorted(needs(step), key=lambda name: (place.get(name, len(place)), name)))
        for step in flow.steps
    }


def needs(step: Step) -> set[str]:
    """Return the ids that one step depends on."""
    found = set(step.depends_on)
    for part in (step.args, step.for_each, step.limit.key if step.limit else None):
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


def cycles(graph: Graph) -> list[list[str]]:
    """Return cycles as paths that name their first step again at the end: `["a", "b", "a"]`.

    Each step of a path depends on the one after it. There is one path, a shortest one through the
    group's first step, for each group of steps that all depend on each other.
    """
    found: list[list[str]] = []
    for group in groups(graph):
        first = next(name for name in graph if name in group) if len(group) > 1 else min(group)
        path = _way_back(graph, first, group)
        if path:
            found.append(path)
    place = {name: number for number, name in enumerate(graph)}
    return sorted(found, key=lambda path: place[path[0]])


def groups(graph: Mapping[str, Collection[str]]) -> list[set[str]]:
    """Return the strongly connected groups of steps, each after those that it depends on.

    Tarjan's algorithm, without recursion.
    """
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    open_: dict[str, None] = {}
    found: list[set[str]] = []
    for start in graph:
        walk = [] if start in number else [(start, iter(graph[start]))]
        while walk:
            name, others = walk[-1]
            if name not in number:
                number[name] = lowest[name] = len(number)
                open_[name] = None
            other = next((item for item in others if item in graph), None)
            if other is not None:
                if other not in number:
                    walk.append((other, iter(graph[other])))
                elif other in open_:
                    lowest[name] = min(lowest[name], number[other])
                continue
            walk.pop()
            if walk:
                lowest[walk[-1][0]] = min(lowest[walk[-1][0]], lowest[name])
            if lowest[name] == number[name]:
                found.append(_taken_until(open_, name))
    return found


def _taken_until(open_: dict[str, None], name: str) -> set[str]:
    group: set[str] = set()
    while name not in group:
        group.add(open_.popitem()[0])
    return group


def _way_back(graph: Graph, first: str, group: Collection[str]) -> list[str]:
    """Return a shortest path of dependencies from a step to itself, empty when there is none."""
    before: dict[str, str] = {}
    waiting = deque([first])
    while waiting:
        name = waiting.popleft()
        for other in graph[name]:
            if other == first:
                path = [first, name]
                while path[-1] != first:
                    path.append(before[path[-1]])
                return [first, *reversed(path[1:-1]), first] if name != first else [first, first]
            if other in group and other not in before:
                before[other] = name
                waiting.append(other)
    return []


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
