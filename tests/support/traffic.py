"""Counts what is said to the database and what comes back: sizes do not depend on the machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from psycopg.types.json import Json, Jsonb

from flowbuilder.executor.database import Database, Parameters


@dataclass(kw_only=True, slots=True)
class Traffic:
    """The statements that were sent, with the bytes of JSON that went either way."""

    statements: list[bytes] = field(default_factory=list)
    sent: int = 0
    received: int = 0


@contextmanager
def traffic(database: Database, monkeypatch: Any) -> Iterator[Traffic]:
    """Record what goes through `fetch_all` of a database."""
    seen = Traffic()
    fetch_all = database.fetch_all

    async def watched(query: bytes, values: Parameters = ()) -> list[dict[str, Any]]:
        rows = await fetch_all(query, values)
        seen.statements.append(query)
        seen.sent += _size(values)
        seen.received += _size(rows)
        return rows

    with monkeypatch.context() as patch:
        patch.setattr(database, "fetch_all", watched)
        yield seen


def _size(value: object) -> int:
    return len(orjson.dumps(value, default=_plain))


def _plain(value: object) -> object:
    return value.obj if isinstance(value, Json | Jsonb) else str(value)
