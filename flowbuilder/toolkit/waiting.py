"""`event.wait` and `event.emit`: a durable wait for an event, and what it waits for."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from flowbuilder.flow import Duration
from flowbuilder.tools import Context, Wait, tool
from flowbuilder.tools.eventnames import LONGEST_KEY, LONGEST_NAME, NAME_PATTERN

Name = Annotated[
    str,
    Field(
        pattern=NAME_PATTERN,
        max_length=LONGEST_NAME,
        description="The event's name, such as order.paid.",
    ),
]
Key = Annotated[
    str,
    Field(
        max_length=LONGEST_KEY,
        description="Which one of that name, such as an order's number; none by default.",
    ),
]


class EmittedEvent(BaseModel):
    """The event that was emitted."""

    name: str = Field(description="The event's name.")
    key: str = Field(description="Which one of that name; empty for one without a key.")


@tool(
    "event.wait",
    effects="read",
    untrusted_output=True,
    output_schema={"description": "The event's payload; null when none came and none had to."},
    keywords=(
        "wait for the event, wait for an event, wait for a signal, until the event arrives, "
        "until notified, on event, when the event is emitted, external event, callback",
    ),
    examples=("wait for the event order.paid", "wait for the signal deploy/finished"),
)
def event_wait(
    name: Name,
    key: Key = "",
    timeout: Annotated[
        Duration | None, Field(description="How long to wait, such as 2h; 24h by default.")
    ] = None,
    on_timeout: Annotated[
        Literal["fail", "null"],
        Field(description="When nothing came in time: fail with event_timeout, or give null."),
    ] = "fail",
) -> Wait:
    """Wait until an event is emitted, without holding a worker, and return its payload."""
    return Wait.for_event(name, key, timeout=timeout, on_timeout=on_timeout)


@tool(
    "event.emit",
    effects="write",
    transactional=True,
    keywords=(
        "emit the event, emit an event, raise the event, fire the event, send the signal, "
        "signal the waiting flow, let the waiting flows go on",
    ),
    examples=("emit the event order.paid", "emit the event deploy.finished with key 42"),
)
async def event_emit(
    context: Context,
    name: Name,
    key: Key = "",
    payload: Annotated[
        Any, Field(description="What the waiting steps complete with; null by default.")
    ] = None,
    keep: Annotated[
        Duration | None, Field(description="How long later waits get it, such as 7d.")
    ] = None,
) -> EmittedEvent:
    """Emit an event, so that every step that waits for it goes on; once, also after retries."""
    await context.emit(name, key, payload, keep=keep)
    return EmittedEvent(name=name, key=key)
