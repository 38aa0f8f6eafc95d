"""A run as its user holds it: events, result, steps, and the verbs on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from flowbuilder.budget import BudgetUse
from flowbuilder.client import growing, holding, retrying
from flowbuilder.client.arguments import check_page, clean_reason, patience
from flowbuilder.client.checking import check_doer
from flowbuilder.client.drafts import step_document
from flowbuilder.client.families import read_tree
from flowbuilder.client.session import Session
from flowbuilder.client.tasks import TaskDetail, read_task
from flowbuilder.errors import RunCancelled, RunFailed, WaitTimeout
from flowbuilder.executor.diagnosis import Why
from flowbuilder.executor.events import EventRow
from flowbuilder.executor.records import ApprovalRow, RunRow, StepRow, TaskRow, VersionRow
from flowbuilder.executor.states import RunStatus
from flowbuilder.executor.store.replanning import ReplanRow
from flowbuilder.executor.triggers import RunTrigger
from flowbuilder.flow import Flow
from flowbuilder.types import JsonObject, JsonValue


class Run:
    """A handle on one run. It keeps the row it last read; every verb works by the id alone."""

    def __init__(
        self, session: Session, row: RunRow, *, created: bool = False, begun: float | None = None
    ) -> None:
        """`begun`: of a run just started, when it was not yet, by the monotonic clock."""
        self._session = session
        self._begun = begun
        self.row = row
        self.created = created
        """Whether this call started the run; False when an idempotency key found it."""

    def __repr__(self) -> str:
        return f"Run(id={self.id!r}, flow={self.row.flow!r}, status={self.row.status.value!r})"

    @property
    def id(self) -> str:
        """The run's id, UUID text."""
        return self.row.id

    async def refresh(self) -> RunRow:
        """Read the run's row anew and return it."""
        self.row = await self._session.store.get_run(self.id)
        return self.row

    async def status(self) -> RunStatus:
        """Return the present state."""
        return (await self.refresh()).status

    async def document(self) -> Flow:
        """Return the flow as this run executes it, with the steps that were added to it."""
        version = await self._session.store.get_version_by_id((await self.refresh()).version_id)
        return Flow.model_validate(version.document)

    async def steps(self) -> list[StepRow]:
        """Return the run's steps in the order of the flow."""
        return await self._session.store.run_steps(self.id)

    async def tree(self) -> JsonObject:
        """Return the run with its steps, and in each step the child runs that it has started."""
        return await read_tree(self._session, self.id)

    async def tasks(self, *, limit: int = 1000, after: int = 0) -> list[TaskRow]:
        """Return tasks with an id greater than `after`, lowest first."""
        check_page(limit, after)
        return await self._session.store.run_tasks(self.id, limit=limit, after=after)

    async def step_output(self, step_id: str) -> JsonValue:
        """Return what a step has given. Raises: NotFound (`value_not_found`)."""
        return await self._session.store.step_output(self.id, step_id)

    async def task(self, task_id: int) -> TaskDetail:
        """Return a task with its arguments and every attempt. Raises: NotFound."""
        return await read_task(self._session, self.id, task_id)

    async def approvals(self) -> list[ApprovalRow]:
        """Return every approval that the run has asked for, decided or not."""
        return await self._session.store.approvals(status=None, run_id=self.id)

    async def replans(self) -> list[ReplanRow]:
        """Return each time that the rest of the run was to be planned anew, in order."""
        return await self._session.store.replans(self.id)

    async def why(self) -> Why:
        """Say why the run does not move: the reasons, most important first, never none."""
        return await self._session.store.why(self.id)

    async def budget(self) -> BudgetUse | None:
        """Return the run's budget and what is spent of it, with its family; None without one."""
        return await self._session.store.run_budget(self.id)

    async def trigger(self) -> RunTrigger | None:
        """Return the webhook, schedule or changed file that has started the run; else None."""
        return await self._session.store.run_trigger(self.id)

    async def events(self, after: int = 0) -> AsyncIterator[EventRow]:
        """Yield the events with a number greater than `after`, up to the terminal one.

        Gapless and in order. Stop and start again with the last number seen: nothing is lost
        or doubled.
        """
        async for event in self._session.follow(self.id, after=after):
            yield event

    async def result(self, timeout: str | float | None = None) -> JsonValue:
        """Wait for the end, or for `timeout` (`"2m"` or seconds), and return the run's output.

        Raises:
            RunFailed: With the failing step, attempt and error.
            RunCancelled: The run was cancelled.
            WaitTimeout: The time is over; the run goes on.
            InvalidValue: `timeout` is no time (timeout_invalid).
        """
        seconds = patience(timeout)
        try:
            async with asyncio.timeout(seconds):
                self.row = row = await self._session.end_of(self.id, begun=self._begun)
        except TimeoutError:
            raise WaitTimeout(
                f"run {self.id} has not ended within {seconds:g} seconds; it goes on"
                if seconds is not None
                else f"run {self.id} has not ended"
            ) from None
        if row.status is RunStatus.CANCELLED:
            raise RunCancelled(f"run {row.id} was cancelled{await self._reason(row)}")
        return outcome_of(row)

    async def _reason(self, row: RunRow) -> str:
        """Return why a run was cancelled, as the last event of its stream tells."""
        last = await self._session.store.events(row.id, after=row.last_seq - 1, limit=1)
        reason = last[0].data.get("reason") if last else None
        return f": {reason}" if reason else ""

    async def cancel(self, *, by: str | None = None, reason: str | None = None) -> RunRow:
        """Cancel the run.

        Raises:
            InvalidTransition: It has ended.
            InvalidValue: `actor_invalid`, `reason_invalid`.
        """
        check_doer(by, "who cancels")
        reason = clean_reason(reason)
        self.row = await self._session.store.cancel_run(self.id, actor=by, reason=reason)
        await self._session.announce_run(self.id)
        return self.row

    async def pause(self, *, by: str | None = None) -> RunRow:
        """Start no further task until `resume`; what runs already goes on."""
        check_doer(by, "who pauses")
        self.row = await self._session.store.pause_run(self.id, actor=by)
        await self._session.announce_run(self.id)
        return self.row

    async def resume(self, *, by: str | None = None) -> RunRow:
        """Go on after `pause`."""
        check_doer(by, "who resumes")
        self.row = await self._session.store.resume_run(self.id, actor=by)
        await self._session.announce_run(self.id)
        return self.row

    async def add_step(
        self,
        id: str,
        *,
        tool: str | None = None,
        function: Callable[..., Any] | None = None,
        by: str | None = None,
        **policies: Any,
    ) -> VersionRow:
        """Add a step to this run while it is under way; returns the version it executes from now.

        The step may depend on steps that have ended and on others. It is checked as in any flow,
        and gets the approval that policy asks for. The flow itself stays as it is.

        Args:
            id: The step's id, new in this run.
            tool: Its tool, or else
            function: a function of this process, as in `execute_dynamic`.
            by: Who adds it, for the record.
            policies: What `FlowBuilder.add_step` takes: `args`, `depends_on`, `retry`, ….

        Raises:
            InvalidTransition: The run has ended.
            DefinitionError: With every problem of the step; the run stays as it was.
        """
        check_doer(by, "who adds a step")
        step = step_document(id, tool, **policies)
        version = await growing.add_step(self._session, self.id, step, function=function, by=by)
        await self.refresh()
        await self._session.announce_run(self.id)
        return version

    def hold(
        self,
        reason: str | None = None,
        *,
        timeout: str | float = "1m",
        owner: str | None = None,
    ) -> AbstractAsyncContextManager[str]:
        """Return a context in which this run does not complete, because steps are still to come.

        Renewed by itself while this process lives. When it does not any more, the run fails as
        `plan_abandoned` after the time, and at once when the context is left by an error.

        Args:
            reason: What is still to come, for those who ask why the run stands still.
            timeout: How long the run is held after the last sign of life.
            owner: Who holds it; by default this process.

        Raises:
            InvalidTransition: The run has ended.
        """
        return holding.hold(self._session, self.id, reason=reason, timeout=timeout, owner=owner)

    async def retry(
        self,
        from_step: str | None = None,
        *,
        timeout: str | float | None = None,
        idempotency_key: str | None = None,
        by: str | None = None,
    ) -> RetriedRun:
        """Start a new run of the same version and input that takes over what this one finished.

        `retrying` of the new run says which steps those are, which run again, and of which of them
        the side effects may happen a second time; `what_retry_does` says so beforehand. Approvals
        are asked for anew.

        Args:
            from_step: Run this step and all behind it again, besides those without a result.
            timeout: When the new run fails at the latest; by default it has as long as this one.
            idempotency_key: The same key gives the same new run.
            by: Who retries, for the record.

        Raises:
            InvalidTransition: This run has not ended (run_still_open).
            InvalidValue: There is no such step (step_unknown), or the time limit or key is none.
            Conflict: There is nothing to retry (nothing_to_retry), a function of it is gone
                (function_gone), or the key was used for something else (idempotency_mismatch).
        """
        check_doer(by, "who retries")
        found = await retrying.retry(
            self._session,
            self.id,
            from_step=from_step,
            timeout=timeout,
            idempotency_key=idempotency_key,
            by=by,
        )
        row = await self._session.store.get_run(str(found.run_id))
        self._session.functions.retried(self.id, row.id)
        await self._session.announce_run(row.id)
        said = retrying.retrying_of(self._session, found)
        return RetriedRun(self._session, row, created=found.created, said=said)

    async def what_retry_does(self, from_step: str | None = None) -> retrying.Retrying:
        """Return what `retry` would take over and repeat; nothing is started. Raises as `retry`."""
        found = await retrying.retry(self._session, self.id, from_step=from_step, dry_run=True)
        return retrying.retrying_of(self._session, found)


class RetriedRun(Run):
    """A run that retries another one."""

    def __init__(
        self, session: Session, row: RunRow, *, created: bool, said: retrying.Retrying
    ) -> None:
        super().__init__(session, row, created=created)
        self.retrying = said
        """What it took over, what it runs again, and which side effects that may repeat."""


def outcome_of(row: RunRow) -> JsonValue:
    """Return the output of a run that ended by itself. Raises: RunFailed."""
    if row.status is RunStatus.COMPLETED:
        return row.output
    error: JsonObject = row.error or {}
    step, attempt = error.get("step"), error.get("attempt")
    where = f"step {step}" if step else "the run"
    raise RunFailed(
        f"{where} failed: {error.get('message') or error.get('code') or 'no reason recorded'}",
        run_id=row.id,
        step=step if isinstance(step, str) else None,
        attempt=attempt if isinstance(attempt, int) else None,
        error=error,
    )
