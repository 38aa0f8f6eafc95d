"""Bodies and answers about webhooks and schedules."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from flowbuilder.api.requests import Body, Json
from flowbuilder.api.schemas import Out, Time
from flowbuilder.client.webhooks import OVERLAP, RATE, MadeWebhook
from flowbuilder.executor.standing import Standing
from flowbuilder.executor.triggers import ScheduleRow, WebhookRow
from flowbuilder.flow import SLUG_PATTERN

Slug = Annotated[str, Field(pattern=SLUG_PATTERN, max_length=200)]
Version = Annotated[int, Field(ge=1, le=2**31 - 1)]


class WebhookBody(Body):
    """A webhook to make."""

    name: Annotated[str, Field(max_length=63)]
    """Small letters, digits, `_`, `.` and `-`."""
    flow: Slug
    """A published flow."""
    version: Version | None = None
    """Always this version; null for the newest one at each delivery."""
    key: Annotated[str, Field(max_length=100)] | None = None
    """Where in the run's input the body of a delivery stands; `payload` by default."""
    input: Json = None
    """Instead of `key` the run's input, in which `${{ input.… }}` names parts of the body."""
    rate: Annotated[str, Field(max_length=40)] = RATE
    """How many deliveries may start runs, such as `10/s` or `120/1m`."""
    trusted: bool = False
    """Let what it brings count as the workspace's own words, and not as data from outside."""
    secret: Annotated[str, Field(max_length=200)] | None = None
    """`whsec_` and 24 to 64 bytes in base64, from a sender that makes its own."""
    description: str | None = None
    """What it is for."""


class WebhookPatch(Body):
    """What is to change of a webhook."""

    flow: Slug | None = None
    version: Version | None = None
    key: Annotated[str, Field(max_length=100)] | None = None
    input: Json = None
    rate: Annotated[str, Field(max_length=40)] | None = None
    trusted: bool | None = None
    description: str | None = None


class RotateBody(Body):
    """How a webhook's secret is changed."""

    secret: Annotated[str, Field(max_length=200)] | None = None
    """The new one; null for a fresh one."""
    overlap: Annotated[str, Field(max_length=40)] = OVERLAP
    """How long the one before counts too: `24h`, or `0s` when it was stolen."""


class WebhookOut(Out):
    """A webhook: everything but its secret."""

    id: str
    name: str
    path: str
    """Where deliveries go, below the service's own address."""
    flow: str
    version: int | None
    input: Json
    description: str | None
    trusted: bool
    """Whether what it brings counts as the workspace's own words, and not as data from outside."""
    rate: str
    paused_at: Time | None
    paused_by: str | None
    created_at: Time
    updated_at: Time
    updated_by: str | None
    last_at: Time | None
    """When the last delivery came that was signed rightly."""
    last_result: Literal["started", "failed"] | None
    last_error: dict[str, Any] | None
    last_run_id: str | None
    deliveries: int
    """Those that have started a run."""
    refused_at: Time | None
    """When one came that was not signed rightly, to the minute."""
    refused_code: str | None

    @classmethod
    def of(cls, row: WebhookRow) -> WebhookOut:
        """Return the answer for a row."""
        said = {name: getattr(row, name) for name in cls.model_fields}
        return cls.model_validate({**said, "path": f"/hooks/{row.path}", "rate": str(row.rate)})


class WebhookMade(WebhookOut):
    """A webhook and its secret, which is never shown again."""

    secret: str

    @classmethod
    def made(cls, made: MadeWebhook) -> WebhookMade:
        """Return the answer for a webhook that was just made, or got a new secret."""
        return cls(**WebhookOut.of(made.row).model_dump(), secret=made.secret)


class WebhookList(Out):
    """Webhooks by name."""

    items: list[WebhookOut]


class DeliveredOut(Out):
    """What came of a delivery."""

    run_id: str
    duplicate: bool
    """It was delivered before: nothing was started."""


class ScheduleBody(Body):
    """A schedule to make."""

    name: Annotated[str, Field(max_length=63)]
    """Small letters, digits, `_`, `.` and `-`."""
    flow: Slug
    """A published flow."""
    version: Version | None = None
    """Always this version; null for the newest one at each tick."""
    cron: Annotated[str, Field(max_length=1000)]
    """Five fields: minute, hour, day of the month, month, day of the week."""
    timezone: Annotated[str, Field(max_length=100)] = "UTC"
    """A name of the IANA list, which the fields are read in."""
    input: Json = None
    """The run's input; `${{ run.tick }}` in it is the tick."""
    missed: Literal["skip", "once", "all"] = "skip"
    """What becomes of ticks that no worker was there for."""
    missed_limit: Annotated[int, Field(ge=1, le=100)] = 10
    """Runs that `all` starts at once, at most."""
    overlap: Literal["allow", "skip"] = "allow"
    """What a tick does while the run of the one before goes on."""
    jitter: Annotated[str, Field(max_length=40)] = "0s"
    """Start up to so much later; the same delay for the same tick."""
    description: str | None = None
    """What it is for."""


class SchedulePatch(Body):
    """What is to change of a schedule."""

    flow: Slug | None = None
    version: Version | None = None
    cron: Annotated[str, Field(max_length=1000)] | None = None
    timezone: Annotated[str, Field(max_length=100)] | None = None
    input: Json = None
    missed: Literal["skip", "once", "all"] | None = None
    missed_limit: Annotated[int, Field(ge=1, le=100)] | None = None
    overlap: Literal["allow", "skip"] | None = None
    jitter: Annotated[str, Field(max_length=40)] | None = None
    description: str | None = None


class ScheduleOut(Out):
    """A schedule, and what came of its last tick."""

    id: str
    name: str
    flow: str
    version: int | None
    input: Json
    description: str | None
    cron: str
    timezone: str
    missed: Literal["skip", "once", "all"]
    missed_limit: int
    overlap: Literal["allow", "skip"]
    jitter_seconds: float
    tick_at: Time | None
    """The next moment that the cron expression names."""
    next_at: Time | None
    """When that one is carried out, the jitter later; null while paused."""
    paused_at: Time | None
    paused_by: str | None
    created_at: Time
    updated_at: Time
    updated_by: str | None
    last_tick_at: Time | None
    last_at: Time | None
    last_result: Literal["started", "failed", "overlapped", "missed", "refused"] | None
    last_error: dict[str, Any] | None
    last_run_id: str | None
    missed_at: Time | None
    """The newest tick that was passed over because nobody was there."""
    fires: int
    """Runs started."""

    @classmethod
    def of(cls, row: ScheduleRow) -> ScheduleOut:
        """Return the answer for a row."""
        return cls.model_validate(row)


class ScheduleList(Out):
    """Schedules by name."""

    items: list[ScheduleOut]
    held_at: Time | None
    """Since when all schedules are held, whatever each says."""
    held_reason: str | None


class StandingReason(Out):
    """One of the things that keep a schedule from firing."""

    code: str
    message: str


class StandingOut(Out):
    """Why a schedule does not fire, most important reason first."""

    schedule_id: str
    name: str
    at: Time
    """By the database's clock."""
    next_at: Time | None
    reasons: list[StandingReason]
    """Never empty."""

    @classmethod
    def of(cls, standing: Standing) -> StandingOut:
        """Return the answer for what was found."""
        return cls.model_validate(standing)
