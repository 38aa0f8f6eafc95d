"""Decisions asked of people."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Response

from flowbuilder.api.approval_schemas import (
    ActOut,
    ApprovalDetail,
    ApprovalList,
    ApprovalOut,
    CommentBody,
    LinkOut,
)
from flowbuilder.api.auth.callers import Principal
from flowbuilder.api.body import body_schema, json_body
from flowbuilder.api.dependencies import (
    ApprovalId,
    Builder,
    Caller,
    Engine,
    IdempotencyKey,
    as_uuid,
)
from flowbuilder.api.problem_documents import documented
from flowbuilder.api.problems import moved
from flowbuilder.api.requests import DecisionBody
from flowbuilder.client import FlowBuilder
from flowbuilder.errors import Conflict, DefinitionError, InvalidValue
from flowbuilder.executor.approval_records import ApprovalRow, Voter
from flowbuilder.executor.states import ApprovalStatus
from flowbuilder.types import JsonValue

router = APIRouter(prefix="/approvals", tags=["approvals"])

Status = Literal["pending", "approved", "rejected", "expired", "cancelled", "all"]
Decision = Annotated[DecisionBody, Depends(json_body(DecisionBody))]
Comment = Annotated[CommentBody, Depends(json_body(CommentBody))]


def voter_of(caller: Principal, by: str | None = None) -> Voter:
    """Return the caller as somebody who decides. Raises: Forbidden (`actor_not_yours`)."""
    return Voter(
        name=caller.acting_as(by),
        known=not caller.local,
        channel=caller.doer().channel,
        address=caller.address,
    )


@router.get("", summary="List approvals", responses=documented(403, 404))
async def list_approvals(
    builder: Builder,
    caller: Caller,
    status: Annotated[Status, Query(description="Which ones; `all` for every one.")] = "pending",
    run_id: Annotated[str | None, Query(description="Only those of this run.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    mine: Annotated[
        bool, Query(description="Only what the caller may decide now and has not voted on yet.")
    ] = False,
    by: Annotated[
        str | None,
        Query(max_length=200, description="With `mine`, where nobody logs in: whose."),
    ] = None,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
) -> ApprovalList:
    """Return the approvals that wait for somebody, or others by their status."""
    if run_id is not None:
        run_id = (await builder.get_run(as_uuid(run_id, "run"))).id
    after = None if cursor is None else as_uuid(cursor, "approval")
    page: dict[str, Any] = {"run_id": run_id, "limit": limit + 1, "after": after}
    if mine:
        if status != "pending":
            raise InvalidValue("`mine` is about what is pending", code="mine_pending_only")
        rows = await builder.approvals_of(voter_of(caller, by), **page)
    else:
        wanted = None if status == "all" else ApprovalStatus(status)
        rows = await builder.approvals(status=wanted, **page)
    items = [ApprovalOut.of(row) for row in rows[:limit]]
    return ApprovalList(items=items, next_cursor=items[-1].id if len(rows) > limit else None)


@router.get("/{approval_id}", summary="Show an approval", responses=documented(404))
async def get_approval(builder: Builder, caller: Caller, approval_id: ApprovalId) -> ApprovalDetail:
    """Return an approval with the arguments it is about. Looking at it decides nothing."""
    row = await builder.get_approval(approval_id)
    history = await builder.approval_history(approval_id)
    refusal = await builder.approval_mandate(approval_id, by=voter_of(caller))
    return ApprovalDetail.detailed(row, history, refusal)


@router.post(
    "/{approval_id}/decision",
    summary="Approve or reject",
    responses=documented(400, 403, 404, 409, 410, 413, 415),
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

    After the deadline it is a 410. Where several have to agree, it stays pending until they have.
    The same decision by the same person, repeated with an `Idempotency-Key`, is answered as the
    first time.
    """
    by = voter_of(caller, body.by)
    await _check_hash(builder, approval_id, body)
    try:
        row = await _decide(builder, approval_id, body, by)
    except Conflict as error:
        decided = await builder.get_approval(approval_id)
        if idempotency_key is None or not _same(decided, body, by.name):
            raise _conflict(error, decided) from None
        row = decided
    return ApprovalOut.of(row)


@router.post(
    "/{approval_id}/comments",
    summary="Say something about an approval",
    status_code=201,
    responses=documented(400, 404, 409, 413, 415),
    openapi_extra=body_schema("CommentBody"),
)
async def comment(
    builder: Builder, caller: Caller, approval_id: ApprovalId, body: Comment
) -> ActOut:
    """Write down what somebody says of it. That decides nothing."""
    by = voter_of(caller, body.by)
    return ActOut.of(await builder.comment_approval(approval_id, body.text, by=by))


@router.post(
    "/{approval_id}/links",
    summary="Make a link by which you decide",
    status_code=201,
    responses=documented(403, 404, 409, 410),
)
async def make_link(
    builder: Builder, engine: Engine, caller: Caller, approval_id: ApprovalId, response: Response
) -> LinkOut:
    """Make a link to a page on which the caller, and nobody else, decides this once.

    Opening it only shows. It counts until the deadline, and not for who may not decide by then.
    """
    await builder.get_approval(approval_id)  # one of this workspace
    made = await engine.approval_link(approval_id, workspace=builder.workspace, by=voter_of(caller))
    response.headers["Cache-Control"] = "no-store"
    return LinkOut.model_validate(made)


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
    builder: FlowBuilder, approval_id: str, body: DecisionBody, by: Voter
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
            "decision": "expired" if error.code == "approval_expired" else decided.status.value,
            "decided_by": decided.decided_by,
            "decided_at": when.isoformat() if when else None,
        },
    )
