"""What every test may ask for: a PostgreSQL, a fresh database, and no network by accident.

With `FLOWBUILDER_TEST_DSN` (a URL, of a superuser) the tests run on that server instead of the
embedded one: each makes a database of its own there and drops it again. With
`FLOWBUILDER_TEST_ROUNDS` (1 by default) the tests with random programs try so many times as much.
"""

from __future__ import annotations

import os

# Before anything imports the model library: its first import must fetch nothing, and its calls
# must go through httpx, where respx can see them.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
os.environ["DISABLE_AIOHTTP_TRANSPORT"] = "True"
#: A server to run on instead of the embedded one; `make test-postgres DSN=...` sets it.
GIVEN_DSN = os.environ.get("FLOWBUILDER_TEST_DSN") or None
# What the developer has set for himself is no business of the tests.
for _name in [name for name in os.environ if name.startswith("FLOWBUILDER_")]:
    if not _name.startswith("FLOWBUILDER_TEST_"):  # those the workers of pytest-xdist inherit
        del os.environ[_name]

import asyncio  # noqa: E402
import hashlib  # noqa: E402
import itertools  # noqa: E402
import shutil  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections.abc import AsyncIterator, Iterator  # noqa: E402
from contextlib import contextmanager, suppress  # noqa: E402
from importlib.metadata import version  # noqa: E402
from pathlib import Path  # noqa: E402
from urllib.parse import urlsplit  # noqa: E402

import psycopg  # noqa: E402
import pytest  # noqa: E402

from flowbuilder.errors import FlowBuilderError  # noqa: E402
from flowbuilder.executor import embedded  # noqa: E402
from flowbuilder.executor.cluster import try_lock, unlock  # noqa: E402
from flowbuilder.executor.database import Database  # noqa: E402
from flowbuilder.executor.migrator import migrate  # noqa: E402
from flowbuilder.secrecy import REDACTOR  # noqa: E402

MIGRATIONS = Path(__file__).parents[1] / "migrations"
#: In memory where there is room for it: the servers of tests write and sync a lot.
_MEMORY = Path("/dev/shm")
FAST_FOLDER = (
    _MEMORY
    if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > 2**31
    else Path(tempfile.gettempdir())
)
PREFIX = "flowbuilder-tests-"
_numbers = itertools.count(1)
_used: list[str] = []


@pytest.fixture(autouse=True)
def forgotten_secrets() -> Iterator[None]:
    """What one test has used as a secret is an ordinary text for the next."""
    yield
    REDACTOR.forget()


@pytest.fixture(scope="session")
def server_dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One PostgreSQL for the whole session; parallel workers of it share the same one."""
    if GIVEN_DSN is not None:
        yield GIVEN_DSN
        _drop_used(GIVEN_DSN)
        return
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    # The same name for all workers of a session, another one for every session.
    folder = FAST_FOLDER / f"{PREFIX}{hashlib.sha256(os.fsencode(shared)).hexdigest()[:12]}"
    _sweep()
    with embedded.start(folder) as running:
        with psycopg.connect(running.dsn, autocommit=True) as connection:
            # Nothing here outlives the session, so nothing has to survive a power cut.
            connection.execute("alter system set fsync = off")
            connection.execute("alter system set full_page_writes = off")
            connection.execute("select pg_reload_conf()")
        yield running.dsn
    lock = try_lock(folder / "users.lock")
    if lock is not None:  # no other worker uses it
        unlock(lock)
        shutil.rmtree(folder)


def _sweep() -> None:
    """Stop and remove the servers of sessions that were killed."""
    for folder in FAST_FOLDER.glob(f"{PREFIX}*"):
        if time.time() - folder.stat().st_mtime < 3600:
            continue
        for lock_file in (*folder.glob("users.lock"), *folder.glob("project/users.lock")):
            lock = try_lock(lock_file)
            if lock is None:
                break  # a session is still at work there
            unlock(lock)
            with suppress(FlowBuilderError):
                embedded.start(lock_file.parent).stop()
        else:
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def template(server_dsn: str) -> str:
    """The name of a database with the whole schema; cloning it is faster than migrating.

    It is named by what it was made from, because a given server keeps it for the next session.
    """
    text = hashlib.sha256(version("pgmq").encode())
    for path in sorted(MIGRATIONS.rglob("*.sql")):
        text.update(path.read_bytes())
    name = f"flowbuilder_template_{text.hexdigest()[:12]}"
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(1)")
        known = connection.execute(
            "select 1 from pg_database where datname = %s", (name,)
        ).fetchone()
        if known is None:
            connection.execute(f"drop database if exists {name}_new")
            connection.execute(f"create database {name}_new")
            asyncio.run(_migrate(dsn_of(server_dsn, f"{name}_new")))
            connection.execute(f"alter database {name}_new rename to {name}")
    return name


async def _migrate(dsn: str) -> None:
    await migrate(dsn)


@pytest.fixture
def dsn(server_dsn: str, template: str) -> Iterator[str]:
    """The DSN of a fresh, migrated database of the test's own."""
    with _fresh_database(server_dsn, f"template {template} strategy file_copy") as fresh:
        yield fresh


@pytest.fixture
def empty_dsn(server_dsn: str) -> Iterator[str]:
    """The DSN of a fresh database without any schema."""
    with _fresh_database(server_dsn, "") as fresh:
        yield fresh


@contextmanager
def _fresh_database(server_dsn: str, options: str) -> Iterator[str]:
    name = f"test_{os.getpid()}_{next(_numbers)}"
    _drop_used(server_dsn)
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        connection.execute(f"drop database if exists {name} with (force)")
        connection.execute(f"create database {name} {options}")
    yield dsn_of(server_dsn, name)
    # Dropped by the next test: right after its own end, PostgreSQL would wait a tenth of a
    # second for the sessions that are just going.
    _used.append(name)


def _drop_used(server_dsn: str) -> None:
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        while _used:
            connection.execute(f"drop database {_used.pop()} with (force)")


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    """An open `Database` on a fresh, migrated database."""
    async with await Database.open(dsn) as opened:
        yield opened


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A folder with a short path that any account may enter."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=FAST_FOLDER))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def dsn_of(server_dsn: str, name: str) -> str:
    """The DSN of another database of the same server."""
    return urlsplit(server_dsn)._replace(path=f"/{name}").geturl()
