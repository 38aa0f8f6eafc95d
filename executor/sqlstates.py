"""What PostgreSQL's error codes mean here.

The SQL functions raise five codes of their own (see migrations/functions/refuse.sql). The primary
message is for people, `constraint` carries the stable code (`flow_not_found`), `detail` a JSON
object with what a caller may want to know, `hint` is passed on.
"""

from __future__ import annotations

import re

import orjson
import psycopg
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

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
from flowbuilder.types import JsonObject

NOT_FOUND = "FB001"
STALE = "FB002"
INVALID_TRANSITION = "FB003"
CONFLICT = "FB004"
INVALID_VALUE = "FB005"

UNREACHABLE_HINT = (
    "Check FLOWBUILDER_DATABASE_URL and that the server is up; without it an embedded server "
    "is used."
)

_OWN: dict[str, type[FlowBuilderError]] = {
    NOT_FOUND: NotFound,
    STALE: StaleTask,
    INVALID_TRANSITION: InvalidTransition,
    CONFLICT: Conflict,
    INVALID_VALUE: InvalidValue,
}
#: Connection exceptions, too many connections, shutdowns of the server.
_UNREACHABLE = re.compile(r"08...|53300|57P0[1-5]|28...")
#: Undefined table, function, schema, column.
_NO_SCHEMA = frozenset({"42P01", "42883", "3F000", "42703"})
#: A prepared statement that is not there, or is there already.
_PREPARED = frozenset({"26000", "42P05"})
_NAMED = {
    "57014": ("statement_timeout", "A statement took too long and was cancelled."),
    "55P03": ("lock_timeout", "A lock could not be had in time."),
    "40001": ("transaction_conflict", "Two transactions got in each other's way."),
    "40P01": ("transaction_conflict", "Two transactions got in each other's way."),
}
#: The server answers, and cannot do its work: later it may, and nobody's value is at fault.
_UNABLE = {
    "53000": ("database_exhausted", "The database lacks something it needs."),
    "53100": ("disk_full", "The database's disk is full."),
    "53200": ("database_exhausted", "The database is out of memory."),
    "25006": ("database_read_only", "The database takes no writes: it is a standby or protected."),
    "25P03": ("database_unavailable", "The database has given up a transaction that stood still."),
    "25P04": ("database_unavailable", "The database has given up a transaction that took long."),
    "58000": ("database_exhausted", "The database's system has failed it."),
    "58030": ("database_exhausted", "The database cannot read or write its files."),
}


def map_error(error: psycopg.Error, *, secret: str | None = None) -> FlowBuilderError:
    """Return the error of flowbuilder that says the same.

    `secret` (a password) is cut out of the text, should it stand there.
    """
    state = error.sqlstate or ""
    message = _text(error, secret)
    if state in _OWN:
        return _own_error(_OWN[state], error, message)
    if isinstance(error, PoolTimeout | TooManyRequests):
        return DatabaseUnavailable(
            "No database connection became free in time.",
            hint="The database is down, or too busy for this many connections.",
        )
    if isinstance(error, PoolClosed):
        return DatabaseUnavailable("The database connections are closed.", code="database_closed")
    if _UNREACHABLE.fullmatch(state) or (not state and isinstance(error, psycopg.OperationalError)):
        return DatabaseUnavailable(
            f"The database cannot be reached: {message}", hint=UNREACHABLE_HINT
        )
    if state in _UNABLE:
        code, text = _UNABLE[state]
        return DatabaseUnavailable(text, code=code)
    return _server_error(state, error, message)


def is_stale_plan(error: psycopg.Error) -> bool:
    """Whether a prepared statement's columns were changed since."""
    return error.sqlstate == "0A000" and "cached plan" in str(error)


def is_about_preparing(error: psycopg.Error) -> bool:
    """Whether only what the driver had prepared is at fault; nothing was executed."""
    return error.sqlstate in _PREPARED or is_stale_plan(error)


def _server_error(state: str, error: psycopg.Error, message: str) -> FlowBuilderError:
    if state in _NO_SCHEMA:
        return DatabaseError(
            f"The database does not have this version's schema: {message}",
            code="schema_missing",
            hint="Run: flowbuilder migrate",
        )
    if state.startswith("22") or (not state and isinstance(error, psycopg.DataError)):
        return InvalidValue(f"The database refuses a value: {message}", code="value_refused")
    if state == "23505":
        return Conflict(f"It exists already: {message}")
    if state in _NAMED:
        code, text = _NAMED[state]
        return DatabaseError(text, code=code)
    return DatabaseError(f"The database failed: {message}")


def _own_error(
    kind: type[FlowBuilderError], error: psycopg.Error, message: str
) -> FlowBuilderError:
    code = error.diag.constraint_name or None
    hint = error.diag.message_hint
    details = _details(error.diag.message_detail)
    if kind is Conflict:
        return Conflict(message, code=code, hint=hint, details=details)
    if kind is InvalidValue:
        pointer = details.get("pointer", "")
        return InvalidValue(message, pointer=str(pointer), code=code, hint=hint)
    return kind(message, code=code, hint=hint)


def _details(text: str | None) -> JsonObject:
    try:
        details = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        return {}
    return details if isinstance(details, dict) else {}


def _text(error: psycopg.Error, secret: str | None) -> str:
    text = (error.diag.message_primary or str(error) or type(error).__name__).strip()
    if secret:
        text = text.replace(secret, "***")
    return " ".join(text.split())[:1000]
