"""A PostgreSQL of the tests' own, on a spare TCP port, that can be stopped, killed and started."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from flowbuilder.executor.cluster import Cluster, drop_stale_pid, locate, run_program
from flowbuilder.executor.migrator import migrate
from flowbuilder.executor.privileges import give

_HOST = "127.0.0.1"
_TEMPLATE = "faults_template"
#: Nothing has to survive a power cut here: what a killed server has written, the kernel keeps.
_SETTINGS = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = 100
max_notify_queue_pages = 64
shared_buffers = 32MB
dynamic_shared_memory_type = mmap
wal_level = minimal
max_wal_senders = 0
max_logical_replication_workers = 0
fsync = off
full_page_writes = off
max_parallel_workers_per_gather = 0
io_method = sync
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_lock_waits = on
deadlock_timeout = '100ms'
log_min_messages = warning
cluster_name = 'flowbuilder-faults'
"""
_LONGEST = 60.0


class FaultServer:
    """One cluster with databases cloned from a migrated template."""

    def __init__(self, folder: Path, *, settings: str = "") -> None:
        self.cluster: Cluster = locate(folder, None)
        self.port = spare_port()
        self._settings = settings
        self._number = 0

    @property
    def dsn(self) -> str:
        """The DSN of the maintenance database."""
        return f"postgresql://postgres@{_HOST}:{self.port}/postgres"

    @property
    def postmaster(self) -> int:
        """The process id of the server; fails when it is not up."""
        text = (self.cluster.folder / "postmaster.pid").read_text(encoding="ascii")
        return int(text.split("\n", 1)[0])

    def create(self) -> None:
        """Make the cluster, start it and prepare the template."""
        target = self.cluster.folder
        target.mkdir(mode=0o700)
        give(self.cluster.account, target)
        options = ["--encoding=UTF8", "--locale=C", "--auth=trust", "--username=postgres"]
        self._run("initdb", "-D", str(target), "--no-sync", *options)
        with (target / "postgresql.conf").open("a", encoding="utf-8") as conf:
            conf.write(_SETTINGS.format(port=self.port) + self._settings)
        self.start()
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(f"create database {_TEMPLATE}")
        asyncio.run(_migrate(self.dsn_of(_TEMPLATE)))

    def start(self) -> None:
        """Start the server and wait until it answers, after its crash recovery too."""
        drop_stale_pid(self.cluster.folder / "postmaster.pid")
        self._run(
            "pg_ctl", "-D", str(self.cluster.folder), "-l", str(self.cluster.log), "-w", "-s",
            "-t", str(int(_LONGEST)), "start",
        )  # fmt: skip

    def stop(self, mode: str = "fast") -> None:
        """Stop the server: `fast` says good-bye to clients, `immediate` is a crash."""
        self._run(
            "pg_ctl", "-D", str(self.cluster.folder), "-m", mode, "-w", "-s",
            "-t", str(int(_LONGEST)), "stop",
        )  # fmt: skip

    def kill(self) -> list[int]:
        """kill -9 the server and all its processes; returns whom it hit."""
        postmaster = self.postmaster
        victims = [postmaster, *children_of(postmaster)]
        # First no new ones can come, then none stays.
        os.kill(postmaster, signal.SIGSTOP)
        victims = [postmaster, *children_of(postmaster)]
        for pid in reversed(victims):
            _kill(pid)
        deadline = time.monotonic() + _LONGEST
        while any(is_alive(pid) for pid in victims):
            if time.monotonic() > deadline:
                raise AssertionError(f"processes of the server survive kill -9: {victims}")
            time.sleep(0.005)
        return victims

    def fresh_database(self) -> str:
        """Return the DSN of a new database with the whole schema."""
        self._number += 1
        name = f"faults_{self._number}"
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(f"create database {name} template {_TEMPLATE} strategy file_copy")
        return self.dsn_of(name)

    def empty_database(self) -> str:
        """Return the DSN of a new database without any schema."""
        self._number += 1
        name = f"faults_{self._number}"
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(f"create database {name}")
        return self.dsn_of(name)

    def drop(self, dsn: str) -> None:
        """Drop a database with everybody in it."""
        name = urlsplit(dsn).path.lstrip("/")
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(f"drop database if exists {name} with (force)")

    def dsn_of(self, name: str) -> str:
        """Return the DSN of another database."""
        return urlsplit(self.dsn)._replace(path=f"/{name}").geturl()

    def destroy(self) -> None:
        """Stop whatever is left and remove the files."""
        try:
            pid = self.postmaster
        except (OSError, ValueError):
            pid = 0
        if pid and is_alive(pid):
            self.stop("immediate")
        shutil.rmtree(self.cluster.data_dir, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        run_program(self.cluster, [program, *arguments], None, time.monotonic() + _LONGEST)


def through(dsn: str, port: int, **options: str) -> str:
    """Return the DSN with another port (that of a proxy) and further options."""
    parts = urlsplit(dsn)
    user = parts.username or "postgres"
    query = "&".join(f"{name}={value}" for name, value in options.items())
    return parts._replace(netloc=f"{user}@{_HOST}:{port}", query=query).geturl()


def spare_port() -> int:
    """Return a port that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


def is_alive(pid: int) -> bool:
    """Whether a process is there and not just waiting to be collected."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return status.rsplit(")", 1)[1].split()[0] not in "ZX"


def children_of(pid: int) -> list[int]:
    """Return the direct children of a process."""
    try:
        return [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text(encoding="ascii").split()
        ]
    except OSError:
        return []


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


async def _migrate(dsn: str) -> None:
    await migrate(dsn)
