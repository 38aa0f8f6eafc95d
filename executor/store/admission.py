"""Who is let in, what a workspace may use, which workers hold back, and buckets of requests."""

from __future__ import annotations

from datetime import datetime

from flowbuilder.executor import admission_queries as queries
from flowbuilder.executor.admitting import AdmissionRow, Usage, Used
from flowbuilder.executor.rows import read
from flowbuilder.executor.store.base import StoreBase
from flowbuilder.limits import QUOTAS, Quotas, Rate


class AdmissionStore(StoreBase):
    """Limits on runs and quotas of the workspace, and what belongs to the whole installation."""

    async def set_admission(
        self,
        flow: str | None,
        *,
        concurrency: int | None,
        rate: Rate | None,
        actor: str | None = None,
    ) -> list[str]:
        """Limit the runs of the workspace or of a flow. Returns those that are let in by it."""
        count, seconds = (None, None) if rate is None else (rate.count, rate.seconds)
        row = await self._one(
            queries.SET_ADMISSION, self.workspace, flow or "", concurrency, count, seconds, actor
        )
        return [str(run) for run in row["runs"]]

    async def clear_admission(self, flow: str | None) -> list[str] | None:
        """Take a limit back. Returns the runs that are let in by that; None: there was no limit."""
        row = await self._one(queries.CLEAR_ADMISSION, self.workspace, flow or "")
        return None if row["runs"] is None else [str(run) for run in row["runs"]]

    async def admissions(self) -> list[AdmissionRow]:
        """Read the limits on the workspace's runs, that of the whole workspace first."""
        found = await self._all(queries.ADMISSIONS, self.workspace)
        return [
            read(
                AdmissionRow,
                row,
                rate=None
                if row["rate_count"] is None
                else Rate(count=row["rate_count"], per=row["rate_seconds"]),
            )
            for row in found
        ]

    async def hold_worker(
        self, worker_id: str, cause: str | None, figure: float = 0.0, threshold: float = 0.0
    ) -> None:
        """Note why a worker takes nothing; with None that it takes work again."""
        await self._one(queries.HOLD_WORKER, worker_id, cause, figure, threshold)

    async def set_quotas(self, quotas: Quotas, *, actor: str | None = None) -> None:
        """Say what the workspace may use, all of it anew."""
        values = [getattr(quotas, name) for name in QUOTAS]
        await self._one(queries.SET_QUOTAS, self.workspace, *values, actor)

    async def usage(self) -> Usage:
        """Read what the workspace uses and may use."""
        answer = (await self._one(queries.USAGE, self.workspace))["answer"]
        return Usage(
            **{name: Used(**answer[name]) for name in QUOTAS},
            runs_waiting=answer["runs"]["waiting"],
            measured_at=datetime.fromisoformat(answer["measured_at"]),
        )

    async def count_plan(self) -> None:
        """Count a plan that is about to be made. Raises: Conflict (`quota_…`)."""
        await self._one(queries.COUNT_PLAN, self.workspace)

    async def take_tokens(
        self, key: str, count: int, *, size: float, per_second: float
    ) -> tuple[int, float]:
        """Take up to `count` tokens of a bucket; how many, and the seconds until the next one."""
        row = await self._one(queries.TAKE_TOKENS, key, count, size, per_second)
        return row["granted"], row["wait_seconds"]
