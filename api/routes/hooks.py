"""The one address where anybody may send: signed deliveries to webhooks.

Whoever sends has no account. A delivery counts because it is signed with the webhook's secret; it
brings a value and says nothing about flow, version, workspace or who starts.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from flowbuilder.api.body import read_bytes
from flowbuilder.api.problem_documents import documented
from flowbuilder.api.problems import (
    MEDIA_TYPE,
    BadRequest,
    Unavailable,
    problem_of,
    problem_response,
)
from flowbuilder.api.trigger_schemas import DeliveredOut
from flowbuilder.client import FlowBuilder
from flowbuilder.client.deliveries import (
    Delivered,
    FlowGone,
    TooManyDeliveries,
    UnknownWebhook,
)
from flowbuilder.client.tenancy import Tenants
from flowbuilder.errors import Conflict, FlowBuilderError, InvalidValue, SettingsError
from flowbuilder.executor.triggers import KnownWebhook
from flowbuilder.triggers.flood import Flood
from flowbuilder.triggers.signing import Signature, SignatureRefused

log = logging.getLogger("flowbuilder.api")
router = APIRouter(prefix="/hooks", tags=["hooks"])

#: A sender that takes longer for a body is not waited for.
BODY_SECONDS = 10.0
#: Seconds after which a sender may come again to a workspace that is full.
COME_AGAIN = 30
#: Of one address to one webhook, before anything is looked up.
BURST, RATE = 300.0, 100.0
#: Deliveries that this process works on at once; the others wait, and leave connections to others.
AT_ONCE = 4
_PATH = re.compile(r"[A-Za-z0-9_-]{22,64}")
_JSON = re.compile(r'application/json(?: *; *charset="?utf-8"?)?', re.IGNORECASE)
#: An answer before the whole body was read ends the connection, else it would be read for ever.
_CLOSE = {"Connection": "close"}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "model": DeliveredOut,
        "description": "It was delivered before; the run is the first one's.",
    },
    **documented(400, 401, 404, 413, 415, 422, 429, 500, 503),
    408: {
        "description": "The body did not come in time.",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    },
    410: {
        "description": "The flow or its workspace is archived or deleted; do not send again.",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    },
}


class Door:
    """What this process keeps of deliveries."""

    def __init__(self) -> None:
        self.flood = Flood(burst=BURST, rate=RATE)
        self.room = asyncio.Semaphore(AT_ONCE)


@router.post(
    "/{hook}",
    summary="Deliver to a webhook",
    status_code=202,
    response_model=DeliveredOut,
    responses=_RESPONSES,
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": {}}}},
        "parameters": [
            {"name": name, "in": "header", "required": True, "schema": {"type": "string"}}
            for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
        ],
    },
)
async def receive(
    request: Request,
    hook: Annotated[str, Path(description="The random end of the webhook's address.")],
) -> Response:
    """Start the webhook's flow with the body as its input, once for each `webhook-id`.

    The delivery is signed as Standard Webhooks says. Unknown, paused and deleted webhooks are all
    the same.
    """
    try:
        delivered = await _receive(request, hook)
    except FlowBuilderError as error:
        return _refusal(error)
    body = DeliveredOut(run_id=delivered.run_id, duplicate=delivered.duplicate)
    return Response(
        body.model_dump_json(),
        status_code=200 if delivered.duplicate else 202,
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


async def _receive(request: Request, hook: str) -> Delivered:
    door = _door(request)
    address = request.client.host if request.client else None
    wait = door.flood.take(f"{address} {hook[:64]}")
    if wait:
        raise TooManyDeliveries(wait)
    if not _PATH.fullmatch(hook):
        raise UnknownWebhook("There is nothing at this address.")
    builder: FlowBuilder = request.app.state.flowbuilder
    async with door.room:
        known = await builder.webhooks.at(hook)
    _check_media_type(request)
    body = await _body(request)
    async with door.room:
        inside = await _inside(request, known)
        return await inside.webhooks.deliver(known, _signature(request), body, address=address)


def _door(request: Request) -> Door:
    state = request.app.state
    if not hasattr(state, "door"):
        state.door = Door()
    door: Door = state.door
    return door


async def _inside(request: Request, known: KnownWebhook) -> FlowBuilder:
    """Return the client of the webhook's workspace, behind the second wall where there is one."""
    workspace = known.row.workspace_id
    if request.app.state.tokens is not None:
        tenants: Tenants = request.app.state.tenants
        return await tenants.of(workspace)
    builder: FlowBuilder = request.app.state.flowbuilder
    return builder if builder.workspace == workspace else builder.within(workspace)


def _check_media_type(request: Request) -> None:
    given = request.headers.getlist("content-type")
    coded = request.headers.getlist("content-encoding")
    if len(given) != 1 or not _JSON.fullmatch(given[0].strip()) or coded not in ([], ["identity"]):
        raise BadRequest(
            "A delivery is JSON in UTF-8, not compressed: `Content-Type: application/json`.",
            code="media_type_unsupported",
        )


async def _body(request: Request) -> bytes:
    settings = request.app.state.settings
    limit = min(settings.max_body_bytes, settings.max_value_bytes)
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await read_bytes(request, limit=limit)
    except TimeoutError:
        raise BadRequest("The body did not come in time.", code="body_timeout") from None


def _signature(request: Request) -> Signature:
    return Signature(
        ids=request.headers.getlist("webhook-id"),
        timestamps=request.headers.getlist("webhook-timestamp"),
        signatures=request.headers.getlist("webhook-signature"),
    )


def _refusal(error: FlowBuilderError) -> Response:
    """Answer what was refused; it says nothing of the workspace, and ends the connection."""
    if isinstance(error, Conflict):  # too many runs, or a quota: the sender comes again
        after = error.details.get("retry_after")
        seconds = math.ceil(after) if isinstance(after, int | float) else COME_AGAIN
        full = Unavailable("No further deliveries are taken for now.", code=error.code)
        return _said(503, full, {"Retry-After": str(max(1, seconds))})
    if isinstance(error, TooManyDeliveries):
        return _said(429, error, {"Retry-After": str(max(1, math.ceil(error.seconds)))})
    if isinstance(error, SignatureRefused):
        return _said(401, error, {"WWW-Authenticate": "Signature"})
    if isinstance(error, UnknownWebhook):
        return _said(404, error)
    if isinstance(error, FlowGone):
        return _said(410, error)
    if error.code == "body_timeout":
        return _said(408, error)
    if isinstance(error, SettingsError):
        log.warning("deliveries cannot be checked: %s", error.message)
        error = Unavailable("Deliveries cannot be checked here at present.")
    elif type(error) is InvalidValue and error.code.startswith("json_"):
        error = BadRequest(error.message, pointer=error.pointer, code=error.code, hint=error.hint)
    response = problem_of(error)
    response.headers.update(_CLOSE)
    return response


def _said(status: int, error: FlowBuilderError, headers: dict[str, str] | None = None) -> Response:
    return problem_response(
        status, code=error.code, detail=error.message, headers={**_CLOSE, **(headers or {})}
    )
