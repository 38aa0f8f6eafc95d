"""One task with what it was given, and the values of a run one by one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from flowbuilder.errors import NotFound
from flowbuilder.executor import rows
from flowbuilder.executor.events import EventRow
from flowbuilder.executor.records import TaskRow
from flowbuilder.executor.store.base import StoreBase, as_uuid
from flowbuilder.types import JsonObject, JsonValue

#: Events of one task that are read, newest first.
MOST_EVENTS = 1000
_HIGHEST_ID = 2**63 - 1

_TASK: Final = b"""
    select t.id, t.run_id, t.step_id, t.element, t.kind, t.status, t.tool, t.attempt, t.fence,
        t.worker_id, t.available_at, t.error, t.started_at, t.finished_at,
        case when t.status <> 'completed' then null when t.element >= 0 then t.output
        when t.kind = 'finish' then r.output when t.kind = 'step' then s.output end as output,
        json_build_object('definition', v.definition, 'args', t.args, 'item', t.item,
            'input', r.input, 'run', json_build_object('id', r.id, 'flow', r.flow,
                'version', r.version, 'started_at', r.started_at, 'created_at', r.created_at),
            'outputs', (select json_object_agg(o.step_id, o.output) from flowbuilder.run_steps o
                where o.run_id = r.id and o.position = any (v.refs)),
            'skipped', (select json_agg(o.step_id) from flowbuilder.run_steps o
                where o.run_id = r.id and o.position = any (v.refs)
                  and (o.status <> 'completed' or o.error is not null))) as given
    from flowbuilder.runs r
    join flowbuilder.tasks t on t.run_id = r.id
    left join flowbuilder.run_steps s on s.run_id = t.run_id and s.position = t.position
    left join flowbuilder.version_steps v on v.id = t.node_id
    where r.workspace_id = %s and r.id = %s::uuid and t.id = %s"""
_EVENTS: Final = b"""
    select * from flowbuilder.events
    where workspace_id = %s and stream = %s::uuid and task_id = %s order by seq desc limit %s"""
_STEP_VALUE: Final = b"""
    select s.output from flowbuilder.runs r join flowbuilder.run_steps s on s.run_id = r.id
    where r.workspace_id = %s and r.id = %s::uuid and s.step_id = %s and s.status = 'completed'"""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskGiven:
    """A task, what its arguments are made of, and what happened to it."""

    task: TaskRow
    definition: JsonObject | None
    args: JsonObject | None
    """The whole arguments, where a person has changed them."""
    item: JsonValue
    input: JsonValue
    run: JsonObject
    outputs: JsonObject = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    events: tuple[EventRow, ...] = ()
    """Oldest first; the newest `MOST_EVENTS` of them."""


class ValueStore(StoreBase):
    """Reads single values."""

    async def task_given(self, run_id: str, task_id: int) -> TaskGiven:
        """Read a task of a run. Raises: NotFound (`task_not_found`)."""
        run = as_uuid(run_id)
        found = await self._all(_TASK, self.workspace, run, min(task_id, _HIGHEST_ID))
        if not found:
            raise NotFound(f"there is no task {task_id} in this run", code="task_not_found")
        given: dict[str, Any] = found[0]["given"]
        events = await self._all(_EVENTS, self.workspace, run, task_id, MOST_EVENTS)
        return TaskGiven(
            task=rows.task(found[0]),
            definition=given["definition"],
            args=given["args"],
            item=given["item"],
            input=given["input"],
            run=given["run"],
            outputs=given["outputs"] or {},
            skipped=tuple(given["skipped"] or ()),
            events=tuple(rows.event(row) for row in reversed(events)),
        )

    async def step_output(self, run_id: str, step_id: str) -> JsonValue:
        """Read what a step of a run has given. Raises: NotFound (`value_not_found`)."""
        found = await self._all(_STEP_VALUE, self.workspace, as_uuid(run_id), step_id)
        if not found:
            raise NotFound("there is no such value, or not yet", code="value_not_found")
        value: JsonValue = found[0]["output"]
        return value
