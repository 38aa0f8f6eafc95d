"""Who follows a run in the worker's process is handed the events by the answers that wrote them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from flowbuilder import FlowBuilder, Settings, tool
from flowbuilder.client.workspace_log import WorkspaceLog
from flowbuilder.executor import queries, rows
from flowbuilder.executor.events import EventRow
from tests.support.traffic import traffic

MAP: dict[str, Any] = {
    "flow": "all",
    "steps": [
        {
            "id": "each",
            "tool": "test.odd",
            "for_each": "${{ input.items }}",
            "concurrency": 2,
            "args": {"number": "${{ item }}"},
        },
        {"id": "after", "tool": "test.odd", "args": {"number": 1}, "depends_on": ["each"]},
    ],
    "output": "${{ steps.each }}",
}


class Gate:
    """Lets handlers go on one by one."""

    def __init__(self) -> None:
        self.open = asyncio.Semaphore(0)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
async def fb(dsn: str, tmp_path: Path, gate: Gate) -> AsyncIterator[FlowBuilder]:
    @tool("test.odd")
    async def odd(number: int) -> dict[str, Any]:
        """Return odd values."""
        await gate.open.acquire()
        return {"n": number, "t": "ü\n", "big": 2**60, "f": 0.1, "none": None, "list": [[]]}

    settings = Settings.load(data_dir=tmp_path, workspace_dir=tmp_path, concurrency=3)
    async with FlowBuilder.connect(dsn, settings=settings, tools=[odd], worker=True) as opened:
        yield opened


async def follow(fb: FlowBuilder, run_id: str, gate: Gate, *, after: int = 0) -> list[EventRow]:
    """Follow a run whose handlers go on one after the other, as their begin is heard of."""
    found = []
    async for event in fb.follow(run_id, after=after):
        found.append(event)
        if event.type == "task_started":
            gate.open.release()
    return found


async def test_what_is_handed_over_is_what_would_be_read(
    fb: FlowBuilder, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await fb.execute(MAP, {"items": list(range(20))})
    handed: list[EventRow] = []
    take = rows._news

    def noted(found: Any) -> Any:
        news = take(found)
        for one in news:
            handed.extend(one.events)
        return news

    monkeypatch.setattr(rows, "_news", noted)
    with traffic(fb.store.database, monkeypatch) as seen:
        followed = await follow(fb, run.id, gate)
    assert followed == await fb.events(run.id)
    assert [event.seq for event in followed] == list(range(1, len(followed) + 1))
    by_number = {event.seq: event for event in followed}
    assert {event.seq: event for event in handed} == {
        event.seq: by_number[event.seq] for event in handed
    }
    reads = [one for one in seen.statements if one == queries.EVENTS]
    assert len(handed) > 30
    assert len(reads) < 10


async def test_several_at_different_places_all_get_everything(fb: FlowBuilder, gate: Gate) -> None:
    run = await fb.execute(MAP, {"items": list(range(30))})
    first = asyncio.create_task(follow(fb, run.id, gate))
    late: list[asyncio.Task[list[EventRow]]] = []
    async for event in fb.follow(run.id):
        if event.seq % 10 == 0:
            late.append(asyncio.create_task(_all(fb, run.id, after=event.seq - 5)))
    whole = await first
    assert whole == await fb.events(run.id)
    for task in late:
        found = await task
        assert found == whole[found[0].seq - 1 :]


async def test_who_takes_its_time_gets_everything(fb: FlowBuilder, gate: Gate) -> None:
    run = await fb.execute(MAP, {"items": list(range(40))})
    slow = fb.follow(run.id)
    found = [await anext(slow)]
    whole = await follow(fb, run.id, gate)
    found += [event async for event in slow]
    assert found == whole


async def test_who_reads_another_workspace_gets_nothing(fb: FlowBuilder, gate: Gate) -> None:
    run = await fb.execute(MAP, {"items": [1, 2]})
    with fb._session.feed.watch(run.id) as foreign:
        foreign.has_read("00000000-0000-0000-0000-00000000feed", 1)
        whole = await follow(fb, run.id, gate)
        assert whole[-1].terminal
        assert foreign.take(0) == []


async def test_a_log_of_the_workspace_hears_of_what_was_handed_to_a_reader(
    fb: FlowBuilder, gate: Gate
) -> None:
    log = WorkspaceLog(fb._session, fb._session)
    after = (await log.state()).last
    run = await fb.execute(MAP, {"items": list(range(10))})
    following = asyncio.create_task(follow(fb, run.id, gate))
    found: list[EventRow] = []
    async for page in log.follow_pages(after=after):
        found += [row.event for row in page if row.event.stream == run.id]
        if found and found[-1].terminal:
            break
    assert found == await following


async def _all(fb: FlowBuilder, run_id: str, *, after: int) -> list[EventRow]:
    return [event async for event in fb.follow(run_id, after=after)]
