"""`sql.query` and `sql.write`: other people's databases, by parse, by role and by transaction.

A query has to pass three walls: the grammar lists of `statements`, a role that cannot write, and a
transaction that is read only and speaks the extended protocol, which takes one statement at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, cast

from pydantic import Field
from typing_extensions import TypedDict

from flowbuilder.errors import ExecutionError
from flowbuilder.secrecy.mentions import sole_mention
from flowbuilder.strictjson import Limits, loads
from flowbuilder.toolkit.connections import SqlRead, SqlTable, SqlWrite, connections_of
from flowbuilder.toolkit.services.statements import read_query, refused
from flowbuilder.tools import Context, Fail, tool

if TYPE_CHECKING:
    from psycopg import AsyncConnection

Part = TypeVar("Part", SqlRead, SqlWrite)
Scalar = str | int | float | bool | None
_CONNECT_SECONDS = 10
_MOST_PARAMETERS = 100

Database = Annotated[
    str | None, Field(description="Which database; not needed where there is one only.")
]


class Rows(TypedDict):
    """What a query found."""

    rows: Annotated[list[dict[str, Any]], Field(description="One object a row.")]
    count: Annotated[int, Field(description="How many rows there are.")]


class Changed(TypedDict):
    """What a statement changed."""

    count: Annotated[int, Field(description="How many rows were inserted, changed or deleted.")]


@tool(
    "sql.query",
    effects="read",
    untrusted_output=True,
    timeout="2m",
    keywords=("query a database, select from a table, sql, look up rows, postgres, report",),
    examples=("select the orders of this week from the database",),
)
async def sql_query(
    context: Context,
    query: Annotated[
        str, Field(min_length=1, description="One SELECT; values stand as $1, $2 and so on.")
    ],
    parameters: Annotated[
        list[Scalar], Field(max_length=_MOST_PARAMETERS, description="The values for $1, $2 …")
    ] = [],  # noqa: B006 - read, never changed
    database: Database = None,
) -> Rows:
    """Read rows from a connected SQL database with one SELECT statement."""
    found = chosen(database, connections_of(context.settings).databases_read)
    statement = read_query(query, found.tables)
    if statement.parameters != len(parameters):
        raise Fail(
            f"the query has {statement.parameters} parameters, {len(parameters)} are given",
            code="sql_parameters",
        )
    async with _told(), _connected(context, found, read_only=True) as connection:
        await _refuse_writer(connection, found.tables)
        lines = await _fetch(connection, statement.text, parameters, found)
    limits = Limits(depth=context.settings.max_json_depth, bytes=found.max_bytes + 1000)
    rows = [_row(line, limits) for line in lines]
    return {"rows": rows, "count": len(rows)}


@tool(
    "sql.write",
    effects="write",
    timeout="2m",
    keywords=("insert into a table, update rows, delete rows, save to the database, sql, store",),
    examples=("insert the new customer into the database table customers",),
)
async def sql_write(
    context: Context,
    action: Annotated[Literal["insert", "update", "delete"], Field(description="What to do.")],
    table: Annotated[str, Field(min_length=1, description="The table, as it is connected.")],
    values: Annotated[
        dict[str, Scalar] | None, Field(description="Columns and their values, to be written.")
    ] = None,
    where: Annotated[
        dict[str, Scalar] | None,
        Field(description="Columns and the values they have in the rows to change or delete."),
    ] = None,
    database: Database = None,
) -> Changed:
    """Insert, change or delete rows in a table of a connected SQL database."""
    found = chosen(database, connections_of(context.settings).databases_written)
    rules = _rules(found, table, action, values or {}, where or {})
    async with _told(), _connected(context, found, read_only=False) as connection:
        statement = _statement(action, table, list(values or {}), where or {})
        given = [*(values or {}).values(), *(v for v in (where or {}).values() if v is not None)]
        async with connection.transaction():
            done = await connection.execute(statement, given, prepare=True)
            if done.rowcount > rules.max_rows:
                raise Fail(
                    f"it would touch {done.rowcount} rows of {table}, more than {rules.max_rows}: "
                    "nothing was changed",
                    code="sql_too_many",
                )
    return {"count": done.rowcount}


def chosen(name: str | None, parts: Mapping[str, Part]) -> Part:
    """Return the database that is meant. Raises: Fail (sql_database)."""
    if name is None and len(parts) == 1:
        return next(iter(parts.values()))
    if name is None or name not in parts:
        known = ", ".join(sorted(parts)) or "none"
        raise Fail(f"which database is meant? connected: {known}", code="sql_database")
    return parts[name]


# -- reading --------------------------------------------------------------------------------


async def _fetch(
    connection: AsyncConnection[Any], query: str, parameters: list[Scalar], found: SqlRead
) -> list[str]:
    """Return every row as JSON text, as the server writes it; never more than the limits."""
    from psycopg import AsyncRawCursor

    # The server cuts what is too long, so that one huge value is not sent at all. The query stands
    # on lines of its own: it parses alone, so it neither closes the bracket nor comments it out.
    wrapped = f"select left(to_json(q)::text, {found.max_bytes + 1}) from (\n{query}\n) q".encode()
    lines: list[str] = []
    size = 0
    cursor = AsyncRawCursor(connection)
    stream = cast("AsyncGenerator[Any, None]", cursor.stream(wrapped, parameters))
    async with aclosing(stream):  # so that the server stops when enough has come
        async for (line,) in stream:
            lines.append(line)
            size += len(line.encode())
            if size > found.max_bytes:
                raise _too_large(f"{found.max_bytes} bytes")
            if len(lines) > found.max_rows:
                raise _too_large(f"{found.max_rows} rows")
    return lines


def _too_large(limit: str) -> Fail:
    return Fail(f"the result is larger than {limit}; ask for less", code="sql_too_large")


def _row(line: str, limits: Limits) -> dict[str, Any]:
    row = loads(line, limits=limits)
    assert isinstance(row, dict)
    return row


async def _refuse_writer(connection: AsyncConnection[Any], tables: list[str]) -> None:
    """Refuse a role that could write: then only the parser would stand between. Raises: Fail."""
    cursor = await connection.execute(
        "select bool_or(has_table_privilege(c.oid, 'insert, update, delete, truncate')"
        " or has_any_column_privilege(c.oid, 'insert, update'))"
        " from unnest(%s::text[]) as t (name) join pg_class c on c.oid = to_regclass(t.name)",
        [tables],
    )
    row = await cursor.fetchone()
    if row is not None and row[0]:
        raise Fail(
            "the role of the database's DSN may write to these tables; sql.query wants one that "
            "may only read",
            code="sql_role",
        )


# -- writing --------------------------------------------------------------------------------


def _rules(
    found: SqlWrite,
    table: str,
    action: Literal["insert", "update", "delete"],
    values: Mapping[str, Scalar],
    where: Mapping[str, Scalar],
) -> SqlTable:
    """Return what holds for a table. Raises: Fail (sql_refused)."""
    rules = found.tables.get(table)
    if rules is None:
        known = ", ".join(sorted(found.tables)[:10])
        raise refused(f"the table {table[:80]!r} is not among those that may be written: {known}")
    if action not in rules.actions:
        raise refused(f"{action} is not allowed on {table}")
    _known_columns(values, rules.columns, "given values")
    _known_columns(where, rules.key, "named in where")
    if (action == "delete") == bool(values):
        raise refused("values are for insert and update, and these need some")
    if (action == "insert") == bool(where):
        raise refused("where is for update and delete, and these need it")
    return rules


def _known_columns(given: Mapping[str, Scalar], allowed: list[str], how: str) -> None:
    for name in given:
        if name not in allowed:
            known = ", ".join(allowed) or "none"
            raise refused(f"the column {name[:80]!r} may not be {how}; allowed: {known}")


def _statement(action: str, table: str, columns: list[str], where: Mapping[str, Scalar]) -> Any:
    """Return a statement of quoted names and places for values."""
    from psycopg import sql

    target = sql.Identifier(*table.split("."))
    if action == "insert":
        return sql.SQL("insert into {} ({}) values ({})").format(
            target,
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.SQL(", ").join([sql.Placeholder()] * len(columns)),
        )
    which = sql.SQL(" and ").join(
        sql.SQL("{} is null" if value is None else "{} = %s").format(sql.Identifier(name))
        for name, value in where.items()
    )
    if action == "delete":
        return sql.SQL("delete from {} where {}").format(target, which)
    assigned = sql.SQL(", ").join(
        sql.SQL("{} = %s").format(sql.Identifier(name)) for name in columns
    )
    return sql.SQL("update {} set {} where {}").format(target, assigned, which)


# -- connections ----------------------------------------------------------------------------


@asynccontextmanager
async def _connected(
    context: Context, found: SqlRead | SqlWrite, *, read_only: bool
) -> AsyncIterator[AsyncConnection[Any]]:
    """Connect as the secret says, for one statement with a time limit.

    Raises:
        Fail: `sql_role`: the role could do anything.
    """
    from psycopg import AsyncConnection

    name = sole_mention(found.dsn)
    assert name is not None
    dsn = await context.secrets.fetch(name)
    milliseconds = str(int(found.timeout.total_seconds() * 1000))
    connection = await AsyncConnection.connect(
        dsn, connect_timeout=_CONNECT_SECONDS, application_name="flowbuilder-tool", autocommit=True
    )
    async with asyncio.timeout(found.timeout.total_seconds() + 5):
        try:
            cursor = await connection.execute(
                "select rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication"
                " from pg_roles where rolname = current_user"
            )
            row = await cursor.fetchone()
            if row is None or row[0]:
                raise Fail(
                    "the role of the database's DSN has rights of a server's administrator",
                    code="sql_role",
                )
            await connection.set_autocommit(False)
            await connection.set_read_only(read_only)
            await connection.execute(
                "select set_config('statement_timeout', %s, true),"
                " set_config('lock_timeout', %s, true),"
                " set_config('idle_in_transaction_session_timeout', %s, true)",
                [milliseconds] * 3,
            )
            yield connection
            if not read_only:
                await connection.commit()
        finally:
            await connection.close()


@asynccontextmanager
async def _told() -> AsyncIterator[None]:
    """Say what the database said, without what it was connected by."""
    import psycopg

    try:
        yield
    except psycopg.errors.QueryCanceled:
        raise Fail("the statement took longer than its time limit", code="sql_timeout") from None
    except psycopg.OperationalError as error:
        kind = error.sqlstate or type(error).__name__
        raise ExecutionError(
            f"the database cannot be reached or has failed ({kind})", code="sql_unavailable"
        ) from None
    except psycopg.Error as error:
        said = error.diag.message_primary or type(error).__name__
        raise Fail(f"the database refused it: {said[:300]}", code="sql_failed") from None
