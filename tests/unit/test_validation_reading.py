"""References are found wherever they stand, beside whatever plain values."""

from __future__ import annotations

from typing import Any

import pytest

from flowbuilder.flow import Step
from flowbuilder.validation.reading import NOTHING, read_step, read_value

PLAIN: dict[str, Any] = {
    "a": [1, 2.5, None, True, "x", {}],
    "b": 'é \\ " $ { {{ }}',
    "c": {},
    "d": 0,
}


def _wrapped(value: object, levels: int, wide: bool) -> Any:
    for level in range(levels):
        more = PLAIN if wide else {}
        value = {**more, "in": value} if level % 2 else [*more.values(), value]
    return value


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("levels", range(8))
@pytest.mark.parametrize("text", ["${{ steps.b.x }}", 'é\n"${{steps.b.x}}', "a\\${{ steps.b.x }}"])
def test_references_are_found_at_every_depth(text: str, levels: int, wide: bool) -> None:
    args = {**PLAIN, "v": _wrapped(text, levels, wide), "w": PLAIN}
    reading = read_step(0, Step(id="a", tool="anything.take", args=args))
    assert reading.needs == {"b"}
    assert [hole.path[0] for hole in reading.args.holes] == ["v"]
    assert len(reading.args.holes[0].path) == levels + 1
    spelt = _wrapped({**PLAIN, "text": "{{ steps.b.x }}"}, levels, wide)
    assert [name for _, name, _ in read_value({"v": spelt}, "").lookalikes] == ["b"]
    keyed = read_value({"v": _wrapped({**PLAIN, "${{ input.x }}": 1}, levels, wide)}, "")
    assert [item.code for item in keyed.problems] == ["reference_in_key"]


def test_plain_arguments_are_not_looked_through() -> None:
    reading = read_step(0, Step(id="a", tool="anything.take", args=PLAIN))
    assert reading.args is NOTHING
    assert not reading.needs
