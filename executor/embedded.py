"""The embedded PostgreSQL: one server for each data folder, shared by all who use it.

The program comes from a wheel; starting, sharing and stopping is done here, by three file locks
in the data folder. The kernel gives a lock back when its holder dies, so no kill leaves a wrong
count behind:

* `start.lock`: exclusive, held for the moment of starting or stopping;
* `users.lock`: shared, held by every user; who leaves and gets it exclusively was the last one
  and stops the server;
* `server.lock`: exclusive, inherited by the server and all its processes: free means that
  nothing of the server is alive, whatever its own pid file says.

The server listens on a Unix socket only and lives in a session of its own: a signal to a user's
process group does not reach it. A server whose users were all killed stays up until the next
user comes and leaves.
"""

from __future__ import annotations

import asyncio
import atexit
import fcntl
import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import psycopg

from flowbuilder.errors import EmbeddedServerError
from flowbuilder.executor.cluster import (
    POLL,
    PORT,
    USER,
    Cluster,
    failure,
    launch,
    locate,
    ready_sockets,
    run_program,
    try_lock,
    unlock,
    wait_lock,
)

DATABASE = "flowbuilder"
#: Seconds. A new data folder takes half a second on a good machine; a busy small one needs many.
START_TIMEOUT = 120.0


class EmbeddedServer:
    """A running embedded PostgreSQL, as one of its users holds it.

    Leaving the context, `stop()` or the end of the process gives it back; the last user's
    leaving stops it.
    """

    def __init__(self, cluster: Cluster, users: int, dsn: str, version: str) -> None:
        self.dsn = dsn
        """Connects to the database `flowbuilder`; holds no secret."""
        self.data_dir = cluster.data_dir
        self.version = version
        """PostgreSQL's version, such as `18.6`."""
        self._cluster = cluster
        self._users: int | None = users
        self._guard = threading.Lock()
        self._pid = os.getpid()
        atexit.register(self._stop_at_exit)

    def stop(self, *, timeout: float = START_TIMEOUT) -> None:
        """Give the server back; the last user stops it. A second call does nothing.

        Raises:
            EmbeddedServerError: The server did not stop within `timeout` seconds
                (embedded_timeout).
        """
        with self._guard:
            users, self._users = self._users, None
            if users is None:
                return
            atexit.unregister(self._stop_at_exit)
            try:
                _leave(self._cluster, users, time.monotonic() + timeout)
            finally:
                unlock(users)

    def _stop_at_exit(self) -> None:
        if os.getpid() == self._pid:  # a forked child is no user
            with suppress(EmbeddedServerError, OSError):
                self.stop()

    def __enter__(self) -> EmbeddedServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start(
    data_dir: Path, *, timeout: float = START_TIMEOUT, runtime_dir: Path | None = None
) -> EmbeddedServer:
    """Start the server on `data_dir`, or join the one that runs there, and wait until it answers.

    `data_dir` is made when missing; the cluster is its subfolder `postgres`. `runtime_dir` takes
    the socket when the data folder's path is too long for one (default: the temporary folder).
    This call blocks; on an event loop use `start_async`.

    Raises:
        EmbeddedServerError: With the end of the server's log where that helps. Codes:
            embedded_missing, embedded_version, embedded_permission, embedded_timeout,
            embedded_server_failed.
    """
    cluster = locate(data_dir, runtime_dir)
    deadline = time.monotonic() + timeout
    starting = wait_lock(cluster.lock_file("start"), deadline)
    try:
        users = wait_lock(cluster.lock_file("users"), deadline, fcntl.LOCK_SH)
        try:
            dsn, version = _ensure_running(cluster, deadline)
        except BaseException as error:
            unlock(users)
            if isinstance(error, psycopg.Error):
                raise failure(cluster, f"The embedded PostgreSQL refuses work: {error}") from error
            raise
    finally:
        unlock(starting)
    return EmbeddedServer(cluster, users, dsn, version)


async def start_async(
    data_dir: Path, *, timeout: float = START_TIMEOUT, runtime_dir: Path | None = None
) -> EmbeddedServer:
    """Do what `start` does in a thread, so that the event loop goes on meanwhile."""
    return await asyncio.to_thread(start, data_dir, timeout=timeout, runtime_dir=runtime_dir)


def _ensure_running(cluster: Cluster, deadline: float) -> tuple[str, str]:
    """Return (dsn, version) of a server that answers; launch it when nothing of it is alive."""
    launched = False
    while True:
        lock = try_lock(cluster.lock_file("server"))
        if lock is not None:
            try:
                if launched:
                    raise failure(cluster, "The embedded PostgreSQL ended while it was starting.")
                launch(cluster, lock, deadline)
                launched = True
            finally:
                os.close(lock)  # not unlocked: the server holds it now
        elif (sockets := ready_sockets(cluster)) and (version := _greet(sockets)):
            return _dsn(sockets, DATABASE), version
        if time.monotonic() > deadline:
            raise failure(
                cluster,
                "The embedded PostgreSQL did not answer in time.",
                code="embedded_timeout",
                hint="Raise FLOWBUILDER_DATABASE_START_TIMEOUT, or end its processes.",
            )
        time.sleep(POLL)


def _greet(sockets: Path) -> str | None:
    """Return the version of the server that answers, its database made; None: no answer yet."""
    try:
        connection = psycopg.connect(_dsn(sockets, "postgres"), autocommit=True, connect_timeout=5)
    except psycopg.OperationalError:
        return None
    with connection:
        known = connection.execute(
            "select 1 from pg_database where datname = %s", (DATABASE,)
        ).fetchone()
        if known is None:
            connection.execute(f"create database {DATABASE}")
        return connection.info.parameter_status("server_version")


def _dsn(sockets: Path, database: str) -> str:
    return f"postgresql://{USER}@/{database}?host={quote(str(sockets), safe='')}&port={PORT}"


def _leave(cluster: Cluster, users: int, deadline: float) -> None:
    """Stop the server if no other user is left."""
    starting = wait_lock(cluster.lock_file("start"), deadline)
    try:
        with suppress(BlockingIOError):
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _shut_down(cluster, deadline)
    finally:
        unlock(starting)


def _shut_down(cluster: Cluster, deadline: float) -> None:
    for mode in ("fast", "immediate"):
        if _gone(cluster):
            return
        left = max(1, int(deadline - time.monotonic()))
        options = ["-D", str(cluster.folder), "-m", mode, "-w", "-t", str(left), "-s", "stop"]
        with suppress(EmbeddedServerError):  # it may have ended by itself meanwhile
            run_program(cluster, ["pg_ctl", *options], None, deadline + 5)
    if not _gone(cluster):
        raise failure(cluster, "The embedded PostgreSQL did not stop.", code="embedded_timeout")


def _gone(cluster: Cluster) -> bool:
    lock = try_lock(cluster.lock_file("server"))
    if lock is not None:
        unlock(lock)
    return lock is not None
