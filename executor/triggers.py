"""Webhooks, schedules and what they have started, as they are stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from flowbuilder.executor.rows import read
from flowbuilder.limits import Rate
from flowbuilder.secrecy.envelope import Envelope, Place
from flowbuilder.types import JsonObject, JsonValue


@dataclass(frozen=True, kw_only=True, slots=True)
class SealedSecret:
    """A version of a webhook's secret, which only a master key opens."""

    webhook_id: str
    workspace_id: str
    version: int
    envelope: Envelope = field(repr=False)

    @property
    def place(self) -> Place:
        """What the envelope is bound to."""
        return secret_place(self.workspace_id, self.webhook_id, self.version)


def secret_place(workspace: str, webhook: str, version: int) -> Place:
    """Return where a webhook's secret belongs."""
    return Place(workspace=workspace, id=webhook, name="webhook", version=version)


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookRow:
    """A webhook: an address, and the flow that a signed delivery to it starts."""

    id: str
    workspace_id: str
    name: str
    path: str
    """The random end of its address."""
    flow: str
    version: int | None
    """None: the newest published one at each delivery."""
    input: JsonValue
    """The run's input, in which `${{ input }}` is the body."""
    description: str | None
    trusted: bool
    """Whether what it brings counts as the workspace's own words, and not as data from outside."""
    rate: Rate
    """Deliveries beyond it are told to come again."""
    paused_at: datetime | None
    paused_by: str | None
    created_at: datetime
    updated_at: datetime
    updated_by: str | None
    last_at: datetime | None
    """When the last delivery came that was signed rightly."""
    last_result: Literal["started", "failed"] | None
    last_error: JsonObject | None
    last_run_id: str | None
    deliveries: int
    """Those that have started a run."""
    refused_at: datetime | None
    """When one came that was not, to the minute."""
    refused_code: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownWebhook:
    """A webhook as a delivery finds it."""

    row: WebhookRow
    secrets: tuple[SealedSecret, ...]
    """Those that count now, the newest first."""
    now: datetime
    """By the database's clock."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleRow:
    """A schedule: a cron expression, and the flow that its ticks start."""

    id: str
    workspace_id: str
    name: str
    flow: str
    version: int | None
    """None: the newest published one at each tick."""
    input: JsonValue
    """The run's input, in which `${{ run.tick }}` is the tick."""
    description: str | None
    cron: str
    timezone: str
    missed: str
    """What becomes of ticks that nobody was there for: `skip`, `once` or `all`."""
    missed_limit: int
    """Runs that `all` starts at once, at most."""
    overlap: str
    """What a tick does while the run before goes on: `allow` or `skip`."""
    jitter_seconds: float
    revision: int
    tick_at: datetime | None
    """The next moment that the expression names."""
    next_at: datetime | None
    """When that one is carried out; None while paused."""
    paused_at: datetime | None
    paused_by: str | None
    created_at: datetime
    updated_at: datetime
    updated_by: str | None
    last_tick_at: datetime | None
    last_at: datetime | None
    last_result: Literal["started", "failed", "overlapped", "missed", "refused"] | None
    last_error: JsonObject | None
    last_run_id: str | None
    missed_at: datetime | None
    """The newest tick that was passed over because nobody was there."""
    fires: int
    """Runs started."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DueSchedule:
    """A schedule that is due, as a scheduler finds it."""

    id: str
    workspace_id: str
    name: str
    flow: str
    input: JsonValue
    cron: str
    timezone: str
    missed: str
    missed_limit: int
    jitter_seconds: float
    revision: int
    tick_at: datetime
    next_at: datetime
    now: datetime
    version_id: str | None
    document: JsonObject | None
    known: bool
    """Whether there is such a flow."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fired:
    """What came of a schedule that was due."""

    result: str
    runs: tuple[str, ...]
    code: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Switch:
    """Whether all schedules are held."""

    held_at: datetime | None
    held_by: str | None
    reason: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunTrigger:
    """What has started a run."""

    kind: Literal["webhook", "schedule", "file"]
    trigger_id: str | None
    name: str
    tick_at: datetime | None
    detail: str | None
    """The sender's id of a delivery, the path of a file."""

    def as_json(self) -> JsonObject:
        """Return it as JSON."""
        return {
            "kind": self.kind,
            "trigger_id": self.trigger_id,
            "name": self.name,
            "tick_at": None if self.tick_at is None else self.tick_at.isoformat(),
            "detail": self.detail,
        }


def webhook(row: Mapping[str, Any]) -> WebhookRow:
    """Read a row of webhooks."""
    rate = Rate(count=row["rate_count"], per=row["rate_seconds"])
    return read(WebhookRow, row, rate=rate)


def sealed_secret(row: Mapping[str, Any]) -> SealedSecret:
    """Read a row of webhook_secrets."""
    envelope = Envelope(
        key_id=row["key_id"], wrapped=bytes(row["wrapped"]), sealed=bytes(row["sealed"])
    )
    return read(SealedSecret, row, envelope=envelope)
