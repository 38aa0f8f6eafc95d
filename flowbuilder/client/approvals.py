"""Decisions of people: who may give them, and what they may change."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from typing import Any, cast

from flowbuilder.client.arguments import check_reason
from flowbuilder.client.checking import check_actor, require_fit
from flowbuilder.client.policies import check_edits
from flowbuilder.client.session import Session
from flowbuilder.errors import ExecutionError, InvalidValue
from flowbuilder.executor.records import ApprovalRow
from flowbuilder.types import JsonSchema, JsonValue


def local_user() -> str:
    """Return `user:<login name>` of the person at this machine."""
    try:
        return f"user:{getpass.getuser()}"
    except (KeyError, OSError):  # an account without a name, as in some containers
        return "user:local"


def may_decide(approval: ApprovalRow, by: str) -> bool:
    """Whether this person is asked: nobody is named, they are, or a role is.

    Who holds a role is not known before there are users, so a role admits anyone who says that
    they decide; `is_own` is the narrower question.
    """
    return is_own(approval, by) or any(name.startswith("role:") for name in approval.by)


def is_own(approval: ApprovalRow, by: str) -> bool:
    """Whether the decision is open to anyone or asked of exactly this person."""
    names = {_plain(name) for name in approval.by if not name.startswith("role:")}
    return not approval.by or _plain(by) in names


async def decide(
    session: Session,
    approval_id: str,
    *,
    approve: bool,
    by: str | None = None,
    comment: str | None = None,
    edits: Mapping[str, Any] | None = None,
    value: JsonValue = None,
) -> ApprovalRow:
    """Give a decision, bound to exactly the arguments that the approval shows.

    Raises:
        NotFound: There is no such approval.
        Conflict: It is decided already (code already_decided; details say by whom).
        DefinitionError: Edits or the value do not fit their schema, or policy refuses the edited
            arguments whoever agrees (policy_refused).
        InvalidValue: There is nothing to edit (edits_not_possible), no value is asked for
            (value_not_possible), or `by` is no name (actor_invalid).
        ExecutionError: This person is not asked (approver_not_allowed).
    """
    check_actor(by or None, "who decides")
    check_reason(comment, "comment")
    approval = await session.store.get_approval(approval_id)
    who = by or local_user()
    if not may_decide(approval, who):
        raise ExecutionError(
            f"{who} is not asked; the decision lies with {', '.join(approval.by)}",
            code="approver_not_allowed",
        )
    given = _checked_value(session, approval, edits, value) if approve else None
    if approve and edits is not None:
        await check_edits(session, approval.tool, dict(edits))
    row = await session.store.decide(
        approval_id,
        approve=approve,
        by=who,
        comment=comment,
        value=given,
        has_value=approve and approval.kind == "input",
        args_hash=approval.args_hash,
    )
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
        return arguments
    if edits is not None:
        raise InvalidValue(
            "there are no arguments to edit: this is no step waiting for its approval",
            code="edits_not_possible",
        )
    if approval.schema is not None:
        require_fit(value, approval.schema, session.settings, "value")
    return value


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
