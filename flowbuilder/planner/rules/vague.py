"""Words behind "is" that are no value as they stand: "zero", "negative", "the same", "a number"."""

from __future__ import annotations

from dataclasses import replace

from flowbuilder.planner.rules.comparing import Comparison
from flowbuilder.planner.rules.lexicon import listed, stem, stems

_NO_VALUE = listed("a an the number numeric same not so whole odd even prime also too")
#: Sides of zero: what is on one, and what is not.
_SIDES = {
    ("negative", "eq"): "lt",
    ("negative", "ne"): "gte",
    ("positive", "eq"): "gt",
    ("positive", "ne"): "lte",
}
_QUANTITIES = stems(
    "price cost amount balance total profit loss margin quantity stock value change temperature "
    "delta growth revenue income net difference score sum rate saldo"
)
#: What is positive or negative in words.
_TEXTS = stems("sentiment mood tone feedback review attitude polarity")


def plainly(item: Comparison, said: str | None) -> Comparison:
    """Return a comparison with what its value's unquoted word means, doubted where it is open."""
    word = (said or "").lower()
    if word == "zero":
        return replace(item, value=0, said=word)
    if word in _NO_VALUE:
        return replace(item, doubt=f"“{said}” was taken as a value")
    side = _SIDES.get((word, item.operator))
    if side is None:
        return item
    parts = item.field.lower().split("_")
    if any(stem(part) in _TEXTS for part in parts):
        return item
    if any(stem(part) in _QUANTITIES for part in parts):
        return replace(item, operator=side, value=0, said=word)
    return replace(item, doubt=f"“{said}” may be a text or speak of numbers")
