"""Functions handed in with runs are kept while somebody calls them, and not for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from flowbuilder import FlowBuilder, Run, Settings
from flowbuilder.client import functions
from flowbuilder.errors import Conflict, InvalidValue

KEPT, MOST = 3, 6


@pytest.fixture
async def fb(dsn: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FlowBuilder]:
    monkeypatch.setattr(functions, "_KEPT", KEPT)
    monkeypatch.setattr(functions, "_MOST", MOST)
    async with FlowBuilder.connect(dsn, settings=Settings(), worker=True) as opened:
        yield opened


def adding(k: int) -> Callable[..., Any]:
    def add(n: int) -> int:
        return n + k

    return add


async def start(fb: FlowBuilder, function: Callable[..., Any], **step: object) -> Run:
    document = {
        "flow": "sum",
        "steps": [{"id": "add", "args": {"n": 1}, **step}],
        "output": "${{ steps.add }}",
    }
    return await fb.execute_dynamic(document, functions={"add": function})


async def offered(fb: FlowBuilder) -> int:
    (worker,) = await fb.store.database.fetch_all(
        b"select tools from flowbuilder.workers where status = 'live'"
    )
    return sum(1 for one in worker["tools"] if one.startswith("function."))


async def test_a_new_function_with_every_run_does_not_pile_up(fb: FlowBuilder) -> None:
    runs = []
    for k in range(4 * MOST):
        runs.append(await start(fb, adding(k)))
        assert await runs[-1].result(60) == 1 + k
        assert await offered(fb) <= MOST
    again = await runs[-1].retry(from_step="add")
    assert await again.result(60) == 4 * MOST, "the last ones are kept for that"
    with pytest.raises(Conflict) as refused:
        await runs[0].retry(from_step="add")
    assert refused.value.code == "function_gone"


async def test_what_an_open_run_calls_is_kept(fb: FlowBuilder) -> None:
    gate = asyncio.Event()

    async def wait(n: int) -> int:
        await gate.wait()
        return n

    open_run = await start(fb, wait)
    growing = await start(fb, wait)
    await growing.add_step("more", function=adding(40), args={"n": 2}, depends_on=["add"])
    for k in range(3 * MOST):
        await (await start(fb, adding(100 + k))).result(60)
    gate.set()
    assert await open_run.result(60) == 1
    await growing.result(60)
    steps = {one.step_id: one.output for one in await growing.steps()}
    assert steps["more"] == 42


async def test_the_same_function_stays_the_same_tool(fb: FlowBuilder) -> None:
    same = adding(5)
    first = await start(fb, same)
    for k in range(3 * MOST):
        await (await start(fb, adding(k))).result(60)
        run = await start(fb, same)
        assert await run.result(60) == 6
        assert run.row.version_id == first.row.version_id, "used last, it is forgotten last"


async def test_a_start_that_fails_leaves_nothing_behind(fb: FlowBuilder) -> None:
    for k in range(3 * MOST):
        with pytest.raises(InvalidValue):
            await fb.execute_dynamic(
                {"flow": "sum", "steps": [{"id": "add", "args": {"n": 1}}]},
                functions={"add": adding(k)},
                timeout="never",
            )
    await (await start(fb, adding(0))).result(60)
    assert await offered(fb) <= MOST
