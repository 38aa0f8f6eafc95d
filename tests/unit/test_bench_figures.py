"""What a benchmark computes of its measurements, and what it expects of flows."""

from __future__ import annotations

import asyncio

import pytest

from flowbuilder.bench import BARS, WORKLOADS, Bar, Measurement, check_bars
from flowbuilder.bench.engine import check_stream, document_of
from flowbuilder.bench.figures import Figure, Figures, figure_of, quantile
from flowbuilder.bench.runner import costs, fraction_of, turns
from flowbuilder.bench.server import Counters
from flowbuilder.bench.trial import quantiles
from flowbuilder.bench.workloads import Kind, Shape, add_up, chain, fan, layered, mapped
from flowbuilder.errors import ExecutionError
from flowbuilder.flow import Flow


def measured(who: str, repeat: int, error: str | None = None, **values: float) -> Measurement:
    return Measurement(workload="W1", contender=who, repeat=repeat, values=values, error=error)


@pytest.mark.parametrize(
    ("numbers", "q", "expected"),
    [
        ([3.0, 1.0, 2.0], 0.5, 2.0),
        ([4.0, 1.0, 2.0, 3.0], 0.5, 2.0),
        ([float(n) for n in range(1, 101)], 0.99, 99.0),
        ([float(n) for n in range(1, 1001)], 0.99, 990.0),
        ([7.0], 0.99, 7.0),
        ([2.0, 1.0], 0.0, 1.0),
        ([2.0, 1.0], 1.0, 2.0),
    ],
)
def test_quantile(numbers: list[float], q: float, expected: float) -> None:
    assert quantile(numbers, q) == expected


@pytest.mark.parametrize(("numbers", "q"), [([], 0.5), ([1.0], 1.5), ([1.0], -0.1)])
def test_there_is_no_such_quantile(numbers: list[float], q: float) -> None:
    with pytest.raises(ValueError, match="quantile"):
        quantile(numbers, q)


def test_quantiles_are_milliseconds() -> None:
    assert quantiles("start", [0.002, 0.001, 0.003]) == {"start_p50": 2.0, "start_p99": 3.0}


def test_a_figure_is_median_and_span() -> None:
    assert figure_of([]) is None
    assert figure_of([3.0, 1.0, 8.0]) == Figure(median=3.0, low=1.0, high=8.0, count=3)


def test_ratios_are_over_the_same_repeat() -> None:
    figures = Figures(
        [
            measured("floor", 0, steps_per_second=100.0),
            measured("flowbuilder", 0, steps_per_second=50.0),
            measured("flowbuilder", 1, steps_per_second=90.0),
            measured("floor", 1, steps_per_second=900.0),
            measured("flowbuilder", 2, steps_per_second=70.0),  # the floor failed here
            measured("floor", 2, error="bench_died: gone", steps_per_second=1.0),
            measured("floor", 3, steps_per_second=100.0),
            measured("flowbuilder", 3, steps_per_second=40.0),
        ]
    )
    ratio = figures.ratio("W1", "steps_per_second", "flowbuilder", "floor")
    assert ratio == Figure(median=0.4, low=0.1, high=0.5, count=3)
    assert figures.ratio("W2", "steps_per_second", "flowbuilder", "floor") is None
    value = figures.value("W1", "flowbuilder", "steps_per_second")
    assert value is not None
    assert (value.median, value.count) == (60.0, 4)


def test_a_ratio_over_nothing_is_left_out() -> None:
    figures = Figures([measured("floor", 0, round_trips=0.0), measured("x", 0, round_trips=1.0)])
    assert figures.ratio("W1", "round_trips", "x", "floor") is None


@pytest.mark.parametrize(("found", "misses"), [(0.6, 0), (0.5, 0), (0.49, 1), (None, 1)])
def test_bars(found: float | None, misses: int) -> None:
    bar = Bar(workload="W1", name="steps_per_second", over_floor=True, at_least=0.5)
    ours = [] if found is None else [measured("flowbuilder", 0, steps_per_second=100 * found)]
    figures = Figures([measured("floor", 0, steps_per_second=100.0), *ours])
    missed = check_bars(figures, ["W1"], [bar])
    assert len(missed) == misses
    assert all("W1 steps_per_second over the floor >= 0.5" in str(one) for one in missed)
    assert check_bars(figures, ["W2"], [bar]) == []


def test_a_bar_from_above_holds_for_the_value_itself() -> None:
    bar = Bar(workload="W1", name="wal_bytes", over_floor=False, at_most=3000)
    assert check_bars(Figures([measured("flowbuilder", 0, wal_bytes=3000.0)]), ["W1"], [bar]) == []
    [missed] = check_bars(Figures([measured("flowbuilder", 0, wal_bytes=3001.0)]), ["W1"], [bar])
    assert missed.found == 3001.0


def test_every_bar_bounds_one_number_of_a_workload() -> None:
    for bar in BARS:
        assert bar.workload in WORKLOADS
        assert (bar.at_least is None) != (bar.at_most is None)


# -- costs and turns ------------------------------------------------------------------------


def test_costs_are_per_unit() -> None:
    before = Counters(wal=1000, transactions=10, calls=5, cpu=2.0)
    after = Counters(wal=5000, transactions=14, calls=7, cpu=2.5)
    assert costs(before, after, 1.0, 1.25, 4) == {
        "wal_bytes": 1000.0,
        "write_transactions": 1.0,
        "round_trips": 0.5,
        "worker_cpu_ms": 62.5,
        "server_cpu_ms": 125.0,
        "cpu_ms": 187.5,
    }


def test_what_is_not_known_is_no_cost() -> None:
    nothing = Counters(wal=0, transactions=0, calls=None, cpu=None)
    assert costs(nothing, nothing, None, 1.0, 1) == {"wal_bytes": 0.0, "write_transactions": 0.0}


def test_every_second_repeat_turns_the_order_round() -> None:
    first, second = list(turns(("W1", "E1"), 0)), list(turns(("W1", "E1"), 1))
    assert first == [
        ("W1", "floor_single"),
        ("W1", "floor"),
        ("W1", "flowbuilder"),
        ("E1", "floor"),
        ("E1", "flowbuilder"),
    ]
    assert second[:3] == first[2::-1]
    assert second[3:] == first[:2:-1]


def test_the_floor_does_more_of_what_would_be_over_at_once() -> None:
    assert fraction_of("W1", "flowbuilder", 0.5) == 0.5
    assert fraction_of("W1", "floor", 0.5) == 2.5
    assert fraction_of("M1", "floor", 0.5) == 0.5
    assert fraction_of("L1", "floor", 0.5) == 0.5
    assert fraction_of("M1", "floor_single", 0.5) == pytest.approx(0.1)


# -- flows ----------------------------------------------------------------------------------


async def computed(shape: Shape, value: int) -> int:
    """What the steps come to when they are really called."""
    outputs: dict[str, list[dict[str, int]]] = {}
    for name, before in shape.before.items():
        if before:
            inputs = [one for other in before for one in outputs[other]]
            outputs[name] = [await add_up(inputs)]
        else:
            elements = range(max(shape.elements, 1))
            outputs[name] = [await add_up([{"v": value + index}]) for index in elements]
    return sum(one["v"] for name in shape.sinks for one in outputs[name])


@pytest.mark.parametrize("shape", [chain(1), chain(20), fan(100), layered(6, 5), mapped(7)])
@pytest.mark.parametrize("value", [0, 41])
def test_the_expected_result_is_what_the_steps_compute(shape: Shape, value: int) -> None:
    assert asyncio.run(computed(shape, value)) == shape.expected(value)


def test_workloads_have_the_sizes_they_are_named_after() -> None:
    steps = {
        name: load.count * load.shape.tasks
        for name, load in WORKLOADS.items()
        if load.kind is Kind.THROUGHPUT
    }
    assert steps == {"W1": 2000, "W2": 1000, "W3": 2040, "W4": 1500, "M1": 10_001}


def test_a_workload_never_shrinks_to_nothing() -> None:
    for load in WORKLOADS.values():
        small = load.scaled(0.0001)
        assert small.count >= 1
        assert small.shape.tasks >= 1
    assert WORKLOADS["W1"].scaled(0.5).count == 1000
    assert WORKLOADS["M1"].scaled(0.5).shape.elements == 5000


@pytest.mark.parametrize("shape", [chain(3), fan(4), layered(3, 3), mapped(5)])
def test_a_shape_is_a_flow_document(shape: Shape) -> None:
    flow = Flow.model_validate(document_of(shape))
    assert [step.id for step in flow.steps] == list(shape.before)
    assert any(step.for_each for step in flow.steps) == bool(shape.elements)


# -- streams --------------------------------------------------------------------------------

GOOD = [
    "workflow_started",
    "task_started",
    "task_completed",
    "task_started",
    "task_completed",
    "workflow_completed",
]


def test_a_whole_stream() -> None:
    assert check_stream(list(enumerate(GOOD, 1)), 2) == 6


@pytest.mark.parametrize(
    "events",
    [
        [],
        list(enumerate(GOOD[:-1], 1)),
        list(enumerate([*GOOD, "task_completed"], 1)),
        list(enumerate([*GOOD, "workflow_completed"], 1)),
        list(enumerate(GOOD[1:], 1)),
        list(enumerate([*GOOD[:2], *GOOD[3:]], 1)),
        [*list(enumerate(GOOD, 1))[:3], *list(enumerate(GOOD, 1))[4:]],
        [(number + (number > 2), type) for number, type in enumerate(GOOD, 1)],
        [(2, GOOD[0]), (1, GOOD[1]), *list(enumerate(GOOD, 1))[2:]],
    ],
)
def test_a_stream_with_a_fault(events: list[tuple[int, str]]) -> None:
    with pytest.raises(ExecutionError) as error:
        check_stream(events, 2)
    assert error.value.code == "bench_wrong"
