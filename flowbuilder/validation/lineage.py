"""What a step inherits from the steps it waits for: order, taint, and whether it runs at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from flowbuilder.errors import InvalidValue
from flowbuilder.expressions import compile_expression
from flowbuilder.flow import OnError, Step, TriggerRule
from flowbuilder.validation.facts import ToolFacts
from flowbuilder.validation.reading import StepReading


@dataclass(slots=True)
class Lineage:
    """What is known of one step by those before it."""

    place: int
    """One bit, that of the step's position."""
    behind: int
    """The bits of the steps that have ended well whenever this one has started."""
    rule: TriggerRule
    tainted: bool
    """Whether somebody outside had a part in its output."""
    may_skip: bool
    """Whether it may come to no output: it is skipped, or what it needs is."""
    never: bool
    """Whether it is surely skipped."""
    passed: int = field(init=False)
    """The bits of the step and of those that have surely ended well before it."""

    def __post_init__(self) -> None:
        surely = self.rule is TriggerRule.ALL_SUCCESS
        self.passed = self.place | self.behind if surely else self.place


def lineage_of(
    reading: StepReading, facts: ToolFacts | None, known: Mapping[str, Lineage]
) -> Lineage:
    """Return a step's lineage; what it waits for and is not known counts for nothing."""
    step = reading.step
    needed = map(known.get, reading.needs - {step.id})
    before = [other for other in needed if other is not None]
    behind, tainted = 0, facts is None or facts.tool.untrusted_output
    for other in before:
        behind |= other.passed
        tainted = tainted or other.tainted
    rule = step.trigger_rule
    constant = constant_condition(step) if step.when is not None else None
    never, may_skip = _skips(rule, before)
    may_skip = may_skip or step.on_error is OnError.SKIP
    return Lineage(
        place=1 << reading.position,
        behind=behind,
        rule=rule,
        tainted=tainted,
        may_skip=may_skip or (step.when is not None and constant is not True),
        never=never or constant is False,
    )


def constant_condition(step: Step) -> bool | None:
    """Return what a condition that reads nothing always says; None for any other."""
    if step.when is None:
        return None
    try:
        expression = compile_expression(step.when)
        return None if expression.roots else expression.condition({})
    except InvalidValue:
        return None


def _skips(rule: TriggerRule, before: list[Lineage]) -> tuple[bool, bool]:
    """Return whether a trigger rule surely, and whether it perhaps, skips a step."""
    if not before:
        return False, False
    if rule is TriggerRule.ALL_SUCCESS:
        return any(item.never for item in before), any(item.may_skip for item in before)
    if rule is TriggerRule.ONE_SUCCESS:
        return all(item.never for item in before), all(item.may_skip for item in before)
    return False, False
