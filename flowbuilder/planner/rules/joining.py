"""How the comparisons of a clause are joined: by "and", by "or", by both."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from flowbuilder.planner.rules.comparing import Comparison
from flowbuilder.types import JsonValue

_OR = re.compile(r"\bor\b", re.IGNORECASE)
_AND = re.compile(r"\band\b", re.IGNORECASE)
#: Operators that say the same of several values at once.
_ONE_OF = ("eq", "in")
_NONE_OF = ("ne", "not_in")


def joined(found: Sequence[Comparison], text: str) -> tuple[list[Comparison], bool]:
    """Return comparisons in order, those of one column with several values as one.

    The flag says that one of them is enough. Where "and" and "or" stand side by side, which of them
    binds first is doubted.
    """
    ordered = sorted(found, key=lambda item: item.start)
    whole: list[Comparison] = ordered[:1]
    left: list[bool] = []
    for either, (_, item) in zip(_joins(ordered, text), pairwise(ordered), strict=True):
        merged = _merged(whole[-1], item, either=either)
        if merged is not None:
            whole[-1] = merged
        else:
            whole.append(item)
            left.append(either)
    if len(set(left)) > 1:
        doubt = "“and” stands beside “or”, and either may bind first"
        whole[-1] = replace(whole[-1], doubt=whole[-1].doubt or doubt)
    return whole, any(left)


def _joins(ordered: Sequence[Comparison], text: str) -> list[bool]:
    """Return whether "or" stands between each two; a comma stands for what is said behind it."""
    joins: list[bool] = []
    said = False
    for before, after in reversed(list(pairwise(ordered))):
        gap = text[before.end : after.start]
        if before.end > after.start or _AND.search(gap):
            said = False
        elif _OR.search(gap):
            said = True
        joins.append(said)
    return joins[::-1]


def _merged(one: Comparison, other: Comparison, *, either: bool) -> Comparison | None:
    """Return two comparisons of one column as one: it is this or that, or neither."""
    operators = _ONE_OF if either else _NONE_OF
    same = one.field.lower() == other.field.lower()
    fits = one.operator in operators and other.operator in operators
    plain = all(item.other is None and item.doubt is None for item in (one, other))
    if not (same and fits and plain) or None in (one.value, other.value):
        return None
    values: list[JsonValue] = [*_values(one), *_values(other)]
    return replace(
        one, operator=operators[1], value=values, end=other.end, used=(*one.used, *other.used)
    )


def _values(item: Comparison) -> list[JsonValue]:
    return item.value if isinstance(item.value, list) else [item.value]


def twice(found: Sequence[Comparison]) -> bool:
    """Whether something is said of a column twice, which an object of conditions cannot hold."""
    said = [(item.field.lower(), item.operator) for item in found]
    return len(set(said)) < len(said)
