"""Defects of plans, drawn by a seeded generator: what models get wrong, one at a time.

A defect takes a flow document and returns another one; where it finds nothing to spoil it returns
the document as it was. A defect of the text does the same with the text of an answer.

They know no catalogue, as a model that errs does not look into it, and some are no faults of a
document at all (a step too few). `evals/mutants.py` has the defects that validation is measured by:
each is made with the tools at hand, and certainly is one.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from flowbuilder.references import find
from flowbuilder.types import JsonObject, JsonValue, is_number

Defect = Callable[[JsonObject, Random], JsonObject]
TextDefect = Callable[[str, Random], str]


def unknown_tool(document: JsonObject, random: Random) -> JsonObject:
    """Name a tool that does not exist, most like one that does."""
    return _spoiled(document, random, lambda step: step.update(tool=f"{step['tool']}_now"))


def unknown_argument(document: JsonObject, random: Random) -> JsonObject:
    """Give an argument that the tool does not take."""
    return _spoiled(document, random, lambda step: _args(step).update(unheard_of=1))


def missing_argument(document: JsonObject, random: Random) -> JsonObject:
    """Leave an argument out."""

    def spoil(step: dict[str, Any]) -> None:
        del _args(step)[random.choice(list(_args(step)))]

    return _spoiled(document, random, spoil, _has_arguments)


def wrong_type(document: JsonObject, random: Random) -> JsonObject:
    """Give a list of lists where something else is wanted."""

    def spoil(step: dict[str, Any]) -> None:
        _args(step)[random.choice(list(_args(step)))] = [[["nested"]]]

    return _spoiled(document, random, spoil, _has_arguments)


def self_reference(document: JsonObject, random: Random) -> JsonObject:
    """Have a step take its own output."""

    def spoil(step: dict[str, Any]) -> None:
        _args(step)[random.choice(list(_args(step)))] = f"${{{{ steps.{step['id']} }}}}"

    return _spoiled(document, random, spoil, _has_arguments)


def forward_reference(document: JsonObject, random: Random) -> JsonObject:
    """Have a step wait for one that needs it, which closes a circle."""
    made = copy.deepcopy(document)
    steps = _steps(made)
    pairs = [
        (first, second)
        for second in steps
        for first in steps
        if first is not second and first["id"] in _needs(second)
    ]
    if pairs:
        first, second = random.choice(pairs)
        first["depends_on"] = [*first.get("depends_on", []), second["id"]]
    return made


def unknown_step(document: JsonObject, random: Random) -> JsonObject:
    """Refer to a step that does not exist."""

    def spoil(step: dict[str, Any]) -> None:
        _args(step)[random.choice(list(_args(step)))] = "${{ steps.nowhere }}"

    return _spoiled(document, random, spoil, _has_arguments)


def unknown_field(document: JsonObject, random: Random) -> JsonObject:
    """Refer to a field that the output does not have."""
    return _with_reference(document, random, lambda text: f"{text[:-3].rstrip()}.unheard_of }}}}")


def dropped_step(document: JsonObject, random: Random) -> JsonObject:
    """Leave a step out."""
    made = copy.deepcopy(document)
    steps = _steps(made)
    if len(steps) > 1:
        steps.remove(random.choice(steps))
    return made


def added_step(document: JsonObject, random: Random) -> JsonObject:
    """Do a step twice, under another name."""
    made = copy.deepcopy(document)
    steps = _steps(made)
    if steps:
        again = copy.deepcopy(random.choice(steps))
        again["id"] = f"{again['id']}_again"
        steps.append(again)
    return made


def duplicate_id(document: JsonObject, random: Random) -> JsonObject:
    """Give two steps the same name."""
    made = copy.deepcopy(document)
    steps = _steps(made)
    if len(steps) > 1:
        first, second = random.sample(steps, 2)
        second["id"] = first["id"]
    return made


def swapped_references(document: JsonObject, random: Random) -> JsonObject:
    """Exchange two arguments of a step."""

    def spoil(step: dict[str, Any]) -> None:
        args = _args(step)
        first, second = random.sample(list(args), 2)
        args[first], args[second] = args[second], args[first]

    return _spoiled(document, random, spoil, lambda step: len(_args(step)) > 1)


def invented_literal(document: JsonObject, random: Random) -> JsonObject:
    """Write a value that nobody has named."""

    def spoil(step: dict[str, Any]) -> None:
        args = _args(step)
        name = random.choice([name for name, value in args.items() if _literal(value)])
        drawn = random.randint(100_001, 999_999)
        args[name] = drawn if is_number(args[name]) else f"somebody{drawn}@invented.example"

    return _spoiled(document, random, spoil, lambda step: any(map(_literal, _args(step).values())))


def bare_reference(document: JsonObject, random: Random) -> JsonObject:
    """Write a reference without its sign."""
    return _with_reference(document, random, lambda text: text.removeprefix("$"))


def truncated(text: str, random: Random) -> str:
    """Break off somewhere in the second half."""
    return text[: random.randint(len(text) // 2, max(len(text) // 2, len(text) - 1))]


def surrounded(text: str, random: Random) -> str:
    """Talk before and behind the answer."""
    return f"Sure, here is the plan:\n```json\n{text}\n```\nLet me know!"


def trailing_comma(text: str, random: Random) -> str:
    """Leave a comma before the last bracket."""
    head, bracket, tail = text.rpartition("]")
    return f"{head},{bracket}{tail}" if bracket else text


def single_quotes(text: str, random: Random) -> str:
    """Write as Python does."""
    return text.replace('"', "'")


#: By name, in a fixed order, so that a seed means the same everywhere.
DEFECTS: Mapping[str, Defect] = {
    item.__name__: item
    for item in (
        unknown_tool, unknown_argument, missing_argument, wrong_type, self_reference,
        forward_reference, unknown_step, unknown_field, dropped_step, added_step, duplicate_id,
        swapped_references, invented_literal, bare_reference,
    )
}  # fmt: skip
TEXT_DEFECTS: Mapping[str, TextDefect] = {
    item.__name__: item for item in (truncated, surrounded, trailing_comma, single_quotes)
}


def _spoiled(
    document: JsonObject,
    random: Random,
    spoil: Callable[[dict[str, Any]], object],
    fitting: Callable[[dict[str, Any]], bool] = lambda step: True,
) -> JsonObject:
    """Return the document with one of the fitting steps spoiled."""
    made = copy.deepcopy(document)
    steps = [step for step in _steps(made) if fitting(step)]
    if steps:
        spoil(random.choice(steps))
    return made


def _with_reference(
    document: JsonObject, random: Random, change: Callable[[str], str]
) -> JsonObject:
    """Return the document with one whole reference in an argument changed."""

    def whole(value: JsonValue) -> bool:
        return isinstance(value, str) and any(item.exact for item in find(value))

    def spoil(step: dict[str, Any]) -> None:
        name = random.choice([name for name, value in _args(step).items() if whole(value)])
        _args(step)[name] = change(_args(step)[name])

    return _spoiled(document, random, spoil, lambda step: any(map(whole, _args(step).values())))


def _steps(document: Any) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = document.setdefault("steps", [])
    return steps


def _args(step: dict[str, Any]) -> dict[str, Any]:
    args: dict[str, Any] = step.setdefault("args", {})
    return args


def _has_arguments(step: dict[str, Any]) -> bool:
    return bool(_args(step))


def _literal(value: JsonValue) -> bool:
    return is_number(value) or (isinstance(value, str) and "${{" not in value)


def _needs(step: dict[str, Any]) -> set[str]:
    named = {item.reference.step for item in find(_args(step)) if item.reference.step}
    return {*named, *step.get("depends_on", [])}
