from __future__ import annotations

import psycopg
import pytest
from psycopg_pool import PoolClosed, PoolTimeout

from flowbuilder.errors import DatabaseError, DatabaseUnavailable, InvalidValue
from flowbuilder.executor.dsn import password_of, safe_dsn
from flowbuilder.executor.sqlstates import map_error


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        ("postgresql://ann:secret@db.example:5433/flows", "ann@db.example:5433/flows"),
        ("host=db user=ann password=secret dbname=flows", "ann@db/flows"),
        ("postgresql://ann@/flows?host=%2Ftmp%2Fs&port=1", "ann@/tmp/s:1/flows"),
        ("", "localhost/"),
    ],
)
def test_a_dsn_is_shown_without_its_password(dsn: str, shown: str) -> None:
    assert safe_dsn(dsn) == shown


def test_the_password_is_found_in_both_spellings() -> None:
    assert password_of("postgresql://ann:s%40cret@db/flows") == "s@cret"
    assert password_of("host=db password='a b'") == "a b"
    assert password_of("host=db") is None


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (PoolTimeout("x"), DatabaseUnavailable, "database_unavailable"),
        (PoolClosed("x"), DatabaseUnavailable, "database_closed"),
        (psycopg.OperationalError("gone"), DatabaseUnavailable, "database_unavailable"),
        (psycopg.errors.AdminShutdown("x"), DatabaseUnavailable, "database_unavailable"),
        (psycopg.errors.TooManyConnections("x"), DatabaseUnavailable, "database_unavailable"),
        (psycopg.errors.InvalidPassword("x"), DatabaseUnavailable, "database_unavailable"),
        (psycopg.errors.DeadlockDetected("x"), DatabaseError, "transaction_conflict"),
        (psycopg.errors.SerializationFailure("x"), DatabaseError, "transaction_conflict"),
        (psycopg.errors.DiskFull("x"), DatabaseUnavailable, "disk_full"),
        (psycopg.errors.OutOfMemory("x"), DatabaseUnavailable, "database_exhausted"),
        (psycopg.errors.IoError("x"), DatabaseUnavailable, "database_exhausted"),
        (psycopg.errors.ReadOnlySqlTransaction("x"), DatabaseUnavailable, "database_read_only"),
        (
            psycopg.errors.IdleInTransactionSessionTimeout("x"),
            DatabaseUnavailable,
            "database_unavailable",
        ),
        (psycopg.errors.LockNotAvailable("x"), DatabaseError, "lock_timeout"),
        (psycopg.DataError("x"), InvalidValue, "value_refused"),
        (psycopg.InternalError("x"), DatabaseError, "database_failed"),
    ],
)
def test_errors_of_the_driver_have_codes(error: psycopg.Error, kind: type, code: str) -> None:
    mapped = map_error(error)
    assert type(mapped) is kind
    assert mapped.code == code


def test_a_secret_is_cut_out_of_a_message() -> None:
    mapped = map_error(psycopg.OperationalError("no such host: s3cret@db"), secret="s3cret")
    assert "s3cret" not in mapped.message
    assert "***@db" in mapped.message
