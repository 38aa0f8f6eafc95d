"""Runs with their steps, tasks and events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from psycopg.types.json import Json, Jsonb

from flowbuilder.errors import NotFound
from flowbuilder.executor import queries, rows
from flowbuilder.executor.diagnosis import Why, diagnose
from flowbuilder.executor.events import EventRow
from flowbuilder.executor.records import Room, RunRow, Started, StepRow, TaskRow
from flowbuilder.executor.retrying import Retried, retried
from flowbuilder.executor.states import RunStatus
from flowbuilder.executor.store.base import as_name, as_uuid
from flowbuilder.executor.store.leases import LeaseStore
from flowbuilder.executor.terms import Terms
from flowbuilder.strictjson import DOCUMENT_LIMITS, check
from flowbuilder.types import JsonValue


class RunStore(LeaseStore):
    """Runs and what is inside them."""

    async def start_run(
        self,
        version_id: str,
        input: JsonValue,
        *,
        timeout_seconds: float,
        idempotency_key: str | None = None,
        plan_id: str | None = None,
        actor: str | None = None,
        exact: bool = False,
        terms: Terms | None = None,
    ) -> tuple[RunRow, bool]:
        """Start a run; `(run, created)`. The same idempotency key gives the same run.

        With `exact` it has to be a run of this very version; otherwise a key keeps its meaning
        when a new version of the flow is published meanwhile.

        Raises:
            NotFound: `version_not_found`.
            Conflict: The key was used for another flow or input (`idempotency_mismatch`).
            InvalidValue: The input is no JSON value.
        """
        started = await self.start_runs(
            version_id,
            [check(input, limits=DOCUMENT_LIMITS)],
            timeout_seconds=timeout_seconds,
            idempotency_keys=[idempotency_key],
            plan_id=plan_id,
            actor=actor,
            exact=exact,
            terms=terms,
        )
        [(run_id, created)] = started.runs
        return await self.get_run(run_id), created

    async def start_runs(
        self,
        version_id: str,
        inputs: Sequence[JsonValue],
        *,
        timeout_seconds: float,
        idempotency_keys: Sequence[str | None] | None = None,
        plan_id: str | None = None,
        actor: str | None = None,
        exact: bool = False,
        draft_at: datetime | None = None,
        room: Room | None = None,
        terms: Terms | None = None,
    ) -> Started:
        """Start a run for each input, all or none. The inputs are clean JSON already.

        With `draft_at` the version has to be what the flow's draft, read then, still says. With
        `room`, first tasks are leased to the worker that offers it.

        Raises:
            NotFound: `version_not_found`.
            Conflict: A key was used for another flow or input (`idempotency_mismatch`), the draft
                was changed (`draft_changed`), or too many runs are open (`too_many_runs`).
            StaleTask: The worker that offers room was given up.
        """
        keyed = any(key is not None for key in idempotency_keys or ())
        row = await self._one(
            queries.START_RUNS,
            self.workspace,
            as_uuid(version_id),
            Json(list(inputs)),
            list(idempotency_keys or ()) if keyed else None,
            timeout_seconds,
            plan_id,
            actor,
            exact,
            room and room.worker_id,
            room.free if room else 0,
            room.lease_seconds if room else 0.0,
            draft_at,
            Jsonb((terms or Terms()).as_json()),
        )
        answer = row["answer"]
        return Started(
            runs=[(run_id, created) for run_id, created in answer["runs"]],
            at=datetime.fromisoformat(answer["at"]),
            deadline_at=datetime.fromisoformat(answer["deadline_at"]),
            tasks=await self.leased(answer["tasks"]),
            queued=answer["queued"],
        )

    async def get_run(self, run_id: str) -> RunRow:
        """Read a run.

        Raises:
            NotFound: `run_not_found`, also for a text that is no id at all.
        """
        found = await self._all(queries.GET_RUN, self.workspace, as_uuid(run_id))
        if not found:
            raise NotFound(f"there is no run {run_id}", code="run_not_found")
        return rows.read(RunRow, found[0])

    async def workspace_of_run(self, run_id: str) -> str:
        """Read which workspace a run belongs to: for workers, which work for all of them.

        Raises:
            NotFound: `run_not_found`.
        """
        found = await self._all(queries.WORKSPACE_OF_RUN, as_uuid(run_id))
        if not found:
            raise NotFound(f"there is no run {run_id}", code="run_not_found")
        return str(found[0]["workspace_id"])

    async def ended_runs(self, run_ids: Sequence[str]) -> dict[str, RunRow | None]:
        """Read those of these runs that have ended; None for open ones, unknown ones left out."""
        asked = {text: key for text in run_ids if (key := as_uuid(text)) is not None}
        found = {
            row["asked"]: None if row["id"] is None else rows.read(RunRow, row)
            for row in await self._all(queries.ENDED_RUNS, self.workspace, list(asked.values()))
        }
        return {text: found[key] for text, key in asked.items() if key in found}

    async def list_runs(
        self,
        *,
        flow: str | None = None,
        status: RunStatus | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[RunRow]:
        """Read runs, newest first; `before` is the id of the last run of the page before."""
        cursor = None if before is None else as_uuid(before)
        wanted = None if status is None else status.value
        name = None if flow is None else as_name(flow)
        found = await self._all(_listing(flow, status), self.workspace, name, wanted, cursor, limit)
        return [rows.read(RunRow, row) for row in found]

    async def run_steps(self, run_id: str) -> list[StepRow]:
        """Read the steps of a run in the order of the document."""
        found = await self._all(queries.RUN_STEPS, self.workspace, as_uuid(run_id))
        return [rows.read(StepRow, row) for row in found]

    async def run_tasks(self, run_id: str, *, limit: int = 1000, after: int = 0) -> list[TaskRow]:
        """Read the tasks of a run by id; `after` is the last id of the page before."""
        found = await self._all(queries.RUN_TASKS, self.workspace, as_uuid(run_id), after, limit)
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
        await self._one(queries.CHANGE_RUN, self.workspace, as_uuid(run_id), verb, actor, reason)
        return await self.get_run(run_id)

    async def events(self, stream: str, *, after: int = 0, limit: int = 500) -> list[EventRow]:
        """Read the events of a run or a plan with `seq` > after, in order."""
        found = await self._all(queries.EVENTS, self.workspace, as_uuid(stream), after, limit)
        return [rows.event(row) for row in found]

    async def why(self, run_id: str) -> Why:
        """Say why a run does not move, most important reason first.

        Raises:
            NotFound: `run_not_found`.
        """
        answer = (await self._one(queries.WHY_RUN, self.workspace, as_uuid(run_id)))["answer"]
        if answer is None:
            raise NotFound(f"there is no run {run_id}", code="run_not_found")
        return diagnose(answer)

    async def retry_run(
        self,
        run_id: str,
        *,
        from_step: str | None = None,
        timeout_seconds: float | None = None,
        idempotency_key: str | None = None,
        actor: str | None = None,
        dry_run: bool = False,
    ) -> Retried:
        """Start a run that takes over what an ended one has finished, and runs the rest again.

        Args:
            run_id: The run to retry.
            from_step: Run this step and all that stand behind it again, besides those that have
                no result.
            timeout_seconds: Until the new run's deadline; by default as long as the old one had.
            idempotency_key: The same key gives the same new run.
            actor: Who retries, for the record.
            dry_run: Start nothing, only say what would be.

        Raises:
            NotFound: `run_not_found`.
            InvalidTransition: The run has not ended (`run_still_open`).
            InvalidValue: It has no such step (`step_unknown`).
            Conflict: Every step has finished and none is named (`nothing_to_retry`), a function
                lived in a process that is gone (`function_gone`), or the key was used for
                something else (`idempotency_mismatch`).
        """
        row = await self._one(
            queries.RETRY_RUN,
            self.workspace,
            as_uuid(run_id),
            from_step,
            timeout_seconds,
            actor,
            idempotency_key,
            dry_run,
        )
        return retried(row["answer"])


def _listing(flow: str | None, status: RunStatus | None) -> bytes:
    """Return the statement that finds such runs among all others by an index."""
    if status in (RunStatus.FAILED, RunStatus.CANCELLED):
        return queries.LIST_SETBACKS
    if status is not None and not status.terminal:
        return queries.LIST_OPEN_RUNS
    return queries.LIST_RUNS if flow is None else queries.LIST_RUNS_OF_FLOW
