"""Extends leases from a thread with a connection of its own.

A handler that holds up the event loop does not lose the work of all the others.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

import orjson
import psycopg

from flowbuilder.executor.dsn import password_of

log = logging.getLogger(__name__)

_EXTEND = b"select flowbuilder.extend(%s::uuid, %s::jsonb, make_interval(secs => %s::float8))"
# Not an option of the connection: poolers refuse these.
_TIMEOUT = b"select set_config('statement_timeout', %s, false)"

Key = tuple[int, int]


class LeaseKeeper:
    """A thread that extends what a worker holds whenever the worker has not done so lately."""

    def __init__(
        self,
        dsn: str,
        *,
        seconds: float,
        held: Callable[[], Sequence[Key]],
        lost: Callable[[list[Key]], None],
    ) -> None:
        self._dsn = dsn
        self._seconds = seconds
        self._held = held
        self._lost = lost
        self._worker = ""
        self._extended_at = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="flowbuilder-leases", daemon=True)

    def start(self, worker_id: str) -> None:
        """Begin; `worker_id` is whose leases are extended."""
        self._worker = worker_id
        self._thread.start()

    def extended(self) -> None:
        """Take note that an exchange has just extended everything."""
        self._extended_at = time.monotonic()

    def stop(self) -> None:
        """End the thread; does not wait for a statement under way."""
        self._stop.set()

    def _run(self) -> None:
        connection: psycopg.Connection | None = None
        pause = self._seconds / 3
        while not self._stop.wait(pause / 2):
            held = self._held()
            if not held or time.monotonic() - self._extended_at < pause:
                continue
            try:
                if connection is None or connection.closed:
                    connection = self._connect()
                self._extend(connection, held)
            except psycopg.Error as error:
                secret = password_of(self._dsn) or "\0"
                log.warning("leases were not extended: %s", str(error).replace(secret, "***"))
                if connection is not None:
                    connection.close()
                connection = None
        if connection is not None:
            connection.close()

    def _connect(self) -> psycopg.Connection:
        # A lease that cannot be extended within its own length is lost anyway.
        wait = max(2, int(self._seconds))
        connection = psycopg.connect(
            self._dsn,
            autocommit=True,
            connect_timeout=wait,
            tcp_user_timeout=wait * 1000,
            application_name="flowbuilder-leases",
            prepare_threshold=None,  # poolers
        )
        connection.execute(_TIMEOUT, (f"{wait}s",))
        return connection

    def _extend(self, connection: psycopg.Connection, held: Sequence[Key]) -> None:
        keys = orjson.dumps([list(key) for key in held]).decode()
        cursor = connection.execute(_EXTEND, (self._worker, keys, self._seconds))
        row = cursor.fetchone()
        self.extended()
        lost = [(int(task), int(fence)) for task, fence in row[0]] if row is not None else []
        if lost:
            self._lost(lost)
