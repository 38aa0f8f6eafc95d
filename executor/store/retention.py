"""Retention: deleting what ended long ago, page by page."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from flowbuilder.executor import queries
from flowbuilder.executor.store.base import StoreBase
from flowbuilder.types import JsonObject

#: Rows looked at in one transaction.
PAGE = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Pruned:
    """How many rows were deleted, or would be."""

    runs: int = 0
    steps: int = 0
    tasks: int = 0
    events: int = 0
    """Of runs; those of plans go with their plans."""
    approvals: int = 0
    plans: int = 0
    versions: int = 0
    """Of graphs that were never saved."""
    emitted: int = 0
    """Events that were emitted for waits, and whose life is over."""
    workers: int = 0

    def as_json(self) -> JsonObject:
        """Return the counts by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


class RetentionStore(StoreBase):
    """Deletes what nobody needs any more."""

    async def prune(
        self, *, older_than_seconds: float, dry_run: bool = False, page: int = PAGE
    ) -> Pruned:
        """Delete runs that ended longer ago, with all that is theirs, and what only they used.

        Plans that no run refers to, graphs that were never saved and that no run uses, emitted
        events whose life is over, and the records of workers that have ended go by the same age.
        Runs that are open stay, and so do parent, children and retries of them. Each page is a
        transaction of its own: interrupted, it goes on next time where it stopped.

        Args:
            older_than_seconds: By the database's clock.
            dry_run: Only count.
            page: Rows looked at in one transaction, at most 1,000.
        """
        before = (await self._one(queries.BEFORE, older_than_seconds))["before"]
        counts: Counter[str] = Counter()
        for statement in (queries.PRUNE_RUNS, queries.PRUNE_PLANS):
            await self._pages(statement, before, page, dry_run, counts)
        for statement in (queries.PRUNE_VERSIONS, queries.PRUNE_EVENTS):
            more = True
            while more:
                answer = await self._answer(statement, self.workspace, before, page, dry_run)
                more = answer.pop("more")
                counts.update(answer)
        if not dry_run:
            await self._all(queries.PRUNE_DELIVERIES)
            await self._all(queries.TRIM_WORKSPACE_LOGS)
        row = await self._one(queries.PRUNE_WORKERS, before, dry_run)
        return Pruned(**counts, workers=row["workers"])

    async def _pages(
        self, statement: bytes, before: datetime, page: int, dry_run: bool, counts: Counter[str]
    ) -> None:
        place: JsonObject | None = None
        while True:
            given = None if place is None else Jsonb(place)
            answer = await self._answer(statement, self.workspace, before, page, given, dry_run)
            place = answer.pop("next")
            counts.update(answer)
            if place is None:
                return

    async def _answer(self, statement: bytes, *values: object) -> dict[str, Any]:
        answer: dict[str, Any] = (await self._one(statement, *values))["answer"]
        return answer
