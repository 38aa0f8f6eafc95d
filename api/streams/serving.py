"""What routes answer with: a shared stream, or a page with the same bytes."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from fastapi import Request
from starlette.responses import Response

from flowbuilder.api.auth.callers import Principal
from flowbuilder.api.events import Streams, position
from flowbuilder.api.problems import BadRequest
from flowbuilder.api.streams.channel import Channel
from flowbuilder.api.streams.frames import event_json, to_json
from flowbuilder.api.streams.response import SharedStream
from flowbuilder.api.streams.seats import Holder
from flowbuilder.api.streams.sources import RunSource, WorkspaceSource
from flowbuilder.client import FlowBuilder
from flowbuilder.client.following import pruned
from flowbuilder.client.workspace_log import WorkspaceLog
from flowbuilder.executor.records import RunRow
from flowbuilder.executor.store.workspace_log import LogState
from flowbuilder.types import JsonObject


async def run_stream(
    request: Request,
    builder: FlowBuilder,
    caller: Principal,
    streams: Streams,
    run_id: str,
    *,
    last_event_id: str | None,
    after: int,
) -> Response:
    """Return the stream of a run's events behind a number; 204 where nothing can come.

    Raises:
        NotFound: There is no such run in the caller's workspace.
        BadRequest: The number is none of the run's (last_event_id_invalid).
        Conflict: What comes next was deleted (events_pruned).
        Unavailable, TooManyStreams: There is no room for it.
    """
    holder = holder_of(caller)
    streams.check(holder)
    key: Hashable = ("run", caller.workspace, run_id)
    channel = streams.hub.known(key)
    start = None if channel is None else _at_hand(channel, last_event_id, after)
    if channel is None or start is None:
        run = (await builder.get_run(run_id)).row
        start = position(last_event_id, after, run.last_seq)
        if start < run.last_seq:
            await _require_left(builder, run, start)
        channel = streams.hub.channel(
            key,
            lambda: RunSource(builder, run_id),
            last=run.last_seq,
            ended=run.status.terminal,
        )
        goal = run.last_seq
    else:
        goal = channel.last
    if channel.ended and start >= max(channel.last, goal):
        # tells a browser that comes back after the last event not to come again
        return Response(status_code=204)
    return SharedStream(
        channel,
        request,
        after=start,
        goal=goal,
        hub=streams.hub,
        seats=streams.seats,
        holder=holder,
    )


def _at_hand(channel: Channel, last_event_id: str | None, after: int) -> int | None:
    """Return where a client goes on if this process has what comes next: nothing is read then.

    That the run is the caller's is sure, because a channel is known by its workspace.
    """
    try:
        start = position(last_event_id, after, channel.last)
    except BadRequest:  # or this process is behind the one that the client comes from
        return None
    return start if start == channel.last or channel.at_hand(start) is not None else None


async def _require_left(builder: FlowBuilder, run: RunRow, after: int) -> None:
    """Refuse to go on behind a number where the next event was deleted. Raises: Conflict."""
    found = await builder.events(run.id, after=after, limit=1)
    if not found:
        raise pruned(run.last_seq + 1)
    if found[0].seq != after + 1:
        raise pruned(found[0].seq)


async def run_page(builder: FlowBuilder, run: RunRow, after: int, limit: int) -> Response:
    """Return a page of a run's events.

    Raises:
        Conflict: What comes next was deleted (events_pruned).
    """
    found = await builder.events(run.id, after=after, limit=limit)
    if found and found[0].seq != after + 1:
        raise pruned(found[0].seq)
    next_after = found[-1].seq if found else after
    rest: JsonObject = {
        "next_after": next_after,
        "ended": run.status.terminal and next_after >= run.last_seq,
    }
    return _page((event_json(event) for event in found), rest)


def workspace_stream(
    request: Request,
    log: WorkspaceLog,
    caller: Principal,
    streams: Streams,
    state: LogState,
    after: int,
) -> Response:
    """Return the stream of a workspace's events behind a number. Raises: as `run_stream`."""
    holder = holder_of(caller)
    streams.check(holder)
    channel = streams.hub.channel(
        ("workspace", caller.workspace), lambda: WorkspaceSource(log), last=state.last
    )
    return SharedStream(
        channel,
        request,
        after=after,
        goal=state.last,
        hub=streams.hub,
        seats=streams.seats,
        holder=holder,
    )


async def workspace_page(log: WorkspaceLog, state: LogState, after: int, limit: int) -> Response:
    """Return a page of a workspace's events. Raises: Conflict (events_pruned)."""
    found = await log.read(after, limit)
    rest: JsonObject = {
        "next_after": found[-1].place if found else after,
        "first": state.first,
        "last": state.last,
    }
    return _page((event_json(row.event, row.place) for row in found), rest)


def holder_of(caller: Principal) -> Holder:
    """Return whose streams a caller's are."""
    return Holder(user=caller.user_id, workspace=caller.workspace)


def _page(items: Iterable[bytes], rest: JsonObject) -> Response:
    body = b'{"items":[' + b",".join(items) + b"]," + to_json(rest)[1:]
    return Response(body, media_type="application/json")
