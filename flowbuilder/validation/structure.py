"""The graph of a document: unknown dependencies, steps that wait for themselves, cycles."""

from __future__ import annotations

from collections.abc import Container, Sequence

from flowbuilder.errors import Fix, InvalidValue, Problem, Severity
from flowbuilder.flow import Step, TriggerRule
from flowbuilder.graph import cycles
from flowbuilder.references import step_ids, texts
from flowbuilder.validation.shape import Shape


def structure_problems(shape: Shape) -> list[Problem]:
    """Return the problems of `depends_on` and of the graph as a whole."""
    known = [identity for identity in shape.raw_ids if identity is not None]
    names = set(known)
    places = {identity: place for place, identity in reversed(list(enumerate(shape.raw_ids)))}
    problems: list[Problem] = []
    graph: dict[str, list[str]] = {}
    for position, step in shape.known_steps():
        problems += dependency_problems(position, step, shape, known, names)
        others = shape.needs(position, step) - {step.id}
        before = sorted(others, key=lambda name: (places.get(name, 0), name))
        graph.setdefault(step.id, before)
    for path in cycles(graph):
        problems.append(_cycle(path, places.get(path[0], 0)))
    return problems


def dependency_problems(
    position: int, step: Step, shape: Shape, known: Sequence[str], names: Container[str]
) -> list[Problem]:
    """Return the problems of what one step depends on; `names` are the `known` ids of steps."""
    problems = []
    seen: set[str] = set()
    for place, name in enumerate(step.depends_on):
        pointer = f"/steps/{position}/depends_on/{place}"
        if name == step.id:
            problems.append(_itself(step.id, pointer))
        elif name not in names:
            problems.append(
                Problem(
                    code="unknown_dependency",
                    pointer=pointer,
                    message=f"there is no step {name!r}",
                    hint=shape.hints.meant(name, known),
                    fix=Fix.MODEL,
                )
            )
        elif name in seen:
            problems.append(
                Problem(
                    code="duplicate_dependency",
                    pointer=pointer,
                    message=f"{name!r} is listed twice",
                    severity=Severity.WARNING,
                    fix=Fix.AUTO,
                )
            )
        seen.add(name)
    before = shape.needs(position, step)
    if step.id in before and step.id not in seen:
        problems.append(_itself(step.id, f"/steps/{position}{_own_place(step)}"))
    if step.trigger_rule is not TriggerRule.ALL_SUCCESS and not before:
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


def _own_place(step: Step) -> str:
    """Return where a step refers to itself."""
    key = step.limit.key if step.limit is not None else None
    for value, pointer in (
        (step.args, "/args"),
        (step.for_each, "/for_each"),
        (key, "/limit/key"),
    ):
        for where, text in texts(value, pointer):
            try:
                if step.id in step_ids(text):
                    return where
            except InvalidValue:
                continue
    return "/when"


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
