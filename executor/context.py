"""What a running attempt knows and can say: the `Context` that handlers get."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from flowbuilder.budget import Spending
from flowbuilder.errors import ExecutionError, FlowBuilderError
from flowbuilder.executor.failures import clean_text
from flowbuilder.executor.records import LeasedTask, Outcome
from flowbuilder.executor.secret_desk import missing, sendable, told
from flowbuilder.secrecy import REDACTOR
from flowbuilder.secrecy.sources import EnvironmentSource
from flowbuilder.settings import Settings
from flowbuilder.strictjson import Limits, check
from flowbuilder.tools import Secrets
from flowbuilder.tools.eventnames import check_event, check_life
from flowbuilder.types import JsonObject, JsonValue

if TYPE_CHECKING:
    from psycopg import AsyncConnection

#: Longer messages are cut.
_LONGEST_MESSAGE = 500
_PROGRESS_SECONDS = 0.25


class EnvironmentSecrets:
    """Secrets by name from a mapping of environment variables, `FLOWBUILDER_SECRET_<NAME>`."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.source = EnvironmentSource(environment)

    def __repr__(self) -> str:
        return repr(self.source)

    def get(self, name: str) -> str:
        """Return a secret's value.

        Raises:
            NotFound: `secret_not_found`.
        """
        found = self.source.look(name)
        if found is None:
            raise missing(name)
        return told(found).value

    async def fetch(self, name: str, *, url: str | None = None) -> str:
        """Return a secret's value.

        Raises:
            NotFound: `secret_not_found`.
            Fail: `secret_not_allowed`: it may not be sent to this URL.
        """
        value = self.get(name)
        found = self.source.look(name)
        return value if url is None or found is None else sendable(found, "", url)


class TaskContext:
    """The context of one attempt. Every member may be used from any thread."""

    def __init__(
        self,
        task: LeasedTask,
        *,
        settings: Settings,
        secrets: Secrets,
        report: Callable[[JsonObject], None] | None = None,
        spent: Callable[[Spending], None] | None = None,
    ) -> None:
        """`spent`: who else hears at once of what is spent."""
        self._task = task
        self._spent = Spending()
        self._spending = threading.Lock()
        self._heard = spent
        self._settings = settings
        self._secrets = secrets
        self._report = report
        self._cancelled = False  # one flag, set once: threads may read it as it is
        self._ends_at = math.inf
        self._connection: AsyncConnection[Any] | None = None

    @property
    def task(self) -> LeasedTask:
        """The task as it was leased."""
        return self._task

    @property
    def run_id(self) -> str:
        """The run's id (UUID text)."""
        return self._task.run_id

    @property
    def workspace(self) -> str:
        """The id of the workspace that the run belongs to (UUID text)."""
        return self._task.workspace_id

    @property
    def step_id(self) -> str:
        """The step's id in its flow."""
        return self._task.step_id or ""

    @property
    def task_id(self) -> str:
        """The task's id."""
        return str(self._task.task_id)

    @property
    def index(self) -> int | None:
        """The element's place in a mapped step, counted from 0; None otherwise."""
        return self._task.index

    @property
    def attempt(self) -> int:
        """Which attempt this is, counted from 1."""
        return self._task.attempt

    @property
    def idempotency_key(self) -> str:
        """The same text on every attempt of this task: hand it to outside systems."""
        return f"{self.run_id}:{self.step_id}:{self.index or 0}"

    @property
    def settings(self) -> Settings:
        """The settings of the process."""
        return self._settings

    @property
    def secrets(self) -> Secrets:
        """Secret values by name."""
        return self._secrets

    @property
    def cancelled(self) -> bool:
        """Whether the task was cancelled, timed out or lost: stop and clean up."""
        return self._cancelled

    @property
    def connection(self) -> AsyncConnection[Any]:
        """A connection inside the transaction that ends with the task.

        Raises:
            ExecutionError: The tool is not transactional, or has returned (no_connection).
        """
        if self._connection is None:
            raise ExecutionError(
                "there is no transaction here to write in",
                code="no_connection",
                hint="Declare the tool with @tool(transactional=True).",
            )
        return self._connection

    async def emit(
        self,
        name: str,
        key: str = "",
        payload: JsonValue = None,
        *,
        keep: str | float | timedelta | None = None,
    ) -> None:
        """Emit an event when the transaction commits that ends with the task, and only then.

        Raises:
            ExecutionError: The tool is not transactional, or has returned (no_connection).
            InvalidValue: `event_invalid`, `duration_invalid`, or the payload is no clean JSON.
        """
        from flowbuilder.executor.store.emitting import emit_with_task  # not where processes start

        connection, settings = self.connection, self._settings
        check_event(name, key)
        bounds = Limits(depth=settings.max_json_depth, bytes=settings.max_value_bytes)
        clean = REDACTOR.json(check(payload, limits=bounds, pointer="/payload"))
        life = check_life(settings.event_life if keep is None else keep)
        await emit_with_task(
            connection,
            self.run_id,
            self.task_id,
            name,
            key,
            clean,
            keep_seconds=life.total_seconds(),
        )

    def lend(self, connection: AsyncConnection[Any] | None) -> None:
        """Give the handler its connection, or take it back."""
        self._connection = connection

    def furnish(self, secrets: Secrets) -> None:
        """Give the handler the secrets that its tool may have."""
        self._secrets = secrets

    def begin(self, seconds: float) -> None:
        """Take note that the handler begins and how long it may take."""
        self._ends_at = min(self._ends_at, time.monotonic() + seconds)

    def end(self) -> None:
        """Take note that the handler has ended: its time limit means nothing any more."""
        if not self._cancelled:
            self._ends_at = math.inf

    def cancel(self) -> None:
        """Tell the handler to stop."""
        self._cancelled = True
        self._ends_at = min(self._ends_at, time.monotonic())

    def overdue(self, grace: float) -> bool:
        """Whether the handler should have ended `grace` seconds ago."""
        return time.monotonic() > self._ends_at + grace

    def progress(self, fraction: float | None = None, message: str | None = None) -> None:
        """Report progress (0 to 1); appears as a `task_progress` event. Never blocks."""
        self.report_data(progress_data(fraction, message))

    @property
    def tokens_left(self) -> int | None:
        """Tokens that are left of the run's budget, None when they are not bounded."""
        left: Any = self._left("tokens")
        return None if left is None else max(int(left) - self._spent.tokens, 0)

    @property
    def usd_left(self) -> float | None:
        """US dollars that are left of the run's budget, None when they are not bounded."""
        left: Any = self._left("usd")
        return None if left is None else max(float(left) - self._spent.usd, 0.0)

    def spend(self, tokens: int = 0, usd: float | None = None) -> None:
        """Take note of what this attempt has spent; written with its outcome, and with no other.

        Raises:
            InvalidValue: `spending_invalid`.
        """
        self.add_spending(Spending.of(tokens, usd))

    def add_spending(self, spending: Spending) -> None:
        """Add to what this attempt has spent."""
        with self._spending:
            self._spent += spending
        if self._heard is not None:
            self._heard(spending)

    def charged(self, outcome: Outcome) -> Outcome:
        """Return an outcome with what the attempt has spent."""
        return replace(outcome, spent=self._spent.as_json()) if self._spent else outcome

    def _left(self, name: str) -> JsonValue:
        budget = self._task.budget
        return None if budget is None else budget.get(name)

    def report_data(self, data: JsonObject) -> None:
        """Pass on progress that is clean JSON already."""
        if self._report is not None and not self.cancelled:
            self._report(data)


def progress_data(fraction: Any, message: Any) -> JsonObject:
    """Return progress as clean JSON: a fraction between 0 and 1 and a short text, or None."""
    number: float | None = None
    if isinstance(fraction, int | float) and math.isfinite(fraction):
        number = min(max(float(fraction), 0.0), 1.0)
    text = None if message is None else clean_text(message, _LONGEST_MESSAGE)
    return {"fraction": number, "message": text}


class ProgressReporter:
    """Passes the newest progress of one attempt on, a few times per second at most.

    Made on the event loop; calling it works from any thread and never blocks.
    """

    def __init__(
        self,
        write: Callable[[JsonObject], Awaitable[object]],
        *,
        seconds: float = _PROGRESS_SECONDS,
    ) -> None:
        self._write = write
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._newest: JsonObject | None = None
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def __call__(self, data: JsonObject) -> None:
        """Take the newest progress."""
        try:
            self._loop.call_soon_threadsafe(self._take, data)
        except RuntimeError:
            return  # the loop is closed: an abandoned thread talks to nobody

    def close(self) -> None:
        """Drop what was not sent: the attempt is over."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()

    def _take(self, data: JsonObject) -> None:
        self._newest = data
        if self._task is None and not self._closed:
            self._task = asyncio.create_task(self._send())

    async def _send(self) -> None:
        try:
            while self._newest is not None:
                data, self._newest = self._newest, None
                with suppress(FlowBuilderError):  # progress is news: the next one will do
                    await self._write(data)
                await asyncio.sleep(self._seconds)
        finally:
            self._task = None
