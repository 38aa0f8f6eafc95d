"""`time.sleep` and `flow.run`: durable waits that hold no worker."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, Field

from flowbuilder.flow import SLUG_PATTERN
from flowbuilder.tools import Fail, Wait, tool
from flowbuilder.types import LONGEST


@tool(
    "time.sleep",
    needs_one_of=[("seconds",), ("until",)],
    output_schema={"description": "The time at which the wait ended."},
    keywords=(
        "wait, pause, delay, sleep, hold on, after some time, later, in five minutes, "
        "until tomorrow, for an hour, seconds, minutes, hours",
    ),
    examples=("wait 10 seconds", "pause for five minutes", "wait until 2030-01-01T09:00:00Z"),
)
def time_sleep(
    seconds: Annotated[
        float | None,
        Field(ge=0, le=LONGEST.total_seconds(), description="How long to wait, in seconds."),
    ] = None,
    until: Annotated[
        AwareDatetime | None, Field(description="Or when to go on: a time with its zone.")
    ] = None,
) -> Wait:
    """Wait for some seconds or until a time, without holding a worker."""
    if (seconds is None) == (until is None):
        raise Fail("give either seconds or until", code="sleep_invalid")
    if seconds is not None:
        return Wait.for_time(seconds)
    assert until is not None
    left = (until - datetime.now(UTC)).total_seconds()
    if left > LONGEST.total_seconds():
        raise Fail("until lies more than ten years ahead", code="sleep_invalid")
    return Wait.for_time(max(left, 0.0))  # a time that is over is waited for no longer


@tool(
    "flow.run",
    effects="write",
    output_schema={"description": "The output of the child run."},
    keywords=(
        "run another flow, start the flow, call a flow, sub-flow, subflow, child flow, "
        "execute the workflow, use the workflow, trigger flow, invoke",
    ),
    examples=("run the flow daily-report", "start the workflow onboarding for each customer"),
)
def flow_run(
    flow: Annotated[str, Field(pattern=SLUG_PATTERN, description="The slug of the flow.")],
    input: Annotated[Any, Field(description="The input of the child run.")] = ...,
    version: Annotated[
        int | None, Field(ge=1, description="A version; the newest by default.")
    ] = None,
) -> Wait:
    """Run another registered flow as a child and return its output."""
    return Wait.for_run(flow, {} if input is ... else input, version=version)
