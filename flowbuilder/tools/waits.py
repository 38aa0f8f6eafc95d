"""What a handler returns to give its slot back: wait for a time, a person, a run or an event."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from flowbuilder.types import JsonSchema, JsonValue


@dataclass(frozen=True, kw_only=True, slots=True)
class Wait:
    """Returned by a handler: give the slot back until something happens.

    Exactly one kind. `seconds`: a durable sleep. `approval`: a person decides (`by`, `deadline`,
    `message`, `data` for the page, `schema` when a value is asked for). `flow`: a child run with
    `input`. `event`: somebody emits an event of this name and `key`, within `timeout`. When the
    wait is over the task completes with the wait's value: the end time, the decision `{approved,
    by, comment, value}` (the bare `value` when a `schema` was given), the child's output, or the
    event's payload.
    """

    kind: Literal["time", "approval", "run", "event"]
    seconds: float | None = None
    message: str | None = None
    data: JsonValue = None
    schema: JsonSchema | None = None
    by: tuple[str, ...] = ()
    deadline: timedelta | float | str | None = None
    on_deadline: Literal["reject", "approve"] = "reject"
    flow: str | None = None
    version: int | None = None
    input: JsonValue = None
    event: str | None = None
    key: str = ""
    timeout: timedelta | float | str | None = None
    on_timeout: Literal["fail", "null"] = "fail"

    @classmethod
    def for_time(cls, seconds: float) -> Wait:
        """Sleep durably for this many seconds."""
        return cls(kind="time", seconds=seconds)

    @classmethod
    def for_approval(
        cls,
        message: str,
        *,
        data: JsonValue = None,
        by: tuple[str, ...] = (),
        deadline: timedelta | float | str | None = None,
        schema: JsonSchema | None = None,
    ) -> Wait:
        """Ask a person to decide or, with a schema, for a value of that shape."""
        return cls(
            kind="approval", message=message, data=data, by=by, deadline=deadline, schema=schema
        )

    @classmethod
    def for_run(cls, flow: str, input: JsonValue, *, version: int | None = None) -> Wait:
        """Start a child run and wait for its end."""
        return cls(kind="run", flow=flow, input=input, version=version)

    @classmethod
    def for_event(
        cls,
        name: str,
        key: str = "",
        *,
        timeout: timedelta | float | str | None = None,
        on_timeout: Literal["fail", "null"] = "fail",
    ) -> Wait:
        """Wait for an event of this name and key; one that is kept already ends it at once.

        After `timeout` (24 hours by default) the task fails with `event_timeout`, or completes
        with null where `on_timeout` says so.
        """
        return cls(kind="event", event=name, key=key, timeout=timeout, on_timeout=on_timeout)
