"""What routes receive: the caller, the client library, checked ids and headers."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Path, Request

from flowbuilder.api.events import Streams
from flowbuilder.api.problems import BadRequest
from flowbuilder.client import FlowBuilder
from flowbuilder.errors import NotFound
from flowbuilder.flow import SLUG_PATTERN

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_SLUG = re.compile(SLUG_PATTERN.removesuffix("$"))
_KEY = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,198}[\x21-\x7e])?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Principal:
    """Who is calling."""

    name: str


LOCAL = Principal(name="local")


async def principal() -> Principal:
    """Return who is calling: the local user, until there are others.

    The parent router depends on this, so it is the one place every route but the public ones
    passes.
    """
    return LOCAL


def flowbuilder_of(request: Request) -> FlowBuilder:
    """Return the open client of this process."""
    builder: FlowBuilder = request.app.state.flowbuilder
    return builder


def streams_of(request: Request) -> Streams:
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


def _run_id(run_id: Annotated[str, Path(description="The run's id, a UUID.")]) -> str:
    return as_uuid(run_id, "run")


def _plan_id(plan_id: Annotated[str, Path(description="The plan's id, a UUID.")]) -> str:
    return as_uuid(plan_id, "plan")


def _approval_id(
    approval_id: Annotated[str, Path(description="The approval's id, a UUID.")],
) -> str:
    return as_uuid(approval_id, "approval")


def _slug(slug: Annotated[str, Path(description="The flow's name.")]) -> str:
    if not _SLUG.fullmatch(slug):
        raise NotFound(f"there is no flow {slug[:80]!r}", code="flow_not_found")
    return slug


def _idempotency_key(
    idempotency_key: Annotated[
        str | None,
        Header(
            description="Repeat a request with the same key and it takes effect once. "
            "1 to 200 printable ASCII characters."
        ),
    ] = None,
) -> str | None:
    if idempotency_key is not None and not _KEY.fullmatch(idempotency_key):
        raise BadRequest(
            "Idempotency-Key takes 1 to 200 printable ASCII characters.",
            code="idempotency_key_invalid",
        )
    return idempotency_key


Caller = Annotated[Principal, Depends(principal)]
Builder = Annotated[FlowBuilder, Depends(flowbuilder_of)]
OpenStreams = Annotated[Streams, Depends(streams_of)]
RunId = Annotated[str, Depends(_run_id)]
PlanId = Annotated[str, Depends(_plan_id)]
ApprovalId = Annotated[str, Depends(_approval_id)]
FlowSlug = Annotated[str, Depends(_slug)]
IdempotencyKey = Annotated[str | None, Depends(_idempotency_key)]
