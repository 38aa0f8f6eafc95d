"""Plans while they are made, as server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime

from flowbuilder.api.events import EventStream, Streams, format_event, told
from flowbuilder.api.schemas import RunOut
from flowbuilder.client import FlowBuilder
from flowbuilder.client.early import EarlyStart
from flowbuilder.client.planning import require_valid
from flowbuilder.errors import Conflict, FlowBuilderError
from flowbuilder.plan import Plan
from flowbuilder.planner.base import PlanEvent, PlanEventType
from flowbuilder.types import JsonObject

_ENDS = (PlanEventType.COMPLETED, PlanEventType.FAILED)


async def plan_stream(events: AsyncIterator[PlanEvent], streams: Streams) -> EventStream:
    """Return a stream of a plan's events, up to the terminal one.

    What is wrong from the start is raised here, to be told by the status.
    """
    return await _begun(_told(events), streams)


async def early_stream(early: EarlyStart, builder: FlowBuilder, streams: Streams) -> EventStream:
    """Return a stream of a plan's events whose first steps run meanwhile.

    An event `run`, which has no id, tells of the run: when its first step starts, and once the
    plan was accepted. A plan that is not valid and certain runs no further, which a last event
    `problem` says.
    """
    return await _begun(_running(early, builder), streams)


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


async def _begun(parts: AsyncGenerator[bytes], streams: Streams) -> EventStream:
    first = await anext(parts)
    return EventStream(told(_all(first, parts)), streams)


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
    data = json.dumps(run.model_dump(mode="json"), ensure_ascii=False, separators=(",", ":"))
    return f"event: run\ndata: {data}\n\n".encode()


def _envelope(seq: int, event: PlanEvent) -> JsonObject:
    return {
        "stream": event.plan.id if event.plan else None,
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
