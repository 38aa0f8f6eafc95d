"""The text that says where a database is: what it may leave out, and what may be shown of it."""

from __future__ import annotations

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from flowbuilder.errors import DatabaseUnavailable

#: What a DSN may set otherwise. The keepalives find a vanished peer within a minute.
_DEFAULTS = {
    "connect_timeout": "10",
    "keepalives": "1",
    "keepalives_idle": "20",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "50000",
}


def safe_dsn(dsn: str) -> str:
    """Return `user@host:port/database`, without password or options, for messages."""
    parts = _parse(dsn)
    user = f"{parts['user']}@" if "user" in parts else ""
    port = f":{parts['port']}" if "port" in parts else ""
    return f"{user}{parts.get('host', 'localhost')}{port}/{parts.get('dbname', '')}"


def password_of(dsn: str) -> str | None:
    """Return the password inside a DSN, so that it can be kept out of texts."""
    password = _parse(dsn).get("password")
    return str(password) if password else None


def _parse(dsn: str) -> dict[str, object]:
    try:
        return {name: value for name, value in conninfo_to_dict(dsn).items() if value is not None}
    except psycopg.ProgrammingError:
        # libpq's message quotes the part that it does not understand: it may be the password.
        raise DatabaseUnavailable(
            "The database URL cannot be read.",
            code="database_url_invalid",
            hint="Write postgresql://user:password@host:5432/database, with special characters "
            "of the password percent-encoded.",
        ) from None


def conninfo(dsn: str, application_name: str) -> str:
    """Return a DSN with what it does not set otherwise. Raises: DatabaseUnavailable."""
    given = _parse(dsn)
    defaults = {"application_name": application_name, **_DEFAULTS}
    missing = {name: value for name, value in defaults.items() if name not in given}
    return make_conninfo(dsn, **missing)
