"""Tasks as they are leased to a worker: ids from the database, definitions from memory."""

from __future__ import annotations

from typing import Any

from flowbuilder.executor import queries, rows
from flowbuilder.executor.database import Database
from flowbuilder.executor.records import DEFAULT_WORKSPACE, LeasedTask
from flowbuilder.executor.store.base import StoreBase
from flowbuilder.types import JsonObject

#: Definitions of steps kept in memory; above that they are read anew.
MOST_DEFINITIONS = 10_000


class LeaseStore(StoreBase):
    """Completes leased tasks with the definitions of their steps."""

    def __init__(self, database: Database, *, workspace: str = DEFAULT_WORKSPACE) -> None:
        super().__init__(database, workspace=workspace)
        self._definitions: dict[int | str, JsonObject] = {}

    async def leased(
        self, given: list[JsonObject] | None, *, by: Database | None = None
    ) -> list[LeasedTask]:
        """Read leased tasks. Definitions never change, so each is fetched once.

        `by`: whose connections to use.
        """
        if given is None:
            return []
        if len(self._definitions) > MOST_DEFINITIONS:
            self._definitions.clear()
        missing = {_place(row) for row in given} - self._definitions.keys()
        if missing:
            await self._read_definitions(missing, by or self.database)
        return [rows.leased(row, self._definitions[_place(row)]) for row in given]

    async def _read_definitions(self, places: set[int | str], database: Database) -> None:
        for statement, kind in ((queries.NODES, int), (queries.OUTPUTS, str)):
            wanted = [place for place in places if isinstance(place, kind)]
            for row in await database.fetch_all(statement, (wanted,)) if wanted else ():
                place = row["id"] if kind is int else str(row["id"])
                self._definitions[place] = row["definition"]


def _place(row: JsonObject) -> int | str:
    """Return what names a task's definition: its node, or for a finishing task its version."""
    found: Any = row["version_id"] if row["node_id"] is None else row["node_id"]
    place: int | str = found
    return place
