"""Estimates: what is known of tools makes intervals, and these hold what really happens."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from typing import Any

import pytest

from flowbuilder import DefinitionError, Tool, ToolRegistry, tool
from flowbuilder.costs import CostHint, Estimate, Interval, Price, ToolHistory
from flowbuilder.estimate import draw, estimate_flow
from flowbuilder.flow import Flow
from flowbuilder.settings import Settings
from flowbuilder.toolkit import load_registry
from flowbuilder.tools import Effects
from flowbuilder.types import JsonObject

NOTHING = Interval(0, 0, 0)
PRICE = Price(prompt=1e-6, completion=4e-6)


def made(name: str, **more: Any) -> Tool:
    return Tool(
        name=name,
        summary="Do something.",
        handler=lambda **_: None,
        input_schema={"type": "object"},
        output_schema={},
        **{"effects": Effects.READ, **more},
    )


REGISTRY = ToolRegistry(
    [*(made(f"service.t{n}") for n in range(4)), made("llm.write", needs_model=True),
     made("mail.send", effects=Effects.EXTERNAL), made("pure.sum", effects=Effects.PURE)]
)  # fmt: skip


def flow_of(*steps: JsonObject) -> Flow:
    return Flow.model_validate({"flow": "f", "steps": list(steps)})


def seen(seconds: float, spread: float = 0.0, **more: Any) -> ToolHistory:
    interval = Interval(seconds * (1 - spread), seconds, seconds * (1 + spread))
    return ToolHistory(calls=1000, seconds=interval, **more)


def test_a_flow_without_a_step_takes_nothing() -> None:
    found = estimate_flow(flow_of(), REGISTRY)
    assert (found.tokens, found.seconds, found.steps) == (NOTHING, NOTHING, NOTHING)
    assert (found.cost_usd, found.effects) == (NOTHING, {})


def test_steps_beside_each_other_take_as_long_as_the_longest() -> None:
    history = {"service.t0@1": seen(10), "service.t1": seen(3), "service.t2": seen(5)}
    beside = flow_of(
        {"id": "a", "tool": "service.t0"},
        {"id": "b", "tool": "service.t1"},
        {"id": "c", "tool": "service.t2", "depends_on": ["b"]},
    )
    found = estimate_flow(beside, REGISTRY, history=history)
    assert found.seconds.likely == pytest.approx(10, rel=0.15)
    alone = estimate_flow(beside, REGISTRY, history=history, slots=1)
    assert alone.seconds.likely == pytest.approx(18, rel=0.15)
    assert found.steps == Interval(3, 3, 3)
    assert found.effects == {"read": Interval(3, 3, 3)}


def test_a_reference_is_a_dependency_too() -> None:
    flow = flow_of(
        {"id": "a", "tool": "service.t0"},
        {"id": "b", "tool": "service.t0", "args": {"x": "${{ steps.a }}"}},
    )
    found = estimate_flow(flow, REGISTRY, history={"service.t0": seen(4)})
    assert found.seconds.likely == pytest.approx(8, rel=0.2)


@pytest.mark.parametrize(
    ("more", "seconds"),
    [({}, 25 / 16 * 16), ({"concurrency": 5}, 20), ({"concurrency": 1}, 100)],
)
def test_a_map_takes_as_many_calls_as_it_has_elements(more: JsonObject, seconds: float) -> None:
    step: JsonObject = {"id": "m", "tool": "service.t0", "for_each": list(range(25)), **more}
    found = estimate_flow(flow_of(step), REGISTRY, history={"service.t0": seen(4)}, slots=4)
    assert found.steps == Interval(25, 25, 25)
    assert found.seconds.likely == pytest.approx(max(seconds, 25), rel=0.2)


def test_the_length_of_a_list_comes_from_the_input_where_it_can() -> None:
    flow = flow_of(
        {"id": "m", "tool": "mail.send", "for_each": "${{ input.people }}"},
        {"id": "n", "tool": "service.t0", "for_each": "${{ steps.m }}"},
        {"id": "o", "tool": "service.t1", "for_each": "${{ input.people }}"},
    )
    known = estimate_flow(flow, REGISTRY, input={"people": [1, 2, 3]})
    assert known.steps == Interval(9, 9, 9)
    assert known.effects["external"] == Interval(3, 3, 3)
    empty = estimate_flow(flow, REGISTRY, input={"people": []})
    assert empty.steps == NOTHING
    unknown = estimate_flow(flow, REGISTRY)
    assert unknown.steps.low < unknown.steps.likely < unknown.steps.high
    assert unknown.steps.likely % 3 == 0  # the same list is equally long everywhere
    assert "m, n, o" in unknown.assumptions[0]


def test_a_condition_may_save_everything_behind_it() -> None:
    flow = flow_of(
        {"id": "a", "tool": "mail.send", "when": "input.x > 0"},
        {"id": "b", "tool": "llm.write", "depends_on": ["a"]},
    )
    found = estimate_flow(flow, REGISTRY, prices=PRICE)
    assert (found.tokens.low, found.effects["external"].low, found.model_calls.low) == (0, 0, 0)
    assert found.tokens.high > 0
    assert "conditions" in " ".join(found.assumptions)


def test_a_failure_that_skips_widens_the_low_end() -> None:
    flow = flow_of(
        {"id": "a", "tool": "service.t0", "on_error": "skip"},
        {"id": "b", "tool": "mail.send", "depends_on": ["a"]},
    )
    found = estimate_flow(flow, REGISTRY, history={"service.t0": seen(1, failed=0.4)})
    assert found.effects["external"] == Interval(0, 1, 1)


def test_an_unknown_price_is_no_cost_and_not_nothing() -> None:
    flow = flow_of({"id": "a", "tool": "llm.write", "args": {"prompt": "x" * 4000}})
    unknown = estimate_flow(flow, REGISTRY)
    assert unknown.cost_usd is None
    assert "price" in unknown.assumptions[-1]
    assert unknown.tokens.low > 500
    known = estimate_flow(flow, REGISTRY, prices=PRICE)
    assert known.cost_usd is not None
    assert known.cost_usd.likely == pytest.approx(1020e-6 + 250 * 4e-6, rel=0.3)
    assert "cost unknown" in unknown.lines()
    assert unknown.lines()[:2] == ["1 step", "0 approvals"]


def test_what_was_paid_counts_before_what_is_assumed() -> None:
    paid = Interval(0.01, 0.02, 0.04)
    spent: dict[str, Any] = {"spent": 50, "tokens": Interval(900, 1000, 1100), "usd": paid}
    found = estimate_flow(
        flow_of({"id": "a", "tool": "llm.write"}), REGISTRY, history={"llm.write": seen(2, **spent)}
    )
    assert found.tokens.likely == pytest.approx(1000, rel=0.1)
    assert found.cost_usd is not None
    assert found.cost_usd.likely == pytest.approx(0.02, rel=0.3)


def test_a_tool_may_say_what_it_takes() -> None:
    @tool("ours.render", estimate={"seconds": (20, 30, 60), "usd": 0.5})
    def render() -> None: ...

    found = estimate_flow(flow_of({"id": "a", "tool": "ours.render"}), ToolRegistry([render]))
    assert 20 < found.seconds.likely < 45
    assert found.cost_usd is not None
    assert 0.3 < found.cost_usd.likely < 0.8
    assert found.tokens == NOTHING
    assert not found.assumptions


@pytest.mark.parametrize(
    "estimate",
    [{}, {"hours": 1}, {"seconds": "soon"}, {"seconds": (1, 2)}, {"seconds": (3, 2, 1)},
     {"usd": -1}, {"tokens": float("nan")}, 5, {"seconds": True}],
)  # fmt: skip
def test_what_is_no_estimate_is_refused(estimate: Any) -> None:
    with pytest.raises(DefinitionError) as refused:
        tool("ours.render", estimate=estimate)(lambda: None)
    assert refused.value.code == "tool_invalid"


def test_waiting_holds_no_worker() -> None:
    sleep: JsonObject = {"tool": "time.sleep", "args": {"duration": "1m"}}
    flow = flow_of(*({**sleep, "id": f"s{n}"} for n in range(40)))
    found = estimate_flow(flow, load_registry(Settings()), slots=2)
    assert found.seconds.likely == pytest.approx(60, rel=0.1)


def test_a_person_is_asked_at_most_until_the_deadline() -> None:
    flow = flow_of({"id": "a", "tool": "mail.send", "approval": {"deadline": "5m"}})
    found = estimate_flow(flow, REGISTRY, history={"mail.send": seen(1)})
    assert found.approvals == 1
    assert found.seconds.high > 120
    assert found.seconds.low > 1


def test_broken_flows_and_unknown_tools_do_no_harm() -> None:
    broken = flow_of(
        {"id": "a", "tool": "no.such", "args": {"x": "${{ steps.b }}"}},
        {"id": "b", "tool": "no.other@7", "args": {"x": "${{ steps.a }}"}, "for_each": "${{ oh"},
        {"id": "c", "tool": "no.such", "depends_on": ["missing"], "trigger_rule": "one_success"},
    )
    found = estimate_flow(broken, REGISTRY)
    assert found.steps.likely >= 2
    assert "unknown" in found.effects


def test_an_estimate_is_the_same_each_time_and_survives_as_json() -> None:
    flow = flow_of(
        {"id": "a", "tool": "llm.write"},
        {"id": "m", "tool": "mail.send", "for_each": "${{ steps.a }}"},
    )
    found = estimate_flow(flow, REGISTRY, prices=PRICE)
    assert found == estimate_flow(flow, REGISTRY, prices=PRICE)
    again = Estimate.from_json(found.as_json())
    assert again is not None
    assert again.as_json() == found.as_json()
    others: list[Any] = [None, {}, {"steps": 3}, [], {"tokens": {"low": 1}, "cost_usd": None}]
    for other in others:
        assert Estimate.from_json(other) is None
    assert any("model calls" in line for line in found.lines())


def test_a_hint_may_be_a_value_of_its_own() -> None:
    hint = CostHint(seconds=Interval(1, 2, 3))
    assert CostHint.read("x", hint) is hint
    assert CostHint.read("x", None) is None


def test_drawn_numbers_have_the_quantiles_asked_for() -> None:
    dice = random.Random(1)
    drawn = sorted(draw(Interval(1, 3, 30), dice) for _ in range(4000))
    for part, value in ((0.1, 1), (0.5, 3), (0.9, 30)):
        assert drawn[int(4000 * part)] == pytest.approx(value, rel=0.15)
    assert draw(NOTHING, dice) == 0.0


# -- calibration ----------------------------------------------------------------------------


class World:
    """Tools that take as long as they like; what is known of them is some calls from before."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.truth = {
            item.name: (self.dice.uniform(-3, 3), self.dice.uniform(0.1, 0.9),
                        self.dice.uniform(4, 7), self.dice.uniform(0.1, 0.6))
            for item in REGISTRY
        }  # fmt: skip
        self.history = {f"{name}@1": self._seen(name) for name in self.truth}

    def seconds(self, name: str) -> float:
        return self.dice.lognormvariate(*self.truth[name][:2])

    def tokens(self, name: str) -> float:
        return self.dice.lognormvariate(*self.truth[name][2:]) if name == "llm.write" else 0.0

    def _seen(self, name: str) -> ToolHistory:
        calls = self.dice.randint(10, 200)
        tokens = self._quantiles(self.tokens, name, calls) if name == "llm.write" else None
        seconds = self._quantiles(self.seconds, name, calls)
        return ToolHistory(calls=calls, seconds=seconds, spent=calls, tokens=tokens)

    @staticmethod
    def _quantiles(call: Callable[[str], float], name: str, calls: int) -> Interval:
        drawn = sorted(call(name) for _ in range(calls))
        return Interval(*(drawn[int(calls * part)] for part in (0.1, 0.5, 0.9)))

    def flow(self) -> Flow:
        steps: list[JsonObject] = []
        for n in range(self.dice.randint(1, 8)):
            step: JsonObject = {"id": f"s{n}", "tool": self.dice.choice(list(self.truth))}
            if n and self.dice.random() < 0.8:
                step["depends_on"] = [*{f"s{self.dice.randrange(n)}" for _ in range(2)}]
            if self.dice.random() < 0.25:
                step["for_each"] = list(range(self.dice.randint(1, 60)))
                step["concurrency"] = self.dice.choice([1, 4, 100])
            steps.append(step)
        steps.append({"id": "last", "tool": "llm.write"})
        return flow_of(*steps)

    def run(self, flow: Flow, slots: int = 16) -> tuple[float, float]:
        """Return the seconds and tokens of one run."""
        ends: dict[str, float] = {}
        tokens = busy = 0.0
        for step in flow.steps:
            number = len(step.for_each) if step.for_each is not None else 1
            lanes = [max((ends[name] for name in step.depends_on), default=0.0)]
            lanes *= min(step.concurrency or 1, slots, number)
            for _ in range(number):
                took = self.seconds(step.tool)
                busy += took
                heapq.heappush(lanes, heapq.heappop(lanes) + took)
                tokens += self.tokens(step.tool)
            ends[step.id] = max(lanes)
        return max(*ends.values(), busy / slots), tokens


def test_nine_of_ten_runs_end_within_their_interval() -> None:
    hits = {"seconds": 0, "tokens": 0}
    errors: list[float] = []
    runs = 150
    for seed in range(runs):
        world = World(seed)
        flow = world.flow()
        found = estimate_flow(flow, REGISTRY, history=world.history)
        seconds, tokens = world.run(flow)
        hits["seconds"] += found.seconds.low <= seconds <= found.seconds.high
        hits["tokens"] += found.tokens.low <= tokens <= found.tokens.high
        errors.append(abs(found.seconds.likely - seconds) / seconds)
    assert min(hits.values()) >= 0.9 * runs
    assert sorted(errors)[runs // 2] <= 0.25
