"""Where a workspace's approvals are told, and who stands in for whom."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path

from flowbuilder.api.approval_schemas import (
    ChannelBody,
    ChannelList,
    ChannelOut,
    ConfirmBody,
    DelegationBody,
    DelegationList,
    DelegationOut,
)
from flowbuilder.api.body import body_schema, json_body
from flowbuilder.api.dependencies import Builder, Caller, as_uuid
from flowbuilder.api.problem_documents import documented
from flowbuilder.api.routes.approvals import voter_of
from flowbuilder.client.roles import Role
from flowbuilder.errors import InvalidValue, NotFound

router = APIRouter(tags=["approvals"])

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def _channel(name: Annotated[str, Path(description="The channel's name.")]) -> str:
    if not _NAME.fullmatch(name):
        raise NotFound(f"there is no channel {name[:80]!r}", code="channel_not_found")
    return name


def _delegation(
    delegation_id: Annotated[str, Path(description="The delegation's id, a UUID.")],
) -> str:
    return as_uuid(delegation_id, "delegation")


Channel = Annotated[str, Depends(_channel)]
DelegationId = Annotated[str, Depends(_delegation)]


@router.get("/approval-channels", summary="List where approvals are told")
async def list_channels(builder: Builder, caller: Caller) -> ChannelList:
    """Return the workspace's channels by name; those who do not administer it see their own."""
    found = await builder.approval_channels()
    if not caller.holds(Role.ADMIN):
        found = [row for row in found if row.user_name == caller.user.lower()]
    return ChannelList(items=[ChannelOut.of(row) for row in found])


@router.put(
    "/approval-channels/{name}",
    summary="Say where approvals are told",
    responses=documented(400, 404, 409, 413, 415),
    openapi_extra=body_schema("ChannelBody"),
)
async def put_channel(
    builder: Builder,
    caller: Caller,
    name: Channel,
    body: Annotated[ChannelBody, Depends(json_body(ChannelBody))],
) -> ChannelOut:
    """Set a channel, in the place of the one of that name.

    A channel with a user is that person's: it is told of what they may decide. A mail has a link
    to do so once that person has confirmed the channel, or if it is they who set it.
    """
    row = await builder.set_approval_channel(
        name,
        kind=body.kind,
        address=body.address,
        webhook=body.webhook,
        user=body.user,
        audience=body.audience,
        by=voter_of(caller),
    )
    return ChannelOut.of(row)


@router.post(
    "/approval-channels/{name}/confirm",
    summary="Say that a channel is yours",
    responses=documented(400, 404, 409, 413, 415),
    openapi_extra=body_schema("ConfirmBody"),
)
async def confirm_channel(
    builder: Builder,
    caller: Caller,
    name: Channel,
    body: Annotated[ConfirmBody, Depends(json_body(ConfirmBody))],
) -> ChannelOut:
    """Let a channel of the caller's bring links by which they decide, to the address named."""
    row = await builder.confirm_approval_channel(name, body.address, by=voter_of(caller))
    return ChannelOut.of(row)


@router.delete(
    "/approval-channels/{name}",
    summary="Tell nothing there any more",
    status_code=204,
    responses=documented(404),
)
async def drop_channel(builder: Builder, caller: Caller, name: Channel) -> None:
    """Remove a channel; what was not told yet is told to nobody there."""
    await builder.drop_approval_channel(name, by=voter_of(caller))


@router.get("/approval-delegations", summary="List who stands in for whom")
async def list_delegations(builder: Builder) -> DelegationList:
    """Return the delegations that count now."""
    rows = await builder.approval_delegations()
    return DelegationList(items=[DelegationOut.of(row) for row in rows])


@router.post(
    "/approval-delegations",
    summary="Let somebody stand in for you",
    status_code=201,
    responses=documented(400, 403, 409, 413, 415),
    openapi_extra=body_schema("DelegationBody"),
)
async def delegate(
    builder: Builder,
    caller: Caller,
    body: Annotated[DelegationBody, Depends(json_body(DelegationBody))],
) -> DelegationOut:
    """Let another approver decide what you are asked for, until a time."""
    by = voter_of(caller, body.of)
    row = await builder.delegate_approvals(
        body.to, of=by.name, until=_time(body.until), lasts=body.lasts, by=by
    )
    return DelegationOut.of(row)


@router.delete(
    "/approval-delegations/{delegation_id}",
    summary="End a delegation",
    status_code=204,
    responses=documented(404),
)
async def end_delegation(builder: Builder, caller: Caller, delegation_id: DelegationId) -> None:
    """End a delegation of yours at once; administrators end everybody's."""
    every = caller.local or Role.ADMIN in caller.roles
    by = voter_of(caller)
    await builder.end_delegation(delegation_id, of=None if every else by.name, by=by)


def _time(text: str | None) -> datetime | None:
    """Return when a delegation ends. Raises: InvalidValue (`delegation_invalid`)."""
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise InvalidValue(
            "`until` is a time with its zone, such as 2030-01-31T12:00:00Z",
            pointer="/until",
            code="delegation_invalid",
        ) from None
