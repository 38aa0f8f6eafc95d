"""What routes receive: the caller, the client library, checked ids and headers."""

from __future__ import annotations

import re
import uuid
from typing import Annotated

from fastapi import Depends, Header, Path, Request

from flowbuilder.api.auth.access import Level
from flowbuilder.api.auth.callers import LOCAL, Principal, authorize, principal
from flowbuilder.api.events import Streams
from flowbuilder.api.problems import BadRequest
from flowbuilder.client import FlowBuilder
from flowbuilder.client.accounts import Accounts
from flowbuilder.client.tenancy import Tenants
from flowbuilder.errors import NotFound
from flowbuilder.flow import SLUG_PATTERN

__all__ = ["LOCAL", "Principal", "authorize", "principal"]

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_SLUG = re.compile(SLUG_PATTERN.removesuffix("$"))
#: What begins with `plan:` is how the acceptance of a plan is told from another one.
_KEY = re.compile(r"(?!plan:)[\x21-\x7e]([\x20-\x7e]{0,198}[\x21-\x7e])?")


async def flowbuilder_of(
    request: Request, caller: Annotated[Principal, Depends(principal)]
) -> FlowBuilder:
    """Return the client of the workspace that the request is about.

    Where nobody logs in, that is the open client of this process. What is for administrators of
    the installation changes what belongs to no workspace, so it is not kept inside of one.
    """
    builder: FlowBuilder = request.app.state.flowbuilder
    if caller.local:
        return builder
    access = request.app.state.access.get(request.scope["endpoint"])
    if access is not None and access.level is Level.INSTANCE:
        return builder if caller.workspace is None else builder.within(caller.workspace)
    if caller.workspace is None:
        raise NotFound("there is no such workspace", code="workspace_not_found")
    tenants: Tenants = request.app.state.tenants
    return await tenants.of(caller.workspace)


async def engine_of(request: Request) -> FlowBuilder:
    """Return the open client of this process, which is kept inside of no workspace."""
    builder: FlowBuilder = request.app.state.flowbuilder
    return builder


async def accounts_of(request: Request) -> Accounts:
    """Return users, workspaces and keys."""
    builder: FlowBuilder = request.app.state.flowbuilder
    return builder.accounts


async def streams_of(request: Request) -> Streams:
    """Return the open event streams of this process."""
    streams: Streams = request.app.state.streams
    return streams


def as_uuid(text: str, what: str) -> str:
    """Return the canonical text of a UUID.

    Raises:
        NotFound: It is none, so nothing can have it (code `<what>_not_found`).
    """
    if not _UUID.fullmatch(text):
        raise NotFound(f"there is no {what} {text[:80]!r}", code=f"{what}_not_found")
    return str(uuid.UUID(text))


async def _run_id(run_id: Annotated[str, Path(description="The run's id, a UUID.")]) -> str:
    return as_uuid(run_id, "run")


async def _plan_id(plan_id: Annotated[str, Path(description="The plan's id, a UUID.")]) -> str:
    return as_uuid(plan_id, "plan")


async def _approval_id(
    approval_id: Annotated[str, Path(description="The approval's id, a UUID.")],
) -> str:
    return as_uuid(approval_id, "approval")


async def _slug(slug: Annotated[str, Path(description="The flow's name.")]) -> str:
    if not _SLUG.fullmatch(slug):
        raise NotFound(f"there is no flow {slug[:80]!r}", code="flow_not_found")
    return slug


async def _idempotency_key(
    idempotency_key: Annotated[
        str | None,
        Header(
            description="Repeat a request with the same key and it takes effect once. "
            "1 to 200 printable ASCII characters; what begins with `plan:` is the service's own."
        ),
    ] = None,
) -> str | None:
    if idempotency_key is not None and not _KEY.fullmatch(idempotency_key):
        raise BadRequest(
            "Idempotency-Key takes 1 to 200 printable ASCII characters, and no `plan:` in front.",
            code="idempotency_key_invalid",
        )
    return idempotency_key


Caller = Annotated[Principal, Depends(principal)]
Builder = Annotated[FlowBuilder, Depends(flowbuilder_of)]
Engine = Annotated[FlowBuilder, Depends(engine_of)]
Users = Annotated[Accounts, Depends(accounts_of)]
OpenStreams = Annotated[Streams, Depends(streams_of)]
RunId = Annotated[str, Depends(_run_id)]
PlanId = Annotated[str, Depends(_plan_id)]
ApprovalId = Annotated[str, Depends(_approval_id)]
FlowSlug = Annotated[str, Depends(_slug)]
IdempotencyKey = Annotated[str | None, Depends(_idempotency_key)]
