"""Schedules as FlowBuilder offers them: `fb.schedules`."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

from flowbuilder.client.checking import check_actor
from flowbuilder.client.session import Session
from flowbuilder.client.triggers import (
    checked_description,
    checked_name,
    require_room,
    startable,
)
from flowbuilder.errors import Conflict, InvalidValue, NotFound
from flowbuilder.executor.scheduler import context
from flowbuilder.executor.standing import Standing, standing_of
from flowbuilder.executor.triggers import ScheduleRow, Switch
from flowbuilder.fitting import fitting_input
from flowbuilder.flow import Flow
from flowbuilder.triggers.cron import Cron, parse
from flowbuilder.triggers.due import Missed, Overlap, Rules
from flowbuilder.triggers.inputs import fill, template_of
from flowbuilder.types import JsonValue, parse_duration

Kind = TypeVar("Kind", bound=StrEnum)
#: What references in the input of a schedule may name.
ROOTS = {"run": frozenset({"schedule", "tick"})}
LONGEST_JITTER = timedelta(hours=1)
MOST_MISSED = 100
_LONGEST_REASON = 500
_TRIES = 5


class Schedules:
    """Flows that start by the clock: a cron expression of five fields in a time zone.

    Every worker fires what is due; each tick starts one run, however many workers there are.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(
        self,
        name: str,
        *,
        flow: str,
        cron: str,
        timezone: str = "UTC",
        input: JsonValue = None,
        version: int | None = None,
        missed: Missed | str = "skip",
        missed_limit: int = 10,
        overlap: Overlap | str = "allow",
        jitter: str | float | timedelta = 0.0,
        description: str | None = None,
        by: str | None = None,
    ) -> ScheduleRow:
        """Start a flow by the clock from now on.

        Args:
            name: Its name in the workspace.
            flow: A published flow.
            cron: Five fields, such as `30 6 * * 1-5`.
            timezone: A name of the IANA list, which the fields are read in.
            input: The run's input; `${{ run.tick }}` in it is the tick, `${{ run.schedule }}` the
                name.
            version: Always this version; None for the newest one at each tick.
            missed: What becomes of ticks that no worker was there for: `skip`, `once` (one run for
                all of them) or `all` (one for each, the newest `missed_limit`).
            missed_limit: 1 to 100.
            overlap: While the run of the tick before goes on: `allow` another one, or `skip`.
            jitter: Start up to so much later, at most an hour; the same delay for the same tick.
            description: What it is for.
            by: Who adds it.

        Raises:
            InvalidValue: `cron_invalid`, `timezone_unknown`, `missed_unknown`, `overlap_unknown`,
                `jitter_invalid`, `missed_limit_invalid`, `reference_root` and others.
            DefinitionError: The input does not fit the flow (input_invalid).
            NotFound: `flow_not_found`, `version_not_found`.
            Conflict: `schedule_exists`, `flow_archived`, `too_many_triggers`.
        """
        check_actor(by, "who adds a schedule")
        now = await self._session.store.clock()
        row = ScheduleRow(
            **_NOTHING_YET,
            id=str(uuid.uuid4()),
            workspace_id=self._session.store.workspace,
            name=checked_name(name),
            flow=flow,
            version=version,
            input=input,
            description=checked_description(description),
            cron=cron,
            timezone=timezone,
            missed=_known(Missed, missed, "missed"),
            missed_limit=_checked_limit(missed_limit),
            overlap=_known(Overlap, overlap, "overlap"),
            jitter_seconds=_jitter(jitter).total_seconds(),
            created_at=now,
            updated_at=now,
            updated_by=by,
        )
        row = await self._checked(row, now)
        require_room(len(await self.list()))
        added = await self._session.store.add_schedule(row)
        if added is None:
            raise Conflict(f"there is a schedule {name} already", code="schedule_exists")
        return added

    async def change(self, schedule: str, *, by: str | None = None, **changes: Any) -> ScheduleRow:
        """Change what is named, as in `add`; the next tick is worked out anew.

        Raises:
            As `add`, NotFound (schedule_not_found), and InvalidValue (unknown_key).
        """
        check_actor(by, "who changes a schedule")
        said = _read_changes(changes)

        def changed(row: ScheduleRow) -> ScheduleRow:
            return replace(row, **said, updated_by=by)

        return await self._revise(schedule, changed)

    async def _revise(
        self, schedule: str, changed: Callable[[ScheduleRow], ScheduleRow]
    ) -> ScheduleRow:
        """Change a schedule that may fire, or be changed by others, at the same moment."""
        store = self._session.store
        for _ in range(_TRIES):
            now = await store.clock()
            row = await self._checked(changed(await self.get(schedule)), now)
            stored = await store.change_schedule(row)
            if stored is not None:
                return stored
        raise Conflict("the schedule is being changed by others", code="schedule_changed")

    async def _checked(self, row: ScheduleRow, now: datetime) -> ScheduleRow:
        """Return a schedule that could fire, with its next tick."""
        cron = parse(row.cron, row.timezone)
        rules = rules_of(row, cron)
        rules.check_jitter(now)
        version = await startable(self._session, row.flow, row.version)
        settings = self._session.settings
        template = template_of(row.input, ROOTS, settings)
        tick, at = rules.first_after(now)
        # what a tick would get is refused now, and not in the night
        schema = Flow.model_validate(version.document).input
        fitting_input(fill(template, context(row.name, tick or now)), schema, settings)
        return replace(row, input=template, cron=cron.expression, tick_at=tick, next_at=at)

    async def list(self) -> list[ScheduleRow]:
        """Return the schedules of the workspace by name."""
        return await self._session.store.schedules()

    async def get(self, schedule: str) -> ScheduleRow:
        """Return a schedule by id or name. Raises: NotFound (schedule_not_found)."""
        found = await self._session.store.find_schedule(schedule)
        if found is None:
            found = next((row for row in await self.list() if row.name == schedule), None)
        if found is None:
            raise _missing(schedule)
        return found

    async def pause(self, schedule: str, *, by: str | None = None) -> ScheduleRow:
        """Fire no more until it is resumed. Raises: NotFound (schedule_not_found)."""
        check_actor(by, "who pauses a schedule")
        row = await self.get(schedule)
        paused = await self._session.store.pause_schedule(row.id, by=by)
        if paused is None:
            raise _missing(schedule)
        return paused

    async def resume(self, schedule: str, *, by: str | None = None) -> ScheduleRow:
        """Fire again from now on; ticks of the pause were not missed, and start nothing.

        Raises:
            NotFound: `schedule_not_found`.
            Conflict: `schedule_changed`: others change it all the time.
        """
        check_actor(by, "who resumes a schedule")
        for _ in range(_TRIES):
            row = await self.get(schedule)
            if row.paused_at is None:
                return row
            now = await self._session.store.clock()
            tick, at = rules_of(row, parse(row.cron, row.timezone)).first_after(now)
            resumed = await self._session.store.resume_schedule(row, tick, at)
            if resumed is not None:
                return resumed
        raise Conflict("the schedule is being changed by others", code="schedule_changed")

    async def remove(self, schedule: str) -> None:
        """Delete a schedule; its runs go on. Raises: NotFound (schedule_not_found)."""
        row = await self.get(schedule)
        if not await self._session.store.remove_schedule(row.id):
            raise _missing(schedule)

    async def why(self, schedule: str) -> Standing:
        """Say why a schedule does not fire: the reasons, most important first, never none.

        Raises:
            NotFound: `schedule_not_found`.
        """
        store = self._session.store
        row = await self.get(schedule)
        try:
            state: str | None = (await store.get_flow(row.flow)).state
        except NotFound:
            state = None
        still_open = False
        if row.last_run_id is not None:
            ended = await store.ended_runs([row.last_run_id])
            still_open = row.last_run_id in ended and ended[row.last_run_id] is None
        return standing_of(
            row,
            now=await store.clock(),
            switch=await store.schedule_switch(),
            flow_state=state,
            workers=await store.live_workers(),
            still_open=still_open,
        )

    # -- all of them ------------------------------------------------------------------------

    async def held(self) -> Switch:
        """Return whether all schedules are held, since when and why."""
        return await self._session.store.schedule_switch()

    async def hold(self, *, reason: str | None = None, by: str | None = None) -> Switch:
        """Let no schedule of any workspace fire: the one switch, as after a restore.

        Raises:
            InvalidValue: `reason_invalid`, `actor_invalid`.
        """
        check_actor(by, "who holds the schedules")
        if reason is not None and (not reason.isprintable() or len(reason) > _LONGEST_REASON):
            raise InvalidValue(
                f"a reason has at most {_LONGEST_REASON} printable characters",
                pointer="/reason",
                code="reason_invalid",
            )
        return await self._session.store.turn_schedule_switch(held=True, by=by, reason=reason)

    async def release(self) -> Switch:
        """Let schedules fire again; ticks of the meantime were missed, see `add`."""
        return await self._session.store.turn_schedule_switch(held=False, by=None, reason=None)


def rules_of(row: ScheduleRow, cron: Cron) -> Rules:
    """Return what a schedule says of its ticks."""
    return Rules(
        key=row.id,
        cron=cron,
        missed=Missed(row.missed),
        most=row.missed_limit,
        jitter=timedelta(seconds=row.jitter_seconds),
    )


_NOTHING_YET: dict[str, Any] = dict.fromkeys(
    (
        *("tick_at", "next_at", "paused_at", "paused_by", "last_tick_at", "last_at"),
        *("last_result", "last_error", "last_run_id", "missed_at"),
    )
) | {"revision": 1, "fires": 0}


def _read_changes(changes: dict[str, Any]) -> dict[str, Any]:
    said = dict(changes)
    if "jitter" in said:
        said["jitter_seconds"] = _jitter(said.pop("jitter")).total_seconds()
    for name, value in changes.items():
        if name == "jitter":
            continue
        if name not in _CHANGEABLE:
            raise InvalidValue(
                f"nothing called {name[:80]!r} can be changed",
                pointer=f"/{name[:80]}",
                code="unknown_key",
                hint="Known: " + ", ".join(sorted([*_CHANGEABLE, "jitter"])) + ".",
            )
        read = _CHANGEABLE[name]
        said[name] = value if read is None else read(value)
    return said


def _known(kind: type[Kind], value: object, what: str) -> str:
    try:
        return kind(str(value)).value
    except ValueError:
        raise InvalidValue(
            f"there is no such answer to {what}: {str(value)[:80]!r}",
            pointer=f"/{what}",
            code=f"{what}_unknown",
            hint=f"One of {', '.join(kind)}.",
        ) from None


def _checked_limit(limit: object) -> int:
    if isinstance(limit, int) and not isinstance(limit, bool) and 1 <= limit <= MOST_MISSED:
        return limit
    raise InvalidValue(
        f"missed_limit is a number from 1 to {MOST_MISSED}",
        pointer="/missed_limit",
        code="missed_limit_invalid",
    )


def _jitter(value: str | float | timedelta) -> timedelta:
    try:
        found = parse_duration(value)
    except ValueError as error:
        raise InvalidValue(str(error), pointer="/jitter", code="jitter_invalid") from None
    if found > LONGEST_JITTER:
        raise InvalidValue(
            "the jitter is at most an hour", pointer="/jitter", code="jitter_invalid"
        )
    return found


_CHANGEABLE: dict[str, Callable[[Any], Any] | None] = {
    "flow": None,
    "cron": None,
    "timezone": None,
    "input": None,
    "version": None,
    "description": checked_description,
    "missed": lambda value: _known(Missed, value, "missed"),
    "missed_limit": _checked_limit,
    "overlap": lambda value: _known(Overlap, value, "overlap"),
}


def _missing(schedule: object) -> NotFound:
    return NotFound(f"there is no schedule {str(schedule)[:80]!r}", code="schedule_not_found")
