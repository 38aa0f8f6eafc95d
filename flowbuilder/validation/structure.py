"""The graph of a document: unknown dependencies, steps that wait for themselves, cycles."""

from __future__ import annotations

import difflib

from flowbuilder.errors import Fix, Problem, Severity
from flowbuilder.flow import Step, TriggerRule
from flowbuilder.graph import cycles, needs
from flowbuilder.validation.shape import Shape


def structure_problems(shape: Shape) -> list[Problem]:
    """Return the problems of `depends_on` and of the graph as a whole."""
    known = [identity for identity in shape.raw_ids if identity is not None]
    places = {identity: place for place, identity in reversed(list(enumerate(shape.raw_ids)))}
    problems: list[Problem] = []
    graph: dict[str, list[str]] = {}
    for position, step in shape.known_steps():
        problems += _dependency_problems(position, step, known)
        before = sorted(needs(step) - {step.id}, key=lambda name: (places.get(name, 0), name))
        graph.setdefault(step.id, before)
    for path in cycles(graph):
        problems.append(_cycle(path, places[path[0]] if path[0] in places else 0))
    return problems


def _dependency_problems(position: int, step: Step, known: list[str]) -> list[Problem]:
    problems = []
    names = set(known)
    for place, name in enumerate(step.depends_on):
        pointer = f"/steps/{position}/depends_on/{place}"
        if name == step.id:
            problems.append(_itself(step.id, pointer))
        elif name not in names:
            near = difflib.get_close_matches(name, known, 1)
            problems.append(
                Problem(
                    code="unknown_dependency",
                    pointer=pointer,
                    message=f"there is no step {name!r}",
                    hint=f"Did you mean {near[0]!r}?" if near else None,
                    fix=Fix.MODEL,
                )
            )
        elif name in step.depends_on[:place]:
            problems.append(
                Problem(
                    code="duplicate_dependency",
                    pointer=pointer,
                    message=f"{name!r} is listed twice",
                    severity=Severity.WARNING,
                    fix=Fix.AUTO,
                )
            )
    if step.id in needs(step) and step.id not in step.depends_on:
        problems.append(_itself(step.id, f"/steps/{position}"))
    if step.trigger_rule is not TriggerRule.ALL_SUCCESS and not needs(step):
        problems.append(
            Problem(
                code="trigger_rule_unused",
                pointer=f"/steps/{position}/trigger_rule",
                message=f"{step.trigger_rule.value} says nothing: the step depends on no other",
                severity=Severity.WARNING,
                fix=Fix.AUTO,
            )
        )
    return problems


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
