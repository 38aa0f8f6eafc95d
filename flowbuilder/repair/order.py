"""What steps wait for: entries of depends_on that cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from flowbuilder.errors import Problem
from flowbuilder.likeness import like
from flowbuilder.repair.desk import Desk, Mending
from flowbuilder.repair.edits import ABSENT, Edit, Path, Way
from flowbuilder.types import JsonObject, JsonValue


def mend(desk: Desk) -> Iterator[Mending]:
    """Rename or take out dependencies on nothing and on oneself; open cycles."""
    for problem, path, value in desk.of("self_dependency", "unknown_dependency"):
        if "depends_on" not in path or not isinstance(path[-1], int):
            continue
        listed = desk.step_at(path).get("depends_on")
        if not isinstance(listed, list):
            continue
        near = None
        if problem.code == "unknown_dependency" and isinstance(value, str):
            near = like(value, list(desk.places))
        ways = [_with(path[:-1], [*listed[: path[-1]], near, *listed[path[-1] + 1 :]], near)]
        if problem.code == "self_dependency" or near is None:
            ways = [_without(path[:-1], listed, value)]
        yield Mending(problem.code, tuple(ways))
    for problem, path, _ in desk.of("cycle"):
        yield from _opened(desk, problem, path)


def _opened(desk: Desk, problem: Problem, path: Path) -> Iterator[Mending]:
    """Take out one listed dependency of a cycle, the one on the latest step first.

    An order that is only listed gives way to one that data has.
    """
    names = problem.message.rpartition(": ")[2].split(" -> ")
    pairs = [(a, b) for a, b in pairwise(names) if a in desk.places]
    pairs.sort(key=lambda pair: desk.places[pair[0]] - desk.places.get(pair[1], 0))
    for name, before in pairs:
        place = desk.places[name]
        step: JsonObject = desk.step_at(("steps", place))
        listed = step.get("depends_on")
        if isinstance(listed, list) and before in listed:
            way = _without(("steps", place, "depends_on"), listed, before)
            yield Mending(problem.code, (way,))


def _with(path: Path, listed: list[JsonValue], name: str | None) -> Way:
    return (Edit(path, listed),) if name is not None else ()


def _without(path: Path, listed: list[JsonValue], name: JsonValue) -> Way:
    rest = [item for item in listed if item != name]
    return (Edit(path, rest or ABSENT),)
