"""Decisions of people: who may give them, and what they may change."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from typing import Any, cast

from flowbuilder.approving import touched
from flowbuilder.client.arguments import clean_reason
from flowbuilder.client.checking import check_actor, require_fit
from flowbuilder.client.policies import check_edits
from flowbuilder.client.session import Session
from flowbuilder.errors import DefinitionError, ExecutionError, InvalidValue, Problem
from flowbuilder.executor.approval_records import ApprovalRow, Voter
from flowbuilder.executor.states import ApprovalStatus
from flowbuilder.policy import Action, Decision
from flowbuilder.types import JsonSchema, JsonValue


def local_user() -> str:
    """Return `user:<login name>` of the person at this machine."""
    try:
        return f"user:{getpass.getuser()}"
    except (KeyError, OSError):  # an account without a name, as in some containers
        return "user:local"


def is_own(approval: ApprovalRow, by: str) -> bool:
    """Whether the decision is open to anyone or asked of exactly this person."""
    names = {_plain(name) for name in approval.by if not name.startswith("role:")}
    return not approval.by or _plain(by) in names


async def decide(
    session: Session,
    approval_id: str,
    *,
    approve: bool,
    by: str | Voter | None = None,
    comment: str | None = None,
    edits: Mapping[str, Any] | None = None,
    value: JsonValue = None,
) -> ApprovalRow:
    """Give a decision, bound to exactly the arguments that the approval shows.

    Raises:
        NotFound: There is no such approval.
        Conflict: It is decided already (code already_decided; details say by whom), or over its
            deadline (approval_expired).
        DefinitionError: Edits or the value do not fit their schema, change what is locked
            (edits_locked), policy refuses the edited arguments whoever agrees (policy_refused),
            or it asks more people of them, or others (approval_insufficient).
        InvalidValue: There is nothing to edit (edits_not_possible), no value is asked for
            (value_not_possible), or `by` is no name (actor_invalid).
        ExecutionError: This person is not asked (approver_not_allowed), or it is their own
            affair (separate_duties).
    """
    voter = by if isinstance(by, Voter) else Voter(name=by or local_user())
    check_actor(voter.name, "who decides")
    comment = clean_reason(comment, "comment")
    approval = await session.store.get_approval(approval_id)
    pending = approval.status is ApprovalStatus.PENDING
    given = _checked_value(session, approval, edits, value) if approve and pending else None
    if approve and pending and edits is not None:
        _check_asked(approval, await check_edits(session, approval.tool, dict(edits)))
    try:
        row = await session.store.decide(
            approval_id,
            approve=approve,
            by=voter,
            comment=comment,
            value=given,
            has_value=approve and approval.kind == "input",
            args_hash=approval.args_hash,
        )
    except InvalidValue as error:
        if error.code in ("approver_not_allowed", "separate_duties"):
            raise ExecutionError(error.message, code=error.code) from None
        raise
    await session.announce_approval(row)
    return row


def _checked_value(
    session: Session, approval: ApprovalRow, edits: Mapping[str, Any] | None, value: JsonValue
) -> JsonValue:
    """Return what goes with an approval: edited arguments, the input asked for, or nothing."""
    if approval.kind == "gate":
        if value is not None:
            raise InvalidValue(
                "no value is asked for: the step waits for its approval",
                code="value_not_possible",
                hint="To change the arguments, give all of them as edits.",
            )
        if edits is None:
            return None
        arguments = cast(JsonValue, dict(edits))
        require_fit(arguments, _tool_schema(session, approval.tool), session.settings, "edits")
        _check_locked(approval, dict(edits))
        return arguments
    if edits is not None:
        raise InvalidValue(
            "there are no arguments to edit: this is no step waiting for its approval",
            code="edits_not_possible",
        )
    if approval.schema is not None:
        require_fit(value, approval.schema, session.settings, "value")
    return value


def _check_asked(approval: ApprovalRow, said: Decision) -> None:
    """Refuse edits for which more people, or others, would have to be asked than are."""
    if said.action is not Action.APPROVE:
        return
    others = bool(said.by) and not (approval.by and set(approval.by) <= said.deciders)
    if others or said.quorum > approval.quorum:
        raise DefinitionError(
            "of the edited arguments policy asks more people, or others, than are asked here",
            code="approval_insufficient",
        )


def _check_locked(approval: ApprovalRow, edits: dict[str, Any]) -> None:
    before = approval.args if isinstance(approval.args, dict) else {}
    problems = [
        Problem(code="edits_locked", pointer=pointer, message="this may not be edited")
        for pointer in touched(before, edits, approval.locked)
    ]
    if problems:
        raise DefinitionError(
            f"the edits change {problems[0].pointer}, which has to stay as it is",
            problems=tuple(problems),
            code="edits_locked",
        )


def _tool_schema(session: Session, name: str) -> JsonSchema:
    found = session.registry.get(name)
    if found is None:
        raise InvalidValue(
            f"the arguments cannot be edited here: tool {name} is not loaded",
            code="edits_not_possible",
            hint="Name the module that has it with --tools, or approve without edits.",
        )
    return found.input_schema


def _plain(name: str) -> str:
    return name.removeprefix("user:")
