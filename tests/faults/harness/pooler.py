"""pgbouncer in transaction mode between workers and the server, where it is installed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flowbuilder.executor.privileges import command_as, give
from tests.faults.harness.server import FaultServer, spare_port

#: The program; `FLOWBUILDER_TEST_PGBOUNCER` names one that is not on the path.
PROGRAM = os.environ.get("FLOWBUILDER_TEST_PGBOUNCER") or shutil.which("pgbouncer")
_SETTINGS = """
[databases]
* = host=127.0.0.1 port={server} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 10
max_client_conn = 200
ignore_startup_parameters = extra_float_digits
logfile = {log}
"""


@contextmanager
def transaction_pooler(server: FaultServer, folder: Path) -> Iterator[int]:
    """Run a pooler and give its port."""
    assert PROGRAM is not None
    port, place = spare_port(), server.cluster.data_dir / f"pgbouncer-{folder.name}"
    place.mkdir()
    settings = place / "pgbouncer.ini"
    settings.write_text(
        _SETTINGS.format(server=server.port, port=port, log=place / "log"), encoding="utf-8"
    )
    for path in (place, settings):
        give(server.cluster.account, path)
    command = command_as(server.cluster.account, [PROGRAM, "-q", str(settings)], [place])
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(port)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
