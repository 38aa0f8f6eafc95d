"""Strict comparison of plans: what means nothing changes nothing, and every fault costs."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowbuilder.evals.dataset import Accepted
from flowbuilder.evals.metrics import compare_plans, plan_graph
from flowbuilder.evals.metrics.assignment import heaviest, same_graph
from flowbuilder.evals.metrics.graph import closure, reduction
from flowbuilder.evals.metrics.strict import PlanScores, scores_as_numbers
from flowbuilder.flow import Flow

TOOLS = ("a.get", "b.sum", "c.send")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["${{ steps.s0.x }}", "${{ steps.", "$${{ x }}", "steps"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["steps", "id", "tool", "args", "when", "x"]), inner),
    max_leaves=15,
)  # fmt: skip


@st.composite
def flows(draw: st.DrawFn, most: int = 9) -> dict[str, Any]:
    """Return a flow without cycles: few tools and values, so that many steps look alike."""
    steps: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, most))):
        args: dict[str, Any] = {}
        for name in draw(st.lists(st.sampled_from(["p", "q", "r"]), max_size=3, unique=True)):
            earlier = draw(st.integers(-2, number - 1))
            path = draw(st.sampled_from(["", ".x", ".y[0]"]))
            text = f"${{{{ steps.s{earlier}{path} }}}}"
            value: Any = draw(st.sampled_from([0, "", None, "to {}", ["{}", 1]]))
            if earlier >= 0 and isinstance(value, str) and value == "to {}":
                value = value.format(text)
            elif earlier >= 0 and isinstance(value, list):
                value = [text, 1]
            args[name] = text if earlier >= 0 and draw(st.booleans()) else value
        step: dict[str, Any] = {"id": f"s{number}", "tool": draw(st.sampled_from(TOOLS))}
        step["args"] = args
        if number and draw(st.integers(0, 3)) == 0:
            step["depends_on"] = [f"s{draw(st.integers(0, number - 1))}"]
        if number and draw(st.integers(0, 5)) == 0:
            step["when"] = f"size(steps.s{draw(st.integers(0, number - 1))}) > 0"
        steps.append(step)
    return {"format": "flow.v1", "flow": "f", "steps": steps}


def renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, str):
        for old, new in names.items():
            value = value.replace(f"steps.{old}.", f"steps.{new}.")
            value = value.replace(f"steps.{old} ", f"steps.{new} ")
            value = value.replace(f"steps.{old})", f"steps.{new})")
        return value
    if isinstance(value, list):
        return [renamed(item, names) for item in value]
    if isinstance(value, dict):
        return {key: renamed(item, names) for key, item in value.items()}
    return value


def relisted(document: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """Return the same flow with other ids, listed in another order."""
    ids = [step["id"] for step in document["steps"]]
    numbers = list(range(len(ids)))
    rng.shuffle(numbers)
    names = {own: f"other_{number}" for own, number in zip(ids, numbers, strict=True)}
    steps = []
    for step in document["steps"]:
        new = renamed({key: part for key, part in step.items() if key != "depends_on"}, names)
        new["id"] = names[step["id"]]
        if "depends_on" in step:
            new["depends_on"] = [names[own] for own in step["depends_on"]]
        steps.append(new)
    rng.shuffle(steps)
    return {**document, "steps": steps}


def numbers(plan: object, gold: object) -> dict[str, Any]:
    return scores_as_numbers(compare_plans(plan, gold))


@settings(max_examples=100)
@given(flows(), st.randoms(use_true_random=False))
def test_the_gold_itself_relisted_and_renamed_has_everything(
    gold: dict[str, Any], rng: random.Random
) -> None:
    for plan in (gold, relisted(gold, rng)):
        Flow.model_validate(plan)
        found = compare_plans(plan, gold)
        assert set(scores_as_numbers(found).values()) == {1}
        assert found.exact
        assert (found.unasked_steps, found.arguments_like.f1, found.producers.f1) == (0, 1, 1)


@given(flows())
def test_an_empty_plan_has_nothing(gold: dict[str, Any]) -> None:
    nothing: list[object] = [None, {}, {"steps": []}, "no", {"steps": "x"}, {"steps": [1, None]}]
    for plan in nothing:
        assert set(numbers(plan, gold).values()) == {0}
    assert compare_plans(None, gold).steps.wanted == len(gold["steps"])


@given(flows(), flows(), st.randoms(use_true_random=False))
def test_neither_ids_nor_listing_change_any_comparison(
    plan: dict[str, Any], gold: dict[str, Any], rng: random.Random
) -> None:
    first = compare_plans(plan, gold)
    assert compare_plans(relisted(plan, rng), relisted(gold, rng)) == first


@given(JSON, JSON)
def test_anything_can_be_compared(plan: object, gold: object) -> None:
    found = compare_plans(plan, gold)
    for value in scores_as_numbers(found).values():
        assert isinstance(value, bool | float | int)
        assert 0 <= value <= 1
    assert numbers({"steps": plan}, {"steps": [gold]}).keys() == scores_as_numbers(found).keys()


def spoilt(document: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """Return a flow with one fault more."""
    steps = [dict(step) for step in document["steps"]]
    step = rng.choice(steps)
    kind = rng.randrange(4)
    if kind == 0 and len(steps) > 1:
        steps.remove(step)
    elif kind == 1:
        step["tool"] = f"invented.tool_{rng.randrange(10**6)}"
    elif kind == 2:
        steps.append({"id": f"extra{rng.randrange(10**9)}", "tool": "x.unasked", "args": {"z": 1}})
    else:
        step["args"] = {**step["args"], "wrong": rng.randrange(10**6)}
    return {**document, "steps": steps}


def ranks(values: list[float]) -> list[float]:
    ordered = sorted(values)
    return [ordered.index(value) + (ordered.count(value) - 1) / 2 for value in values]


def spearman(left: list[float], right: list[float]) -> float:
    a, b = ranks(left), ranks(right)
    mean = (len(a) - 1) / 2
    both = sum((x - mean) * (y - mean) for x, y in zip(a, b, strict=True))
    own = sum((x - mean) ** 2 for x in a) * sum((y - mean) ** 2 for y in b)
    return float(both / own**0.5)


def big_gold(rng: random.Random, size: int = 10) -> dict[str, Any]:
    steps: list[dict[str, Any]] = []
    for number in range(size):
        args: dict[str, Any] = {"n": rng.randrange(5), "t": rng.choice("abc")}
        if number:
            args["from"] = f"${{{{ steps.s{rng.randrange(number)}.x }}}}"
        steps.append({"id": f"s{number}", "tool": rng.choice(TOOLS), "args": args})
    return {"steps": steps}


@pytest.mark.parametrize("seed", range(5))
def test_scores_fall_with_every_bit_of_noise(seed: int) -> None:
    rng = random.Random(seed)
    golds = [big_gold(rng) for _ in range(30)]
    means: dict[str, list[float]] = {}
    plans = list(golds)
    for _ in range(9):
        found = [numbers(plan, gold) for plan, gold in zip(plans, golds, strict=True)]
        for name in ("step_f1", "argument_f1", "reference_f1", "edge_f1"):
            means.setdefault(name, []).append(sum(one[name] for one in found) / len(found))
        plans = [spoilt(plan, rng) for plan in plans]
    noise = [float(level) for level in range(9)]
    for name, values in means.items():
        assert spearman(noise, values) <= -0.95, (name, values)


GOLD: dict[str, Any] = {
    "steps": [
        {"id": "a", "tool": "web.get@2", "args": {"url": "u", "n": 3.0}},
        {
            "id": "b",
            "tool": "text.sum",
            "args": {"text": "${{ steps.a.body }}", "style": "Short, dry"},
        },
        {"id": "c", "tool": "mail.send", "args": {"body": "${{ steps.b }}"}, "approval": {}},
    ]
}  # fmt: skip


def changed(**arguments: Any) -> dict[str, Any]:
    first, second, third = ({**step, "args": dict(step["args"])} for step in GOLD["steps"])
    second["args"] |= arguments
    return {"steps": [first, second, third]}


def test_a_wrong_reference_costs_only_where_it_is_wrong() -> None:
    found = compare_plans(changed(text="${{ steps.a.title }}"), GOLD)
    assert found.steps.f1 == found.producers.f1 == found.edges.f1 == 1
    assert found.references.f1 == 0.5
    assert not found.exact
    assert found.missing_order == 0
    lost = compare_plans(changed(text="${{ steps.nowhere.body }}"), GOLD)
    assert (lost.references.right, lost.references.planned, lost.references.wanted) == (1, 2, 2)
    # of a→b, b→c and a→c only b→c is left
    assert lost.missing_order == pytest.approx(2 / 3)
    assert lost.needless_order == 0


def test_values_are_compared_exactly_and_also_leniently() -> None:
    found = compare_plans(changed(style="short dry"), GOLD)
    assert found.arguments.f1 == pytest.approx(4 / 5)
    assert found.arguments_like.f1 == 1
    assert not found.exact
    whole = {"steps": [{**GOLD["steps"][0], "args": {"n": 3, "url": "u"}}, *GOLD["steps"][1:]]}
    assert compare_plans(whole, GOLD).exact
    true = {"steps": [{**GOLD["steps"][0], "args": {"n": True, "url": "u"}}, *GOLD["steps"][1:]]}
    assert compare_plans(true, GOLD).arguments.right == 4


def test_unasked_steps_and_invented_tools_cost() -> None:
    more = {"steps": [*GOLD["steps"], {"id": "d", "tool": "x.y", "depends_on": ["a"]}]}
    found = compare_plans(more, GOLD, tools={"web.get", "text.sum", "mail.send"})
    assert found.steps.f1 == pytest.approx(6 / 7)
    assert found.unasked_steps == found.invented_tools == 0.25
    assert found.needless_order == pytest.approx(1 / 4)
    assert found.edges.f1 == pytest.approx(4 / 5)
    twice = {"steps": [GOLD["steps"][0], {**GOLD["steps"][0], "id": "again"}]}
    assert compare_plans(twice, GOLD).steps.right == 1


def test_approvals_are_counted_where_they_belong() -> None:
    without = [
        {key: part for key, part in step.items() if key != "approval"} for step in GOLD["steps"]
    ]
    assert compare_plans({"steps": without}, GOLD).approvals.recall == 0
    every = [{**step, "approval": {}} for step in without]
    found = compare_plans({"steps": every}, GOLD)
    assert found.approvals.recall == 1
    assert found.approvals.precision == pytest.approx(1 / 3)
    assert found.exact


def test_order_that_a_longer_way_implies_is_neither_missing_nor_extra() -> None:
    more = [*GOLD["steps"][:2], {**GOLD["steps"][2], "depends_on": ["a"]}]
    found = compare_plans({"steps": more}, GOLD)
    assert (found.edges.f1, found.missing_order, found.needless_order) == (1, 0, 0)
    circle = [{**GOLD["steps"][0], "depends_on": ["c"]}, *GOLD["steps"][1:]]
    found = compare_plans({"steps": circle}, GOLD)
    assert found.missing_order == 0
    assert found.needless_order == pytest.approx(6 / 9)


def test_waiting_for_what_need_not_be_waited_for_costs_time() -> None:
    steps: list[dict[str, Any]] = [
        {"id": "a", "tool": "t.a"},
        {"id": "b", "tool": "t.b"},
        {"id": "c", "tool": "t.c", "depends_on": ["a", "b"]},
    ]
    gold = {"steps": steps}
    durations = {"a": (10, 10), "b": (20, 40), "c": (5, 5)}

    def judged(plan: object) -> dict[str, Any]:
        return scores_as_numbers(compare_plans(plan, gold, durations=durations))

    assert judged(gold)["parallelism"] == 1
    chain = {"steps": [steps[0], {**steps[1], "depends_on": ["a"]}, steps[2]]}
    assert judged(chain)["parallelism"] == pytest.approx(35 / 45)
    # who is not known takes as long as the others do on average, here behind the last one
    more = {"steps": [*steps, {"id": "d", "tool": "t.d", "depends_on": ["c"]}]}
    assert judged(more)["parallelism"] == pytest.approx(35 / 50)
    circle = {"steps": [{**steps[0], "depends_on": ["c"]}, *steps[1:]]}
    assert judged(circle)["parallelism"] == 0
    quicker = {"steps": steps[:2]}
    assert judged(quicker)["parallelism"] == 1
    assert judged(None)["parallelism"] == 0
    assert "parallelism" not in numbers(chain, gold)


def test_other_accepted_values_are_right_and_what_may_be_left_out_costs_nothing() -> None:
    accepted = {
        "b": {"style": Accepted(values=["Short, dry", "brief"], optional=True)},
        "a": {"extra": Accepted(values=[], optional=True)},
    }

    def judged(plan: dict[str, Any]) -> PlanScores:
        return compare_plans(plan, GOLD, accepted=accepted)

    left_out = changed()
    del left_out["steps"][1]["args"]["style"]
    for plan in (changed(), changed(style="brief"), left_out):
        assert judged(plan).arguments.f1 == 1
        assert judged(plan).exact
    assert judged(changed(style="long")).arguments.f1 < 1
    assert not judged(changed(style="long")).exact
    assert not judged(changed(more=1)).exact
    assert set(scores_as_numbers(judged({})).values()) == {0}


def test_steps_that_look_alike_are_told_apart_by_what_is_around_them() -> None:
    def chains(first: str, second: str) -> dict[str, Any]:
        steps: list[dict[str, Any]] = []
        for name, end in (("x", first), ("y", second)):
            steps.append({"id": f"get_{name}", "tool": "a.get", "args": {}})
            steps.append(
                {
                    "id": f"sum_{name}",
                    "tool": "b.sum",
                    "args": {"p": f"${{{{ steps.get_{name} }}}}"},
                }
            )
            steps.append(
                {
                    "id": f"send_{name}",
                    "tool": "c.send",
                    "args": {"p": f"${{{{ steps.sum_{name} }}}}", "to": end},
                }
            )
        return {"steps": steps}

    found = compare_plans(chains("ada", "bob"), chains("bob", "ada"))
    assert found.exact
    other = compare_plans(chains("ada", "eve"), chains("bob", "ada"))
    assert other.references.f1 == 1
    assert other.arguments.f1 == pytest.approx(5 / 6)


def test_many_equal_steps_and_long_chains_are_matched_too() -> None:
    many = {"steps": [{"id": f"s{n}", "tool": "a.get", "args": {}} for n in range(400)]}
    assert compare_plans(many, many).exact
    fewer = {"steps": many["steps"][:300]}
    assert compare_plans(fewer, many).steps.right == 300
    chain = {
        "steps": [
            {
                "id": f"s{n}",
                "tool": "a.get",
                "args": {"p": f"${{{{ steps.s{n - 1} }}}}" if n else 0},
            }
            for n in range(300)
        ]
    }
    assert compare_plans(relisted(chain, random.Random(1)), chain).exact


@given(
    st.integers(1, 5).flatmap(
        lambda width: st.lists(
            st.lists(st.integers(0, 9), min_size=width, max_size=width), min_size=1, max_size=5
        )
    )
)
def test_the_assignment_is_the_heaviest(table: list[list[int]]) -> None:
    found = heaviest([[float(weight) for weight in row] for row in table])
    assert len(set(found.values())) == len(found) == min(len(table), len(table[0]))
    turned = (
        table if len(table) <= len(table[0]) else [list(row) for row in zip(*table, strict=True)]
    )
    best = max(
        sum(turned[row][column] for row, column in enumerate(columns))
        for columns in itertools.permutations(range(len(turned[0])), len(turned))
    )
    assert sum(table[row][column] for row, column in found.items()) == best


@given(st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=15))
def test_closure_and_reduction_say_the_same_order(pairs: set[tuple[int, int]]) -> None:
    reach = closure(7, pairs)
    known = set(pairs)
    while True:
        more = {(a, d) for a, b in known for c, d in known if b == c} - known
        if not more:
            break
        known |= more
    assert {(a, b) for a in range(7) for b in range(7) if reach[a] >> b & 1} == known
    near = reduction(pairs, reach)
    assert near <= pairs
    assert closure(7, near) == reach


def test_equal_graphs_are_found_and_different_ones_are_not() -> None:
    def ring(*sizes: int) -> dict[str, Any]:
        steps = []
        for group, size in enumerate(sizes):
            for n in range(size):
                before = f"g{group}_{(n - 1) % size}"
                steps.append({"id": f"g{group}_{n}", "tool": "a.get", "depends_on": [before]})
        return {"steps": steps}

    six, two_threes = plan_graph(ring(6)), plan_graph(ring(3, 3))
    assert same_graph(six, six) is not None
    assert same_graph(six, two_threes) is None
