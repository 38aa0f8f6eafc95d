"""Decisions asked of people."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query

from flowbuilder.api.auth.callers import Principal
from flowbuilder.api.body import body_schema, json_body
from flowbuilder.api.dependencies import ApprovalId, Builder, Caller, IdempotencyKey, as_uuid
from flowbuilder.api.problems import documented, moved
from flowbuilder.api.refusals import Forbidden
from flowbuilder.api.requests import DecisionBody
from flowbuilder.api.schemas import ApprovalList, ApprovalOut
from flowbuilder.client import FlowBuilder
from flowbuilder.client.roles import Role
from flowbuilder.errors import Conflict, DefinitionError, InvalidValue
from flowbuilder.executor.records import ApprovalRow
from flowbuilder.executor.states import ApprovalStatus
from flowbuilder.types import JsonValue

router = APIRouter(prefix="/approvals", tags=["approvals"])

Status = Literal["pending", "approved", "rejected", "expired", "cancelled", "all"]
Decision = Annotated[DecisionBody, Depends(json_body(DecisionBody))]


@router.get("", summary="List approvals")
async def list_approvals(
    builder: Builder,
    status: Annotated[Status, Query(description="Which ones; `all` for every one.")] = "pending",
    run_id: Annotated[str | None, Query(description="Only those of this run.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> ApprovalList:
    """Return the approvals that wait for somebody, or others by their status."""
    if run_id is not None:
        run_id = (await builder.get_run(as_uuid(run_id, "run"))).id
    rows = await builder.approvals(
        status=None if status == "all" else ApprovalStatus(status),
        run_id=run_id,
        limit=limit,
    )
    return ApprovalList(items=[ApprovalOut.of(row) for row in rows])


@router.get("/{approval_id}", summary="Show an approval", responses=documented(404))
async def get_approval(builder: Builder, approval_id: ApprovalId) -> ApprovalOut:
    """Return an approval with the arguments it is about. Looking at it decides nothing."""
    return ApprovalOut.of(await builder.get_approval(approval_id))


@router.post(
    "/{approval_id}/decision",
    summary="Approve or reject",
    responses=documented(400, 403, 404, 409, 413, 415),
    openapi_extra=body_schema("DecisionBody"),
)
async def decide(
    builder: Builder,
    caller: Caller,
    approval_id: ApprovalId,
    body: Decision,
    idempotency_key: IdempotencyKey,
) -> ApprovalOut:
    """Decide once. Whoever comes second gets a 409 that says who decided, and when.

    The same decision by the same person, repeated with an `Idempotency-Key`, is answered as the
    first time.
    """
    by = caller.acting_as(body.by)
    await require_asked(builder, approval_id, caller)
    await _check_hash(builder, approval_id, body)
    try:
        row = await _decide(builder, approval_id, body, by)
    except Conflict as error:
        decided = await builder.get_approval(approval_id)
        if idempotency_key is None or not _same(decided, body, by):
            raise _conflict(error, decided) from None
        row = decided
    return ApprovalOut.of(row)


async def require_asked(builder: FlowBuilder, approval_id: str, caller: Principal) -> None:
    """Refuse whoever is not asked: by name, or by a role that they have in the workspace.

    A role that nobody can have is the administrators' to answer for.

    Raises:
        Forbidden: `approver_not_allowed`.
    """
    if caller.local:
        return  # who holds which role is not known where nobody logs in
    asked = (await builder.get_approval(approval_id)).by
    known = {f"role:{role.value}" for role in Role}
    may = {caller.name, caller.user, *(f"role:{role.value}" for role in caller.roles)}
    if Role.ADMIN in caller.roles:
        may.update(name for name in asked if name.startswith("role:") and name not in known)
    if asked and not may & set(asked):
        raise Forbidden(f"The decision lies with {', '.join(asked)}.", code="approver_not_allowed")


async def _check_hash(builder: FlowBuilder, approval_id: str, body: DecisionBody) -> None:
    # the arguments of an approval never change, so this needs no lock
    if body.args_hash is None:
        return
    approval = await builder.get_approval(approval_id)
    if approval.args_hash != body.args_hash:
        raise Conflict(
            "the arguments are not those that were shown; look at the approval again",
            code="arguments_changed",
            details={"args_hash": approval.args_hash},
        )


async def _decide(
    builder: FlowBuilder, approval_id: str, body: DecisionBody, by: str
) -> ApprovalRow:
    if body.decision == "reject":
        return await builder.reject(approval_id, by=by, comment=body.comment)
    try:
        return await builder.approve(
            approval_id, by=by, comment=body.comment, edits=body.edits, value=body.value
        )
    except (DefinitionError, InvalidValue) as error:
        raise moved(error, "/edits" if body.edits is not None else "/value") from None


def _same(decided: ApprovalRow, body: DecisionBody, by: str) -> bool:
    wanted = ApprovalStatus.APPROVED if body.decision == "approve" else ApprovalStatus.REJECTED
    value: Any = body.edits if body.edits is not None else body.value
    first = (decided.status, decided.decided_by, decided.comment)
    # compared as JSON: true is not 1
    return first == (wanted, by, body.comment) and _canonical(decided.value) == _canonical(value)


def _canonical(value: JsonValue) -> str:
    return json.dumps(value, sort_keys=True)


def _conflict(error: Conflict, decided: ApprovalRow) -> Conflict:
    """Return the conflict with who decided and when, whatever it knew of that itself."""
    when = decided.decided_at
    return Conflict(
        error.message,
        code=error.code,
        hint=error.hint,
        details={
            **error.details,
            "decision": decided.status.value,
            "decided_by": decided.decided_by,
            "decided_at": when.isoformat() if when else None,
        },
    )
