"""Emitted events: what waiting tasks go on with."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.types.json import Json

from flowbuilder.executor import queries
from flowbuilder.executor.emitted import Emitted
from flowbuilder.executor.store.base import StoreBase
from flowbuilder.strictjson import DOCUMENT_LIMITS, check
from flowbuilder.types import JsonValue


async def emit_with_task(
    connection: AsyncConnection[Any],
    run_id: str,
    task_id: str,
    name: str,
    key: str,
    payload: JsonValue,
    *,
    keep_seconds: float,
) -> None:
    """Emit an event, once, when the transaction that completes a task commits."""
    await connection.execute(
        queries.EMIT_WITH_TASK, (run_id, task_id, name, key, Json(payload), keep_seconds)
    )


class EmittingStore(StoreBase):
    """Emits events by name and key."""

    async def emit(
        self,
        name: str,
        key: str,
        payload: JsonValue,
        *,
        keep_seconds: float,
        by: str | None = None,
    ) -> Emitted:
        """Emit an event; every wait for its name and key goes on, now and while it is kept.

        The first of a name and key stands for as long as it is kept.

        Raises:
            InvalidValue: The payload is no JSON value.
        """
        row = await self._one(
            queries.EMIT_EVENT,
            self.workspace,
            name,
            key,
            Json(check(payload, limits=DOCUMENT_LIMITS)),
            by,
            keep_seconds,
        )
        answer = row["answer"]
        return Emitted(
            name=name,
            key=key,
            already=answer["already"],
            woke=answer["woke"],
            emitted_at=datetime.fromisoformat(answer["emitted_at"]),
            emitted_by=answer["emitted_by"],
            expires_at=datetime.fromisoformat(answer["expires_at"]),
            touched=answer["touched"],
        )
