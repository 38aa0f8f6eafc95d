"""Broken documents: each is refused with the code and the place of what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from flowbuilder.validation import validate
from tests.support.broken_documents import BROKEN, flow_of, step_of
from tests.support.sample_tools import sample_registry

REGISTRY = sample_registry()


@pytest.mark.parametrize("name", BROKEN)
def test_broken_documents_are_refused(name: str) -> None:
    document, code, pointer = BROKEN[name]
    found = validate(document, REGISTRY)
    assert not found.valid
    assert found.flow is None
    assert (code, pointer) in {(item.code, item.pointer) for item in found.problems}
    for item in found.problems:
        assert item.message
        assert item.code
        assert len(item.message) <= 700
        assert "Traceback" not in item.message


@pytest.mark.parametrize(
    "steps",
    [
        [step_of(depends_on=["b"]), {"id": "b", "tool": "anything.take", "depends_on": ["a"]}],
        [
            step_of(args={"x": "${{ steps.b }}"}),
            {"id": "b", "tool": "anything.take", "args": {"x": "at ${{ steps.a.y }}"}},
        ],
        [
            step_of(when="steps.b == 1"),
            {"id": "b", "tool": "anything.take", "for_each": "${{ steps.a }}"},
        ],
    ],
)
def test_cycles_name_their_path(steps: list[dict[str, Any]]) -> None:
    found = validate(flow_of(*steps), REGISTRY)
    (cycle,) = [item for item in found.problems if item.code == "cycle"]
    assert "a -> b -> a" in cycle.message or "b -> a -> b" in cycle.message


def test_cycles_are_told_that_stay_when_one_is_mended() -> None:
    hub = {"id": "hub", "tool": "anything.take", "depends_on": ["a", "b", "c"]}
    others = [{"id": name, "tool": "anything.take", "depends_on": ["hub"]} for name in "bc"]
    found = validate(flow_of(step_of(depends_on=["hub"]), *others, hub), REGISTRY)
    told = [item.message.partition(": ")[2] for item in found.problems if item.code == "cycle"]
    assert told == ["a -> hub -> a", "b -> hub -> b", "c -> hub -> c"]


def test_a_broken_step_hides_nothing_about_the_others() -> None:
    for name, (document, _, pointer) in BROKEN.items():
        if not isinstance(document, dict) or not pointer.startswith("/steps/"):
            continue
        if any(
            problem.code.startswith("json_") for problem in validate(document, REGISTRY).problems
        ):
            continue
        more = {**document, "steps": [*document["steps"], {"id": "zz", "tool": "no.such.tool"}]}
        last = len(more["steps"]) - 1
        pointers = {item.pointer for item in validate(more, REGISTRY).problems}
        assert {pointer, f"/steps/{last}/tool"} <= pointers, name
