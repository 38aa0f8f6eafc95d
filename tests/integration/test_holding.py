"""A worker whose host has too much to do takes nothing, and keeps what it has."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import SecretStr

from flowbuilder import FlowBuilder, Settings, tool
from flowbuilder.executor.host_load import HostMeter, Load
from flowbuilder.executor.worker import Worker
from tests.support.waiting import eventually

FLOW: dict[str, Any] = {
    "flow": "slow",
    "steps": [{"id": "a", "tool": "my.wait"}, {"id": "b", "tool": "my.pass", "depends_on": ["a"]}],
}


class Meter(HostMeter):
    """Says what the test says."""

    def __init__(self) -> None:
        self.load = Load(cpu=0.1, memory=0.1)

    def look(self) -> Load:
        return self.load


async def test_it_takes_nothing_reports_what_runs_and_goes_on(dsn: str) -> None:
    gate = asyncio.Event()

    @tool("my.wait", untyped=True)
    async def wait() -> int:
        """Wait for the test."""
        await gate.wait()
        return 0

    @tool("my.pass", untyped=True)
    async def go_by() -> int:
        """Return."""
        return 1

    settings = Settings(database_url=SecretStr(dsn), auth="local", hold_memory=0.8)
    opened = FlowBuilder.connect(settings=settings, tools=[wait, go_by], worker=True)
    async with opened as fb:
        [worker] = fb._session.workers
        meter = Meter()
        worker._watch._meter = meter
        first = await fb.execute(FLOW)
        await eventually(lambda: worker.running == 1)
        meter.load = Load(cpu=0.1, memory=0.93)
        await eventually(lambda: worker._exchanges.held)
        await eventually(lambda: _noted(fb))
        second = await fb.execute(FLOW)
        reason = next(r for r in (await second.why()).reasons if r.code.value == "host_busy")
        assert "1 of 1 workers take nothing" in reason.message
        assert "93% of the memory in use, above 80%" in reason.message
        gate.set()
        await eventually(lambda: _completed(fb, first.id, "a"))
        await asyncio.gather(*[_look(worker) for _ in range(3)])
        assert worker.running == 0
        assert [step.status.value for step in await second.steps()] == ["running", "pending"]
        meter.load = Load(cpu=0.1, memory=0.5)
        for run in (first, second):
            assert await run.result(timeout=60) == {"b": 1}
        await eventually(lambda: _free(fb))


async def _look(worker: Worker) -> None:
    worker._exchanges.hasten()
    worker._rounds.wake()
    await asyncio.sleep(0)


async def _completed(fb: FlowBuilder, run_id: str, step: str) -> bool:
    steps = {one.step_id: one for one in await fb.store.run_steps(run_id)}
    return steps[step].status.value == "completed"


async def _noted(fb: FlowBuilder) -> bool:
    return bool(await fb.store.database.fetch_all(b"select cause from flowbuilder.worker_holds"))


async def _free(fb: FlowBuilder) -> bool:
    return not await _noted(fb)
