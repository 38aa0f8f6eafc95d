"""What requests and answers look like about admission and quotas."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from flowbuilder.api.requests import Body
from flowbuilder.api.schemas import Out, Time
from flowbuilder.executor.admitting import AdmissionRow, Usage
from flowbuilder.limits import MOST_AT_ONCE, RATE_PATTERN

Count = Annotated[int, Field(ge=1, le=2**31 - 1)]
Large = Annotated[int, Field(ge=1, le=2**60)]


class AdmissionBody(Body):
    """A limit on runs: how many are under way at once, how often they start, or both."""

    concurrency: Annotated[int, Field(ge=1, le=MOST_AT_ONCE)] | None = None
    rate: Annotated[str, Field(pattern=RATE_PATTERN, max_length=64)] | None = None
    """Starts in a span of time, as a bucket: `30/1m` lets 30 start at once, then one in two
    seconds."""


class AdmissionOut(Out):
    """A limit on runs, and what is under it now."""

    flow: str | None
    """Null: the whole workspace."""
    concurrency: int | None
    rate: str | None
    running: int
    """Runs that it counts: let in and not ended, paused ones too."""
    waiting: int
    """Runs that are not let in."""
    next_at: Time | None
    """When its rate lets the next run in; null: at once."""
    updated_at: Time
    updated_by: str | None

    @classmethod
    def of(cls, row: AdmissionRow) -> AdmissionOut:
        """Return the answer for a row."""
        shown = {name: getattr(row, name) for name in cls.model_fields}
        return cls.model_validate({**shown, "rate": None if row.rate is None else str(row.rate)})


class AdmissionList(Out):
    """Limits on the workspace's runs, that of the whole workspace first."""

    items: list[AdmissionOut]


class QuotaBody(Body):
    """What a workspace may use; null or left out: as much as it likes."""

    stored_bytes: Large | None = None
    events_kept: Large | None = None
    runs_per_day: Count | None = None
    """From midnight to midnight, by UTC."""
    plans_per_hour: Count | None = None


class UsedOut(Out):
    """How much is used of how much."""

    used: int | None
    """Null: nobody counts, because there is no quota of it."""
    limit: int | None


class UsageOut(Out):
    """What a workspace uses and may use."""

    stored_bytes: UsedOut
    events_kept: UsedOut
    runs_per_day: UsedOut
    plans_per_hour: UsedOut
    runs_waiting: int
    """Runs that limits keep back."""
    measured_at: Time
    """When bytes and events were counted."""

    @classmethod
    def of(cls, usage: Usage) -> UsageOut:
        """Return the answer for what was read."""
        return cls.model_validate({**usage.as_json(), "measured_at": usage.measured_at})
