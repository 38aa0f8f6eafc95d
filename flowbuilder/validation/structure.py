"""The order of a document's steps: dependencies, steps that wait for themselves, cycles."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from flowbuilder.errors import Fix, Problem, Severity
from flowbuilder.flow import TriggerRule
from flowbuilder.graph import cycles
from flowbuilder.validation.lineage import Lineage
from flowbuilder.validation.reading import StepReading
from flowbuilder.validation.scope import DataScope

#: When so many cycles are told, it is not looked for those behind them.
_MOST_CYCLES = 8


def dependency_problems(
    reading: StepReading, scope: DataScope, known: Mapping[str, Lineage], *, needless: bool = True
) -> list[Problem]:
    """Return the problems of what one step waits for; `needless`: also what it need not wait for.

    The latter are only warnings, and take the longest to find.
    """
    step, problems = reading.step, []
    seen: set[str] = set()
    for place, name in enumerate(step.depends_on):
        pointer = f"{reading.pointer}/depends_on/{place}"
        if name == step.id:
            problems.append(_itself(step.id, pointer))
        elif name not in scope:
            problems.append(_unknown(name, pointer, scope))
        elif name in seen:
            problems.append(_listed_twice(name, pointer))
        seen.add(name)
    if step.id in reading.needs and step.id not in seen:
        problems.append(_itself(step.id, _own_place(reading)))
    if step.trigger_rule is not TriggerRule.ALL_SUCCESS and not reading.needs:
        problems.append(
            Problem(
                code="trigger_rule_unused",
                pointer=f"{reading.pointer}/trigger_rule",
                message=f"{step.trigger_rule.value} says nothing: the step depends on no other",
                severity=Severity.WARNING,
                fix=Fix.AUTO,
            )
        )
    if step.depends_on and needless:
        problems += _needless(reading, known)
    return problems


def _needless(reading: StepReading, known: Mapping[str, Lineage]) -> list[Problem]:
    """Return the listed dependencies that hold anyway."""
    step = reading.step
    referred = reading.data | reading.key.steps
    after = _after(reading, known) if step.trigger_rule is TriggerRule.ALL_SUCCESS else {}
    if not after and referred.isdisjoint(step.depends_on):
        return []
    problems = []
    seen = {step.id}
    for place, name in enumerate(step.depends_on):
        if name in seen or name not in known:
            continue
        seen.add(name)
        if name in referred:
            through = "a reference says so already"
        elif name in after:
            through = f"{after[name]!r} comes after it already"
        else:
            continue
        problems.append(
            Problem(
                code="needless_dependency",
                pointer=f"{reading.pointer}/depends_on/{place}",
                message=f"the step need not wait for {name!r}: {through}",
                severity=Severity.WARNING,
                fix=Fix.AUTO,
            )
        )
    return problems


def _after(reading: StepReading, known: Mapping[str, Lineage]) -> dict[str, str]:
    """Return for listed steps the first by name, of all the step waits for, that comes after them.

    Each of these is looked at once or twice, however many there are: the bits of all that stand
    before any of them say which of the listed ones are concerned at all, mostly none.
    """
    before = {name: known[name] for name in reading.needs if name in known}
    before.pop(reading.step.id, None)
    listed = {before[name].place: name for name in reading.step.depends_on if name in before}
    passed = wanted = 0
    for lineage in before.values():
        passed |= lineage.passed ^ lineage.place
    for place in listed:
        wanted |= place
    left = passed & wanted
    after: dict[str, str] = {}
    for name in sorted(before) if left else ():
        lineage = before[name]
        hits = left & (lineage.passed ^ lineage.place)
        left ^= hits
        while hits:
            place = hits & -hits
            after[listed[place]] = name
            hits ^= place
        if not left:
            break
    return after


def cycle_problems(
    readings: Sequence[StepReading], places: Mapping[str, int], settled: Collection[str]
) -> list[Problem]:
    """Return the cycles among steps; the settled ones are in none.

    Also those that would stay if the first step of another one were mended, up to a bound.
    """
    graph: dict[str, list[str]] = {}
    for reading in readings:
        before = reading.needs - {reading.step.id}
        ordered = sorted(
            (name for name in before if name not in settled),
            key=lambda name: (places.get(name, 0), name),
        )
        graph.setdefault(reading.step.id, ordered)
    found: list[list[str]] = []
    while len(found) < _MOST_CYCLES and (paths := cycles(graph)):
        found += paths
        for path in paths:
            del graph[path[0]]
    return [_cycle(path, places.get(path[0], 0)) for path in found]


def _own_place(reading: StepReading) -> str:
    """Return where a step refers to itself."""
    for part in (reading.args, reading.elements, reading.key):
        for found in part.found():
            if found.reference.step == reading.step.id:
                return found.pointer
    return f"{reading.pointer}/when"


def _unknown(name: str, pointer: str, scope: DataScope) -> Problem:
    return Problem(
        code="unknown_dependency",
        pointer=pointer,
        message=f"there is no step {name!r}",
        hint=scope.shape.hints.meant(name, scope.ids),
        fix=Fix.MODEL,
    )


def _listed_twice(name: str, pointer: str) -> Problem:
    return Problem(
        code="duplicate_dependency",
        pointer=pointer,
        message=f"{name!r} is listed twice",
        severity=Severity.WARNING,
        fix=Fix.AUTO,
    )


def _itself(identity: str, pointer: str) -> Problem:
    return Problem(
        code="self_dependency",
        pointer=pointer,
        message=f"step {identity!r} waits for itself",
        fix=Fix.MODEL,
    )


def _cycle(path: list[str], place: int) -> Problem:
    shown = path if len(path) <= 40 else [*path[:20], f"({len(path) - 40} more)", *path[-20:]]
    return Problem(
        code="cycle",
        pointer=f"/steps/{place}",
        message=f"these steps wait for each other: {' -> '.join(shown)}",
        hint="Remove one of these references or dependencies.",
        fix=Fix.MODEL,
    )
