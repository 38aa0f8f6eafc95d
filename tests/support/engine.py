"""Drives the SQL functions through the store without a real worker: a test decides what each task
ends with, so every order of events can be brought about without waiting for it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any

from flowbuilder.executor.database import Database
from flowbuilder.executor.records import Exchange, LeasedTask, Outcome, OutcomeKind, RunRow
from flowbuilder.executor.states import RunStatus
from flowbuilder.executor.store import Store
from flowbuilder.flow import Flow
from flowbuilder.tools import Effects, Tool, ToolRegistry
from flowbuilder.types import JsonObject, JsonValue
from tests.support.waiting import eventually

Decide = Callable[[LeasedTask], Outcome]


def _nothing(**_: Any) -> None:
    """Stand for a handler: the tests say what tasks end with."""


def plain_registry(*names: str) -> ToolRegistry:
    """Return tools that take and give anything."""
    anything: dict[str, Any] = {"type": "object"}
    return ToolRegistry(
        [
            Tool(
                name=name,
                summary="does nothing",
                handler=_nothing,
                input_schema=anything,
                output_schema={},
                effects=Effects.PURE,
            )
            for name in names or ("work", "other")
        ]
    )


def flow_of(*steps: JsonObject, slug: str = "test", **rest: Any) -> Flow:
    """Return a flow whose steps use the tool `work` unless they say otherwise."""
    return Flow.model_validate(
        {"flow": slug, "steps": [{"tool": "work", **step} for step in steps], **rest}
    )


def done(task: LeasedTask, output: JsonValue = None) -> Outcome:
    """Report a task completed."""
    return task.outcome(OutcomeKind.COMPLETED, output=output)


def failed(task: LeasedTask, code: str = "boom") -> Outcome:
    """Report a task failed for good."""
    error: JsonObject = {"code": code, "message": "it went wrong"}
    return task.outcome(OutcomeKind.FAILED, error=error)


def retry(task: LeasedTask, delay: float = 0) -> Outcome:
    """Report a failed attempt that may be repeated."""
    error: JsonObject = {"code": "flaky", "message": "try again"}
    return task.outcome(OutcomeKind.RETRY, error=error, delay_seconds=delay)


def skipped(task: LeasedTask) -> Outcome:
    """Report that a condition was false."""
    return task.outcome(OutcomeKind.SKIPPED, reason="condition")


def waiting(task: LeasedTask, **wait: JsonValue) -> Outcome:
    """Report that a task waits."""
    return task.outcome(OutcomeKind.WAITING, wait=dict(wait))


class Engine:
    """A store, a registry and one scripted worker."""

    def __init__(self, database: Database, registry: ToolRegistry | None = None) -> None:
        self.store = Store(database)
        self.database = database
        self.registry = registry or plain_registry()
        self.worker = str(uuid.uuid4())

    async def join(
        self,
        *,
        tools: Sequence[str] | None = None,
        max_claims: int = 10,
        worker: str | None = None,
    ) -> str:
        """Register a new worker and work as it from now on."""
        self.worker = worker or str(uuid.uuid4())
        await self.store.register_worker(
            self.worker,
            name="test",
            pid=1,
            host="here",
            tools=self.registry.refs() if tools is None else list(tools),
            concurrency=8,
            max_claims=max_claims,
        )
        return self.worker

    async def start(self, flow: Flow, input: JsonValue = None, **rest: Any) -> str:
        """Publish a flow and start a run of it; returns the run's id."""
        version = await self.store.register_version(flow, self.registry)
        rest.setdefault("timeout_seconds", 3600)
        run, _ = await self.store.start_run(version.id, input, **rest)
        return run.id

    async def exchange(
        self,
        outcomes: Sequence[Outcome] = (),
        *,
        held: Sequence[LeasedTask] | None = (),
        free: int = 10,
        lease: float = 30,
    ) -> Exchange:
        """Make one exchange as the present worker."""
        return await self.store.exchange(
            self.worker,
            held=None if held is None else [task.key for task in held],
            outcomes=outcomes,
            free=free,
            lease_seconds=lease,
        )

    async def drain(self, decide: Decide, *, rounds: int = 100) -> list[LeasedTask]:
        """Exchange until nothing is handed out any more; returns every task seen, in order.

        As a worker does it says at first what it holds, which is nothing, and then no more.
        """
        seen: list[LeasedTask] = []
        outcomes: list[Outcome] = []
        for number in range(rounds):
            answer = await self.exchange(outcomes, held=None if number else ())
            seen += answer.tasks
            outcomes = [decide(task) for task in answer.tasks]
            if not outcomes and not answer.ready:
                return seen
        raise AssertionError(f"not drained after {rounds} rounds")

    async def pass_by(self) -> None:
        """Do upkeep until all that has begun so far is watched or over.

        That waits for every transaction of the server that was open, others' too.
        """
        query = b"""
            select not exists (select from flowbuilder.runs r where r.id >= w.beginning) as held
            from flowbuilder.watch w"""

        async def passed() -> bool:
            await self.jump(2)
            await self.store.tick()
            row = await self.database.fetch_one(query)
            return bool(row and row["held"])

        await eventually(passed)

    async def run(self, run_id: str) -> RunRow:
        """Read a run."""
        return await self.store.get_run(run_id)

    async def trace(self, run_id: str) -> list[str]:
        """Return a run's events as `type step` texts, checking that the numbers have no gap."""
        events = await self.store.events(run_id, limit=10_000)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        terminal = [event for event in events if event.terminal]
        assert terminal == events[-1:] or not terminal
        return [f"{event.type} {event.step_name}" if event.step_name else event.type
                for event in events]  # fmt: skip

    async def jump(self, seconds: float) -> None:
        """Move the database's clock forward."""
        await self.database.execute(
            b"update flowbuilder.clock set offset_by = offset_by + make_interval(secs => %s)",
            (seconds,),
        )

    async def finish_everything(self, decide: Decide = done, *, rounds: int = 500) -> None:
        """Resume, approve and work with new workers, moving time on, until every run has ended."""
        for _ in range(rounds):
            await self.join()
            rows = await self.store.list_runs(limit=10_000)
            open_ = [row for row in rows if not row.status.terminal]
            if not open_:
                while (await self.store.tick()).touched:
                    pass
                return
            for row in open_:
                if row.status is RunStatus.PAUSED:
                    await self.store.resume_run(row.id)
            for approval in await self.store.approvals(limit=1000):
                await self.store.decide(approval.id, approve=True, by="user:ada")
            await self.store.tick()
            await self.drain(decide, rounds=1000)
            await self.jump(60)
        raise AssertionError(f"still open: {[(row.id, row.status) for row in open_]}")

    async def consistent(self) -> None:
        """Assert invariant I5, also in the middle of things: stored counters equal a recount."""
        row = await self.database.fetch_one(_COUNTERS)
        assert row == {
            "steps_of_runs": 0,
            "deps": 0,
            "tasks_of_steps": 0,
            "messages": 0,
            "holds": 0,
        }

    async def somebody_waits(self) -> bool:
        """Whether a transaction waits for a lock that another one has."""
        return bool(await self.database.fetch_all(b"select 1 from pg_locks where not granted"))

    async def at_rest(self) -> None:
        """Assert invariants I5 and I6: counters equal a recount, nothing is left over."""
        await self.consistent()
        row = await self.database.fetch_one(_AT_REST)
        assert row == {
            "messages": 0,
            "open_tasks": 0,
            "open_steps": 0,
            "approvals": 0,
            "outbox": 0,
            "slots": 0,
            "blocked": 0,
        }


_AT_REST = b"""
select (select count(*) from pgmq.q_flowbuilder_tasks) as messages,
       (select count(*) from flowbuilder.tasks t join flowbuilder.runs r on r.id = t.run_id
        where r.finished_at is not null and t.finished_at is null) as open_tasks,
       (select count(*) from flowbuilder.run_steps s join flowbuilder.runs r on r.id = s.run_id
        where r.finished_at is not null and s.finished_at is null) as open_steps,
       (select count(*) from flowbuilder.approvals a join flowbuilder.runs r on r.id = a.run_id
        where r.finished_at is not null and a.status = 'pending') as approvals,
       (select count(*) from flowbuilder.outbox) as outbox,
       (select count(*) from flowbuilder.event_slots where emitted_at is null) as slots,
       (select count(*) from flowbuilder.tasks
        where blocked_by is not null and status <> 'queued') as blocked
"""

#: Runs that failed or were cancelled stop counting in the moment they end, or begin to undo. A step
#: that has failed in an open run waits for a new plan: it is still to be done.
_COUNTERS = b"""
with counted as (
    select r.id, r.version_id, r.remaining_steps, r.finished_at from flowbuilder.runs r
    where r.status not in ('failed', 'cancelled') and r.failure is null
),
steps as (
    select s.*, c.version_id, v.depends_on from counted c
    join flowbuilder.run_steps s on s.run_id = c.id
    join flowbuilder.version_steps v on v.version_id = c.version_id and v.position = s.position
),
deps as (
    select s.run_id, s.position,
           count(d.position) filter (where d.finished_at is null or d.status = 'failed')
               as open_,
           count(d.position) filter (where d.status = 'completed') as succeeded
    from steps s
    left join flowbuilder.run_steps d
      on d.run_id = s.run_id and d.position = any (s.depends_on)
    group by s.run_id, s.position
),
elements as (
    select t.run_id, t.position, count(*) as n,
           count(*) filter (where t.finished_at is null) as open_
    from flowbuilder.tasks t where t.kind = 'step' group by t.run_id, t.position
)
select
    (select count(*) from counted c
     left join (select s.run_id, count(*) filter (where s.finished_at is null
                                                  or s.status = 'failed') as open_
                from steps s group by s.run_id) o on o.run_id = c.id
     where c.remaining_steps <> coalesce(o.open_, 0)) as steps_of_runs,
    (select count(*) from steps s join deps d on d.run_id = s.run_id and d.position = s.position
     where (s.remaining_deps, s.succeeded_deps) <> (d.open_, d.succeeded)) as deps,
    (select count(*) from steps s
     join elements e on e.run_id = s.run_id and e.position = s.position
     where s.status in ('running', 'completed') and s.error is null
       and (s.task_count, s.remaining_tasks) <> (e.n, e.open_)) as tasks_of_steps,
    (select count(*) from pgmq.q_flowbuilder_tasks q
     full join flowbuilder.tasks t on t.message_id = q.msg_id
     where t.message_id is not null and q.msg_id is null
        or t.id is null and q.msg_id is not null) as messages,
    (select count(*) from flowbuilder.runs r where r.holds <> (
        select count(*) from flowbuilder.run_holds h where h.run_id = r.id)) as holds
"""
