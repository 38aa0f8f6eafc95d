"""The store: one typed method per SQL function or plain read, and nothing else.

The state machine itself is the SQL under `migrations/functions`; reads are the statements of
`executor.queries`. Every method may raise DatabaseUnavailable; the other errors come from checks
in the database.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from psycopg.types.json import Jsonb

from flowbuilder.errors import NotFound
from flowbuilder.executor import queries, rows
from flowbuilder.executor.database import Database
from flowbuilder.executor.graphs import compile_output, compile_steps
from flowbuilder.executor.records import (
    DEFAULT_WORKSPACE,
    ApprovalRow,
    EventRow,
    Exchange,
    FlowRow,
    Outcome,
    PlanRow,
    RunRow,
    StepRow,
    TaskRow,
    Upkeep,
    VersionRow,
    WorkerRow,
)
from flowbuilder.executor.states import ApprovalStatus, RunStatus
from flowbuilder.flow import Flow
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonObject, JsonValue

#: Rows of the outbox handled in one tick; the next tick takes more.
RELAYS_PER_TICK = 50


class Store:
    """Typed calls of the SQL functions, for one workspace."""

    def __init__(self, database: Database, *, workspace: str = DEFAULT_WORKSPACE) -> None:
        self.database = database
        self.workspace = workspace

    # -- flows ------------------------------------------------------------------------------

    async def create_flow(self, draft: JsonObject) -> FlowRow:
        """Store the draft of a new flow.

        Raises:
            Conflict: There is one of this name (`flow_exists`).
        """
        return rows.flow(await self._one(queries.CREATE_FLOW, self.workspace, Jsonb(draft)))

    async def save_draft(self, draft: JsonObject, *, expected: JsonObject | None = None) -> FlowRow:
        """Replace the draft of a flow, if it still is the `expected` one when that is given.

        Raises:
            NotFound: `flow_not_found`.
            Conflict: Somebody else changed the draft meanwhile (`draft_changed`).
        """
        before = None if expected is None else Jsonb(expected)
        return rows.flow(await self._one(queries.SAVE_DRAFT, self.workspace, Jsonb(draft), before))

    async def get_flow(self, slug: str) -> FlowRow:
        """Read a flow.

        Raises:
            NotFound: `flow_not_found`.
        """
        found = await self._all(queries.GET_FLOW, self.workspace, slug)
        if not found:
            raise NotFound(f"there is no flow {slug!r}", code="flow_not_found")
        return rows.flow(found[0])

    async def list_flows(self) -> list[FlowRow]:
        """Read all flows by name."""
        return [rows.flow(row) for row in await self._all(queries.LIST_FLOWS, self.workspace)]

    async def delete_flow(self, slug: str) -> bool:
        """Delete a flow; its runs and versions stay readable. False: there was none."""
        return bool(await self._all(queries.DELETE_FLOW, self.workspace, slug))

    async def register_version(
        self,
        flow: Flow,
        registry: ToolRegistry,
        *,
        origin: str = "published",
        owner: str | None = None,
    ) -> VersionRow:
        """Store a compiled flow; the same content and tools give the same version again.

        Args:
            flow: A valid flow.
            registry: Where bare tool names are pinned to versions.
            origin: `published` (the flow's new head) or `dynamic` (a graph that is not saved).
            owner: Id of the worker in whose process `function.…` tools of this flow live.
        """
        compiled: list[JsonValue] = list(compile_steps(flow, registry))
        output = compile_output(flow)
        row = await self._one(
            queries.REGISTER_VERSION,
            self.workspace,
            Jsonb(flow.document()),
            flow.content_hash(),
            Jsonb(compiled),
            None if output is None else Jsonb(output),
            origin,
            owner,
        )
        return rows.version(row)

    async def get_version(self, slug: str, version: int | None = None) -> VersionRow:
        """Read a published version, the newest by default.

        Raises:
            NotFound: `flow_not_found` or `version_not_found`.
        """
        found = await self._all(queries.GET_VERSION, self.workspace, slug, version, version)
        if found:
            return rows.version(found[0])
        if version is None:
            await self.get_flow(slug)
            raise NotFound(f"{slug!r} was never published", code="version_not_found")
        raise NotFound(f"{slug!r} has no version {version}", code="version_not_found")

    async def get_version_by_id(self, version_id: str) -> VersionRow:
        """Read any version by its id.

        Raises:
            NotFound: `version_not_found`.
        """
        found = await self._all(queries.GET_VERSION_BY_ID, self.workspace, _uuid(version_id))
        if not found:
            raise NotFound("there is no such version", code="version_not_found")
        return rows.version(found[0])

    async def list_versions(self, slug: str) -> list[VersionRow]:
        """Read the published versions of a flow, newest first."""
        return [
            rows.version(row)
            for row in await self._all(queries.LIST_VERSIONS, self.workspace, slug)
        ]

    # -- runs -------------------------------------------------------------------------------

    async def start_run(
        self,
        version_id: str,
        input: JsonValue,
        *,
        timeout_seconds: float,
        idempotency_key: str | None = None,
        plan_id: str | None = None,
        actor: str | None = None,
    ) -> tuple[RunRow, bool]:
        """Start a run; `(run, created)`. The same idempotency key gives the same run.

        Raises:
            NotFound: `version_not_found`.
            Conflict: The key was used for another flow or input (`idempotency_mismatch`).
        """
        row = await self._one(
            queries.START_RUN,
            self.workspace,
            _uuid(version_id),
            Jsonb(input),
            idempotency_key,
            timeout_seconds,
            plan_id,
            actor,
        )
        return await self.get_run(str(row["run_id"])), bool(row["created"])

    async def get_run(self, run_id: str) -> RunRow:
        """Read a run.

        Raises:
            NotFound: `run_not_found`, also for a text that is no id at all.
        """
        found = await self._all(queries.GET_RUN, self.workspace, _uuid(run_id))
        if not found:
            raise NotFound(f"there is no run {run_id}", code="run_not_found")
        return rows.run(found[0])

    async def list_runs(
        self,
        *,
        flow: str | None = None,
        status: RunStatus | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[RunRow]:
        """Read runs, newest first; `before` is the id of the last run of the page before."""
        cursor = None if before is None else _uuid(before)
        wanted = None if status is None else status.value
        found = await self._all(queries.LIST_RUNS, self.workspace, flow, wanted, cursor, limit)
        return [rows.run(row) for row in found]

    async def run_steps(self, run_id: str) -> list[StepRow]:
        """Read the steps of a run in the order of the document."""
        found = await self._all(queries.RUN_STEPS, self.workspace, _uuid(run_id))
        return [rows.step(row) for row in found]

    async def run_tasks(self, run_id: str, *, limit: int = 1000, after: int = 0) -> list[TaskRow]:
        """Read the tasks of a run by id; `after` is the last id of the page before."""
        found = await self._all(queries.RUN_TASKS, self.workspace, _uuid(run_id), after, limit)
        return [rows.task(row) for row in found]

    async def cancel_run(
        self, run_id: str, *, actor: str | None = None, reason: str | None = None
    ) -> RunRow:
        """Cancel a run with everything open in it.

        Raises:
            NotFound: `run_not_found`.
            InvalidTransition: The run has ended.
        """
        return await self._change_run(run_id, "cancel", actor, reason)

    async def pause_run(self, run_id: str, *, actor: str | None = None) -> RunRow:
        """Stop handing out tasks of a run; running ones end normally. Raises as `cancel_run`."""
        return await self._change_run(run_id, "pause", actor, None)

    async def resume_run(self, run_id: str, *, actor: str | None = None) -> RunRow:
        """Go on with a paused run. Raises as `cancel_run`."""
        return await self._change_run(run_id, "resume", actor, None)

    async def _change_run(
        self, run_id: str, verb: str, actor: str | None, reason: str | None
    ) -> RunRow:
        await self._one(queries.CHANGE_RUN, self.workspace, _uuid(run_id), verb, actor, reason)
        return await self.get_run(run_id)

    # -- events -----------------------------------------------------------------------------

    async def events(self, stream: str, *, after: int = 0, limit: int = 500) -> list[EventRow]:
        """Read the events of a run or a plan with `seq` > after, in order."""
        found = await self._all(queries.EVENTS, self.workspace, _uuid(stream), after, limit)
        return [rows.event(row) for row in found]

    async def append_plan_event(self, plan_id: str, type: str, data: JsonObject) -> EventRow:
        """Write one event of a stored plan's stream.

        Raises:
            NotFound: `plan_not_found`.
        """
        found = await self._all(
            queries.APPEND_PLAN_EVENT, self.workspace, _uuid(plan_id), type, Jsonb(data)
        )
        if not found:
            raise NotFound(f"there is no plan {plan_id}", code="plan_not_found")
        return rows.event(found[0])

    # -- approvals --------------------------------------------------------------------------

    async def approvals(
        self,
        *,
        status: ApprovalStatus | None = ApprovalStatus.PENDING,
        run_id: str | None = None,
        limit: int = 200,
    ) -> list[ApprovalRow]:
        """Read approvals, oldest first; only the pending ones by default."""
        wanted = None if status is None else status.value
        run = None if run_id is None else _uuid(run_id)
        found = await self._all(queries.LIST_APPROVALS, self.workspace, wanted, run, limit)
        return [rows.approval(row) for row in found]

    async def get_approval(self, approval_id: str) -> ApprovalRow:
        """Read an approval.

        Raises:
            NotFound: `approval_not_found`.
        """
        found = await self._all(queries.GET_APPROVAL, self.workspace, _uuid(approval_id))
        if not found:
            raise NotFound(f"there is no approval {approval_id}", code="approval_not_found")
        return rows.approval(found[0])

    async def decide(
        self,
        approval_id: str,
        *,
        approve: bool,
        by: str,
        comment: str | None = None,
        value: JsonValue = None,
        has_value: bool = False,
        args_hash: str | None = None,
    ) -> ApprovalRow:
        """Approve or reject, once.

        Args:
            approval_id: Which.
            approve: False rejects.
            by: Who decides.
            comment: Why, in words.
            value: Edited arguments of a gate, or the value that was asked for. None counts as
                given (null is a legitimate answer) only with `has_value`.
            has_value: The value is meant even if it is None.
            args_hash: What the person saw; a decision about other arguments is refused.

        Raises:
            NotFound: `approval_not_found`.
            Conflict: `already_decided` (details: status, decided_by, decided_at) or
                `arguments_changed`.
        """
        given = None if value is None and not has_value else Jsonb(value)
        row = await self._one(
            queries.DECIDE,
            self.workspace,
            _uuid(approval_id),
            approve,
            by,
            comment,
            given,
            args_hash,
        )
        return rows.approval(row)

    # -- plans ------------------------------------------------------------------------------

    async def save_plan(self, document: JsonObject) -> PlanRow:
        """Insert or replace a plan, given as `Plan.as_json()`."""
        row = await self._one(
            queries.SAVE_PLAN,
            document["id"],
            self.workspace,
            document["goal"],
            document["status"],
            Jsonb(document),
        )
        return rows.plan(row)

    async def get_plan(self, plan_id: str) -> PlanRow:
        """Read a plan.

        Raises:
            NotFound: `plan_not_found`.
        """
        found = await self._all(queries.GET_PLAN, self.workspace, _uuid(plan_id))
        if not found:
            raise NotFound(f"there is no plan {plan_id}", code="plan_not_found")
        return rows.plan(found[0])

    async def list_plans(self, *, limit: int = 50) -> list[PlanRow]:
        """Read plans, newest first."""
        found = await self._all(queries.LIST_PLANS, self.workspace, limit)
        return [rows.plan(row) for row in found]

    async def accept_plan(self, plan_id: str, run_id: str | None) -> PlanRow:
        """Mark a plan accepted and remember the run that executes it.

        Raises:
            NotFound: `plan_not_found`.
        """
        run = None if run_id is None else _uuid(run_id)
        found = await self._all(queries.ACCEPT_PLAN, run, self.workspace, _uuid(plan_id))
        if not found:
            raise NotFound(f"there is no plan {plan_id}", code="plan_not_found")
        return rows.plan(found[0])

    # -- workers ----------------------------------------------------------------------------

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

    async def stop_worker(self, worker_id: str) -> list[str]:
        """Mark a worker stopped; what it still holds is queued again at once. Returns the runs."""
        row = await self._one(queries.RETIRE_WORKER, worker_id, "stopped")
        return [str(run) for run in row["runs"]]

    async def workers(self) -> list[WorkerRow]:
        """Read the workers seen lately, live ones first."""
        return [rows.worker(row) for row in await self._all(queries.WORKERS)]

    async def exchange(
        self,
        worker_id: str,
        *,
        held: Sequence[tuple[int, int]],
        outcomes: Sequence[Outcome],
        free: int,
        lease_seconds: float,
    ) -> Exchange:
        """Report outcomes, extend what is held and lease up to `free` tasks, in one round trip.

        Raises:
            StaleTask: `worker_dead`: the database gave this worker up; what it held is fenced and
                it must register under a new id.
        """
        row = await self._one(
            queries.EXCHANGE,
            worker_id,
            Jsonb([list(key) for key in held]),
            Jsonb([outcome.as_json() for outcome in outcomes]),
            free,
            lease_seconds,
        )
        return rows.exchange(row["answer"])

    async def progress(self, worker_id: str, task_id: int, fence: int, data: JsonObject) -> bool:
        """Write a task_progress event; False when the attempt is no longer this worker's."""
        row = await self._one(queries.PROGRESS, worker_id, task_id, fence, Jsonb(data))
        return bool(row["written"])

    async def tick(self, worker_id: str | None = None) -> Upkeep:
        """Do bounded upkeep: timers, deadlines, delayed retries, dead workers, child runs."""
        answer = (await self._one(queries.UPKEEP))["answer"]
        touched = [str(run) for run in answer["touched"]]
        for _ in range(RELAYS_PER_TICK if answer["outbox"] else 0):
            relayed = (await self._one(queries.RELAY))["answer"]
            if relayed is None:
                break
            touched += [str(run) for run in relayed["touched"]]
        return Upkeep(
            touched=list(dict.fromkeys(touched)),
            ready=bool(touched),
            next_due_seconds=answer["next_due_seconds"],
        )

    async def queue_depth(self) -> JsonObject:
        """Count `{queued, delayed, running, waiting, messages, oldest_seconds, approvals,
        workers}`.
        """
        depth: JsonObject = (await self._one(queries.QUEUE_DEPTH))["answer"]
        return depth

    # -- the two ways to ask ----------------------------------------------------------------

    async def _all(self, statement: bytes, *values: object) -> list[dict[str, Any]]:
        return await self.database.fetch_all(statement, values)

    async def _one(self, statement: bytes, *values: object) -> dict[str, Any]:
        return (await self._all(statement, *values))[0]


def _uuid(text: str) -> uuid.UUID | None:
    """Read an id; None, which matches no row, for a text that is none."""
    try:
        return uuid.UUID(text)
    except (ValueError, AttributeError, TypeError):
        return None
