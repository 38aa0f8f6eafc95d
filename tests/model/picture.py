"""The same picture taken of the database and of the mirror, to be compared."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

from flowbuilder.executor.database import Database
from tests.model.rows import CLASS, Run, Task
from tests.model.world import World

Picture = dict[str, Any]

#: By run, so that a difference names its run.
_STATE = b"""
select
  (select coalesce(json_agg(json_build_object('id', r.id, 'status', r.status,
       'remaining', r.remaining_steps, 'error', r.error ->> 'code', 'output', r.output,
       'failure', r.failure ->> 'code', 'undone', r.error -> 'compensated',
       'kept', jsonb_path_query_array(r.error, '$.not_compensated[*].step'),
       'holds', (select json_object_agg(
                     h.owner, extract(epoch from h.deadline_at - c.zero)::integer)
                 from flowbuilder.run_holds h where h.run_id = r.id), 'counted', r.holds,
       'deadline', extract(epoch from r.deadline_at - c.zero)::integer,
       'parent', r.parent_task_id, 'last_seq', r.last_seq) order by r.created_at, r.id), '[]')
   from flowbuilder.runs r) as runs,
  (select coalesce(json_agg(json_build_object('run', s.run_id, 'step', s.step_id,
       'status', s.status, 'remaining', s.remaining_tasks, 'reason', s.skip_reason,
       'output', s.output)), '[]') from flowbuilder.run_steps s) as steps,
  (select coalesce(json_agg(json_build_object('id', t.id, 'run', t.run_id, 'step', t.step_id,
       'kind', t.kind, 'element', t.element, 'status', t.status, 'fence', t.fence,
       'attempt', t.attempt, 'claims', t.claims, 'worker', t.worker_id, 'approved', t.approved,
       'sent', t.message_id is not null or t.blocked_by is not null,
       'blocked', t.blocked_by is not null,
       'place', extract(epoch from nullif(q.vt, 'infinity') - c.zero)::integer,
       'ahead', extract(epoch from t.available_at - nullif(q.vt, 'infinity'))::integer,
       'lease', extract(epoch from t.lease_until - c.zero)::integer)), '[]')
   from flowbuilder.tasks t
   left join pgmq.q_flowbuilder_tasks q on q.msg_id = t.message_id) as tasks,
  (select coalesce(json_agg(json_build_object('run', e.stream, 'type', e.type, 'seq', e.seq)
       order by e.stream, e.seq), '[]') from flowbuilder.events e) as events,
  (select coalesce(json_agg(json_build_object('id', a.id, 'task', a.task_id, 'status', a.status)
       order by a.requested_at, a.id), '[]') from flowbuilder.approvals a) as approvals,
  (select coalesce(json_object_agg(w.id, w.status), '{}') from flowbuilder.workers w) as workers,
  (select coalesce(json_agg(o.kind order by o.id), '[]') from flowbuilder.outbox o) as outbox,
  (select coalesce(json_object_agg(e.key, json_build_array(e.payload,
       extract(epoch from e.emitted_at - c.zero)::integer,
       extract(epoch from e.expires_at - c.zero)::integer)), '{}')
   from flowbuilder.event_slots e) as emitted,
  (select count(*) from flowbuilder.slot_uses u where not exists (select from flowbuilder.tasks t
       where t.id = u.task_id and t.fence = u.fence and t.status = 'running')) as stale,
  (select count(*) from flowbuilder.slot_uses) as uses,
  (select count(*) from flowbuilder.limit_slots s where s.waiting) as waiting,
  (select count(*) from pgmq.q_flowbuilder_tasks) as messages
from (select '2030-01-01 00:00+00'::timestamptz as zero) c
"""
_TERMINAL = ("workflow_completed", "workflow_failed", "workflow_cancelled")
_MOVING = ("queued", "running")


async def look(database: Database) -> Picture:
    """Read all there is."""
    row = await database.fetch_one(_STATE)
    assert row is not None
    return dict(row)


def tasks_of(seen: Picture) -> dict[tuple[str, str, int], dict[str, Any]]:
    """Return the rows of tasks by run, kind and step, and element."""
    return {(t["run"], f"{t['kind']} {t['step']}", t["element"]): t for t in seen["tasks"]}


def name_of(task: Task) -> str:
    """Return what tells the tasks of one run apart, but for the element."""
    name = task.plan.name if task.plan else None
    return f"{task.kind} compensate:{name}" if task.kind == "compensate" else f"{task.kind} {name}"


def out_of_order(before: Picture, after: Picture) -> list[str]:
    """Say which of the tasks that an exchange took stood behind one that it left in the queue.

    What came to the queue in the exchange itself does not count: nobody saw where it stood.
    """
    moving = {run["id"] for run in before["runs"] if run["status"] in _MOVING}
    now = {task["id"]: task for task in after["tasks"]}
    stood = [task for task in before["tasks"]
             if task["place"] is not None and task["run"] in moving]  # fmt: skip
    taken = [task for task in stood if now[task["id"]]["fence"] > task["fence"]]
    left = [task for task in stood if now[task["id"]]["place"] == task["place"]]
    first = min((task["place"] for task in left), default=None)
    return [
        f"task {task['id']} stood at {task['place']}, one that was left at {first}"
        for task in taken
        if first is not None and task["place"] > first
    ]


def of_database(seen: Picture) -> Picture:
    """Return the picture of the database, checking that no stream has a gap (I7)."""
    runs: dict[str, Any] = {}
    for row in seen["runs"]:
        events = [event for event in seen["events"] if event["run"] == row["id"]]
        assert [event["seq"] for event in events] == list(range(1, row["last_seq"] + 1)), "I7"
        ends = [event["seq"] for event in events if event["type"] in _TERMINAL]
        assert ends in ([], [row["last_seq"]]), "I7: a terminal event is the last"
        told: dict[str, int] = {}
        for event in events:
            told[event["type"]] = told.get(event["type"], 0) + 1
        counted = row["status"] not in ("failed", "cancelled") and row["failure"] is None
        assert row["counted"] == len(row["holds"] or {}), "I5"
        runs[row["id"]] = {
            "run": [row["status"], row["error"], _plain(row["output"])],
            "undone": [row["failure"], row["undone"], row["kept"] or None],
            "deadline": row["deadline"],
            "holds": row["holds"] or {},
            "remaining": row["remaining"] if counted else None,
            "events": told,
            "steps": {},
            "tasks": {},
        }
    expanding = {(t["run"], t["step"]) for t in seen["tasks"]
                 if t["kind"] == "expand" and t["status"] != "completed"}  # fmt: skip
    for row in seen["steps"]:
        counted = row["status"] == "running" and (row["run"], row["step"]) not in expanding
        runs[row["run"]]["steps"][row["step"]] = [
            row["status"], row["reason"], row["remaining"] if counted else None,
            _plain(row["output"]),
        ]  # fmt: skip
    for place, row in tasks_of(seen).items():
        runs[place[0]]["tasks"][place[1:]] = [
            row["status"], row["fence"], row["attempt"], row["claims"], row["worker"],
            row["approved"], row["sent"], row["lease"],
            row["ahead"] if runs[place[0]]["run"][0] in _MOVING else None, row["blocked"],
        ]  # fmt: skip
    return {
        "runs": runs,
        "approvals": sorted([a["task"], a["status"]] for a in seen["approvals"]),
        "workers": seen["workers"],
        "outbox": seen["outbox"],
        "messages": seen["messages"] + sum(task["blocked"] for task in seen["tasks"]),
        "emitted": {key: _plain(one) for key, one in seen["emitted"].items()},
    }


def of_mirror(
    world: World, ids: Mapping[int, str], tasks: Mapping[int, int], blocked: Container[int]
) -> Picture:
    """Return what the picture of the database must be.

    `ids` and `tasks`: the ids in the database of the runs and tasks of the mirror, by `id()`;
    `blocked`: those of tasks that a limit keeps from the queue, which the mirror cannot foretell.
    """
    return {
        "runs": {ids[id(run)]: _run(run, tasks, blocked) for run in world.runs},
        "approvals": sorted([tasks[id(a.task)], a.status] for a in world.approvals),
        "workers": {
            name: worker.status
            for name, worker in world.workers.items()
            if worker.status != "forgotten"
        },
        "outbox": [what for what, _, _ in world.outbox],
        "messages": sum(task.sent for task in world.all_tasks()),
        "emitted": {
            key: [_plain(one.payload), one.at, one.until] for key, one in world.emitted.items()
        },
    }


def differences(seen: Any, expected: Any, at: str = "") -> list[str]:
    """Say where the two differ, one line each."""
    if isinstance(seen, dict) and isinstance(expected, dict):
        return [
            line
            for key in {**seen, **expected}
            for line in differences(seen.get(key), expected.get(key), f"{at}/{key}")
        ]
    return [] if seen == expected else [f"{at}: {seen}, expected: {expected}"]


def _run(run: Run, tasks: Mapping[int, int], blocked: Container[int]) -> Picture:
    counted = run.status not in ("failed", "cancelled") and run.failing is None
    return {
        "run": [run.status, run.error, _plain(run.output)],
        "undone": [run.failing, *(run.undone or (None, None))[:1],
                   (run.undone or (None, None))[1] or None],
        "deadline": run.deadline,
        "holds": run.holds,
        "remaining": sum(not step.over for step in run.steps.values()) if counted else None,
        "events": dict(run.events),
        "steps": _steps(run),
        "tasks": {
            (name_of(task), task.element): _task(task, tasks[id(task)] in blocked)
            for task in run.tasks
        },
    }  # fmt: skip


def _steps(run: Run) -> Picture:
    expanding = {task.plan.name for task in run.open_tasks() if task.plan and task.kind == "expand"}
    return {
        name: [
            step.status, step.reason,
            sum(not task.over for task in step.tasks)
            if step.status == "running" and name not in expanding else None,
            _plain(step.output),
        ]
        for name, step in run.steps.items()
    }  # fmt: skip


def _task(task: Task, blocked: bool) -> list[Any]:
    in_queue = task.sent and not blocked and task.run.status in _MOVING
    return [
        task.status, task.fence, task.attempt, task.claims, task.worker, task.approved, task.sent,
        task.lease, CLASS * (task.run.priority + 2) if in_queue else None, blocked and task.sent,
    ]  # fmt: skip


def _plain(value: Any) -> Any:
    """Return a value without the moment that a nap ended at."""
    if isinstance(value, dict):
        return {key: "" if key == "woke_at" else _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value
