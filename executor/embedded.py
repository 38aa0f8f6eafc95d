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

While somebody holds a share of `users.lock` nobody stops the server. So a free `server.lock` then
means that it was killed: each user looks for that, and the first to get `start.lock` starts the
server again on the same folder and the same socket; the others find it running.
"""

from __future__ import annotations

import asyncio
import atexit
import fcntl
import logging
import os
import threading
import time
from contextlib import suppress
from dataclasses import replace
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
from flowbuilder.executor.supervision import Supervisor

log = logging.getLogger(__name__)

DATABASE = "flowbuilder"
#: Seconds. A new data folder takes half a second on a good machine; a busy small one needs many.
START_TIMEOUT = 120.0
#: Seconds that a user who leaves waits for others, who start or stop the server at that moment.
_LEAVE_SECONDS = 5.0


class EmbeddedServer:
    """A running embedded PostgreSQL, as one of its users holds it.

    A server that was killed is started again within a second. Leaving the context, `stop()` or
    the end of the process gives it back; the last user's leaving stops it.
    """

    def __init__(self, cluster: Cluster, users: int, sockets: Path, version: str) -> None:
        dsn = _dsn(sockets, DATABASE)
        self.dsn = dsn
        """Connects to the database `flowbuilder`; holds no secret."""
        self.data_dir = cluster.data_dir
        self.version = version
        """PostgreSQL's version, such as `18.6`."""
        # Whoever starts it again uses the socket that all its users know.
        elsewhere = sockets != cluster.folder
        self._cluster = replace(cluster, runtime_dir=sockets.parents[1]) if elsewhere else cluster
        self._sockets = sockets
        self._sockets = sockets
        self._users: int | None = users
        self._guard = threading.Lock()
        self._pid = os.getpid()
        self._supervisor = Supervisor(
            "the embedded PostgreSQL",
            gone=lambda: _gone(self._cluster, fcntl.LOCK_SH),
            revive=self._start_again,
        )
        atexit.register(self._stop_at_exit)

    @property
    def restarts(self) -> int:
        """How often this user has found the server dead, and up again afterwards."""
        return self._supervisor.revivals

    @property
    def trouble(self) -> str | None:
        """Why a server that died cannot be started again; None while all is well."""
        return self._supervisor.trouble

    def answers(self, *, wait: float = 3.0) -> bool:
        """Whether the server answers; a dead one gets `wait` seconds to come back."""
        deadline = time.monotonic() + wait
        try:
            while _greet(self._sockets) is None:
                if time.monotonic() > deadline:
                    return False
                time.sleep(POLL)
        except psycopg.Error:
            pass  # it refuses work, but that is an answer
        return True

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
                self._supervisor.close(timeout=_LEAVE_SECONDS)
                _leave(self._cluster, users, time.monotonic() + timeout)
            finally:
                unlock(users)

    def _start_again(self) -> None:
        """Start the server, or wait for who does so already."""
        give_up = self._supervisor.stopping
        deadline = time.monotonic() + START_TIMEOUT
        starting = None
        while starting is None and not give_up.wait(POLL) and time.monotonic() < deadline:
            starting = try_lock(self._cluster.lock_file("start"))
        if starting is None:
            return
        try:
            if not self._cluster.folder.exists():
                # An empty one in its place would look like a start and be a loss.
                raise EmbeddedServerError(
                    f"{self._cluster.folder} has vanished.", code="embedded_server_failed"
                )
            found = _ensure_running(self._cluster, deadline, give_up)
        except psycopg.Error as error:
            raise failure(self._cluster, f"It refuses work: {error}") from error
        finally:
            unlock(starting)
        if found is not None and _dsn(found[0], DATABASE) != self.dsn:
            log.error("the embedded PostgreSQL was started by somebody else on another socket")

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
            found = _ensure_running(cluster, deadline)
            assert found is not None
        except BaseException as error:
            unlock(users)
            if isinstance(error, psycopg.Error):
                raise failure(cluster, f"The embedded PostgreSQL refuses work: {error}") from error
            raise
    finally:
        unlock(starting)
    return EmbeddedServer(cluster, users, *found)


async def start_async(
    data_dir: Path, *, timeout: float = START_TIMEOUT, runtime_dir: Path | None = None
) -> EmbeddedServer:
    """Do what `start` does in a thread, so that the event loop goes on meanwhile."""
    return await asyncio.to_thread(start, data_dir, timeout=timeout, runtime_dir=runtime_dir)


def _ensure_running(
    cluster: Cluster, deadline: float, give_up: threading.Event | None = None
) -> tuple[Path, str] | None:
    """Return socket folder and version of a server that answers; launch it when it is dead.

    None: `give_up` was set meanwhile.
    """
    launched = False
    while give_up is None or not give_up.is_set():
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
            return sockets, version
        if time.monotonic() > deadline:
            raise failure(
                cluster,
                "The embedded PostgreSQL did not answer in time.",
                code="embedded_timeout",
                hint="Raise FLOWBUILDER_DATABASE_START_TIMEOUT, or end its processes.",
            )
        time.sleep(POLL)
    return None


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
    soon = min(deadline, time.monotonic() + _LEAVE_SECONDS)
    try:
        starting = wait_lock(cluster.lock_file("start"), soon)
    except EmbeddedServerError as error:
        if error.code != "embedded_timeout":
            raise
        return  # who is busy starting is a user as well, and will be the last one
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


def _gone(cluster: Cluster, kind: int = fcntl.LOCK_EX) -> bool:
    """Whether nothing of the server is alive. Shared locks let several look at once."""
    lock = try_lock(cluster.lock_file("server"), kind)
    if lock is not None:
        unlock(lock)
    return lock is not None
