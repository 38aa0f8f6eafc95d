"""Waiting for many runs asks for all of them together, and tells each what is true of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import pytest

from flowbuilder.client.ends import MOST_AT_ONCE, Ends
from flowbuilder.errors import DatabaseUnavailable, NotFound
from flowbuilder.executor.records import RunRow
from flowbuilder.executor.states import RunStatus

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _row(run_id: str) -> RunRow:
    return RunRow(
        id=run_id, flow="x", version=1, version_id="v", status=RunStatus.COMPLETED, input=None,
        output={}, error=None, remaining_steps=0, last_seq=3, idempotency_key=None,
        parent_run_id=None, plan_id=None, created_at=NOW, started_at=NOW, finished_at=NOW,
        deadline_at=NOW,
    )  # fmt: skip


class _Database:
    """Knows runs by id; counts what it is asked."""

    def __init__(self, runs: Mapping[str, RunRow | None]) -> None:
        self.runs = runs
        self.asked: list[int] = []
        self.errors: list[Exception] = []
        self.reading = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()

    async def read(self, run_ids: Sequence[str]) -> Mapping[str, RunRow | None]:
        self.asked.append(len(run_ids))
        self.reading.set()
        await self.go.wait()
        if self.errors:
            raise self.errors.pop()
        return {run_id: self.runs[run_id] for run_id in run_ids if run_id in self.runs}


async def test_thousands_are_read_in_few_statements() -> None:
    ids = [f"run{number}" for number in range(4 * MOST_AT_ONCE)]
    database = _Database({run_id: _row(run_id) for run_id in ids})
    ends = Ends(database.read)
    rows = await asyncio.gather(*(ends.row(run_id) for run_id in [*ids, *ids]))
    assert [row.id for row in rows if row] == [*ids, *ids]
    assert database.asked == [MOST_AT_ONCE] * 4


async def test_each_is_told_what_is_true_of_its_run() -> None:
    database = _Database({"open": None, "ended": _row("ended")})
    ends = Ends(database.read)
    found = await asyncio.gather(
        *(ends.row(name) for name in ("open", "ended", "gone", "open")), return_exceptions=True
    )
    assert found[0] is found[3] is None
    assert found[1] == database.runs["ended"]
    assert isinstance(found[2], NotFound) and found[2].code == "run_not_found"
    assert database.asked == [3]


async def test_who_asks_meanwhile_goes_into_the_next_statement() -> None:
    database = _Database({"a": None, "b": None})
    database.go.clear()
    ends = Ends(database.read)
    first = asyncio.create_task(ends.row("a"))
    await database.reading.wait()
    others = [asyncio.create_task(ends.row(name)) for name in ("a", "b", "b")]
    await asyncio.sleep(0)
    database.go.set()
    assert await asyncio.gather(first, *others) == [None] * 4
    assert database.asked == [1, 2]


async def test_an_error_is_told_to_all_that_asked_and_to_nobody_after() -> None:
    database = _Database({"a": None, "b": None})
    database.errors = [DatabaseUnavailable("away")]
    ends = Ends(database.read)
    found = await asyncio.gather(ends.row("a"), ends.row("b"), return_exceptions=True)
    assert [type(item) for item in found] == [DatabaseUnavailable] * 2
    assert await ends.row("a") is None


async def test_one_that_waits_no_more_holds_up_nobody() -> None:
    database = _Database({"a": None, "b": _row("b")})
    database.go.clear()
    ends = Ends(database.read)
    left = asyncio.create_task(ends.row("a"))
    stays = asyncio.create_task(ends.row("b"))
    await database.reading.wait()
    left.cancel()
    with pytest.raises(asyncio.CancelledError):
        await left
    database.go.set()
    assert await stays == database.runs["b"]
