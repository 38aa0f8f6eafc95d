"""The pool, its errors, and what a lost server does to it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.types.json import Jsonb

from flowbuilder.errors import (
    Conflict,
    DatabaseError,
    DatabaseUnavailable,
    FlowBuilderError,
    InvalidTransition,
    InvalidValue,
    NotFound,
    StaleTask,
)
from flowbuilder.executor.database import Database, connect
from flowbuilder.types import JsonValue

KILL_OTHERS = b"""
select pg_terminate_backend(pid, 30000) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid()
"""


@pytest.mark.parametrize(
    "value", [0, False, "", None, [], {"a": [1, 2.5, "ü", "😀", None]}, 2**53, -1.5e-7]
)
async def test_json_survives_as_it_is(database: Database, value: JsonValue) -> None:
    row = await database.fetch_one(b"select %s::jsonb as value", (Jsonb(value),))
    assert row is not None
    assert row["value"] == value
    assert type(row["value"]) is type(value)


async def test_a_statement_commits_by_itself_and_a_transaction_as_a_whole(
    database: Database,
) -> None:
    await database.execute(b"create table t (n int)")
    await database.execute(b"insert into t values (1)")
    with pytest.raises(RuntimeError):
        async with database.transaction() as connection:
            await connection.execute(b"insert into t values (2)")
            raise RuntimeError
    async with database.transaction() as connection:
        await connection.execute(b"insert into t values (3)")
    assert await database.fetch_all(b"select n from t order by n") == [{"n": 1}, {"n": 3}]


async def test_sessions_are_named_and_bounded(database: Database) -> None:
    row = await database.fetch_one(
        b"select current_setting('application_name') as name, "
        b"current_setting('statement_timeout') as statement, "
        b"current_setting('idle_in_transaction_session_timeout') as idle, "
        b"current_setting('timezone') as zone"
    )
    assert row == {"name": "flowbuilder", "statement": "1min", "idle": "1min", "zone": "UTC"}


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("FB001", NotFound),
        ("FB002", StaleTask),
        ("FB003", InvalidTransition),
        ("FB004", Conflict),
        ("FB005", InvalidValue),
    ],
)
async def test_the_codes_of_the_sql_functions_become_errors(
    database: Database, state: str, kind: type[FlowBuilderError]
) -> None:
    with pytest.raises(kind, match="there is no such thing") as caught:
        await database.execute(
            f"do $$ begin raise exception using errcode = '{state}', hint = 'look again', "
            "constraint = 'thing_gone', message = 'there is no such thing', "
            """detail = '{"by": "ann", "pointer": "/a"}'; end $$""".encode()
        )
    assert (caught.value.code, caught.value.hint) == ("thing_gone", "look again")
    if isinstance(caught.value, Conflict):
        assert caught.value.details["by"] == "ann"
    if isinstance(caught.value, InvalidValue):
        assert caught.value.pointer == "/a"


@pytest.mark.parametrize("detail", ["null", "'no json'", "'[1]'"])
async def test_a_detail_that_is_no_object_is_left_out(database: Database, detail: str) -> None:
    with pytest.raises(Conflict) as caught:
        await database.execute(
            f"do $$ begin raise exception using errcode = 'FB004', message = 'taken'"
            f"{'' if detail == 'null' else f', detail = {detail}'}; end $$".encode()
        )
    assert (caught.value.code, caught.value.details) == ("conflict", {})


@pytest.mark.parametrize(
    ("query", "kind", "code"),
    [
        (b"select * from flowbuilder.no_such_table", DatabaseError, "schema_missing"),
        (b"select flowbuilder.no_such_function()", DatabaseError, "schema_missing"),
        (b"select '\\u0000'::jsonb", InvalidValue, "value_refused"),
        (b"select 'x'::int", InvalidValue, "value_refused"),
        (b"select 1/0", InvalidValue, "value_refused"),
        (b"selekt 1", DatabaseError, "database_failed"),
        (b"set statement_timeout = 1; select pg_sleep(5)", DatabaseError, "statement_timeout"),
    ],
)
async def test_errors_of_the_server_have_codes(
    database: Database, query: bytes, kind: type[FlowBuilderError], code: str
) -> None:
    with pytest.raises(kind) as caught:
        async with database.connection() as connection:
            await connection.execute(query)
    assert caught.value.code == code


async def test_half_a_surrogate_pair_is_an_invalid_value(database: Database) -> None:
    for values in (("\ud800",), ([["a", "\udfff"]],)):
        with pytest.raises(InvalidValue) as refused:
            await database.fetch_one(b"select %s as value", values)
        assert refused.value.code == "value_refused"
    async with database.transaction() as connection:
        await connection.execute(b"create table kept (n integer)")
        with pytest.raises(UnicodeEncodeError):  # caught at the border of the connection only
            await connection.execute(b"select %s", ("\ud800",))
    assert await database.fetch_all(b"select n from kept") == []


async def test_a_text_with_nul_is_an_invalid_value(database: Database) -> None:
    with pytest.raises(InvalidValue):
        await database.fetch_one(b"select %s::text", ("a\0b",))


async def test_a_duplicate_is_a_conflict(database: Database) -> None:
    await database.execute(b"create table t (n int primary key)")
    await database.execute(b"insert into t values (1)")
    with pytest.raises(Conflict):
        await database.execute(b"insert into t values (1)")


async def test_connections_that_died_in_the_pool_are_replaced_without_a_word(
    database: Database,
    dsn: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    async def use() -> None:
        async with database.connection() as connection:
            await connection.execute(b"select pg_sleep(0.01)")

    await asyncio.gather(*(use() for _ in range(4)))
    with psycopg.connect(dsn, autocommit=True) as other:
        other.execute(KILL_OTHERS)
    await asyncio.gather(*(use() for _ in range(8)))
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert capfd.readouterr().err == ""


async def test_a_connection_lost_in_use_is_reported(database: Database, dsn: str) -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        async with database.connection() as connection:
            with psycopg.connect(dsn, autocommit=True) as other:
                other.execute(KILL_OTHERS)
            await connection.execute(b"select 1")
    assert caught.value.code == "database_unavailable"
    assert await database.fetch_one(b"select 1 as n") == {"n": 1}


async def test_waiting_for_a_connection_has_an_end(dsn: str) -> None:
    async with await Database.open(dsn, size=1, wait=0.01) as database, database.connection():
        with pytest.raises(DatabaseUnavailable, match="free"):
            await database.fetch_one(b"select 1")


async def test_a_closed_database_says_so(dsn: str) -> None:
    database = await Database.open(dsn)
    await database.close()
    with pytest.raises(DatabaseUnavailable) as caught:
        await database.fetch_one(b"select 1")
    assert caught.value.code == "database_closed"


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://ann:geheim@127.0.0.1:1/none",
        "host=/nowhere user=ann password=geheim",
        "postgresql://ann:geheim@[broken",
        "host=x password=geheim geheim",
        "geheim",
    ],
)
async def test_an_unreachable_database_is_explained_without_its_password(dsn: str) -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        await Database.open(dsn)
    assert caught.value.hint
    assert "geheim" not in f"{caught.value.message} {caught.value.hint}"


async def test_a_missing_database_is_unavailable(dsn: str) -> None:
    missing = dsn.replace("/test_", "/no_such_test_")
    with pytest.raises(DatabaseUnavailable, match="does not exist"):
        await Database.open(missing)


async def test_a_dedicated_connection_listens_beside_the_pool(database: Database) -> None:
    listener = await database.dedicated(application_name="listener")
    try:
        await listener.execute(b"listen channel")
        await database.execute(b"select pg_notify('channel', 'hello')")
        async for notification in listener.notifies(stop_after=1):
            assert notification.payload == "hello"
    finally:
        await listener.close()


async def test_a_connection_that_listens_sleeps_until_it_hears(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = await database.dedicated(application_name="listener")
    try:
        await listener.execute(b"listen channel")
        loop, delays = asyncio.get_running_loop(), list[float]()
        call_later = loop.call_later

        def noted(delay: float, *given: Any, **options: Any) -> asyncio.TimerHandle:
            delays.append(delay)
            return call_later(delay, *given, **options)

        monkeypatch.setattr(loop, "call_later", noted)
        heard = asyncio.ensure_future(anext(listener.notifies()))
        for _ in range(5):
            await asyncio.sleep(0)
        assert delays
        await asyncio.to_thread(_notify, database.dsn)
        assert (await heard).payload == "hello"
        assert min(delays) >= 10
    finally:
        await listener.close()


def _notify(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("select pg_notify('channel', 'hello')")


async def test_what_a_dsn_sets_itself_stays(dsn: str) -> None:
    connection = await connect(make_conninfo(dsn, application_name="mine"))
    try:
        cursor = await connection.execute(b"select current_setting('application_name') as name")
        assert await cursor.fetchone() == {"name": "mine"}
    finally:
        await connection.close()


async def test_a_database_in_another_encoding_is_refused(empty_dsn: str) -> None:
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        connection.execute("drop database if exists latin")
        connection.execute("create database latin encoding 'LATIN1' locale 'C' template template0")
    with pytest.raises(DatabaseError) as caught:
        await Database.open(make_conninfo(empty_dsn, dbname="latin"))
    assert caught.value.code == "database_encoding"


async def test_a_direct_url_is_for_connections_outside_the_pool(dsn: str) -> None:
    direct = make_conninfo(dsn, options="-csearch_path=direct")
    async with await Database.open(dsn, direct=direct) as database:
        connection = await database.dedicated()
        async with connection:
            row = await (await connection.execute("show search_path")).fetchone()
        assert row == {"search_path": "direct"}
        assert await database.fetch_one(b"show search_path") != row


async def test_a_direct_url_to_another_database_is_refused(dsn: str, server_dsn: str) -> None:
    with pytest.raises(DatabaseError) as refused:
        await Database.open(dsn, direct=server_dsn)
    assert refused.value.code == "database_direct_url_differs"
    assert "FLOWBUILDER_DATABASE_DIRECT_URL" in str(refused.value.hint)
