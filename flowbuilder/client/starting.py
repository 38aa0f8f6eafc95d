"""Executing and finding runs as FlowBuilder offers it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from flowbuilder.client import execution
from flowbuilder.client.arguments import check_page, known_id
from flowbuilder.client.budgets import Bounds
from flowbuilder.client.checking import Document, known_state
from flowbuilder.client.flows import FlowHandle
from flowbuilder.client.following import at_once, follow_pages
from flowbuilder.client.runs import RetriedRun, Run
from flowbuilder.client.session import Connected
from flowbuilder.errors import InvalidValue
from flowbuilder.executor.diagnosis import Why
from flowbuilder.executor.events import EventRow
from flowbuilder.executor.states import RunStatus
from flowbuilder.executor.store import Pruned
from flowbuilder.limits import Priority
from flowbuilder.plan import Plan
from flowbuilder.types import JsonValue, parse_duration


class Runs(Connected):
    """Starting runs, finding them again, and reading event streams."""

    async def execute(
        self,
        flow: FlowHandle | str | Plan | Document,
        input: JsonValue = None,
        *,
        idempotency_key: str | None = None,
        version: int | None = None,
        timeout: str | float | None = None,
        priority: Priority | str | int = "normal",
        by: str | None = None,
        budget: Bounds = None,
        replan: bool | None = None,
        published: bool = False,
    ) -> Run:
        """Start a run and return its handle at once.

        A flow or its slug runs as its draft stands, published now, or as the given `version`. A
        plan, a `Flow` or a document runs as it is and is not saved among the flows.

        Args:
            flow: What to run.
            input: Has to fit the flow's input schema; None is an empty object where the schema
                asks for an object.
            idempotency_key: The same key gives the same run.
            version: Number of a published version.
            timeout: When the run fails at the latest: `"10m"` or seconds.
            priority: `"high"` goes before `"normal"`, and that before `"low"`.
            by: Who starts it, for the record.
            budget: What it may cost, with its children and retries: a `Budget`, an object such as
                `{"tokens": 20000, "usd": 0.5}`, or `"tokens=20000,usd=0.5"`. Beyond that it fails
                with `budget_exceeded`. Setting `run_budget` holds where this says nothing.
            replan: Whether the rest of the run may be planned anew when a step of it fails for
                good or is denied; by default as the setting `replan` says. See `replanner`.
            published: Of a flow the newest version, whatever its draft says by now.

        Raises:
            NotFound: No such flow or version.
            DefinitionError: The flow has problems, or the input does not fit (input_invalid).
            InvalidValue: There is no such priority (priority_unknown) or budget (budget_invalid).
            Conflict: The key was used for something else (idempotency_mismatch), the workspace
                has too many open runs (too_many_runs), or planning alone has cost more than the
                budget allows (budget_exceeded).
        """
        return await execution.execute(
            self._session,
            flow.slug if isinstance(flow, FlowHandle) else flow,
            input,
            idempotency_key=idempotency_key,
            version=version,
            timeout=timeout,
            priority=priority,
            by=by,
            budget=budget,
            replan=replan,
            published=published,
        )

    async def execute_many(
        self,
        flow: FlowHandle | str | Document,
        inputs: Sequence[JsonValue],
        *,
        idempotency_keys: Sequence[str | None] | None = None,
        version: int | None = None,
        timeout: str | float | None = None,
        priority: Priority | str | int = "normal",
        by: str | None = None,
        budget: Bounds = None,
        replan: bool | None = None,
    ) -> list[Run]:
        """Start a run for each input, hundreds in one round trip; handles in their order.

        The runs of a batch start together or not at all; with idempotency keys, one for each
        input, a call that failed half-way is simply made again.

        Raises:
            As `execute`.
        """
        return await execution.execute_many(
            self._session,
            flow.slug if isinstance(flow, FlowHandle) else flow,
            inputs,
            idempotency_keys=idempotency_keys,
            version=version,
            timeout=timeout,
            priority=priority,
            by=by,
            budget=budget,
            replan=replan,
        )

    async def execute_dynamic(
        self,
        flow: FlowHandle | str | Document,
        input: JsonValue = None,
        *,
        functions: Mapping[str, Callable[..., Any]] | None = None,
        idempotency_key: str | None = None,
        timeout: str | float | None = None,
        priority: Priority | str | int = "normal",
        by: str | None = None,
        budget: Bounds = None,
        replan: bool | None = None,
    ) -> Run:
        """Start a run of an unsaved graph whose steps may be functions of this process.

        `functions` maps step ids to callables; such a step needs no `tool`, its arguments are the
        function's. The run fails with `function_gone` when this process ends before it does.

        Raises:
            DefinitionError: The graph has problems, or a function cannot be a tool.
            ExecutionError: This process has no worker to run the functions (no_worker).
        """
        return await execution.execute_dynamic(
            self._session,
            flow.slug if isinstance(flow, FlowHandle) else flow,
            input,
            functions=functions or {},
            idempotency_key=idempotency_key,
            timeout=timeout,
            priority=priority,
            by=by,
            budget=budget,
            replan=replan,
        )

    async def get_run(self, run_id: str) -> Run:
        """Return a handle on a run. Raises: NotFound (run_not_found)."""
        return Run(self._session, await self._session.store.get_run(run_id))

    async def why(self, run_id: str) -> Why:
        """Say why a run does not move: the reasons, most important first, never none.

        Raises:
            NotFound: `run_not_found`.
        """
        return await self._session.store.why(run_id)

    async def retry(
        self,
        run_id: str,
        from_step: str | None = None,
        *,
        timeout: str | float | None = None,
        idempotency_key: str | None = None,
        by: str | None = None,
    ) -> RetriedRun:
        """Retry a run that has ended, as `Run.retry` does. Raises: as that, and NotFound."""
        run = await self.get_run(run_id)
        return await run.retry(from_step, timeout=timeout, idempotency_key=idempotency_key, by=by)

    async def prune(
        self, older_than: str | float | timedelta = "30d", *, dry_run: bool = False
    ) -> Pruned:
        """Delete runs that ended longer ago than this, with all that is theirs.

        Runs that are open stay, and so do parent, children and retries of them; saved flows and
        their versions stay too. Plans and unsaved graphs that no run refers to any more, emitted
        events whose life is over, and the records of workers that ended go by the same age.
        Idempotency keys of deleted runs may be used again. Interrupted, it goes on next time where
        it stopped.

        Args:
            older_than: `"30d"`, `"12h"`, or seconds.
            dry_run: Delete nothing, only count.

        Raises:
            InvalidValue: `older_than` is no length of time (duration_invalid).
        """
        try:
            age = parse_duration(older_than).total_seconds()
        except ValueError as error:
            raise InvalidValue(str(error), pointer="/older_than", code="duration_invalid") from None
        return await self._session.store.prune(older_than_seconds=age, dry_run=dry_run)

    async def run(self, run_id: str) -> Run:
        """Return a handle on a run, as `get_run` does."""
        return await self.get_run(run_id)

    async def runs(
        self,
        *,
        flow: str | None = None,
        status: RunStatus | str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[Run]:
        """Return runs, newest first; `before` is the id of the last one of the page before.

        Raises:
            InvalidValue: There is no such status (status_unknown), or page (page_invalid).
            NotFound: `before` is no run's id (run_not_found).
        """
        wanted = None if status is None else known_state(RunStatus, status)
        check_page(limit)
        last = None if before is None else known_id(before, "run")
        found = await self._session.store.list_runs(
            flow=flow, status=wanted, limit=limit, before=last
        )
        return [Run(self._session, row) for row in found]

    async def events(self, stream: str, *, after: int = 0, limit: int = 500) -> list[EventRow]:
        """Return one page of a run's or a plan's events, without waiting for more.

        Raises:
            InvalidValue: There is no such page (page_invalid).
        """
        check_page(limit, after)
        return await self._session.store.events(stream, after=after, limit=limit)

    def follow(self, stream: str, *, after: int = 0) -> AsyncIterator[EventRow]:
        """Yield a run's or a plan's events up to the terminal one, as they come."""
        return self._session.follow(stream, after=after)

    def follow_pages(
        self, stream: str, *, after: int = 0, pause: Callable[[], float] = at_once
    ) -> AsyncGenerator[list[EventRow]]:
        """Yield the same events by pages, read at least `pause()` seconds apart."""
        return follow_pages(self._session, stream, after=after, pause=pause)
