"""`FlowBuilder`: plan, build, execute and watch flows; the composition root of the library."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from flowbuilder.client.connection import open_session, open_worker
from flowbuilder.client.deciding import Approvals
from flowbuilder.client.emitting import Emitting
from flowbuilder.client.flows import Flows
from flowbuilder.client.limits import ToolLimits
from flowbuilder.client.plans import Plans
from flowbuilder.client.policies import WorkspacePolicy
from flowbuilder.client.probing import Probe, probe_port
from flowbuilder.client.secrets import Secrets
from flowbuilder.client.session import Session
from flowbuilder.client.starting import Runs
from flowbuilder.executor.notifications import Notifications
from flowbuilder.executor.records import DEFAULT_WORKSPACE, WorkerRow
from flowbuilder.executor.store import Store
from flowbuilder.planner.base import Planner
from flowbuilder.settings import Settings
from flowbuilder.tools import Tool, ToolRegistry
from flowbuilder.types import JsonObject

if TYPE_CHECKING:
    from flowbuilder.client.accounts import Accounts
    from flowbuilder.client.admission import Admission
    from flowbuilder.client.connections import Connections
    from flowbuilder.client.memory import PlanMemory
    from flowbuilder.client.replanning import Replanner
    from flowbuilder.client.schedules import Schedules
    from flowbuilder.client.webhooks import Webhooks
    from flowbuilder.client.workspace_connections import WorkspaceConnections
    from flowbuilder.client.workspace_log import WorkspaceLog
    from flowbuilder.doctor import Report
    from flowbuilder.executor.database import Database
    from flowbuilder.executor.readiness import Trouble
    from flowbuilder.executor.worker import Worker


class FlowBuilder(Plans, Flows, Runs, Approvals, Emitting):
    """The library's front door: one connection to everything that flowbuilder does.

    `async with FlowBuilder.connect() as fb:`, or `fb = await FlowBuilder.connect().open()` and
    later `await fb.close()`.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        tools: Iterable[Tool | Callable[..., Any]] = (),
        registry: ToolRegistry | None = None,
        worker: bool | None = None,
        planner: Planner | None = None,
        workspace: str = DEFAULT_WORKSPACE,
    ) -> None:
        self.settings = settings
        self._given_tools = tuple(tools)
        self._given_registry = registry
        self._wants_worker = worker
        self._planner = planner
        self._workspace = workspace
        self._opened: Session | None = None
        self._closing = AsyncExitStack()
        self._accounts: Accounts | None = None
        self._probing: Probe | None = None

    @classmethod
    def connect(
        cls,
        dsn: str | None = None,
        *,
        settings: Settings | None = None,
        tools: Iterable[Tool | Callable[..., Any]] = (),
        registry: ToolRegistry | None = None,
        worker: bool | None = None,
        planner: Planner | None = None,
        workspace: str = DEFAULT_WORKSPACE,
    ) -> FlowBuilder:
        """Return a FlowBuilder to open: nothing is started or connected yet.

        Args:
            dsn: PostgreSQL to use; by default `settings.database_url`, and without that an
                embedded server in `settings.data_dir`.
            settings: Default: read from `FLOWBUILDER_*`.
            tools: Further tools, or plain functions to be made into some.
            registry: All the tools there are, instead of the starter tools and the modules that
                the settings name.
            worker: Run tasks inside this process. Default: with the embedded server only.
            planner: Default: the model's when one is configured, else the one by rules.
            workspace: The workspace to work in, by name or id.

        Raises:
            SettingsError: A setting is wrong.
        """
        found = settings or Settings.load()
        if dsn is not None:
            from pydantic import SecretStr

            found = found.model_copy(update={"database_url": SecretStr(dsn)})
        return cls(
            found,
            tools=tools,
            registry=registry,
            worker=worker,
            planner=planner,
            workspace=workspace,
        )

    async def open(self) -> Self:
        """Start or reach the database, bring its schema up to date, and start the worker.

        Raises:
            DatabaseUnavailable, EmbeddedServerError, MigrationError: No usable database.
            SettingsError, DefinitionError: A tools module or a tool is wrong.
        """
        if self._opened is not None:
            return self
        async with AsyncExitStack() as stack:
            session = await open_session(
                stack,
                self.settings,
                tools=self._given_tools,
                registry=self._given_registry,
                workspace=self._workspace,
            )
            wanted = session.embedded if self._wants_worker is None else self._wants_worker
            if wanted:
                await stack.enter_async_context(open_worker(session))
            self._opened = session
            if wanted:
                await stack.enter_async_context(self.replanner())
            await self.look_for_connections()
            self._closing = stack.pop_all()
        return self

    def within(self, workspace: str, database: Database | None = None) -> FlowBuilder:
        """Return a view of another workspace (an id), open for as long as this one is.

        `database`: what it reads and writes by, such as the workspace's own view of the database.
        """
        view = FlowBuilder(self.settings, worker=False, planner=self.planner, workspace=workspace)
        view._opened = self._session.within(workspace, database or self.store.database)
        return view

    @property
    def workspace(self) -> str:
        """Id of the workspace that this FlowBuilder works in."""
        return self.store.workspace

    async def close(self) -> None:
        """Stop the worker, hand back what it holds, and close every connection."""
        self._opened = None
        await self._closing.aclose()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def tools(self) -> ToolRegistry:
        """The tools that flows may use."""
        return self._session.registry

    @property
    def store(self) -> Store:
        """The typed calls of the database's functions."""
        return self._session.store

    @property
    def notifications(self) -> Notifications:
        """Queues that notify: `send_with_notify(queue, payload)`, `listen(queue)`.

        And events for other systems: `subscribe(channel, queue=…)`, `messages(queue)`.
        """
        return self._session.notifications

    @property
    def accounts(self) -> Accounts:
        """Users, workspaces and keys: whoever holds the database may change them."""
        if self._accounts is None:
            from flowbuilder.client.accounts import Accounts

            self._accounts = Accounts(self.store.database, self.settings)
        return self._accounts

    @property
    def limits(self) -> ToolLimits:
        """Limits on tools: `set("http.*", concurrency=4, rate="10/s")`, `list()`, `clear(...)`."""
        return ToolLimits(self._session)

    @property
    def admission(self) -> Admission:
        """How many runs are let in, and quotas: `set("slug", concurrency=4)`, `usage()`."""
        from flowbuilder.client.admission import Admission

        return Admission(self._session)

    @property
    def memory(self) -> PlanMemory:
        """What finished runs of plans have taught: `list()`, `get(id)`, `forget(id)` and more."""
        from flowbuilder.client.memory import PlanMemory

        return PlanMemory(self._session)

    def workspace_log(self, owner: FlowBuilder | None = None) -> WorkspaceLog:
        """The events of the whole workspace as one stream; `owner` numbers them for a view."""
        from flowbuilder.client.workspace_log import WorkspaceLog

        return WorkspaceLog(self._session, (owner or self)._session)

    @property
    def policy(self) -> WorkspacePolicy:
        """What runs may do by themselves: `get()`, `set({...})`, `clear()`, `check({...})`."""
        return WorkspacePolicy(self._session)

    @property
    def connections(self) -> Connections:
        """Tools of connected MCP servers: `list()`, `refresh()`, `approve(server, tool)`."""
        from flowbuilder.client.connections import Connections

        return Connections(self._session)

    @property
    def workspace_connections(self) -> WorkspaceConnections:
        """Tools that the workspace connects itself: `list()`, `add_openapi(...)`, `remove(...)`."""
        from flowbuilder.client.workspace_connections import WorkspaceConnections

        return WorkspaceConnections(self._session)

    async def look_for_connections(self, *, at_once: bool = True) -> None:
        """Take in the tools that the workspace's connections bring by now, for its workers too."""
        from flowbuilder.client.workspace_connections import equip_workers, offer_connections

        await offer_connections(self._session, at_once=at_once)
        await equip_workers(self._session)

    @property
    def secrets(self) -> Secrets:
        """Secrets: `set("mail", value, hosts=[...])`, `list()`, `delete(...)`, `rotate_key()`."""
        return Secrets(self._session)

    @property
    def schedules(self) -> Schedules:
        """Flows that start by the clock: `add("daily", flow=..., cron=...)`, `why(...)`."""
        from flowbuilder.client.schedules import Schedules

        return Schedules(self._session)

    @property
    def webhooks(self) -> Webhooks:
        """Flows that signed deliveries start: `add("orders", flow=...)`, `rotate(...)` and more."""
        from flowbuilder.client.webhooks import Webhooks

        return Webhooks(self._session)

    # -- workers and health -----------------------------------------------------------------

    def worker(self, *, concurrency: int | None = None) -> AbstractAsyncContextManager[Worker]:
        """Return a context in which this process runs tasks."""
        return open_worker(self._session, concurrency=concurrency)

    async def stop_workers(self, grace: float) -> None:
        """Stop the workers of this process: what runs may end within `grace` seconds.

        All else goes on: what is started from now on is left to other processes.
        """
        workers, self._session.workers[:] = list(self._session.workers), []
        await asyncio.gather(*(worker.stop(grace) for worker in workers))

    def replanner(self) -> AbstractAsyncContextManager[Replanner]:
        """Return a context in which this process plans runs anew whose step has failed.

        Only runs that were started with `replan` are. Any number of processes may do so; one that
        runs tasks since it was opened does already.
        """
        from flowbuilder.client.replanning import Replanner

        return Replanner(self._session, lambda: self.planner)

    async def workers(self) -> list[WorkerRow]:
        """Return the workers seen lately, live ones first."""
        return await self.store.workers()

    async def pending_migrations(self) -> list[str]:
        """Return the names of what `flowbuilder migrate` would apply, [] when nothing is."""
        from flowbuilder.executor.migrator import pending

        return await pending(self.store.database)

    async def queue_depth(self) -> JsonObject:
        """Return how much is queued, delayed, running and waiting, and for how long."""
        return await self.store.queue_depth()

    async def trouble(self) -> Trouble | None:
        """Return what keeps this process from taking work, None if nothing does.

        Raises:
            DatabaseUnavailable: The database does not answer, or not in time.
        """
        return await self._probe.trouble()

    async def exposition(self) -> bytes:
        """Return the metrics of this process and its database in Prometheus' text format."""
        return await self._probe.exposition()

    def probe_port(
        self, *, stopping: Callable[[], bool] = lambda: False
    ) -> AbstractAsyncContextManager[int | None]:
        """Return a context in which probes and Prometheus are answered on `metrics_port`."""
        return probe_port(self._session, stopping=stopping)

    @property
    def _probe(self) -> Probe:
        if self._probing is None or self._probing.session is not self._session:
            self._probing = Probe(self._session)
        return self._probing

    async def doctor(self) -> Report:
        """Return what is configured, reachable and wrong, and how to mend it."""
        from flowbuilder.doctor import examine

        return await examine(self.settings)
