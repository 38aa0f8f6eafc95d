"""Runs that grow: steps added while they are under way."""

from __future__ import annotations

from psycopg.types.json import Json

from flowbuilder.executor import queries, rows
from flowbuilder.executor.records import VersionRow
from flowbuilder.executor.store.base import StoreBase, as_uuid
from flowbuilder.types import JsonObject


class GrowthStore(StoreBase):
    """What is added to runs that have not ended."""

    async def grow_run(
        self,
        run_id: str,
        *,
        base: str,
        document: JsonObject,
        content_hash: str,
        step: JsonObject,
        owner: str | None = None,
        actor: str | None = None,
    ) -> VersionRow:
        """Add a step to a run as a new version of its own.

        Args:
            run_id: The run.
            base: Id of the version that the run executes, as far as the caller knows.
            document: That version's document with the step at its end.
            content_hash: Of the new document.
            step: The compiled row of the step.
            owner: Id of the worker in whose process a function of the step lives.
            actor: Who adds it, for the record.

        Raises:
            NotFound: `run_not_found`.
            InvalidTransition: The run has ended.
            Conflict: It has grown meanwhile (`run_changed`).
        """
        row = await self._one(
            queries.GROW_RUN,
            self.workspace,
            as_uuid(run_id),
            as_uuid(base),
            Json(document),
            content_hash,
            Json(step),
            owner,
            actor,
        )
        return rows.read(VersionRow, row)
