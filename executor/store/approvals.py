"""Approvals: what waits for a person."""

from __future__ import annotations

from psycopg.types.json import Json, Jsonb

from flowbuilder.errors import NotFound
from flowbuilder.executor import approval_queries, queries, rows
from flowbuilder.executor.approval_records import ActRow, Voter
from flowbuilder.executor.fingerprints import fingerprint
from flowbuilder.executor.records import ApprovalRow
from flowbuilder.executor.states import ApprovalStatus
from flowbuilder.executor.store.base import StoreBase, as_uuid
from flowbuilder.types import JsonValue


class ApprovalStore(StoreBase):
    """Decisions asked of people."""

    async def approvals(
        self,
        *,
        status: ApprovalStatus | None = ApprovalStatus.PENDING,
        run_id: str | None = None,
        limit: int = 200,
        after: str | None = None,
    ) -> list[ApprovalRow]:
        """Read approvals, oldest first; only the pending ones by default.

        With `after` those behind this one in that order.
        """
        wanted = None if status is None else status.value
        run = None if run_id is None else as_uuid(run_id)
        known = None if after is None else as_uuid(after)
        found = await self._all(queries.LIST_APPROVALS, self.workspace, wanted, run, known, limit)
        return [rows.approval(row) for row in found]

    async def get_approval(self, approval_id: str) -> ApprovalRow:
        """Read an approval.

        Raises:
            NotFound: `approval_not_found`.
        """
        found = await self._all(queries.GET_APPROVAL, self.workspace, as_uuid(approval_id))
        if not found:
            raise NotFound(f"there is no approval {approval_id}", code="approval_not_found")
        return rows.approval(found[0])

    async def approvals_of(
        self,
        by: str,
        *,
        known: bool,
        run_id: str | None = None,
        limit: int = 200,
        after: str | None = None,
    ) -> list[ApprovalRow]:
        """Read what somebody may decide now and has not voted on yet, oldest first.

        `known`: users log in, so that roles are looked up; else every role is theirs.
        """
        run = None if run_id is None else as_uuid(run_id)
        found = await self._all(
            approval_queries.APPROVALS_OF,
            *(self.workspace, by, known, run, limit),
            None if after is None else as_uuid(after),
        )
        return [rows.approval(row) for row in found]

    async def mandate(self, approval_id: str, by: str, *, known: bool) -> str | None:
        """Read why somebody may not decide an approval now: None where they may.

        `not_asked`, `own_affair` or `not_allowed`; then `decided` or `over`.

        Raises:
            NotFound: `approval_not_found`.
        """
        found = await self._all(
            approval_queries.MANDATE, by, known, self.workspace, as_uuid(approval_id)
        )
        if not found:
            raise NotFound(f"there is no approval {approval_id}", code="approval_not_found")
        refusal: str | None = found[0]["refusal"]
        return refusal

    async def acts(self, approval_id: str, *, limit: int = 500) -> list[ActRow]:
        """Read what was done about an approval, and what was said and told of it, in order.

        Of each at most the newest so many.
        """
        found = await self._all(approval_queries.ACTS, self.workspace, as_uuid(approval_id), limit)
        return [rows.read(ActRow, row) for row in found]

    async def comment_approval(self, approval_id: str, text: str, *, by: Voter) -> ActRow:
        """Write down what somebody says of an approval, without deciding.

        Raises:
            NotFound: `approval_not_found`.
            Conflict: `too_many_comments`.
        """
        given = (self.workspace, as_uuid(approval_id), by.name, text, _voter(by))
        return rows.read(ActRow, await self._one(approval_queries.COMMENT, *given))

    async def note_refusal(self, row: ApprovalRow | None, why: str) -> None:
        """Write down that a call was refused which is not the one that was agreed to."""
        if row is not None:
            await self._all(approval_queries.NOTE_REFUSAL, why, as_uuid(row.id))

    async def decide(
        self,
        approval_id: str,
        *,
        approve: bool,
        by: str | Voter,
        comment: str | None = None,
        value: JsonValue = None,
        has_value: bool = False,
        args_hash: str | None = None,
    ) -> ApprovalRow:
        """Approve or reject, once; where several have to agree, it may stay pending.

        Args:
            approval_id: Which.
            approve: False rejects.
            by: Who decides, and how that is known.
            comment: Why, in words.
            value: Edited arguments of a gate, or the value that was asked for. None counts as
                given (null is a legitimate answer) only with `has_value`.
            has_value: The value is meant even if it is None.
            args_hash: What the person saw; a decision about other arguments is refused.

        Raises:
            NotFound: `approval_not_found`.
            Conflict: `already_decided`, `approval_expired` (details: status, decided_by,
                decided_at), `arguments_changed` or `link_used`.
            InvalidValue: This person may not decide now (`approver_not_allowed`,
                `separate_duties`).
        """
        voter = by if isinstance(by, Voter) else Voter(name=by)
        given = None if value is None and not has_value else Json(value)
        row = await self._one(
            approval_queries.DECIDE,
            self.workspace,
            as_uuid(approval_id),
            approve,
            voter.name,
            comment,
            given,
            args_hash,
            None if given is None else fingerprint(value),
            _voter(voter),
        )
        return rows.approval(row)

    async def gate_of_task(self, run_id: str, task_id: int) -> ApprovalRow | None:
        """Read what a person was asked last before a task of any workspace goes on."""
        found = await self._all(queries.GATE_OF_TASK, run_id, task_id)
        return rows.approval(found[0]) if found else None

    async def decision_of_step(self, run_id: str, step_id: str) -> ApprovalRow | None:
        """Read what a step of a run of any workspace has asked a person last."""
        found = await self._all(queries.DECISION_OF_STEP, run_id, step_id)
        return rows.approval(found[0]) if found else None


def _voter(by: Voter) -> Jsonb:
    """Return who decides as the SQL functions take it."""
    said: dict[str, JsonValue] = {
        "known": by.known,
        "channel": by.channel,
        "address": by.address,
    }
    return Jsonb(said if by.link is None else {**said, "link": by.link.hex()})
