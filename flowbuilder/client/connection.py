"""From settings to an open session: the server, its schema, the tools, a worker."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from flowbuilder.client.probing import observed, probe_port
from flowbuilder.client.session import Session
from flowbuilder.client.stopping import stop_signals
from flowbuilder.executor.database import Database
from flowbuilder.executor.migrator import migrate
from flowbuilder.executor.notifications import Notifications
from flowbuilder.executor.records import DEFAULT_WORKSPACE, Upkeep
from flowbuilder.executor.store import Store
from flowbuilder.secrecy.sources import SecretSource
from flowbuilder.settings import Settings
from flowbuilder.telemetry import tracing
from flowbuilder.tools import Tool, ToolRegistry, tool

if TYPE_CHECKING:
    from flowbuilder.executor.worker import Worker


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """A PostgreSQL that can be connected to."""

    dsn: str
    embedded: bool
    answers: Callable[[], bool] = lambda: True
    """False: it is dead and does not come back. Blocks for some seconds then."""
    direct: str | None = None
    """Past a pooler, where `dsn` goes through one."""


async def reach_database(stack: AsyncExitStack, settings: Settings) -> Server:
    """Return the configured server, or start the embedded one until the stack closes.

    Raises:
        EmbeddedServerError: It does not start.
    """
    if settings.database_url is not None:
        direct = settings.database_direct_url
        return Server(
            dsn=settings.database_url.get_secret_value(),
            embedded=False,
            direct=None if direct is None else direct.get_secret_value(),
        )
    from flowbuilder.executor import embedded

    limit = settings.database_start_timeout.total_seconds()
    running = await embedded.start_async(settings.data_dir, timeout=limit)
    stack.push_async_callback(asyncio.to_thread, running.stop)
    return Server(dsn=running.dsn, embedded=True, answers=running.answers)


async def open_session(
    stack: AsyncExitStack,
    settings: Settings,
    *,
    tools: Iterable[Tool | Callable[..., Any]] = (),
    registry: ToolRegistry | None = None,
    workspace: str,
) -> Session:
    """Reach the database, migrate it, load the tools, start to listen.

    Raises:
        DatabaseUnavailable, EmbeddedServerError, MigrationError, SettingsError, DefinitionError.
        NotFound: There is no such workspace (`workspace_not_found`).
    """
    from flowbuilder.toolkit import load_registry, with_own_tools

    if registry is None:
        registry = load_registry(settings, settings.tools)
    own = [item if isinstance(item, Tool) else tool(item) for item in tools]
    found = with_own_tools(registry, own)
    server = await reach_database(stack, settings)
    database = await stack.enter_async_context(
        await Database.open(server.dsn, size=settings.pool_size, direct=server.direct)
    )
    tracing.configure(settings)
    await migrate(database)
    workspace = await _workspace_id(database, workspace)
    notifications = await stack.enter_async_context(
        Notifications(database, poll_interval=settings.poll_interval, workspace=workspace)
    )
    store = Store(database, workspace=workspace)
    if settings.connections is not None:
        from flowbuilder.client.connections import mcp_tools

        found = found.merged(await mcp_tools(store, settings))
    session = Session(
        settings=settings,
        registry=found,
        store=store,
        notifications=notifications,
        embedded=server.embedded,
        server_answers=server.answers,
    )
    await stack.enter_async_context(observed(session))
    return session


async def _workspace_id(database: Database, workspace: str) -> str:
    """Return the id of a workspace that is given by name or id."""
    if workspace == DEFAULT_WORKSPACE:
        return workspace
    from flowbuilder.executor.store.workspaces import WorkspaceStore

    return await WorkspaceStore(database).find_workspace(workspace)


@asynccontextmanager
async def open_worker(session: Session, *, concurrency: int | None = None) -> AsyncIterator[Worker]:
    """Run tasks in this process while the context is open."""
    from flowbuilder.executor.worker import Worker

    settings = session.settings
    if concurrency is not None:
        settings = settings.model_copy(update={"concurrency": concurrency})
    sources: list[SecretSource] = []
    if settings.connections is not None:
        from flowbuilder.toolkit.connections import secret_sources

        sources = secret_sources(settings)
    worker = Worker(
        session.store,
        session.registry,
        settings,
        notifications=session.notifications,
        secret_sources=sources,
        ends=session.ends_observed,
        upkeep_done=partial(_tell_replanners, session),
        readers=session.feed,
    )
    async with worker:
        session.workers.append(worker)
        try:
            yield worker
        finally:
            if worker in session.workers:
                session.workers.remove(worker)
            if not await asyncio.to_thread(session.server_answers):
                # Nothing can be reported any more: do not wait for connections either.
                await session.store.database.close()
                await worker.disconnect()


def _tell_replanners(session: Session, done: Upkeep) -> None:
    if done.replans:
        for tell in list(session.replans_open):
            tell()


def _replanner(session: Session) -> AbstractAsyncContextManager[object]:
    from flowbuilder.client.planning import choose_planner
    from flowbuilder.client.replanning import Replanner

    return Replanner(session, lambda: choose_planner(session))


def run_worker_process(
    settings: Settings, *, replan: bool = False, stopping: Callable[[], None] | None = None
) -> None:
    """Run tasks in this process until SIGTERM or SIGINT; what is running then gets time to end.

    With `replan` it also plans runs anew whose step has failed. `stopping` is called at the
    signal. A second one ends the process at once.

    Raises:
        What `open_session` raises.
    """
    asyncio.run(_work_until_signal(settings, replan, stopping))


async def _work_until_signal(
    settings: Settings, replan: bool, stopping: Callable[[], None] | None
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        stack.enter_context(stop_signals(lambda: loop.call_soon_threadsafe(stop.set)))
        session = await open_session(stack, settings, workspace=DEFAULT_WORKSPACE)
        # opened first and closed last: probes are answered while what runs may still end
        port = probe_port(session, stopping=stop.is_set, working=True)
        await stack.enter_async_context(port)
        await stack.enter_async_context(open_worker(session))
        from flowbuilder.client.workspace_connections import keep_equipped

        await stack.enter_async_context(keep_equipped(session))
        if replan:
            await stack.enter_async_context(_replanner(session))
        # What starting has made lives as long as the process. Left to itself, the first full
        # collection walks through all of it, some 40 ms, in the middle of work.
        gc.collect()
        gc.freeze()
        await stop.wait()
        if stopping is not None:
            stopping()
