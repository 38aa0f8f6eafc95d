"""Many runs of one program: large inputs, and thousands that are waited for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flowbuilder import FlowBuilder, NotFound, Settings, tool
from flowbuilder.client import batching
from flowbuilder.executor import queries
from flowbuilder.types import JsonValue
from tests.support.traffic import traffic
from tests.support.waiting import eventually

WAIT = 60.0
DOCUMENT: dict[str, Any] = {
    "flow": "measure",
    "steps": [{"id": "size", "tool": "text.size", "args": {"text": "${{ input.text }}"}}],
    "output": "${{ steps.size }}",
}


@tool("text.size")
async def size(text: str) -> int:
    """Count the characters."""
    return len(text)


@pytest.fixture
async def fb(dsn: str, tmp_path: Path) -> AsyncIterator[FlowBuilder]:
    settings = Settings.load(data_dir=tmp_path, workspace_dir=tmp_path)
    async with FlowBuilder.connect(dsn, settings=settings, tools=[size], worker=False) as opened:
        yield opened


async def test_large_inputs_start_in_statements_of_a_bounded_size(
    fb: FlowBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "BYTES_AT_ONCE", 50_000)
    inputs: list[JsonValue] = [
        {"text": "a" * length} for length in (0, 30_000, 30_000, 70_000, 5, 6, 60_000, 7)
    ]
    await fb.execute(DOCUMENT, inputs[0])
    keys = [f"key{number}" for number in range(len(inputs))]
    started: list[int] = []
    start_runs = fb.store.start_runs

    async def watched(version_id: str, values: Any, **options: Any) -> Any:
        started.append(len(values))
        return await start_runs(version_id, values, **options)

    monkeypatch.setattr(fb.store, "start_runs", watched)
    runs = await fb.execute_many(DOCUMENT, inputs, idempotency_keys=keys)
    assert started == [3, 1, 3, 1]
    assert [run.row.input for run in runs] == inputs
    again = await fb.execute_many(DOCUMENT, inputs, idempotency_keys=keys)
    assert [run.id for run in again] == [run.id for run in runs]
    assert [(await fb.get_run(run.id)).row.input for run in runs] == inputs
    assert await fb.execute_many(DOCUMENT, []) == []


async def test_waiting_for_many_runs_asks_as_often_as_for_one(
    fb: FlowBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = await fb.execute_many(DOCUMENT, [{"text": "a" * number} for number in range(300)])
    for run in runs:
        await run.cancel()
    for part in (runs[:1], runs):
        with traffic(fb.store.database, monkeypatch) as seen:
            waited = [run._session.end_of(run.id) for run in part]
            rows = await asyncio.gather(*waited)
        assert [row.id for row in rows] == [run.id for run in part]
        assert {row.status.value for row in rows} == {"cancelled"}
        assert len(seen.statements) == 1


async def test_the_end_of_a_run_that_ends_while_it_starts_is_seen_at_once(
    dsn: str, tmp_path: Path
) -> None:
    settings = Settings.load(
        data_dir=tmp_path, workspace_dir=tmp_path, poll_interval=timedelta(hours=1)
    )
    step = {"id": "size", "tool": "text.size", "args": {"text": "a"}}
    async with FlowBuilder.connect(dsn, settings=settings, tools=[size], worker=True) as fb:
        first = await fb.execute({"flow": "plain", "steps": [step]})
        assert await first.result(timeout=WAIT) == {"size": 1}
        feed = fb._session.feed
        await eventually(lambda: feed.would_know_end(first.id + "?", time.monotonic()))
        empty = await fb.execute({"flow": "empty", "steps": [{**step, "for_each": []}]})
        assert await empty.result(timeout=WAIT) == {"size": []}


async def test_an_end_in_the_same_process_needs_no_look(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = asyncio.Event()

    @tool("wait.here")
    async def wait() -> str:
        """Return when it is told to."""
        await go.wait()
        return "ended"

    settings = Settings.load(
        data_dir=tmp_path, workspace_dir=tmp_path, poll_interval=timedelta(hours=1)
    )
    flow: dict[str, Any] = {"flow": "one", "steps": [{"id": "a", "tool": "wait.here"}]}
    async with FlowBuilder.connect(dsn, settings=settings, tools=[wait], worker=True) as fb:
        feed = fb._session.feed
        with feed.watch_end("any"):
            await eventually(lambda: feed.would_know_end("any", time.monotonic()))
            with traffic(fb.store.database, monkeypatch) as seen:
                run = await fb.execute(flow)
                waiting = asyncio.create_task(run.result())
                await eventually(lambda: any(feed._ends.watching(run.id)))
                go.set()
                assert await waiting == {"a": "ended"}
        assert queries.ENDED_RUNS not in seen.statements
        assert run.row == await fb.store.get_run(run.id)


async def test_runs_that_end_meanwhile_give_their_results(fb: FlowBuilder) -> None:
    runs = await fb.execute_many(DOCUMENT, [{"text": "a" * number} for number in range(60)])
    waiting = asyncio.gather(*(run.result(timeout=WAIT) for run in runs))
    async with fb.worker():
        assert await waiting == list(range(60))


async def test_open_runs_are_read_without_what_they_hold(fb: FlowBuilder) -> None:
    runs = await fb.execute_many(DOCUMENT, [{"text": "a"}, {"text": "b"}])
    await runs[0].cancel()
    ids = [run.id for run in runs]
    unknown = "00000000-0000-0000-0000-00000000000a"
    found = await fb.store.ended_runs([*ids, ids[0].upper(), unknown, "no id"])
    ended = await fb.store.get_run(ids[0])
    assert found == {ids[0]: ended, ids[1]: None, ids[0].upper(): ended}
    with pytest.raises(NotFound):
        await fb._session.end_of(unknown)
