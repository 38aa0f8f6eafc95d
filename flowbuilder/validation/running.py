"""Whether steps come to run, and to run as they are written."""

from __future__ import annotations

from collections.abc import Mapping

from flowbuilder.errors import Fix, Problem, Severity
from flowbuilder.validation.lineage import Lineage, constant_condition
from flowbuilder.validation.reading import StepReading


def running_problems(reading: StepReading, known: Mapping[str, Lineage]) -> list[Problem]:
    """Warn of a step that never runs, and of settings that mean nothing."""
    step, pointer = reading.step, reading.pointer
    problems = []
    constant = constant_condition(step) if step.when is not None else None
    own = known.get(step.id)
    if constant is not None:
        code, says = ("unreachable_step", "never") if constant is False else _ALWAYS
        message = f"the condition reads nothing: the step {says} runs"
        fix = Fix.USER if constant is False else Fix.AUTO
        problems.append(_warning(code, f"{pointer}/when", message, fix))
    elif own is not None and own.never and own.place == 1 << reading.position:
        gone = sorted(name for name in reading.needs if name in known and known[name].never)
        message = f"the step never runs: it waits for {', '.join(gone)}, which never does"
        problems.append(_warning("unreachable_step", pointer, message, Fix.USER))
    if step.for_each is None and step.concurrency is not None:
        message = "a concurrency says nothing without a for_each"
        problems.append(_warning("concurrency_unused", f"{pointer}/concurrency", message, Fix.AUTO))
    if step.for_each is not None and not _uses_item(reading):
        message = "every element is worked on alike: no argument has ${{ item }} or ${{ index }}"
        problems.append(_warning("map_without_item", f"{pointer}/for_each", message, Fix.MODEL))
    return problems


_ALWAYS = ("condition_constant", "always")


def _uses_item(reading: StepReading) -> bool:
    return any(
        found.reference.root in ("item", "index")
        for part in (reading.args, reading.key)
        for found in part.found()
    )


def _warning(code: str, pointer: str, message: str, fix: Fix) -> Problem:
    return Problem(code=code, pointer=pointer, message=message, severity=Severity.WARNING, fix=fix)
