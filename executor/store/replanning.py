"""Runs of which the rest is planned anew, because a step has failed for good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.types.json import Json, Jsonb

from flowbuilder.executor import queries, rows
from flowbuilder.executor.records import VersionRow
from flowbuilder.executor.states import StepStatus
from flowbuilder.executor.store.base import StoreBase, as_uuid
from flowbuilder.types import JsonObject, JsonValue


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A run that was given to a re-planner."""

    run_id: str
    number: int
    """Which re-plan of the run it is, from 1."""
    owner: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StepNow:
    """What a step of the run has come to."""

    id: str
    status: StepStatus
    tool: str
    """`name@version`."""
    place: int
    error: JsonObject | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplanContext:
    """What a re-planner has to know of a run; no output is part of it."""

    goal: str | None
    """None for a run that was not started of a plan."""
    input: JsonValue
    error: JsonObject
    """What the run fails with if nothing comes of it."""
    version_id: str
    document: JsonObject
    places: JsonObject | None
    """As in `VersionRow`."""
    steps: tuple[StepNow, ...]
    undoing: dict[str, str]
    """The tools of compensations, by `compensate:<step>`."""
    tried: dict[str, list[str]]
    """The tools that have failed in a step's place so far, by its id."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NewRest:
    """A compiled version of a run with another rest."""

    document: JsonObject
    content_hash: str
    compiled: list[JsonObject]
    output: JsonObject | None
    places: JsonObject
    told: JsonObject
    """`{added: [step], failed, diff, notes, planner, model}`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplanRow:
    """One time that a new plan was asked for."""

    run_id: str
    number: int
    step_id: str
    """The step that failed."""
    error: JsonObject
    status: str
    """open, done, refused or cancelled."""
    owner: str
    tries: int
    """How many re-planners have been at it."""
    reason: JsonObject | None
    """Why there is no new plan."""
    usage: JsonObject | None
    version_id: str | None
    requested_at: datetime
    deadline_at: datetime
    decided_at: datetime | None


class ReplanStore(StoreBase):
    """The calls of re-planners."""

    async def claim_replan(
        self, owner: str, *, tools: Sequence[str], lease_seconds: float
    ) -> Claim | None:
        """Take a run of the workspace that waits for a new plan; None when none does.

        It is this owner's for as long as it extends its lease. `tools` are the names of those that
        the owner knows: it gets no run whose failed tool is none of them.
        """
        row = await self._one(
            queries.CLAIM_REPLAN, self.workspace, owner, list(tools), lease_seconds
        )
        found = row["answer"]
        if found is None:
            return None
        return Claim(run_id=found["run_id"], number=found["number"], owner=owner)

    async def extend_replan(self, claim: Claim, *, lease_seconds: float) -> bool:
        """Go on with a run. False: it is not this owner's any more."""
        run = as_uuid(claim.run_id)
        row = await self._one(queries.EXTEND_REPLAN, run, claim.number, claim.owner, lease_seconds)
        return bool(row["extended"])

    async def replan_context(self, claim: Claim) -> ReplanContext | None:
        """Read what a re-planner has to know; None when the run is not its any more."""
        run = as_uuid(claim.run_id)
        row = await self._one(
            queries.REPLAN_CONTEXT, self.workspace, run, claim.number, claim.owner
        )
        found = row["answer"]
        if found is None:
            return None
        steps = tuple(
            StepNow(
                id=step["id"],
                status=StepStatus(step["status"]),
                tool=step["tool"],
                place=step["place"],
                error=step["error"],
            )
            for step in found["steps"]
        )
        return ReplanContext(**{**found, "steps": steps})

    async def replan_run(
        self,
        claim: Claim,
        rest: NewRest,
        *,
        base: str,
        failed: Sequence[str],
        usage: JsonObject | None = None,
    ) -> VersionRow:
        """Carry a run on by a new plan for the rest of it.

        Args:
            claim: Whose run it is.
            rest: The new version.
            base: Id of the version that the run executes, as far as the caller knows.
            failed: The steps that have failed, as far as the caller knows.
            usage: What planning it took.

        Raises:
            InvalidTransition: The run has ended.
            Conflict: It has gone on meanwhile (run_changed), or is not this owner's any more
                (replan_lost).
        """
        row = await self._one(
            queries.REPLAN_RUN,
            self.workspace,
            as_uuid(claim.run_id),
            claim.number,
            claim.owner,
            as_uuid(base),
            list(failed),
            Json(rest.document),
            rest.content_hash,
            Json(rest.compiled),
            None if rest.output is None else Json(rest.output),
            Jsonb(rest.places),
            Json(rest.told),
            None if usage is None else Jsonb(usage),
        )
        return rows.read(VersionRow, row)

    async def refuse_replan(
        self, claim: Claim, reason: JsonObject, *, usage: JsonObject | None = None
    ) -> bool:
        """Let the run fail with its first error and this reason. False: it is lost already."""
        row = await self._one(
            queries.REFUSE_REPLAN,
            self.workspace,
            as_uuid(claim.run_id),
            claim.number,
            claim.owner,
            Jsonb(reason),
            None if usage is None else Jsonb(usage),
        )
        return bool(row["refused"])

    async def replans(self, run_id: str) -> list[ReplanRow]:
        """Read how often a run was planned anew, and what came of it, in order."""
        found = await self._all(queries.REPLANS, self.workspace, as_uuid(run_id))
        return [rows.read(ReplanRow, row) for row in found]
