"""What is noted of a worker's attempts and exchanges: numbers always, spans where they are wanted.

An attempt costs a few additions here, an exchange one. Everything that asks the database goes on
beside the work, and only in processes whose metrics or traces somebody reads.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress

from flowbuilder import metrics
from flowbuilder.errors import FlowBuilderError
from flowbuilder.executor.context import TaskContext
from flowbuilder.executor.records import ApprovalRow, Exchange, LeasedTask, Outcome, OutcomeKind
from flowbuilder.executor.slots import Key, Work
from flowbuilder.executor.store import Store
from flowbuilder.executor.store.operations import EndedRun, Traces
from flowbuilder.metrics import tool_kind
from flowbuilder.telemetry import conventions, tracing
from flowbuilder.telemetry.logs import ATTEMPT

log = logging.getLogger(__name__)

#: Seconds between two looks at which runs have ended.
LOOK_SECONDS = 1.0
#: Runs that are looked at in one statement, and that wait for it at most.
_PAGE = 500
_MOST_WAITING = 20_000
#: Spans of attempts that are remembered until their outcomes are sent.
_MOST_SPANS = 10_000


class Observed:
    """A worker's attempts, as numbers, log lines and traces see them."""

    def __init__(self, work: Work, store: Store) -> None:
        self._work = work
        self._store = store
        self._spans: OrderedDict[Key, str] = OrderedDict()

    async def run(self, task: LeasedTask, context: TaskContext) -> Outcome:
        """Work on a task as `Work.run` does, and take note of it."""
        ATTEMPT.set((task.run_id, task.step_id, task.attempt))  # for this attempt's own context
        tool = task.definition.get("tool")
        kind = tool_kind(tool if isinstance(tool, str) else None)
        began = time.perf_counter()
        try:
            if tracing.is_on():
                outcome = await self._traced(task, context)
            else:
                outcome = await self._work.run(task, context)
        except BaseException:
            metrics.STEPS.add(1, kind, "interrupted")
            raise
        metrics.STEP_DURATION.observe(time.perf_counter() - began, kind)
        metrics.STEPS.add(1, kind, outcome.kind)
        if outcome.kind is OutcomeKind.RETRY:
            metrics.STEP_RETRIES.add(1, metrics.error_reason((outcome.error or {}).get("code")))
        return outcome

    def overrun(self, task: LeasedTask) -> Outcome:
        """Return what an attempt ended with whose handler does not stop at its time limit."""
        metrics.STEPS.add(1, tool_kind(str(task.definition.get("tool"))), "overrun")
        return self._work.overrun(task)

    def sending(self, outcomes: Sequence[Outcome]) -> AbstractContextManager[object]:
        """Return the context in which outcomes are sent: what follows from them links to it."""
        if not (outcomes and tracing.is_on()):
            return nullcontext()
        links = [self._spans.get(outcome.key) for outcome in outcomes]
        return tracing.span(
            f"send {conventions.QUEUE}",
            kind="producer",
            root=True,
            attributes=conventions.sending(len(outcomes)),
            links=links,
        )

    async def _traced(self, task: LeasedTask, context: TaskContext) -> Outcome:
        traces = await self._traces(task)
        tool = task.definition.get("tool")
        said = conventions.processing(
            run_id=task.run_id, step=task.step_id, task_id=task.task_id, attempt=task.attempt
        )
        if isinstance(tool, str):
            said[conventions.TOOL] = tool
        name = f"process {conventions.QUEUE}"
        links = (traces.made, traces.decided)
        with tracing.span(
            name,
            kind="consumer",
            attributes=said,
            parent=traces.run,
            root=True,
            links=links,
        ) as span:
            # as the flow has them, or as a person has agreed to them: secrets are still names
            span.content(conventions.ARGUMENTS, task.args or task.definition.get("args"))
            outcome = await self._work.run(task, context)
            span.note({conventions.OUTCOME: outcome.kind.value})
            span.content(conventions.RESULT, outcome.output)
            if outcome.kind in (OutcomeKind.FAILED, OutcomeKind.RETRY):
                span.fail(str((outcome.error or {}).get("code")))
            if span.traceparent is not None:
                self._spans[task.key] = span.traceparent
                while len(self._spans) > _MOST_SPANS:
                    self._spans.popitem(last=False)
        return outcome

    async def _traces(self, task: LeasedTask) -> Traces:
        """A trace that cannot be read keeps no task from running."""
        try:
            return await self._store.traces_of(task.run_id, task.task_id)
        except FlowBuilderError as error:
            log.debug("the trace of task %d is not known: %s", task.task_id, error.message)
            return Traces()


class Ends:
    """Counts runs that have ended, and tells of them in traces: each once, by whoever is first.

    Which runs may have ended is noted where work is done; whether they have is asked a second
    later, for all of them together.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[str, None] = {}
        self._task: asyncio.Task[None] | None = None
        self.wanted = False
        """Whether anybody reads what comes of it."""

    def heard(self, answer: Exchange) -> None:
        """Take note of an exchange."""
        if self.wanted:
            self.note(run for run in answer.touched if run not in answer.going_on)

    def note(self, runs: Iterable[str]) -> None:
        """Take note of runs that may have ended."""
        if not self.wanted:
            return
        self._waiting.update(dict.fromkeys(runs))
        while len(self._waiting) > _MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]

    def start(self) -> None:
        """Begin to look, if that is wanted."""
        if self.wanted and self._task is None:
            self._task = asyncio.create_task(self._look(), name="flowbuilder-ends")

    async def stop(self) -> None:
        """End it; what was noted until now is looked at once more."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        with suppress(FlowBuilderError, TimeoutError):
            async with asyncio.timeout(2 * LOOK_SECONDS):
                await self.look()

    async def look(self) -> None:
        """Count those of the noted runs that have ended. Raises: DatabaseError."""
        while self._waiting:
            page = list(self._waiting)[:_PAGE]
            for run_id in page:
                del self._waiting[run_id]
            for ended in await self._store.observe_ends(page):
                tell_end(ended)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except FlowBuilderError as error:
                log.debug("ended runs were not counted: %s", error.message)
            except Exception:
                log.exception("ended runs were not counted")


def tell_end(ended: EndedRun) -> None:
    """Count a run that has ended, and put its span into its trace."""
    metrics.RUNS_FINISHED.add(1, ended.status)
    metrics.RUN_DURATION.observe(max(ended.finished_at - ended.started_at, 0.0), ended.status)
    for wait in ended.waits:
        metrics.STEP_QUEUE_WAIT.observe(wait)
    if not tracing.is_on():
        return
    span = tracing.start(
        "run",
        parent=ended.trace,
        root=True,
        at=ended.started_at,
        attributes={
            conventions.RUN_ID: ended.run_id,
            conventions.FLOW: ended.flow,
            conventions.STATUS: ended.status,
        },
    )
    if ended.code is not None:
        span.fail(ended.code)
    span.end(at=ended.finished_at)


async def tell_decision(store: Store, approval: ApprovalRow) -> None:
    """Count an approval that is decided now, and put the wait for it into the run's trace."""
    if approval.decided_at is None:  # a vote of several
        return
    wait = (approval.decided_at - approval.requested_at).total_seconds()
    metrics.APPROVAL_WAIT.observe(max(wait, 0.0), approval.status.value)
    if not tracing.is_on():
        return
    try:
        traces = await store.traces_of(approval.run_id)
    except FlowBuilderError as error:
        log.debug("the trace of run %s is not known: %s", approval.run_id, error.message)
        traces = Traces()
    tracing.start(
        "approval",
        parent=traces.run,
        root=True,
        links=(tracing.current(),),
        at=approval.requested_at.timestamp(),
        attributes={
            conventions.RUN_ID: approval.run_id,
            conventions.STEP: approval.step_id,
            conventions.APPROVAL_ID: approval.id,
            conventions.DECISION: approval.status.value,
        },
    ).end(at=approval.decided_at.timestamp())
