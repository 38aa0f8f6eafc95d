"""Limits and priorities as users have them: in Python, over HTTP, on the command line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from flowbuilder import (
    Conflict,
    DefinitionError,
    FlowBuilder,
    InvalidValue,
    LimitPolicy,
    NotFound,
    Priority,
    Rate,
    Settings,
    tool,
)
from tests.support.api import PLANS, problem, service

WAIT = 60.0
NAP = {"flow": "nap", "steps": [{"id": "a", "tool": "time.sleep", "args": {"seconds": 1}}]}


class Gauge:
    """How many are inside at once, and at most."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0

    async def pass_by(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.01)
        self.now -= 1


def gauged(name: str, **options: Any) -> tuple[Gauge, Any]:
    gauge = Gauge()

    @tool(name, untyped=True, **options)
    async def handler(value: Any = None) -> Any:
        """Count who is inside."""
        await gauge.pass_by()
        return value

    return gauge, handler


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(data_dir=tmp_path, workspace_dir=tmp_path, max_elements=500)


def connected(dsn: str, settings: Settings, *tools: Any) -> FlowBuilder:
    return FlowBuilder.connect(dsn, settings=settings, tools=tools, worker=True)


@pytest.fixture
async def fb(dsn: str, settings: Settings) -> AsyncIterator[FlowBuilder]:
    async with FlowBuilder.connect(dsn, settings=settings, worker=False) as opened:
        yield opened


def mapped(name: str, count: int, **policies: Any) -> dict[str, Any]:
    step = {"id": "m", "tool": name, "for_each": list(range(count)), **policies}
    return {"flow": "mapped", "steps": [{**step, "args": {"value": "${{ item }}"}}]}


async def test_a_declared_concurrency_holds_for_all_workers(dsn: str, settings: Settings) -> None:
    gauge, handler = gauged("my.call", concurrency=3)
    async with connected(dsn, settings, handler) as fb, fb.worker(concurrency=8):
        (row,) = await fb.limits.list()
        assert (row.pattern, row.source, row.concurrency, row.rate) == ("my.call", "tool", 3, None)
        runs = [await fb.execute_dynamic(mapped("my.call", 30)) for _ in range(2)]
        for run in runs:
            assert await run.result(timeout=WAIT) == {"m": list(range(30))}
        assert gauge.most == 3
        (row,) = await fb.limits.list()
        assert (row.running, row.waiting) == (0, 0)
    again = gauged("my.call")[1]
    async with connected(dsn, settings, again) as fb:  # it declares nothing any more
        assert await fb.limits.list() == []


async def test_a_rate_lets_everything_through_in_its_time(dsn: str, settings: Settings) -> None:
    _, handler = gauged("my.call", rate="20/200ms")
    async with connected(dsn, settings, handler) as fb:
        run = await fb.execute_dynamic(mapped("my.call", 70))
        assert await run.result(timeout=WAIT) == {"m": list(range(70))}
        rows = await fb.store.run_tasks(run.id)
        starts = sorted(row.started_at.timestamp() for row in rows if row.started_at)
        assert all(late - early >= 0.199 for early, late in zip(starts, starts[20:], strict=False))


async def test_a_step_limits_itself_by_a_key(dsn: str, settings: Settings) -> None:
    gauge, handler = gauged("my.call")
    async with connected(dsn, settings, handler) as fb:
        schema = {"type": "object", "properties": {"who": {}}}
        flow = await fb.create_flow("keyed", input_schema=schema)
        policy = LimitPolicy(key="${{ input.who }}", concurrency=1)
        await flow.add_step("a", tool="my.call", limit=policy)
        runs = await fb.execute_many("keyed", [{"who": "ada"}] * 12)
        for run in runs:
            await run.result(timeout=WAIT)
        assert gauge.most == 1
        runs = await fb.execute_many("keyed", [{"who": number} for number in range(12)])
        for run in runs:
            await run.result(timeout=WAIT)
        assert gauge.most > 1


async def test_an_administrator_sets_lists_and_clears_limits(fb: FlowBuilder) -> None:
    row = await fb.limits.set("http.*", concurrency=2, rate=Rate(count=5, per="1m"), by="ada")
    assert (row.pattern, row.concurrency, str(row.rate), row.updated_by, row.source) == (
        "http.*", 2, "5/1m", "ada", "administrator",
    )  # fmt: skip
    assert (await fb.limits.set("http.*", rate="9/s")).concurrency is None
    assert [row.pattern for row in await fb.limits.list()] == ["http.*"]
    await fb.limits.clear("http.*")
    assert await fb.limits.list() == []
    for call in (fb.limits.clear, fb.limits.get):
        with pytest.raises(NotFound) as missing:
            await call("http.*")
        assert missing.value.code == "limit_not_found"
    for pattern in ("", "http.*.get", "a b", "x@1", "**", ".x", "x" * 201):
        with pytest.raises(InvalidValue) as refused:
            await fb.limits.set(pattern, concurrency=1)
        assert refused.value.code == "pattern_invalid"
    with pytest.raises(InvalidValue) as refused:
        await fb.limits.set("x", rate="often")
    assert refused.value.code == "rate_invalid"
    with pytest.raises(InvalidValue) as refused:
        await fb.limits.set("x", concurrency=0)
    assert refused.value.code == "concurrency_invalid"


async def test_runs_are_started_with_a_priority(fb: FlowBuilder) -> None:
    run = await fb.execute(NAP, priority="high")
    assert run.row.priority is Priority.HIGH
    assert (await fb.get_run(run.id)).row.priority is Priority.HIGH
    with pytest.raises(InvalidValue) as refused:
        await fb.execute(NAP, priority="asap")
    assert (refused.value.code, refused.value.pointer) == ("priority_unknown", "/priority")


async def test_bounds_come_from_the_settings(dsn: str, settings: Settings) -> None:
    _, handler = gauged("my.call")
    tight = settings.model_copy(update={"max_steps": 1, "max_open_runs": 1})
    async with FlowBuilder.connect(dsn, settings=tight, tools=[handler], worker=False) as fb:
        await fb.execute(mapped("my.call", 500))
        with pytest.raises(Conflict) as full:
            await fb.execute(mapped("my.call", 2))
        assert full.value.code == "too_many_runs"
        two = {"flow": "two", "steps": [{"id": name, "tool": "my.call"} for name in "ab"]}
        with pytest.raises(DefinitionError) as refused:
            await fb.save_flow(two)
        assert refused.value.problems[0].code == "too_many_steps"
    async with FlowBuilder.connect(dsn, settings=settings, tools=[handler], worker=False) as fb:
        run = await fb.execute(mapped("my.call", 501))
        await run.refresh()
        assert run.row.error is not None
        assert run.row.error["code"] == "too_many_elements"


async def test_priorities_over_http(dsn: str) -> None:
    async with service(dsn) as client:
        body = {"document": PLANS["quick"], "input": {"value": 1}}
        started = await client.post("/api/v1/runs", json={**body, "priority": "low"})
        assert started.json()["priority"] == "low"
        shown = await client.get(f"/api/v1/runs/{started.json()['id']}")
        assert shown.json()["priority"] == "low"
        usual = await client.post("/api/v1/runs", json=body)
        assert usual.json()["priority"] == "normal"
        wrong = await client.post("/api/v1/runs", json={**body, "priority": "asap"})
        assert problem(wrong, 422)["errors"][0]["pointer"] == "/priority"
