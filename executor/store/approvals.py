"""Approvals: what waits for a person."""

from __future__ import annotations

from psycopg.types.json import Json

from flowbuilder.errors import NotFound
from flowbuilder.executor import queries, rows
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
    ) -> list[ApprovalRow]:
        """Read approvals, oldest first; only the pending ones by default."""
        wanted = None if status is None else status.value
        run = None if run_id is None else as_uuid(run_id)
        found = await self._all(queries.LIST_APPROVALS, self.workspace, wanted, run, limit)
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

    async def decide(
        self,
        approval_id: str,
        *,
        approve: bool,
        by: str,
        comment: str | None = None,
        value: JsonValue = None,
        has_value: bool = False,
        args_hash: str | None = None,
    ) -> ApprovalRow:
        """Approve or reject, once; where several have to agree, it may stay pending.

        Args:
            approval_id: Which.
            approve: False rejects.
            by: Who decides.
            comment: Why, in words.
            value: Edited arguments of a gate, or the value that was asked for. None counts as
                given (null is a legitimate answer) only with `has_value`.
            has_value: The value is meant even if it is None.
            args_hash: What the person saw; a decision about other arguments is refused.

        Raises:
            NotFound: `approval_not_found`.
            Conflict: `already_decided` (details: status, decided_by, decided_at) or
                `arguments_changed`.
        """
        given = None if value is None and not has_value else Json(value)
        row = await self._one(
            queries.DECIDE,
            self.workspace,
            as_uuid(approval_id),
            approve,
            by,
            comment,
            given,
            args_hash,
            None if given is None else fingerprint(value),
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
