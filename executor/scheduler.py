"""Fires schedules: a part of the upkeep of every worker, with no leader among them.

Each reads what is due and works out, from the cron expression, which ticks start runs. What one of
them does about a schedule counts only if nobody else has done so since it was read: then the runs
and the record of them are one transaction. So a tick starts one run however many try, and one that
is stopped on the way has either done all of it or nothing.
"""

from __future__ import annotations

import asyncio
import logging
import random
from datetime import datetime, timedelta

from flowbuilder.budget import Budget
from flowbuilder.errors import DatabaseError, DatabaseUnavailable, DefinitionError, InvalidValue
from flowbuilder.executor.store import Store
from flowbuilder.executor.terms import Terms
from flowbuilder.executor.triggers import DueSchedule, Fired
from flowbuilder.fitting import fitting_input
from flowbuilder.flow import Flow
from flowbuilder.settings import Settings
from flowbuilder.triggers.cron import Cron
from flowbuilder.triggers.due import Due, Missed, Rules
from flowbuilder.triggers.inputs import fill
from flowbuilder.types import JsonObject, JsonValue

log = logging.getLogger(__name__)

#: Schedules that are read at once, and how often in one round.
PAGE, _PAGES = 100, 20
#: When one that cannot be fired is looked at again.
_PUT_OFF = timedelta(minutes=1)
_BROKEN = "its ticks cannot be worked out here; the log of the workers says why"
#: Versions that are kept as they were read.
_MOST_FLOWS = 200


class Scheduler:
    """Fires what is due, whoever else does."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._flows: dict[str, Flow] = {}
        """Versions as they were read; they never change."""

    async def round(self) -> list[str]:
        """Fire all schedules that are due and return the runs that this has started."""
        started: list[str] = []
        for _ in range(_PAGES):
            due = await self._store.due_schedules(limit=PAGE)
            random.shuffle(due)  # those who look at the same moment begin at different ends
            for schedule in due:
                try:
                    fired = await self._fire_anyhow(schedule)
                except DatabaseUnavailable as error:  # what is left stays due
                    log.debug("schedules wait for the database: %s", error.message)
                    return started
                started += fired.runs if fired is not None else ()
            if len(due) < PAGE:
                break
        return started

    async def _fire_anyhow(self, schedule: DueSchedule) -> Fired | None:
        """Fire a schedule; one that cannot be is put off, so that it stands in nobody's way.

        Raises:
            DatabaseUnavailable.
        """
        try:
            return await self.fire(schedule)
        except DatabaseUnavailable:
            raise
        except Exception as error:  # such as a time zone that this machine does not know
            log.warning("schedule %s does not fire: %s", schedule.id, error)
        try:
            return await self._store.fire_schedule(
                schedule,
                ticks=(),
                inputs=(),
                timeout_seconds=1.0,
                terms=Terms(),
                missed=None,
                error={"code": "schedule_broken", "message": _BROKEN},
                next_tick=schedule.tick_at,
                next_at=schedule.now + _PUT_OFF,
            )
        except DatabaseError as error:
            log.warning("schedule %s cannot be put off: %s", schedule.id, error.message)
            return None

    async def fire(self, schedule: DueSchedule) -> Fired | None:
        """Fire a schedule that was read as due; None when somebody else was faster."""
        rules = Rules(
            key=schedule.id,
            cron=Cron(expression=schedule.cron, zone=schedule.timezone),
            missed=Missed(schedule.missed),
            most=schedule.missed_limit,
            jitter=timedelta(seconds=schedule.jitter_seconds),
        )
        # going through years of missed ticks takes a while
        due = await asyncio.to_thread(_judge, rules, schedule)
        inputs, error = self._inputs(schedule, due)
        return await self._store.fire_schedule(
            schedule,
            ticks=due.ticks,
            inputs=inputs,
            timeout_seconds=self._limit(schedule).total_seconds(),
            terms=_terms(self._settings),
            missed=due.missed,
            error=error,
            next_tick=due.next_tick,
            next_at=due.next_at,
        )

    def _inputs(self, schedule: DueSchedule, due: Due) -> tuple[list[JsonValue], JsonObject | None]:
        """Return an input for each tick, or what is wrong with the schedule."""
        if not due.ticks:
            return [], None
        flow = self._flow(schedule)
        if flow is None:
            what = "version_not_found" if schedule.known else "flow_not_found"
            return [], {"code": what, "message": f"there is no such version of {schedule.flow}"}
        try:
            return [
                fitting_input(
                    fill(schedule.input, context(schedule.name, tick)), flow.input, self._settings
                )
                for tick in due.ticks
            ], None
        except (InvalidValue, DefinitionError) as error:
            return [], {"code": error.code, "message": error.message}

    def _flow(self, schedule: DueSchedule) -> Flow | None:
        if schedule.version_id is None or schedule.document is None:
            return None
        flow = self._flows.get(schedule.version_id)
        if flow is None:
            flow = Flow.model_validate(schedule.document)
            if len(self._flows) >= _MOST_FLOWS:
                self._flows.clear()
            self._flows[schedule.version_id] = flow
        return flow

    def _limit(self, schedule: DueSchedule) -> timedelta:
        """Return how long a run may take."""
        flow = self._flow(schedule)
        limit = (flow and flow.timeout) or self._settings.run_timeout
        budget = Budget.read(self._settings.run_budget)
        if budget is None or budget.seconds is None:
            return limit
        return min(limit, timedelta(seconds=budget.seconds))


def context(name: str, tick: datetime) -> JsonObject:
    """Return what `${{ run.… }}` means in the input of a schedule."""
    return {"schedule": name, "tick": tick.isoformat().replace("+00:00", "Z")}


def _judge(rules: Rules, schedule: DueSchedule) -> Due:
    return rules.due(schedule.tick_at, schedule.next_at, schedule.now)


def _terms(settings: Settings) -> Terms:
    """Return what holds for the runs, as for those that a person starts."""
    return Terms(
        budget=Budget.read(settings.run_budget),
        max_replans=settings.max_replans if settings.replan else 0,
        replan_seconds=settings.replan_timeout.total_seconds(),
        max_elements=settings.max_elements,
        max_tasks=settings.max_tasks,
        max_open_runs=settings.max_open_runs,
    )
