"""What the rooms of the store share: the database, the workspace, and the two ways to ask."""

from __future__ import annotations

import uuid
from typing import Any

from flowbuilder.executor.database import Database
from flowbuilder.executor.records import DEFAULT_WORKSPACE


class StoreBase:
    """Sends statements for one workspace."""

    def __init__(self, database: Database, *, workspace: str = DEFAULT_WORKSPACE) -> None:
        self.database = database
        self.workspace = workspace

    async def _all(self, statement: bytes, *values: object) -> list[dict[str, Any]]:
        return await self.database.fetch_all(statement, values)

    async def _one(self, statement: bytes, *values: object) -> dict[str, Any]:
        return (await self._all(statement, *values))[0]


def as_uuid(text: str) -> uuid.UUID | None:
    """Read an id; None, which matches no row, for a text that is none."""
    try:
        return uuid.UUID(text)
    except (ValueError, AttributeError, TypeError):
        return None


def as_name(text: object) -> str:
    """Return a name to look for; "", which nothing is called, for what is no text."""
    return text if isinstance(text, str) else ""
