"""Webhooks and schedules: kept, fired, and what they have started."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from psycopg.types.json import Json, Jsonb

from flowbuilder.executor.rows import read
from flowbuilder.executor.store.base import StoreBase, as_uuid
from flowbuilder.executor.terms import Terms
from flowbuilder.executor.triggers import (
    DueSchedule,
    Fired,
    KnownWebhook,
    RunTrigger,
    ScheduleRow,
    SealedSecret,
    Switch,
    WebhookRow,
    sealed_secret,
    webhook,
)
from flowbuilder.secrecy.envelope import Envelope, Place
from flowbuilder.types import JsonObject, JsonValue

_ADD_WEBHOOK: Final = b"""
    insert into flowbuilder.webhooks (id, workspace_id, name, path, flow, version, input,
        description, trusted, rate_count, rate_seconds, level_at, created_at, updated_at,
        updated_by)
    select %s::uuid, %s::uuid, %s, %s, %s, %s::integer, %s::json, %s, %s, %s, %s::float8, n.now,
        n.now, n.now, %s
    from (select flowbuilder.now() as now) n
    on conflict (workspace_id, name) do nothing returning *"""
_CHANGE_WEBHOOK: Final = b"""
    update flowbuilder.webhooks
    set flow = %s, version = %s, input = %s, description = %s, trusted = %s, rate_count = %s,
        rate_seconds = %s,
        updated_at = flowbuilder.now(), updated_by = %s
    where workspace_id = %s and id = %s::uuid returning *"""
_WEBHOOKS: Final = b"select * from flowbuilder.webhooks where workspace_id = %s order by name"
_WEBHOOK: Final = b"select * from flowbuilder.webhooks where workspace_id = %s and id = %s::uuid"
_PAUSE_WEBHOOK: Final = b"""
    update flowbuilder.webhooks
    set paused_at = case when %s then coalesce(paused_at, flowbuilder.now()) end,
        paused_by = case when %s then coalesce(paused_by, %s) end
    where workspace_id = %s and id = %s::uuid returning *"""
_REMOVE_WEBHOOK: Final = (
    b"delete from flowbuilder.webhooks where workspace_id = %s and id = %s::uuid returning id"
)
_WEBHOOK_AT: Final = b"""
    select w.*, n.now as read_at
    from (select flowbuilder.now() as now) n, flowbuilder.webhooks w where w.path = %s"""
_SECRETS_OF: Final = b"""
    select * from flowbuilder.webhook_secrets s
    where s.webhook_id = %s::uuid and (s.expires_at is null or s.expires_at > flowbuilder.now())
    order by s.version desc"""
_ROTATE: Final = b"""
    select flowbuilder.rotate_webhook_secret(
        %s, %s::uuid, %s, %s, %s, %s, %s::float8, %s) as done"""
_SECRET_VERSION: Final = b"""
    select coalesce(max(version), 0) as version from flowbuilder.webhook_secrets
    where webhook_id = %s::uuid"""
_SEALED_OTHERWISE: Final = b"""
    select * from flowbuilder.webhook_secrets where key_id <> %s
    order by webhook_id, version limit 500"""
_WRAP: Final = b"""
    update flowbuilder.webhook_secrets set key_id = %s, wrapped = %s
    where webhook_id = %s::uuid and version = %s returning version"""
_RECEIVE: Final = (
    b"select flowbuilder.receive_webhook(%s::uuid, %s, %s::uuid, %s, %s::float8, %s, %s::float8)"
    b" as answer"
)
_FAILED: Final = b"select flowbuilder.webhook_failed(%s::uuid, %s, %s, %s, %s)"

_ADD_SCHEDULE: Final = b"""
    insert into flowbuilder.schedules (id, workspace_id, name, flow, version, input, description,
        cron, timezone, missed, missed_limit, overlap, jitter_seconds, tick_at, next_at, created_at,
        updated_at, updated_by)
    select %s::uuid, %s::uuid, %s, %s, %s::integer, %s::json, %s, %s, %s, %s, %s, %s, %s::float8,
        %s::timestamptz, %s::timestamptz, n.now, n.now, %s
    from (select flowbuilder.now() as now) n
    on conflict (workspace_id, name) do nothing returning *"""
_CHANGE_SCHEDULE: Final = b"""
    update flowbuilder.schedules
    set flow = %s, version = %s, input = %s, description = %s, cron = %s, timezone = %s,
        missed = %s, missed_limit = %s, overlap = %s, jitter_seconds = %s,
        tick_at = case when paused_at is null then %s::timestamptz end,
        next_at = case when paused_at is null then %s::timestamptz end,
        revision = revision + 1, updated_at = flowbuilder.now(), updated_by = %s
    where workspace_id = %s and id = %s::uuid and revision = %s returning *"""
_SCHEDULES: Final = b"select * from flowbuilder.schedules where workspace_id = %s order by name"
_SCHEDULE: Final = b"select * from flowbuilder.schedules where workspace_id = %s and id = %s::uuid"
_PAUSE_SCHEDULE: Final = b"""
    update flowbuilder.schedules
    set paused_at = coalesce(paused_at, flowbuilder.now()), paused_by = coalesce(paused_by, %s),
        tick_at = null, next_at = null, revision = revision + 1
    where workspace_id = %s and id = %s::uuid returning *"""
_RESUME_SCHEDULE: Final = b"""
    update flowbuilder.schedules
    set paused_at = null, paused_by = null, tick_at = %s, next_at = %s, revision = revision + 1
    where workspace_id = %s and id = %s::uuid and revision = %s returning *"""
_REMOVE_SCHEDULE: Final = (
    b"delete from flowbuilder.schedules where workspace_id = %s and id = %s::uuid returning id"
)
_DUE: Final = b"select * from flowbuilder.due_schedules(%s)"
_FIRE: Final = (
    b"select flowbuilder.fire_schedule(%s::uuid, %s, %s::timestamptz[],"
    b" array(select json_array_elements(%s::json)), %s::uuid, %s::float8, %s, %s::timestamptz, %s,"
    b" %s::timestamptz, %s::timestamptz) as answer"
)
_NOW: Final = b"select flowbuilder.now() as now"
_SWITCH: Final = b"select held_at, held_by, reason from flowbuilder.schedule_switch"
_TURN_SWITCH: Final = b"""
    update flowbuilder.schedule_switch
    set held_at = case when %s then coalesce(held_at, flowbuilder.now()) end, held_by = %s,
        reason = %s
    returning held_at, held_by, reason"""
#: As flowbuilder.crew judges them.
_LIVE_WORKERS: Final = b"""
    select count(*) as n from flowbuilder.workers w
    where w.status = 'live' and case when flowbuilder.is_locked(w.id) then true
        when w.lock_seen then false
        else w.last_seen_at > flowbuilder.now() - interval '1 minute' end"""
_TRIGGER_OF: Final = (
    b"select * from flowbuilder.run_triggers where workspace_id = %s and run_id = %s::uuid"
)
_NOTE_FILE: Final = b"""
    insert into flowbuilder.run_triggers (run_id, workspace_id, kind, name, detail)
    values (%s::uuid, %s, 'file', %s, %s) on conflict do nothing"""


class TriggerStore(StoreBase):
    """Webhooks, schedules, and what they have started."""

    # -- webhooks ---------------------------------------------------------------------------

    async def add_webhook(self, row: WebhookRow) -> WebhookRow | None:
        """Store a new webhook. None: there is one of its name."""
        found = await self._all(
            _ADD_WEBHOOK,
            *(row.id, self.workspace, row.name, row.path, row.flow, row.version, Json(row.input)),
            *(row.description, row.trusted, row.rate.count, row.rate.seconds, row.updated_by),
        )
        return webhook(found[0]) if found else None

    async def change_webhook(self, row: WebhookRow) -> WebhookRow | None:
        """Store what a webhook says by now. None: it is gone."""
        found = await self._all(
            _CHANGE_WEBHOOK,
            *(row.flow, row.version, Json(row.input), row.description, row.trusted),
            *(row.rate.count, row.rate.seconds, row.updated_by, self.workspace, row.id),
        )
        return webhook(found[0]) if found else None

    async def webhooks(self) -> list[WebhookRow]:
        """Read the webhooks by name."""
        return [webhook(row) for row in await self._all(_WEBHOOKS, self.workspace)]

    async def find_webhook(self, webhook_id: str) -> WebhookRow | None:
        """Read a webhook, if there is one."""
        found = await self._all(_WEBHOOK, self.workspace, as_uuid(webhook_id))
        return webhook(found[0]) if found else None

    async def pause_webhook(
        self, webhook_id: str, *, paused: bool, by: str | None
    ) -> WebhookRow | None:
        """Pause a webhook or let it go on. None: it is gone."""
        found = await self._all(
            _PAUSE_WEBHOOK, paused, paused, by, self.workspace, as_uuid(webhook_id)
        )
        return webhook(found[0]) if found else None

    async def remove_webhook(self, webhook_id: str) -> bool:
        """Delete a webhook with its secrets. False: there is none."""
        return bool(await self._all(_REMOVE_WEBHOOK, self.workspace, as_uuid(webhook_id)))

    async def webhook_at(self, path: str) -> KnownWebhook | None:
        """Read the webhook at an address, of whichever workspace, with its secrets."""
        found = await self._all(_WEBHOOK_AT, path)
        if not found:
            return None
        secrets = await self._all(_SECRETS_OF, found[0]["id"])
        return KnownWebhook(
            row=webhook(found[0]),
            secrets=tuple(sealed_secret(row) for row in secrets),
            now=found[0]["read_at"],
        )

    async def webhook_secret_version(self, webhook_id: str) -> int:
        """Read the number of a webhook's newest secret, 0 before there is one."""
        return int((await self._one(_SECRET_VERSION, as_uuid(webhook_id)))["version"])

    async def rotate_webhook_secret(
        self, place: Place, envelope: Envelope, *, overlap_seconds: float, actor: str | None
    ) -> bool:
        """Store a new secret; the one before counts a while longer. False: others were faster."""
        row = await self._one(
            _ROTATE,
            *(self.workspace, place.id, place.version),
            *(envelope.key_id, envelope.wrapped, envelope.sealed, overlap_seconds, actor),
        )
        return bool(row["done"])

    async def webhook_secrets_under_other_keys(self, key_id: str) -> list[SealedSecret]:
        """Read up to 500 secrets, of all workspaces, that another master key has wrapped."""
        return [sealed_secret(row) for row in await self._all(_SEALED_OTHERWISE, key_id)]

    async def wrap_webhook_secret(self, secret: SealedSecret, envelope: Envelope) -> bool:
        """Store a data key that was wrapped anew. False: the secret is gone."""
        values = (envelope.key_id, envelope.wrapped, secret.webhook_id, secret.version)
        return bool(await self._all(_WRAP, *values))

    async def receive_webhook(
        self,
        webhook_id: str,
        message_id: str,
        version_id: str,
        input: JsonValue,
        *,
        timeout_seconds: float,
        keep_seconds: float,
        terms: Terms,
    ) -> JsonObject:
        """Start the run of a delivery, once for each message id.

        Returns `{status: started, duplicate, limited or gone}`, with `run_id` or `seconds`.

        Raises:
            NotFound: `flow_not_found`, `version_not_found`.
            InvalidTransition: `flow_archived`.
            Conflict: `too_many_runs`.
        """
        row = await self._one(
            _RECEIVE,
            *(webhook_id, message_id, as_uuid(version_id), Json(input), timeout_seconds),
            *(Jsonb(terms.as_json()), keep_seconds),
        )
        answer: JsonObject = row["answer"]
        return answer

    async def webhook_failed(
        self, webhook_id: str, *, signed: bool, code: str, message: str, address: str | None
    ) -> None:
        """Keep what was wrong with a delivery."""
        await self._one(_FAILED, webhook_id, signed, code, message, address)

    # -- schedules --------------------------------------------------------------------------

    async def add_schedule(self, row: ScheduleRow) -> ScheduleRow | None:
        """Store a new schedule. None: there is one of its name."""
        found = await self._all(
            _ADD_SCHEDULE,
            *(row.id, self.workspace, row.name, row.flow, row.version, Json(row.input)),
            *(row.description, *_rules(row), row.tick_at, row.next_at, row.updated_by),
        )
        return read(ScheduleRow, found[0]) if found else None

    async def change_schedule(self, row: ScheduleRow) -> ScheduleRow | None:
        """Store what a schedule says by now. None: it was changed, has fired, or is gone."""
        found = await self._all(
            _CHANGE_SCHEDULE,
            *(row.flow, row.version, Json(row.input), row.description, *_rules(row)),
            *(row.tick_at, row.next_at, row.updated_by, self.workspace, row.id, row.revision),
        )
        return read(ScheduleRow, found[0]) if found else None

    async def schedules(self) -> list[ScheduleRow]:
        """Read the schedules by name."""
        return [read(ScheduleRow, row) for row in await self._all(_SCHEDULES, self.workspace)]

    async def find_schedule(self, schedule_id: str) -> ScheduleRow | None:
        """Read a schedule, if there is one."""
        found = await self._all(_SCHEDULE, self.workspace, as_uuid(schedule_id))
        return read(ScheduleRow, found[0]) if found else None

    async def pause_schedule(self, schedule_id: str, *, by: str | None) -> ScheduleRow | None:
        """Pause a schedule. None: it is gone."""
        found = await self._all(_PAUSE_SCHEDULE, by, self.workspace, as_uuid(schedule_id))
        return read(ScheduleRow, found[0]) if found else None

    async def resume_schedule(
        self, row: ScheduleRow, tick_at: datetime | None, next_at: datetime | None
    ) -> ScheduleRow | None:
        """Let a schedule go on. None: it was changed, or is gone."""
        found = await self._all(
            _RESUME_SCHEDULE, tick_at, next_at, self.workspace, row.id, row.revision
        )
        return read(ScheduleRow, found[0]) if found else None

    async def remove_schedule(self, schedule_id: str) -> bool:
        """Delete a schedule. False: there is none."""
        return bool(await self._all(_REMOVE_SCHEDULE, self.workspace, as_uuid(schedule_id)))

    async def due_schedules(self, *, limit: int = 100) -> list[DueSchedule]:
        """Read the schedules of all workspaces that are due, longest first; none while held."""
        return [read(DueSchedule, row) for row in await self._all(_DUE, limit)]

    async def fire_schedule(
        self,
        due: DueSchedule,
        *,
        ticks: Sequence[datetime],
        inputs: Sequence[JsonValue],
        timeout_seconds: float,
        terms: Terms,
        missed: datetime | None,
        error: JsonObject | None,
        next_tick: datetime | None,
        next_at: datetime | None,
    ) -> Fired | None:
        """Start the runs of a schedule's ticks and write that down, in one transaction.

        None: somebody else has done so since it was read, or has changed it.
        """
        row = await self._one(
            _FIRE,
            *(due.id, due.revision, list(ticks), Json(list(inputs)), as_uuid(due.version_id or "")),
            *(timeout_seconds, Jsonb(terms.as_json()), missed),
            *(None if error is None else Jsonb(error), next_tick, next_at),
        )
        answer: dict[str, Any] | None = row["answer"]
        if answer is None:
            return None
        return Fired(result=answer["result"], runs=tuple(answer["runs"]), code=answer["code"])

    async def clock(self) -> datetime:
        """Read the database's clock."""
        now: datetime = (await self._one(_NOW))["now"]
        return now

    async def live_workers(self) -> int:
        """Count the workers that are alive, as far as can be known."""
        return int((await self._one(_LIVE_WORKERS))["n"])

    async def schedule_switch(self) -> Switch:
        """Read whether all schedules are held."""
        return read(Switch, await self._one(_SWITCH))

    async def turn_schedule_switch(
        self, *, held: bool, by: str | None, reason: str | None
    ) -> Switch:
        """Hold all schedules of all workspaces, or let them go on."""
        return read(Switch, await self._one(_TURN_SWITCH, held, by, reason))

    # -- what has started a run -------------------------------------------------------------

    async def run_trigger(self, run_id: str) -> RunTrigger | None:
        """Read what has started a run, if that was no person."""
        found = await self._all(_TRIGGER_OF, self.workspace, as_uuid(run_id))
        return read(RunTrigger, found[0]) if found else None

    async def note_file(self, run_id: str, *, name: str, path: str) -> None:
        """Keep that a changed file has started a run."""
        await self.database.execute(_NOTE_FILE, (run_id, self.workspace, name, path))


def _rules(row: ScheduleRow) -> tuple[object, ...]:
    return (
        row.cron,
        row.timezone,
        row.missed,
        row.missed_limit,
        row.overlap,
        row.jitter_seconds,
    )
