"""The events of a whole workspace, in one order."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response

from flowbuilder.api.dependencies import Builder, Caller, Engine, OpenStreams
from flowbuilder.api.events import MEDIA_TYPE, position, wants_stream
from flowbuilder.api.problem_documents import documented
from flowbuilder.api.schemas import WorkspaceEventPage
from flowbuilder.api.streams.serving import workspace_page, workspace_stream

router = APIRouter(prefix="/events", tags=["events"])


@router.get(
    "",
    summary="Read or follow the events of a workspace",
    response_model=WorkspaceEventPage,
    responses={
        200: {
            "description": "A page of events or, with `Accept: text/event-stream` or "
            "`Last-Event-ID`, the stream, which does not end by itself. `id` is the event's number "
            "in the workspace, which its data has as `place`.",
            "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
        },
        **documented(400, 410, 429),
    },
)
async def workspace_events(
    request: Request,
    builder: Builder,
    engine: Engine,
    caller: Caller,
    streams: OpenStreams,
    after: Annotated[
        int | None,
        Query(
            ge=0,
            le=9_223_372_036_854_775_807,
            description="Only events with a higher number. Default: from the oldest one on.",
        ),
    ] = None,
    latest: Annotated[bool, Query(description="Begin with what comes from now on.")] = False,
    limit: Annotated[int, Query(ge=1, le=1000, description="Of a page.")] = 500,
    accept: Annotated[str | None, Header()] = None,
    last_event_id: Annotated[
        str | None, Header(description="Resume a stream after this event.")
    ] = None,
) -> WorkspaceEventPage | Response:
    """Return the events of all runs in the order in which they were committed.

    They have numbers of their own, 1, 2, 3 …, from when they were asked for first on: then the
    newest runs are put in. What nobody reads for a week is not kept further.
    """
    log = builder.workspace_log(engine)
    state = await log.state()
    begin = state.last if latest else state.first - 1
    start = position(last_event_id, begin if after is None else after, state.last, state.first)
    if wants_stream(accept, last_event_id):
        return workspace_stream(request, log, caller, streams, state, start)
    return await workspace_page(log, state, start, limit)
