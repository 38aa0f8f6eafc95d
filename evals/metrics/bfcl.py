"""Whether calls are right as BFCL judges them from their syntax, faults included.

A call is right when function, types and values are: every value must be among the accepted ones,
texts but for case and some punctuation, and an argument may be left out when the empty text is
accepted. What is peculiar, and kept: several calls are matched greedily; types are looked at one
level deep; a text that stands for a variable passes where the accepted value is a text; and members
of accepted objects are looked at without their own types.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_TYPES: dict[str, type] = {
    "string": str, "integer": int, "float": float, "boolean": bool,
    "array": list, "tuple": list, "dict": dict, "any": str,
}  # fmt: skip
_NESTED = ("array", "tuple")
_IGNORED = re.compile(r"[ ,./\-_*^]")

Call = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether calls are right; the reason is ours, and empty when they are."""

    right: bool
    reason: str = ""

    def __bool__(self) -> bool:
        return self.right


RIGHT = Verdict(True)


def judge_calls(
    category: str,
    functions: Sequence[Mapping[str, Any]],
    calls: Sequence[Call],
    answers: Sequence[Call],
) -> Verdict:
    """Return whether a model's calls are right.

    Args:
        category: `simple…`, `multiple`, `parallel`, `parallel_multiple` or `irrelevance`.
        functions: What there was to choose from.
        calls: Function → arguments, one by one.
        answers: The accepted values of each call.
    """
    if "irrelevance" in category:
        return Verdict(False, "nothing should be called") if calls else RIGHT
    if len(calls) != len(answers):
        return Verdict(False, f"{len(calls)} calls, not {len(answers)}")
    if "parallel" in category:
        return _any_order(functions, calls, answers)
    if not answers:
        return RIGHT
    name = next(iter(answers[0]))
    described = _described(functions, name) if "multiple" in category else functions[0]
    return judge_call(described, calls[0], answers[0])


def accuracy(verdicts: Iterable[Verdict]) -> float:
    """Return the share of right ones; 0 of none."""
    listed = [verdict.right for verdict in verdicts]
    return sum(listed) / len(listed) if listed else 0.0


def judge_call(function: Mapping[str, Any] | None, call: Call, answer: Call) -> Verdict:
    """Return whether one call is right."""
    if function is None:
        return Verdict(False, "the function is not described")
    accepted = next(iter(answer.values()))
    parameters = function["parameters"]
    described: Mapping[str, Any] = parameters.get("properties", {})
    if function["name"] not in call:
        return Verdict(False, f"{function['name']} is not called")
    given = call[function["name"]]
    for name in parameters.get("required", []):
        if name not in given:
            return Verdict(False, f"{name} is missing")
    for name, value in given.items():
        if name not in described or name not in accepted:
            return Verdict(False, f"{name} is not wanted")
        if not _argument(value, described[name], accepted[name]):
            return Verdict(False, f"{name} is {value!r:.80}")
    for name, values in accepted.items():
        if name not in given and "" not in values:
            return Verdict(False, f"{name} may not be left out")
    return RIGHT


def standardised(text: str) -> str:
    """Return a text as texts are compared."""
    return _IGNORED.sub("", text).lower().replace("'", '"')


def _described(functions: Sequence[Mapping[str, Any]], name: str) -> Mapping[str, Any] | None:
    return next((function for function in functions if function["name"] == name), None)


def _any_order(
    functions: Sequence[Mapping[str, Any]], calls: Sequence[Call], answers: Sequence[Call]
) -> Verdict:
    """Give each answer the first call that is left and right."""
    left = list(calls)
    for number, answer in enumerate(answers):
        described = _described(functions, next(iter(answer)))
        fitting = next((call for call in left if judge_call(described, call, answer)), None)
        if fitting is None:
            return Verdict(False, f"no call fits answer {number + 1}")
        left = [call for call in left if call is not fitting]
    return RIGHT


def _argument(value: Any, described: Mapping[str, Any], accepted: list[Any]) -> bool:
    word = described.get("type")
    wanted = _TYPES.get(str(word))
    if wanted is None:
        return False
    inner = (
        _TYPES.get(described["items"]["type"]) if word in _NESTED and "items" in described else None
    )
    if word == "float" and type(value) is int:
        value = float(value)
    fits, variable = _type_fits(value, accepted, wanted, inner)
    if not fits:
        return False
    if variable:
        return value in accepted
    if wanted is dict:
        return any(_object_fits(value, other) for other in accepted if other != "")
    if wanted is list and inner is dict:
        return any(_objects_fit(value, others) for others in accepted)
    if wanted is str:
        texts = {standardised(other) for other in accepted if isinstance(other, str)}
        return standardised(value) in texts
    if wanted is list:
        return _without_case(value) in [_without_case(other) for other in accepted]
    return value in accepted


def _type_fits(
    value: Any, accepted: Sequence[Any], wanted: type, inner: type | None
) -> tuple[bool, bool]:
    """Return whether the type is right, and whether the value stands for a variable."""
    told = next((type(other) for other in accepted if other != ""), None)
    if type(value) is not wanted:
        return told is not None and type(value) is told, True
    if inner is not None and not any(_elements_fit(value, other, inner) for other in accepted):
        return False, False
    return True, told is not None and told is not wanted


def _elements_fit(value: Any, accepted: Any, inner: type) -> bool:
    if type(accepted) is not list:
        return True
    return all(_type_fits(item, accepted, inner, None)[0] for item in value)


def _object_fits(value: Mapping[str, Any], accepted: Mapping[str, Any]) -> bool:
    for key, member in value.items():
        if key not in accepted or _plain(member) not in [_plain(one) for one in accepted[key]]:
            return False
    return all(key in value or "" in members for key, members in accepted.items())


def _objects_fit(value: Sequence[Any], accepted: Sequence[Any]) -> bool:
    return len(value) == len(accepted) and all(
        other != "" and _object_fits(member, other)
        for member, other in zip(value, accepted, strict=True)
    )


def _without_case(values: Iterable[Any]) -> list[Any]:
    return [_plain(value) for value in values]


def _plain(value: Any) -> Any:
    return standardised(value) if isinstance(value, str) else value
