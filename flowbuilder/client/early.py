"""Early start: the first steps of a plan run while the planner is still writing the others.

Three things go on beside each other: the plan's stream is read, steps that may start are added to
a run that is held open, and whoever watches gets the events. None waits for another, so a stream
that stalls delays nothing that is ready, and neither does a watcher that is slow.
"""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from flowbuilder.client import execution, growing, holding
from flowbuilder.client.budgets import spent_on
from flowbuilder.client.checking import check_actor, fitting_input, time_limit
from flowbuilder.client.drafts import checked
from flowbuilder.client.editing import Desk
from flowbuilder.client.planning import plan_request, require_valid, stream_plan
from flowbuilder.client.remembering import note
from flowbuilder.client.runs import Run
from flowbuilder.client.session import Session
from flowbuilder.client.start import Start, run_limit
from flowbuilder.client.subflows import publish_parts
from flowbuilder.errors import (
    Conflict,
    ExecutionError,
    FlowBuilderError,
    InvalidTransition,
    PlanningError,
)
from flowbuilder.executor.records import VersionRow
from flowbuilder.flow import Flow, Step
from flowbuilder.metrics import RUNS_STARTED, TRIGGER
from flowbuilder.plan import Plan
from flowbuilder.planner.arrivals import Arrivals
from flowbuilder.planner.base import PlanEvent, Planner, PlanRequest
from flowbuilder.types import JsonObject, JsonSchema, JsonValue

#: Seconds that a run is held after the last sign of life of the process that plans.
_HOLD_SECONDS = 60.0
_REASON = "the plan is still being written"


@dataclass(frozen=True, kw_only=True, slots=True)
class Goal:
    """What is to be planned and run at once."""

    text: str
    input: JsonValue = None
    input_schema: JsonSchema | None = None
    pinned: Sequence[str] = ()
    start: Start


class EarlyStart:
    """A goal that is planned and run at the same time; see `FlowBuilder.start_early`.

    `async with` it: iterating gives the plan's events, `accept` lets the run go on to its end. A
    context that is left without that cancels what has started.
    """

    def __init__(self, session: Session, planner: Planner, goal: Goal) -> None:
        self._session, self._planner, self._goal = session, planner, goal
        self.run: Run | None = None
        """The run, from the first step that was started before the plan was whole; else None."""
        self.plan: Plan | None = None
        """The plan, once it is whole."""
        self._events: asyncio.Queue[PlanEvent | None] = asyncio.Queue()
        self._news = asyncio.Event()
        self._written = self._adding = False
        self._owner = f"early:{secrets.token_hex(8)}"
        self._hold: AbstractAsyncContextManager[str] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._starting: asyncio.Task[None] | None = None
        self._arrivals: Arrivals | None = None
        self._accepted: Run | None = None
        self._accepting = asyncio.Lock()
        self._version: VersionRow | None = None

    async def __aenter__(self) -> Self:
        start = self._goal.start  # refused before anything is planned
        start.terms(self._session.settings)
        time_limit(start.timeout)
        check_actor(start.by, "who starts a run")
        plan_id = str(uuid.uuid4())
        request = await plan_request(
            self._session,
            self._goal.text,
            input=self._goal.input,
            input_schema=self._goal.input_schema,
            pinned=self._goal.pinned,
            plan_id=plan_id,
        )
        self._arrivals = Arrivals(request)
        self._reading = asyncio.create_task(self._read(request), name="flowbuilder-plan")
        if self._planner.name != "rules":  # these are whole at once
            self._starting = asyncio.create_task(self._start(plan_id), name="flowbuilder-early")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self._stop()
        finally:
            if self._accepted is None:
                await self._abandon("the plan was not accepted")

    async def __aiter__(self) -> AsyncIterator[PlanEvent]:
        """Yield the plan's events. Raises: what planning raises."""
        while (event := await self._events.get()) is not None:
            yield event
        self._events.put_nowait(None)
        await self._reader()

    @property
    def settled(self) -> bool:
        """Whether everything that may start by now has been started."""
        return not self._news.is_set() and not self._adding

    async def whole(self) -> Plan:
        """Wait for the plan, whoever reads its events. Raises: PlanningError, ModelError."""
        await self._reader()
        if self.plan is None:
            raise PlanningError("the planner ended without a plan")
        return self.plan

    async def accept(self) -> Run:
        """Let the whole plan run, and return its run.

        What has started stays where the plan still says the same; else it is cancelled and the
        plan runs from its beginning. Accepting again gives the same run.

        Raises:
            PlanningError, ModelError: No plan came out.
            DefinitionError: It has problems or questions (plan_not_ready).
        """
        plan = await self.whole()
        flow = require_valid(plan)
        async with self._accepting:
            if self._accepted is None:
                await self._stop()
                flow = await publish_parts(self._session, plan, flow)
                self._accepted = (
                    await self._grown(plan, flow) or await self._broke() or await self._anew(plan)
                )
            return self._accepted

    # -- reading and starting -----------------------------------------------------------------

    async def _read(self, request: PlanRequest) -> None:
        assert self._arrivals is not None
        try:
            async for event in stream_plan(
                self._session, self._planner, request, desk=Desk(self._session, self._planner)
            ):
                self._arrivals.add(event)
                self.plan = event.plan or self.plan
                self._news.set()
                self._events.put_nowait(event)
        finally:
            self._written = True
            self._news.set()
            self._events.put_nowait(None)

    async def _reader(self) -> None:
        if self._reading is None:
            raise ExecutionError("this early start is not open", code="not_open")
        await asyncio.shield(self._reading)

    async def _start(self, plan_id: str) -> None:
        """Add each step that may start to the run; a step that fails to is left for later."""
        while not self._written:
            self._news.clear()
            self._adding = True
            try:
                while (step := self._next()) is not None:
                    await self._add(step, plan_id)
            except FlowBuilderError:
                return  # `accept` finds what is missing, or that the run has failed
            finally:
                self._adding = False
            await self._news.wait()

    def _next(self) -> JsonObject | None:
        assert self._arrivals is not None
        return None if self._written else self._arrivals.next()

    async def _add(self, step: JsonObject, plan_id: str) -> None:
        assert self._arrivals is not None
        if self.run is None:
            self.run = await self._begin(step, plan_id)
            await self._keep_open(self.run)  # refused if it has failed already
        else:
            await self._grow(self.run, step)
            self._tell(self.run.id)
        self._arrivals.started(step)

    async def _grow(self, run: Run, step: JsonObject) -> None:
        """Add a step that was found good to start.

        Once somebody else has added one, too, what the run executes is read anew each time.
        """
        assert self._arrivals is not None
        by = self._goal.start.by
        if self._version is not None:
            flow = Flow.model_validate(self._arrivals.document([*self._arrivals.let, step]))
            try:
                self._version = await growing.add_checked_step(
                    self._session, run.id, self._version, flow, by=by
                )
            except Conflict:
                self._version = None
            else:
                return
        await growing.add_step(self._session, run.id, step, by=by)

    async def _begin(self, step: JsonObject, plan_id: str) -> Run:
        """Start the run of the first step, held open from its first moment on."""
        assert self._arrivals is not None
        session, start = self._session, self._goal.start
        flow = await checked(session, self._arrivals.document([step]))
        version = await session.store.register_version(flow, session.registry, origin="dynamic")
        self._version = version
        limit = run_limit(start, flow, session.settings)
        run_id, created = await session.store.start_held_run(
            version.id,
            fitting_input(self._goal.input, flow.input, session.settings),
            owner=self._owner,
            hold_seconds=_HOLD_SECONDS,
            timeout_seconds=limit.total_seconds(),
            reason=_REASON,
            plan_id=plan_id,
            actor=start.by,
            terms=start.terms(session.settings),
        )
        RUNS_STARTED.add(created, TRIGGER.get())
        self._tell(run_id)
        return Run(session, await session.store.get_run(run_id), created=created)

    async def _keep_open(self, run: Run) -> None:
        """Renew the hold that the run was started with, until `_let_go`."""
        hold = holding.hold(
            self._session, run.id, reason=_REASON, timeout=_HOLD_SECONDS, owner=self._owner
        )
        await hold.__aenter__()
        self._hold = hold

    def _tell(self, run_id: str) -> None:
        self._session.notifications.signal([run_id], going_on=[run_id], ready=True)

    # -- the end ------------------------------------------------------------------------------

    async def _grown(self, plan: Plan, flow: Flow) -> Run | None:
        """Return the run with the rest of the plan, None if it has to start from its beginning."""
        assert self._arrivals is not None
        run = self.run
        rest = None if run is None else self._arrivals.rest(flow)
        if run is None or rest is None or plan.input != self._goal.input:
            return None
        try:
            for step in rest:
                by = self._goal.start.by
                await growing.add_step(self._session, run.id, _document(step), by=by)
                self._tell(run.id)
        except InvalidTransition:
            return None  # a step has failed: what runs must be the whole plan
        if (await run.refresh()).status.terminal:
            return None
        await self._session.store.spend_budget(run.id, spent_on(plan.usage))
        await self._session.store.accept_plan(plan.id, run.id)
        await note(self._session, run.id, plan.id)
        await self._let_go()
        await run.refresh()
        return run

    async def _broke(self) -> Run | None:
        """Return the run if it has failed because its budget is used up: no other one has more."""
        run = self.run
        if run is None or ((await run.refresh()).error or {}).get("code") != "budget_exceeded":
            return None
        await self._let_go()
        return run

    async def _anew(self, plan: Plan) -> Run:
        await self._abandon("the plan came out otherwise than it began")
        start = self._goal.start
        use = None if self.run is None else await self.run.budget()
        return await execution.execute(
            self._session,
            plan,
            self._goal.input,
            timeout=start.timeout,
            priority=start.priority,
            by=start.by,
            budget=start.budget,
            spent=None if use is None else use.spending,
            replan=start.replan,
        )

    async def _abandon(self, reason: str) -> None:
        if self.run is not None:
            with suppress(InvalidTransition):
                await self.run.cancel(by=self._goal.start.by, reason=reason)
        await self._let_go()

    async def _let_go(self) -> None:
        hold, self._hold = self._hold, None
        if hold is not None:
            await hold.__aexit__(None, None, None)

    async def _stop(self) -> None:
        """End what goes on beside; a step that is just being added is added."""
        self._written = True
        self._news.set()
        if self._starting is not None:
            await self._starting
        if self._reading is not None and not self._reading.done():
            self._reading.cancel()
            with suppress(asyncio.CancelledError, FlowBuilderError):
                await self._reading
        elif self._reading is not None and not self._reading.cancelled():
            self._reading.exception()  # it was told to whoever asked


def _document(step: Step) -> JsonObject:
    document: JsonObject = step.model_dump(mode="json", exclude_defaults=True)
    return {"id": step.id, "tool": step.tool, **document}
