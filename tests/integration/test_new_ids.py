"""Ids of runs: version 7 of RFC 9562, in the order of time, never twice."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from flowbuilder.executor.database import Database

_IDS = b"select flowbuilder.new_ids(%s, %s) as ids"


async def _ids(database: Database, count: int, at: datetime) -> list[UUID]:
    row = await database.fetch_one(_IDS, [count, at])
    assert row is not None
    found: list[UUID] = row["ids"]
    return found


async def test_ids_say_when_they_were_made(database: Database) -> None:
    at = datetime(2026, 3, 4, 5, 6, 7, 89_000, tzinfo=UTC)
    for one in await _ids(database, 100, at):
        assert one.version == 7
        assert one.variant == "specified in RFC 4122"
        assert one.int >> 80 == round(at.timestamp() * 1000)


async def test_ids_are_never_made_twice(database: Database) -> None:
    at = datetime(2026, 3, 4, tzinfo=UTC)
    ids = [one for _ in range(5) for one in await _ids(database, 1000, at)]
    assert len(set(ids)) == 5000


async def test_none_are_made_when_none_are_asked_for(database: Database) -> None:
    assert await _ids(database, 0, datetime(2026, 3, 4, tzinfo=UTC)) == []
