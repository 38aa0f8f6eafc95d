"""What workers say to the database."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from psycopg.types.json import Json, Jsonb

from flowbuilder.errors import FlowBuilderError
from flowbuilder.executor import queries, rows
from flowbuilder.executor.database import Database
from flowbuilder.executor.readers import Reader
from flowbuilder.executor.records import (
    Exchange,
    Outcome,
    Upkeep,
    WorkerRow,
)
from flowbuilder.executor.store.leases import LeaseStore
from flowbuilder.limits import Rate
from flowbuilder.types import JsonObject

log = logging.getLogger(__name__)

#: Rows of the outbox handled in one tick; the next tick takes more.
RELAYS_PER_TICK = 50


class WorkerStore(LeaseStore):
    """Workers, their exchange and the upkeep."""

    async def register_worker(
        self,
        worker_id: str,
        *,
        name: str,
        pid: int,
        host: str,
        tools: Sequence[str],
        concurrency: int,
        max_claims: int = 10,
    ) -> None:
        """Make a worker known; again to change its tools (`name@version` each)."""
        await self._one(
            queries.REGISTER_WORKER,
            worker_id,
            name,
            host,
            pid,
            list(tools),
            concurrency,
            max_claims,
        )

    async def declare_limits(
        self, tools: Sequence[str], limits: Mapping[str, tuple[int | None, Rate | None]]
    ) -> None:
        """Keep what tools (`name@version`) declare: `{name: (concurrency, rate)}`, or nothing."""
        declared = [
            {
                "pattern": name,
                "concurrency": concurrency,
                "rate_count": rate and rate.count,
                "rate_seconds": rate and rate.seconds,
            }
            for name, (concurrency, rate) in limits.items()
        ]
        await self._one(queries.DECLARE_LIMITS, list(tools), Jsonb(declared))

    async def stop_worker(self, worker_id: str) -> list[str]:
        """Mark a worker stopped; what it still holds is queued again at once. Returns the runs."""
        row = await self._one(queries.RETIRE_WORKER, worker_id, "stopped")
        return [str(run) for run in row["runs"]]

    async def workers(self) -> list[WorkerRow]:
        """Read the workers seen lately, live ones first."""
        return [rows.read(WorkerRow, row) for row in await self._all(queries.WORKERS)]

    async def exchange(
        self,
        worker_id: str,
        *,
        held: Sequence[tuple[int, int]] | None,
        outcomes: Sequence[Outcome],
        free: int,
        lease_seconds: float,
        readers: Sequence[Reader] = (),
        by: Database | None = None,
    ) -> Exchange:
        """Report outcomes and lease up to `free` tasks, in one round trip.

        Told what is `held`, it extends those leases too, says which of them are lost, and hands
        out again what else is leased to the worker: needed now and then, and after an exchange
        whose answer did not arrive. None leaves all that out. The events that `readers` do not
        know yet come with the answer. `by`: whose connections to use.

        Raises:
            StaleTask: `worker_dead`: the database gave this worker up; what it held is fenced and
                it must register again.
        """
        given = (
            worker_id,
            None if held is None else Jsonb([list(key) for key in held]),
            Json([outcome.as_json() for outcome in outcomes]),
            free,
            lease_seconds,
        )
        news = None
        database = by or self.database
        if readers:
            asked = Json([reader.as_json() for reader in readers])
            (row,) = await database.fetch_all(queries.EXCHANGE_AND_TELL, (*given, asked))
            answer, news = row["answer"]["answer"], row["answer"]["news"]
        else:
            (row,) = await database.fetch_all(queries.EXCHANGE, given)
            answer = row["answer"]
        tasks = await self.leased(answer["tasks"], by=database)
        return rows.exchange(answer, tasks, outcomes, news)

    async def progress(self, worker_id: str, task_id: int, fence: int, data: JsonObject) -> bool:
        """Write a task_progress event; False when the attempt is no longer this worker's."""
        row = await self._one(queries.PROGRESS, worker_id, task_id, fence, Jsonb(data))
        return bool(row["written"])

    async def tick(self, worker_id: str | None = None) -> Upkeep:
        """Do bounded upkeep: timers, deadlines, delayed retries, dead workers, child runs.

        `worker_id`: who does it; its own leases are not looked at.
        """
        answer = (await self._one(queries.UPKEEP, worker_id))["answer"]
        touched = [str(run) for run in answer["touched"]]
        for _ in range(RELAYS_PER_TICK if answer["outbox"] else 0):
            try:
                relayed = (await self._one(queries.RELAY))["answer"]
            except FlowBuilderError as error:
                if not touched:
                    raise
                # What is done until now is to be told; the row stays for the next round.
                log.debug("the outbox could not be seen to: %s", error.message)
                break
            if relayed is None:
                break
            touched += [str(run) for run in relayed["touched"]]
        else:
            if answer["outbox"]:  # there may be more: the next round is to come at once
                answer["next_due_seconds"] = 0.0
        return Upkeep(
            touched=list(dict.fromkeys(touched)),
            ready=bool(touched),
            next_due_seconds=answer["next_due_seconds"],
            queued=answer["queued"],
            undelivered=answer["undelivered"],
            schedules=answer["schedules"],
            notices=answer["notices"],
            replans=answer["replans"],
        )

    async def queue_depth(self) -> JsonObject:
        """Count tasks by state, messages, pending approvals and live workers.

        `{queued, delayed, blocked, running, waiting, messages, oldest_seconds, approvals,
        workers}`; `blocked` is what limits keep back.
        """
        depth: JsonObject = (await self._one(queries.QUEUE_DEPTH))["answer"]
        return depth
