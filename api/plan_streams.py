"""Plans while they are made, as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime

from fastapi import Request

from flowbuilder.api.auth.callers import while_allowed
from flowbuilder.api.dependencies import Caller, OpenStreams
from flowbuilder.api.events import EventStream, format_event, told
from flowbuilder.api.schemas import RunOut
from flowbuilder.api.streams.frames import note
from flowbuilder.api.streams.serving import holder_of
from flowbuilder.client import FlowBuilder
from flowbuilder.client.early import EarlyStart
from flowbuilder.client.planning import require_valid
from flowbuilder.errors import Conflict, FlowBuilderError
from flowbuilder.plan import Plan
from flowbuilder.planner.base import PlanEvent, PlanEventType
from flowbuilder.types import JsonObject

_ENDS = (PlanEventType.COMPLETED, PlanEventType.FAILED)


class PlanStreams:
    """Streams of plans for the caller of one request, who is looked at again while they last."""

    def __init__(self, request: Request, caller: Caller, streams: OpenStreams) -> None:
        self._request = request
        self._streams = streams
        self._holder = holder_of(caller)

    def check(self) -> None:
        """Refuse a further stream. Raises: Unavailable, TooManyStreams."""
        self._streams.check(self._holder)

    async def plan(self, events: AsyncIterator[PlanEvent]) -> EventStream:
        """Return a stream of a plan's events, up to the terminal one.

        What is wrong from the start is raised here, to be told by the status.
        """
        return await self._begun(_told(events))

    async def early(self, early: EarlyStart, builder: FlowBuilder) -> EventStream:
        """Return a stream of a plan's events whose first steps run meanwhile.

        An event `run`, which has no id, tells of the run: when its first step starts, and once the
        plan was accepted. A plan that is not valid and certain runs no further, which a last event
        `problem` says.
        """
        return await self._begun(_running(early, builder))

    async def _begun(self, parts: AsyncGenerator[bytes]) -> EventStream:
        first = await anext(parts)
        seen = while_allowed(self._request, _all(first, parts))
        return EventStream(told(seen), self._streams, self._holder)


def require_certain(plan: Plan) -> None:
    """Refuse to run a plan unseen. Raises: DefinitionError, Conflict (plan_uncertain)."""
    require_valid(plan)
    if not plan.certain:
        raise Conflict(
            "the planner is not certain of this plan: look at it, then accept it",
            code="plan_uncertain",
            hint=f"GET /api/v1/plans/{plan.id}, then POST /api/v1/plans/{plan.id}/accept",
            details={"plan_id": plan.id, "notes": list(plan.notes)},
        )


async def _all(first: bytes, parts: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    async with aclosing(parts):
        yield first
        async for part in parts:
            yield part


async def _told(events: AsyncIterator[PlanEvent]) -> AsyncGenerator[bytes]:
    """Format a plan's events; a failure that was told by an event is told once."""
    seq, ended = 0, False
    try:
        async for event in events:
            seq += 1
            ended = ended or event.type in _ENDS
            yield format_event(seq, event.type.value, _envelope(seq, event))
    except FlowBuilderError:
        if not ended:
            raise
    finally:
        if isinstance(events, AsyncGenerator):
            await events.aclose()


async def _running(early: EarlyStart, builder: FlowBuilder) -> AsyncGenerator[bytes]:
    async with early:
        shown = None
        async with aclosing(_told(aiter(early))) as parts:
            async for part in parts:
                yield part
                if early.run is not None and shown is None:
                    shown = early.run.id
                    yield _run(RunOut.of(early.run.row))
        if early.plan is None:
            return  # a failure, which an event has told
        require_certain(early.plan)
        accepted = await early.accept()
        row = (await builder.get_run(accepted.id)).row
    yield _run(RunOut.of(row))


def _run(run: RunOut) -> bytes:
    return note("run", run.model_dump(mode="json"))


def _envelope(seq: int, event: PlanEvent) -> JsonObject:
    return {
        "stream": event.stream,
        "seq": seq,
        "type": event.type.value,
        "run_id": None,
        "step_name": None,
        "task_id": None,
        "attempt": None,
        "at": datetime.now(UTC).isoformat(),
        "actor": None,
        "data": event.data,
    }
