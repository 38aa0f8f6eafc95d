"""Approvals as FlowBuilder offers them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowbuilder.client import approvals
from flowbuilder.client.arguments import check_page, known_id
from flowbuilder.client.checking import known_state
from flowbuilder.client.session import Connected
from flowbuilder.executor.records import ApprovalRow
from flowbuilder.executor.states import ApprovalStatus
from flowbuilder.types import JsonValue


class Approvals(Connected):
    """Decisions of people."""

    async def approvals(
        self,
        *,
        status: ApprovalStatus | str | None = ApprovalStatus.PENDING,
        run_id: str | None = None,
        limit: int = 200,
    ) -> list[ApprovalRow]:
        """Return approvals, oldest first; those still to be decided by default.

        Raises:
            InvalidValue: There is no such status (status_unknown), or page (page_invalid).
            NotFound: `run_id` is no run's id (run_not_found).
        """
        wanted = None if status is None else known_state(ApprovalStatus, status)
        check_page(limit)
        run = None if run_id is None else known_id(run_id, "run")
        return await self._session.store.approvals(status=wanted, run_id=run, limit=limit)

    async def get_approval(self, approval_id: str) -> ApprovalRow:
        """Return an approval. Raises: NotFound (approval_not_found)."""
        return await self._session.store.get_approval(approval_id)

    async def approve(
        self,
        approval_id: str,
        *,
        by: str | None = None,
        comment: str | None = None,
        edits: Mapping[str, Any] | None = None,
        value: JsonValue = None,
    ) -> ApprovalRow:
        """Approve, for exactly the arguments that the approval shows.

        Args:
            approval_id: Which.
            by: Who decides; by default the user of this process.
            comment: Why, in words.
            edits: The whole arguments object as it is to be used instead.
            value: The value asked for, where one is.

        Raises:
            NotFound: There is no such approval.
            Conflict: It was decided already (already_decided; details say by whom).
            DefinitionError: Edits or value do not fit (value_invalid).
            InvalidValue: There is nothing to edit, or no value is asked for.
            ExecutionError: This person is not asked (approver_not_allowed).
        """
        return await approvals.decide(
            self._session,
            approval_id,
            approve=True,
            by=by,
            comment=comment,
            edits=edits,
            value=value,
        )

    async def reject(
        self, approval_id: str, *, by: str | None = None, comment: str | None = None
    ) -> ApprovalRow:
        """Reject: the step fails. Raises as `approve` does."""
        return await approvals.decide(
            self._session, approval_id, approve=False, by=by, comment=comment
        )
