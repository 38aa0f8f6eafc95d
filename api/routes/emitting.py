"""Events from outside, which waiting steps go on with."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from flowbuilder.api.body import body_schema, json_body
from flowbuilder.api.dependencies import Builder, Caller
from flowbuilder.api.problem_documents import documented
from flowbuilder.api.requests import EventBody
from flowbuilder.api.schemas import EmittedOut

router = APIRouter(prefix="/events", tags=["events"])


@router.post(
    "",
    summary="Emit an event",
    status_code=201,
    responses={
        200: {"model": EmittedOut, "description": "It was emitted before; the first one stands."},
        **documented(400, 413, 415),
    },
    openapi_extra=body_schema("EventBody"),
)
async def emit(
    builder: Builder,
    caller: Caller,
    body: Annotated[EventBody, Depends(json_body(EventBody))],
    response: Response,
) -> EmittedOut:
    """Emit an event by name and key; every step that waits for it goes on with the payload.

    It is kept, so a step that waits for it later goes on at once. The first of a name and key
    stands while it is kept: repeating a request is safe, and answered with 200 and `already`.
    """
    emitted = await builder.emit(
        body.name, body.key, body.payload, keep=body.keep, by=caller.acting_as(body.by)
    )
    if emitted.already:
        response.status_code = 200
    return EmittedOut.model_validate(emitted)
