"""Steps that ask a person by themselves: when their answer is about what is done next.

A `human.approve` step in front replaces an approval only when the effectful step cannot start
without it and the person has seen all that is done: every value that comes from other steps or the
input in the question's `data`, everything else there or in its message. Else a harmless question
could stand for a yes to anything.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence

from flowbuilder.flow import OnError, Step, TriggerRule
from flowbuilder.references import Reference, find, parse
from flowbuilder.strictjson import dumps
from flowbuilder.types import JsonValue

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
    return [asked for asked in before if _always_asks(asked) and _shows(asked, step)]


def _shows(asked: Step, step: Step) -> bool:
    data, message = asked.args.get("data"), str(asked.args.get("message"))
    shown = [found.reference for found in find(data)]
    seen = {dumps(leaf) for leaf in _leaves(data)}
    takes = [
        found.reference for found in find(step.args) if found.reference.root in ("steps", "input")
    ]
    return all(taken.step == asked.id or _covers(shown, taken) for taken in takes) and all(
        _is_said(leaf, seen, message) for leaf in _leaves(step.args)
    )


def _is_said(leaf: JsonValue, seen: Container[bytes], message: str) -> bool:
    """Whether a person was told of a value, or of the words around the references in it."""
    if leaf is None or leaf == "" or dumps(leaf) in seen:
        return True
    if not isinstance(leaf, str):
        return not isinstance(leaf, bool) and str(leaf) in message
    words = [part.strip() for part in parse(leaf).parts if isinstance(part, str)]
    return all(word in message for word in words)


def _leaves(value: JsonValue) -> Iterator[JsonValue]:
    """Yield every value inside a value that holds no others."""
    if isinstance(value, dict):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


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
        (item.root, item.step) == (taken.root, taken.step)
        and item.path == taken.path[: len(item.path)]
        for item in shown
    )
