"""The contenders of the benchmark do the same work, and faults in it are found."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from flowbuilder.bench.contender import FLOOR, FLOWBUILDER, SINGLE, Contender
from flowbuilder.bench.engine import Engine
from flowbuilder.bench.floor import Floor
from flowbuilder.bench.workloads import Shape, add_up, chain, fan, layered, mapped
from flowbuilder.errors import ExecutionError

MAKE: dict[str, Callable[[str], Contender]] = {
    FLOWBUILDER: lambda dsn: Engine(dsn, concurrency=50),
    FLOOR: Floor,
    SINGLE: lambda dsn: Floor(dsn, batch=1, loops=3),
}


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize(
    "shape", [chain(1), chain(4), fan(6), layered(3, 3), mapped(1), mapped(9)], ids=str
)
async def test_every_shape_comes_out_right(name: str, shape: Shape, dsn: str) -> None:
    contender = MAKE[name](dsn)
    await contender.open(shape)
    try:
        await contender.submit(range(3))
        await contender.wait()
        [handle] = await contender.submit([40])
        outputs = await contender.result(handle)
        assert sum(output["v"] for output in outputs) == shape.expected(40)
        assert all(output["t"] <= time.monotonic() for output in outputs)
        checked = await contender.verify()
    finally:
        await contender.close()
    assert checked["flows"] == 4
    tasks = 4 * shape.tasks
    if name == FLOWBUILDER:  # each task begins and ends, and so does each run
        assert checked["events"] == 2 * tasks + 2 * 4
    else:
        assert checked["rows"] == tasks


async def one_too_many(inputs: list[dict[str, Any]]) -> dict[str, Any]:
    output = await add_up(inputs)
    return {**output, "v": output["v"] + 1}


async def test_a_wrong_result_is_found(dsn: str) -> None:
    engine = Engine(dsn, concurrency=5, step=one_too_many)
    await engine.open(chain(2))
    try:
        await engine.submit([1, 2])
        await engine.wait()
        with pytest.raises(ExecutionError) as error:
            await engine.verify()
    finally:
        await engine.close()
    assert error.value.code == "bench_wrong"


async def failing(inputs: list[dict[str, Any]]) -> dict[str, Any]:
    raise ValueError("no")


async def test_a_failed_flow_is_waited_for_and_found(dsn: str) -> None:
    engine = Engine(dsn, concurrency=5, step=failing)
    await engine.open(Shape(name="one", before={"s": ()}))
    try:
        [handle] = await engine.submit([1])
        with pytest.raises(ExecutionError):
            await engine.result(handle)
        with pytest.raises(ExecutionError) as error:
            await engine.verify()
    finally:
        await engine.close()
    assert error.value.code == "bench_wrong"


async def test_a_message_that_is_left_is_found(dsn: str) -> None:
    floor = Floor(dsn)
    await floor.open(chain(1))
    try:
        await floor.submit([1])
        await floor.wait()
        await floor.verify()
        with psycopg.connect(dsn) as connection:
            connection.execute("select pgmq.send('bench', '{}', 3600)")
        with pytest.raises(ExecutionError) as error:
            await floor.verify()
    finally:
        await floor.close()
    assert error.value.code == "bench_wrong"


@pytest.mark.parametrize("name", [FLOWBUILDER, FLOOR])
async def test_events_reach_the_subscriber(name: str, dsn: str) -> None:
    contender = MAKE[name](dsn)
    await contender.open(chain(1))
    try:
        delays = await contender.events(200, 1)
    finally:
        await contender.close()
    assert len(delays["change"]) == (100 if name == FLOWBUILDER else 200)
    assert all(delay >= 0 for delay in delays["change"])
