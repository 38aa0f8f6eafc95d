"""Steps that ask a person by themselves: when their answer is about what is done next.

A `human.approve` step in front replaces an approval only when the effectful step cannot start
without it and takes nothing from other steps that the person was not shown in its `data`: else the
decision would not be about what is done.
"""

from __future__ import annotations

from collections.abc import Sequence

from flowbuilder.flow import OnError, Step, TriggerRule
from flowbuilder.references import Reference, find

_APPROVE = "human.approve"


def is_asked_before(step: Step, before: Sequence[Step]) -> bool:
    """Whether a person has agreed to exactly the data that a step takes.

    `before` are the steps that it waits for.
    """
    return bool(showing_steps(step, before))


def showing_steps(step: Step, before: Sequence[Step]) -> list[Step]:
    """Return those of the steps before that ask a person about all that a step takes."""
    if step.trigger_rule is not TriggerRule.ALL_SUCCESS or step.for_each is not None:
        return []
    takes = [found.reference for found in find(step.args) if found.reference.step is not None]
    return [asked for asked in before if _always_asks(asked) and _shows(asked, takes)]


def _shows(asked: Step, takes: Sequence[Reference]) -> bool:
    shown = [found.reference for found in find(asked.args.get("data"))]
    return all(taken.step == asked.id or _covers(shown, taken) for taken in takes)


def _always_asks(step: Step) -> bool:
    """Whether a step that has completed stands for a person's yes."""
    return (
        step.tool.partition("@")[0] == _APPROVE
        and step.for_each is None  # over no elements, nobody is asked
        and step.on_error is OnError.FAIL
        and step.args.get("on_deadline", "reject") == "reject"
    )


def _covers(shown: Sequence[Reference], taken: Reference) -> bool:
    """Whether the value that is taken is part of one that was shown."""
    return any(
        item.step == taken.step and item.path == taken.path[: len(item.path)] for item in shown
    )
