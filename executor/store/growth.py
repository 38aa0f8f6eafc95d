"""Runs that grow: steps added while they are under way, and holds that keep them open for more."""

from __future__ import annotations

from datetime import datetime

from psycopg.types.json import Json, Jsonb

from flowbuilder.executor import queries, rows
from flowbuilder.executor.records import VersionRow
from flowbuilder.executor.store.base import StoreBase, as_uuid
from flowbuilder.executor.terms import Terms
from flowbuilder.types import JsonObject, JsonValue


class GrowthStore(StoreBase):
    """What is added to runs that have not ended."""

    async def grow_run(
        self,
        run_id: str,
        *,
        base: str,
        document: JsonObject,
        content_hash: str,
        compiled: list[JsonObject],
        owner: str | None = None,
        actor: str | None = None,
    ) -> VersionRow:
        """Add a step to a run as a new version of its own.

        Args:
            run_id: The run.
            base: Id of the version that the run executes, as far as the caller knows.
            document: That version's document with the step at its end.
            content_hash: Of the new document.
            compiled: The compiled row of the step and, if it has one, of its compensation.
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
            Json(compiled),
            owner,
            actor,
        )
        return rows.read(VersionRow, row)

    async def start_held_run(
        self,
        version_id: str,
        input: JsonValue,
        *,
        owner: str,
        hold_seconds: float,
        timeout_seconds: float,
        reason: str | None = None,
        idempotency_key: str | None = None,
        plan_id: str | None = None,
        actor: str | None = None,
        terms: Terms | None = None,
    ) -> tuple[str, bool]:
        """Start a run that `owner` holds open from its first moment on; `(run id, created)`.

        Raises:
            NotFound: `version_not_found`.
            Conflict: The key was used for another flow or input (`idempotency_mismatch`), or too
                many runs are open (`too_many_runs`).
        """
        row = await self._one(
            queries.START_HELD_RUN,
            self.workspace,
            as_uuid(version_id),
            Json(input),
            idempotency_key,
            timeout_seconds,
            plan_id,
            actor,
            owner,
            reason,
            hold_seconds,
            Jsonb((terms or Terms()).as_json()),
        )
        return row["answer"]["run_id"], row["answer"]["created"]

    async def hold_run(
        self, run_id: str, *, owner: str, reason: str | None = None, seconds: float
    ) -> datetime:
        """Hold a run open for so long, or longer than before; returns the deadline.

        Raises:
            NotFound: `run_not_found`.
            InvalidTransition: The run has ended.
        """
        row = await self._one(
            queries.HOLD_RUN, self.workspace, as_uuid(run_id), owner, reason, seconds
        )
        deadline: datetime = row["deadline_at"]
        return deadline

    async def release_hold(
        self, run_id: str, *, owner: str, error: JsonObject | None = None
    ) -> bool:
        """Let go of a run; with an `error` it fails. False: it was not held, or has ended.

        Raises:
            NotFound: `run_not_found`.
        """
        given = None if error is None else Jsonb(error)
        row = await self._one(queries.RELEASE_HOLD, self.workspace, as_uuid(run_id), owner, given)
        return bool(row["released"])

    async def run_holds(self, run_id: str) -> list[JsonObject]:
        """Read who holds a run open: `{owner, reason, held_at, deadline_at}`, oldest first."""
        found = await self._all(queries.RUN_HOLDS, self.workspace, as_uuid(run_id))
        holds: list[JsonObject] = []
        for row in found:
            times: dict[str, JsonValue] = {
                name: row[name].isoformat() for name in ("held_at", "deadline_at")
            }
            holds.append({"owner": row["owner"], "reason": row["reason"], **times})
        return holds
