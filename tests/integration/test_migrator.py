"""The migrator against empty, old, new and contended databases."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterable
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest

from flowbuilder.errors import DatabaseUnavailable, MigrationError
from flowbuilder.executor.database import _SESSION as SESSION
from flowbuilder.executor.database import Connection, Database
from flowbuilder.executor.migrator import _READ as READ
from flowbuilder.executor.migrator import MigrationReport, migrate, pending
from flowbuilder.executor.queue_schema import install_pgmq
from tests.support.catalog import catalog, functions

ADD = "create or replace function flowbuilder.add({args}) returns int language sql as $$ {body} $$;"
MIGRATE = """
import asyncio, sys
from pathlib import Path
from flowbuilder.executor.migrator import migrate
report = asyncio.run(migrate(sys.argv[1], folder=Path(sys.argv[2]) if sys.argv[2] else None))
print(len(report.applied), len(report.functions))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two numbered files, and two functions of which the first needs the second."""
    (tmp_path / "functions").mkdir()
    (tmp_path / "0001_first.sql").write_text("create table flowbuilder.a (n int primary key);")
    (tmp_path / "0002_second.sql").write_text(
        "alter table flowbuilder.a add column m int not null default 1;"
        "insert into flowbuilder.a values (1);"
    )
    write_function(tmp_path, "add", ADD.format(args="x int", body="select flowbuilder.base() + x"))
    write_function(
        tmp_path,
        "base",
        "create or replace function flowbuilder.base() returns int language sql"
        " as $$ select n from flowbuilder.a $$;",
    )
    return tmp_path


def write_function(folder: Path, name: str, text: str) -> None:
    (folder / "functions" / f"{name}.sql").write_text(text)


def ask(dsn: str, query: str) -> object:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


async def test_everything_is_applied_once_and_in_order(empty_dsn: str, folder: Path) -> None:
    first = await migrate(empty_dsn, folder=folder)
    assert first.applied == ["0001_first", "0002_second"]
    assert first.functions == ["add", "base"]
    assert first.pgmq == "sql 1.13.0"
    assert ask(empty_dsn, "select flowbuilder.add(2)") == 3
    second = await migrate(empty_dsn, folder=folder)
    assert second == MigrationReport(pgmq="sql 1.13.0")


async def test_pgmq_works(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("select pgmq.create('trial')")
        connection.execute("""select pgmq.send('trial', '{"id": 1}')""")
        row = connection.execute("select message from pgmq.read('trial', 30, 1)").fetchone()
    assert row == ({"id": 1},)


async def test_what_is_pending_is_listed_without_doing_it(empty_dsn: str, folder: Path) -> None:
    expected = ["pgmq", "0001_first", "0002_second", "functions/add", "functions/base"]
    assert await pending(empty_dsn, folder=folder) == expected
    assert await pending(empty_dsn, folder=folder) == expected
    await migrate(empty_dsn, folder=folder)
    assert await pending(empty_dsn, folder=folder) == []
    (folder / "functions" / "add.sql").unlink()
    (folder / "0003_third.sql").write_text("select 1")
    async with await Database.open(empty_dsn) as database:
        assert await pending(database, folder=folder) == ["0003_third", "drop functions/add"]


async def test_nothing_to_do_takes_one_statement(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[bytes] = []
    execute = psycopg.AsyncConnection.execute

    async def counted(connection: Connection, query: bytes, *rest: Any, **options: Any) -> object:
        statements.append(query)
        return await execute(connection, query, *rest, **options)

    monkeypatch.setattr(psycopg.AsyncConnection, "execute", counted)
    await migrate(database)
    assert [one for one in statements if one != SESSION] == [READ]


async def test_a_changed_numbered_file_is_refused(empty_dsn: str, folder: Path) -> None:
    await migrate(empty_dsn, folder=folder)
    (folder / "0001_first.sql").write_text("create table flowbuilder.a (n bigint)")
    for call in (migrate, pending):
        with pytest.raises(MigrationError, match="0001_first has changed") as caught:
            await call(empty_dsn, folder=folder)
        assert caught.value.code == "migration_changed"
        assert caught.value.hint


async def test_a_late_number_is_refused(empty_dsn: str, folder: Path) -> None:
    (folder / "0002_second.sql").rename(folder / "0003_second.sql")
    await migrate(empty_dsn, folder=folder)
    (folder / "0002_late.sql").write_text("select 1")
    with pytest.raises(MigrationError, match="0002_late") as caught:
        await migrate(empty_dsn, folder=folder)
    assert caught.value.code == "migration_order"


@pytest.mark.parametrize("name", ["3_x.sql", "0003-x.sql", "0001_again.sql", "functions/Add.sql"])
async def test_a_misnamed_file_is_refused(empty_dsn: str, folder: Path, name: str) -> None:
    (folder / name).write_text("select 1")
    with pytest.raises(MigrationError) as caught:
        await migrate(empty_dsn, folder=folder)
    assert caught.value.code == "migration_name"


async def test_a_function_file_defines_what_its_name_says(empty_dsn: str, folder: Path) -> None:
    write_function(folder, "other", ADD.format(args="", body="select 1"))
    with pytest.raises(MigrationError, match="does not define"):
        await migrate(empty_dsn, folder=folder)
    assert functions(empty_dsn) == set()  # all or none


async def test_a_broken_file_is_named_with_its_line_and_leaves_nothing(
    empty_dsn: str, folder: Path
) -> None:
    (folder / "0002_second.sql").write_text("create table flowbuilder.b (n int);\n\nselect oops;")
    with pytest.raises(MigrationError, match=r"0002_second\.sql, line 3: .*oops") as caught:
        await migrate(empty_dsn, folder=folder)
    assert caught.value.code == "migration_failed"
    assert ask(empty_dsn, "select to_regclass('flowbuilder.a')") == "flowbuilder.a"
    assert ask(empty_dsn, "select to_regclass('flowbuilder.b')") is None
    (folder / "0002_second.sql").write_text("create table flowbuilder.b (n int);")
    assert (await migrate(empty_dsn, folder=folder)).applied == ["0002_second"]


@pytest.mark.parametrize(
    "text",
    [
        ADD.format(args="x int", body="select 10 + x"),
        # another parameter name, another result, another signature: no "replace" can do these
        ADD.format(args="renamed int", body="select 10 + renamed"),
        ADD.format(args="x int", body="select 10 + x").replace("returns int", "returns bigint"),
        ADD.format(args="x int, y int default 0", body="select 10 + x + y"),
    ],
)
async def test_a_changed_function_replaces_the_old_one(
    empty_dsn: str, folder: Path, text: str
) -> None:
    await migrate(empty_dsn, folder=folder)
    write_function(folder, "add", text)
    report = await migrate(empty_dsn, folder=folder)
    assert (report.applied, report.functions, report.dropped) == ([], ["add"], [])
    assert ask(empty_dsn, "select flowbuilder.add(1)") == 11
    assert len(functions(empty_dsn)) == 2


async def test_a_function_without_a_file_is_dropped(empty_dsn: str, folder: Path) -> None:
    await migrate(empty_dsn, folder=folder)
    (folder / "functions" / "add.sql").unlink()
    report = await migrate(empty_dsn, folder=folder)
    assert report.dropped == ["add"]
    assert functions(empty_dsn) == {"base()"}
    assert await pending(empty_dsn, folder=folder) == []


async def test_a_newer_database_is_left_alone(empty_dsn: str, folder: Path) -> None:
    await migrate(empty_dsn, folder=folder)
    (folder / "0002_second.sql").unlink()
    (folder / "functions" / "add.sql").unlink()
    write_function(folder, "base", "select broken")
    report = await migrate(empty_dsn, folder=folder)
    assert report == MigrationReport(pgmq="sql 1.13.0", newer=["0002_second"])
    assert await pending(empty_dsn, folder=folder) == []
    assert ask(empty_dsn, "select flowbuilder.add(2)") == 3


async def test_a_database_of_another_branch_is_refused(empty_dsn: str, folder: Path) -> None:
    await migrate(empty_dsn, folder=folder)
    (folder / "0002_second.sql").rename(folder / "0002_other.sql")
    with pytest.raises(MigrationError) as caught:
        await migrate(empty_dsn, folder=folder)
    assert caught.value.code == "migration_order"


@pytest.mark.parametrize("packaged", [False, True])
def test_twenty_processes_at_once_do_it_once(empty_dsn: str, folder: Path, packaged: bool) -> None:
    command = [sys.executable, "-c", MIGRATE, empty_dsn, "" if packaged else str(folder)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(20)]
    said = [process.communicate()[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0] * 20
    assert sorted(said)[:19] == [["0", "0"]] * 19
    assert int(max(said)[0]) > 0
    assert asyncio.run(_pending(empty_dsn, None if packaged else folder)) == []


async def _pending(dsn: str, folder: Path | None) -> list[str]:
    return await pending(dsn, folder=folder)


async def test_waiting_for_another_migration_has_an_end(empty_dsn: str, folder: Path) -> None:
    with psycopg.connect(empty_dsn, autocommit=True) as other:
        other.execute("select pg_advisory_lock(7307190260134772325)")
        with pytest.raises(MigrationError) as caught:
            await migrate(empty_dsn, folder=folder, lock_timeout=0.05)
    assert caught.value.code == "migration_locked"
    assert (await migrate(empty_dsn, folder=folder)).applied


async def test_an_unreachable_database_is_said_to_be() -> None:
    with pytest.raises(DatabaseUnavailable):
        await migrate("host=/nowhere")


async def test_a_pgmq_that_is_there_already_is_taken(empty_dsn: str, folder: Path) -> None:
    async with await Database.open(empty_dsn) as database:
        async with database.transaction() as connection:
            assert str(await install_pgmq(connection)) == "sql 1.13.0"
        assert (await migrate(database, folder=folder)).pgmq == "found unknown"


def copy(source: Path, target: Path, wanted: Iterable[Path]) -> None:
    (target / "functions").mkdir(parents=True, exist_ok=True)
    for file in wanted:
        (target / file.relative_to(source)).write_text(file.read_text())


async def test_fresh_equals_upgraded(empty_dsn: str, dsn: str, tmp_path: Path) -> None:
    source = Path(str(files("flowbuilder"))) / "migrations"
    numbered = sorted(file.name for file in source.glob("*.sql"))
    for last in numbered:
        # The functions of today may need what only a later file makes: they come at the end.
        stage = tmp_path / last
        copy(source, stage, [source / name for name in numbered if name <= last])
        assert (await migrate(empty_dsn, folder=stage)).applied == [last.removesuffix(".sql")]
    await migrate(empty_dsn)
    assert catalog(empty_dsn, "flowbuilder", "pgmq") == catalog(dsn, "flowbuilder", "pgmq")


async def test_fresh_equals_upgraded_with_functions_at_every_stage(
    empty_dsn: str, dsn: str, folder: Path, tmp_path: Path
) -> None:
    """The same for the migrator itself, with functions that change from stage to stage."""
    stage = tmp_path / "stage"
    copy(folder, stage, [folder / "0001_first.sql", folder / "functions" / "base.sql"])
    write_function(stage, "add", ADD.format(args="x bigint", body="select 1"))
    write_function(stage, "old", ADD.format(args="", body="select 1").replace(".add", ".old"))
    await migrate(empty_dsn, folder=stage)
    await migrate(empty_dsn, folder=folder)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("drop schema flowbuilder cascade")
        connection.execute("drop schema pgmq cascade")
    await migrate(dsn, folder=folder)
    assert catalog(empty_dsn, "flowbuilder", "pgmq") == catalog(dsn, "flowbuilder", "pgmq")


async def test_the_comparison_sees_every_kind_of_difference(empty_dsn: str) -> None:
    differences = [
        "create table a (n int, m text default 'x')",
        "alter table a add constraint positive check (n > 0)",
        "create index on a (m) where n > 1",
        "create type t as enum ('x', 'y')",
        "create function f() returns int language sql as 'select 1'",
        "create or replace function f() returns int language sql as 'select 2'",
        "alter table a alter column m set not null",
        "alter table a set (fillfactor = 50)",
        "comment on column a.n is 'number'",
    ]
    seen = [catalog(empty_dsn, "public")]
    for statement in differences:
        with psycopg.connect(empty_dsn) as connection:
            connection.execute(statement.encode())
        seen.append(catalog(empty_dsn, "public"))
    assert all(before != after for before, after in pairwise(seen))
