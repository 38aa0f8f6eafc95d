"""`event.wait`: a durable wait for an event that somebody emits."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from flowbuilder.flow import Duration
from flowbuilder.tools import Wait, tool
from flowbuilder.tools.eventnames import LONGEST_KEY, LONGEST_NAME, NAME_PATTERN


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
    name: Annotated[
        str,
        Field(
            pattern=NAME_PATTERN,
            max_length=LONGEST_NAME,
            description="The event's name, such as order.paid.",
        ),
    ],
    key: Annotated[
        str,
        Field(
            max_length=LONGEST_KEY,
            description="Which one of that name, such as an order's number; none by default.",
        ),
    ] = "",
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
