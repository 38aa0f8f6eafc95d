"""Whether steps come to run, and run as they are written."""

from __future__ import annotations

from collections.abc import Mapping

from flowbuilder.errors import Fix, Problem, Severity
from flowbuilder.validation.lineage import Lineage, constant_condition
from flowbuilder.validation.reading import StepReading


def unreached(reading: StepReading, known: Mapping[str, Lineage]) -> Problem | None:
    """Return the warning that a step waits for one that never runs."""
    own = known.get(reading.step.id)
    if own is None or not own.never or own.place != 1 << reading.position:
        return None
    gone = sorted(name for name in reading.needs if name in known and known[name].never)
    if not gone:
        return None  # its own condition says so, and is reported
    message = f"the step never runs: it waits for {', '.join(gone)}, which never does"
    return _warning("unreachable_step", reading.pointer, message, Fix.USER)


def setting_problems(reading: StepReading) -> list[Problem]:
    """Warn of a condition that asks nothing, and of settings that mean nothing."""
    step, pointer = reading.step, reading.pointer
    problems = []
    constant = constant_condition(step) if step.when is not None else None
    if constant is not None:
        code, says = ("unreachable_step", "never") if constant is False else _ALWAYS
        message = f"the condition reads nothing: the step {says} runs"
        fix = Fix.USER if constant is False else Fix.AUTO
        problems.append(_warning(code, f"{pointer}/when", message, fix))
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
