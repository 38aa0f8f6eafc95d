"""Approvals as FlowBuilder offers them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowbuilder.client import approvals
from flowbuilder.client.approval_rooms import ApprovalRooms
from flowbuilder.client.arguments import check_page, clean_reason, known_id
from flowbuilder.client.checking import check_actor, known_state
from flowbuilder.errors import InvalidValue
from flowbuilder.executor.approval_records import ActRow, ApprovalRow, Voter
from flowbuilder.executor.states import ApprovalStatus
from flowbuilder.types import JsonValue


class Approvals(ApprovalRooms):
    """Decisions of people."""

    async def approvals(
        self,
        *,
        status: ApprovalStatus | str | None = ApprovalStatus.PENDING,
        run_id: str | None = None,
        limit: int = 200,
        after: str | None = None,
    ) -> list[ApprovalRow]:
        """Return approvals, oldest first; those still to be decided by default.

        With `after` (an id) only those that come behind it.

        Raises:
            InvalidValue: There is no such status (status_unknown), or page (page_invalid).
            NotFound: `run_id` is no run's id (run_not_found), `after` no approval's
                (approval_not_found).
        """
        wanted = None if status is None else known_state(ApprovalStatus, status)
        check_page(limit)
        run = None if run_id is None else known_id(run_id, "run")
        behind = None if after is None else (await self.get_approval(after)).id
        return await self._session.store.approvals(
            status=wanted, run_id=run, limit=limit, after=behind
        )

    async def approvals_of(
        self,
        by: str | Voter | None = None,
        *,
        run_id: str | None = None,
        limit: int = 200,
        after: str | None = None,
    ) -> list[ApprovalRow]:
        """Return what somebody may decide now and has not voted on yet, oldest first.

        Args:
            by: Who; by default the user of this process.
            run_id: Only of this run.
            limit: At most so many.
            after: Only those behind this one, by its id.

        Raises:
            InvalidValue: `by` is no name (actor_invalid), or the page is none (page_invalid).
            NotFound: There is no approval `after` (approval_not_found).
        """
        voter = by if isinstance(by, Voter) else Voter(name=by or approvals.local_user())
        check_actor(voter.name, "who decides")
        check_page(limit)
        run = None if run_id is None else known_id(run_id, "run")
        behind = None if after is None else (await self.get_approval(after)).id
        return await self._session.store.approvals_of(
            voter.name, known=voter.known, run_id=run, limit=limit, after=behind
        )

    async def approval_history(self, approval_id: str) -> list[ActRow]:
        """Return what was said and done about an approval, in order. Raises: NotFound."""
        return await self._session.store.acts((await self.get_approval(approval_id)).id)

    async def comment_approval(
        self, approval_id: str, text: str, *, by: str | Voter | None = None
    ) -> ActRow:
        """Say something about an approval, without deciding it.

        Raises:
            NotFound: There is no such approval.
            InvalidValue: The text is too long or empty (reason_invalid), or `by` is no name.
            Conflict: There are too many comments already (too_many_comments).
        """
        voter = by if isinstance(by, Voter) else Voter(name=by or approvals.local_user())
        check_actor(voter.name, "who comments")
        if not text:
            raise InvalidValue("a comment is not empty", pointer="/text", code="comment_empty")
        said = clean_reason(text, "comment") or text
        return await self._session.store.comment_approval(approval_id, said, by=voter)

    async def get_approval(self, approval_id: str) -> ApprovalRow:
        """Return an approval. Raises: NotFound (approval_not_found)."""
        return await self._session.store.get_approval(approval_id)

    async def approve(
        self,
        approval_id: str,
        *,
        by: str | Voter | None = None,
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
        self, approval_id: str, *, by: str | Voter | None = None, comment: str | None = None
    ) -> ApprovalRow:
        """Reject: the step fails. Raises as `approve` does."""
        return await approvals.decide(
            self._session, approval_id, approve=False, by=by, comment=comment
        )
