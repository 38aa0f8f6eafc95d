"""A document that grows step by step comes to what validation says of the whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from flowbuilder.flow import Flow
from flowbuilder.strictjson import Limits
from flowbuilder.tools import ToolRegistry
from flowbuilder.validation import validate
from flowbuilder.validation.growing import GrowingFlow
from tests.support.broken_documents import BROKEN, GET, flow_of, step_of
from tests.support.sample_tools import sample_registry

REGISTRY = sample_registry()
MOST = 1000
RIGHT: dict[str, list[Any]] = {
    "references": [
        GET,
        step_of(args={"x": "${{ steps.get }}", "y": ["a ${{ steps.get }}", 0, ""]}),
    ],
    "condition": [GET, step_of(when="steps.get != null"), step_of(id="b", depends_on=["a"])],
    "map": [
        step_of(for_each=[1, False, None]),
        step_of(id="b", for_each="${{ steps.a }}", args={"x": "${{ item }}"}, concurrency=2),
    ],
    "undone": [
        GET,
        step_of(depends_on=["get"]),
        step_of(
            id="b",
            depends_on=["a"],
            compensate={"tool": "anything.take", "args": {"x": "${{ steps.get }}${{ steps.b }}"}},
        ),
    ],
    "policies": [
        step_of(retry={"max_attempts": 5, "base_delay": "90s"}, timeout=5, on_error="continue"),
        step_of(id="b", depends_on=["a", "a"], trigger_rule="all_done", limit={"rate": "5/60s"}),
        step_of(id="c", trigger_rule="all_done"),
    ],
}


def _grown(steps: list[Any], **head: Any) -> GrowingFlow:
    flow = Flow.model_validate({"flow": "x", **head, "steps": steps})
    return GrowingFlow(flow, REGISTRY, max_steps=MOST, value_bytes=1_048_576)


@pytest.mark.parametrize("name", RIGHT)
def test_right_steps_are_taken_as_the_whole_document_has_them(name: str) -> None:
    growing = _grown([])
    stored = [growing.add(step) for step in RIGHT[name]]
    flow = validate(flow_of(*RIGHT[name]), REGISTRY).flow
    assert flow is not None
    assert flow.document()["steps"] == stored


@pytest.mark.parametrize("name", BROKEN)
def test_no_broken_document_grows_step_by_step(name: str) -> None:
    document, _, pointer = BROKEN[name]
    if not isinstance(document, dict) or not pointer.startswith("/steps/"):
        return
    place = int(pointer.split("/")[2])
    before = {**document, "steps": document["steps"][:place]}
    if before["steps"] and not validate(before, REGISTRY).valid:
        return  # it is broken before that step already
    growing = _grown(**before)
    assert growing.add(document["steps"][place]) is None


def test_what_a_step_may_not_be_alone() -> None:
    assert _grown([step_of()]).add(step_of()) is None  # there is one of this id
    assert _grown([]).add(step_of(args={"x": "${{ steps.a }}"})) is None
    assert _grown([]).add(step_of(depends_on=["later"])) is None
    assert _grown([], output="${{ steps.a }}").add(step_of(args={"x": "${{ index }}"})) is None


@pytest.mark.parametrize(
    ("bound", "fits"),
    [
        (lambda growing, document: _bounded(growing, steps=2), True),
        (lambda growing, document: _bounded(growing, steps=1), False),
        (lambda growing, document: _bounded(growing, document_bytes=_bytes(document)), True),
        (lambda growing, document: _bounded(growing, document_bytes=_bytes(document) - 1), False),
    ],
)
def test_the_bounds_are_those_of_the_whole_document(
    bound: Callable[[GrowingFlow, Flow], None], fits: bool
) -> None:
    whole = Flow.model_validate(flow_of(GET, step_of()))
    growing = _grown([GET])
    bound(growing, whole)
    assert (growing.add(step_of()) is not None) is fits


def _bytes(document: Flow) -> int:
    return len(document.model_dump_json(exclude_defaults=True)) + len('"format":"flow.v1",')


def _bounded(growing: GrowingFlow, *, steps: int = MOST, document_bytes: int = 10_000) -> None:
    growing._most = steps
    growing._limits = replace(growing._limits, bytes=document_bytes)


def test_depth_is_counted_from_the_document_on() -> None:
    nested: Any = 0
    for _ in range(4):
        nested = [nested]
    deep = step_of(args={"x": nested})
    for depth in range(4, 12):
        limits = Limits(depth=depth)
        whole = validate(flow_of(deep), REGISTRY, limits=limits).valid
        flow = Flow(flow="x")
        growing = GrowingFlow(flow, REGISTRY, max_steps=9, depth=depth, value_bytes=1000)
        assert (growing.add(deep) is not None) is whole


class _Counting(ToolRegistry):
    """Counts how often a tool is looked up."""

    looked = 0

    def get(self, name: str) -> Any:
        self.looked += 1
        return super().get(name)


def test_a_step_costs_the_same_however_many_there_are() -> None:
    registry = _Counting(list(REGISTRY))
    growing = GrowingFlow(Flow(flow="x"), registry, max_steps=MOST, value_bytes=1_048_576)
    costs = []
    for place in range(200):
        before = registry.looked
        names = [f"s{other}" for other in range(place)]
        step = step_of(id=f"s{place}", depends_on=names, args={"x": "${{ input.n }}"})
        assert growing.add(step) is not None
        costs.append(registry.looked - before)
    assert max(costs[1:]) <= costs[0]
    assert len(set(costs[1:])) == 1


def test_validation_looks_a_thousand_compensated_steps_up_so_often_as_there_are() -> None:
    looked = []
    for count in (100, 200, 400):
        registry = _Counting(list(REGISTRY))
        steps = [
            step_of(
                id=f"s{place}",
                depends_on=[f"s{place - 1}"] if place else [],
                compensate={"tool": "anything.take", "args": {"x": "${{ steps.s0 }}"}},
            )
            for place in range(count)
        ]
        assert validate(flow_of(*steps), registry).valid
        looked.append(registry.looked)
    assert looked[2] - looked[1] == 2 * (looked[1] - looked[0])
