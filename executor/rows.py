"""Database rows to records: a column is the field of its name, in the type that the field has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, TypeVar

from flowbuilder.executor.events import EventRow, News
from flowbuilder.executor.records import (
    ApprovalRow,
    Exchange,
    FlowRow,
    LeasedTask,
    Outcome,
    PlanRow,
    RunRow,
    TaskKind,
    TaskRow,
    Verdict,
)
from flowbuilder.executor.states import ApprovalStatus, RunStatus, StepStatus, TaskStatus
from flowbuilder.executor.terms import LimitRow
from flowbuilder.limits import Priority, Rate
from flowbuilder.types import JsonObject

Row = Mapping[str, Any]
Record = TypeVar("Record")

_TIMES_OF_RUN = ("created_at", "started_at", "finished_at", "deadline_at")


def read(kind: type[Record], row: Row, **derived: Any) -> Record:
    """Read a row as a record; `derived` are the fields that are no columns."""
    columns = _columns(kind)
    values = {name: convert(row[name]) for name, convert in columns if name not in derived}
    return kind(**values, **derived)


def flow(row: Row) -> FlowRow:
    """Read a row of flows."""
    description = row["draft"].get("description")
    return read(FlowRow, row, description=description, version=row["head"])


def task(row: Row) -> TaskRow:
    """Read a row of tasks joined with its step's id."""
    return read(TaskRow, row, index=None if row["element"] < 0 else row["element"])


def limit(row: Row) -> LimitRow:
    """Read a row of `limits_in_force`."""
    count = row["rate_count"]
    rate = None if count is None else Rate(count=count, per=row["rate_seconds"])
    return read(LimitRow, row, rate=rate)


def approval(row: Row) -> ApprovalRow:
    """Read a row of approvals joined with its run's flow."""
    return read(ApprovalRow, row, by=row["approvers"])


def plan(row: Row) -> PlanRow:
    """Read a row of plans. The status is the column's: accepting a plan leaves its text alone."""
    return read(PlanRow, row, document={**row["document"], "status": row["status"]})


def event(row: Row) -> EventRow:
    """Read a row of events. What the envelope says already is not stored in the data again."""
    said = {"workflow_id": str(row["run_id"])} if row["run_id"] is not None else {}
    if row["type"].startswith("task_"):
        said = {"task_id": row["task_id"], **said, "step_name": row["step_name"]}
    return read(EventRow, row, data={**said, **row["data"]})


def leased(row: Row, definition: JsonObject) -> LeasedTask:
    """Read a task as the SQL function `lease_payload` gives it."""
    return LeasedTask(
        task_id=row["task_id"],
        fence=row["fence"],
        run_id=row["run_id"],
        workspace_id=row["workspace"],
        kind=TaskKind(row["kind"]),
        step_id=row["step_id"],
        node_id=row["node_id"],
        index=row["index"],
        item=row["item"],
        attempt=row["attempt"],
        claims=row["claims"],
        definition=definition,
        args=row["args"],
        approved=row["approved"],
        run={
            "id": row["run_id"],
            "flow": row["flow"],
            "version": row["version"],
            "started_at": row["started_at"],
        },
        input=row["input"],
        outputs=row["outputs"] or {},
        skipped=row["skipped"] or [],
        budget=row["budget"],
        version_id=row["version_id"],
        guard=row["guard"],
    )


def exchange(
    answer: Row,
    tasks: list[LeasedTask],
    outcomes: Sequence[Outcome],
    news: Sequence[Sequence[Row]] | None = None,
) -> Exchange:
    """Read the answer of the SQL function `exchange`; what it does not deny is accepted.

    `news`: rows of events by stream, as `exchange_and_tell` gives them besides.
    """
    verdicts = {outcome.key: Verdict.ACCEPTED for outcome in outcomes}
    for task_id, fence, verdict in answer["denied"] or ():
        verdicts[task_id, fence] = Verdict(verdict)
    delays = [after for o in outcomes if (after := _due_in(o)) is not None]
    if answer["opens_at"] is not None:
        opens = datetime.fromisoformat(answer["opens_at"]) - datetime.fromisoformat(answer["at"])
        delays.append(opens.total_seconds())
    runs = [outcome.run_id for outcome in outcomes] + [task.run_id for task in tasks]
    over = frozenset(answer["over"] or ())
    return Exchange(
        tasks=tasks,
        verdicts=verdicts,
        lost=[(task_id, fence) for task_id, fence in answer["lost"] or ()],
        touched=list(dict.fromkeys([*runs, *over])),
        going_on=frozenset(task.run_id for task in tasks),
        over=over,
        ready=answer["ready"],
        elsewhere=bool(answer["elsewhere"]),
        ended=_ended(answer["ended"]),
        news=_news(news or ()),
        next_due_seconds=0.0 if answer["due"] else min(delays, default=None),
    )


def _ended(row: Row | None) -> tuple[str, RunRow] | None:
    """Read a row of runs out of a JSON answer, in which times are texts."""
    if row is None:
        return None
    times = {name: row[name] and datetime.fromisoformat(row[name]) for name in _TIMES_OF_RUN}
    return row["workspace_id"], read(RunRow, {**row, **times})


def _news(lists: Sequence[Sequence[Row]]) -> list[News]:
    """Read lists of rows of events out of a JSON answer, in which times are texts."""
    return [
        News(
            stream=found[0]["stream"],
            workspace=found[0]["workspace_id"],
            events=[event({**row, "at": datetime.fromisoformat(row["at"])}) for row in found],
        )
        for found in lists
    ]


#: What each kind of wait calls its length.
_LENGTHS = {"time": "seconds", "event": "timeout_seconds", "approval": "deadline_seconds"}


def _due_in(outcome: Outcome) -> float | None:
    """Return the seconds until time moves what was reported: a delayed retry, the end of a wait."""
    if outcome.wait is None:
        return outcome.delay_seconds
    length = outcome.wait.get(_LENGTHS.get(str(outcome.wait.get("kind")), ""))
    return float(length) if isinstance(length, int | float) else None


def _optional_text(value: object) -> str | None:
    return None if value is None else str(value)


#: By the type of the field as it is written in records.py: ids are texts outside the database,
#: states are enumerations. JSON, numbers and times stay as they are.
_CONVERTERS: dict[Any, Callable[[Any], Any]] = {
    "str": str,
    "str | None": _optional_text,
    "Priority": Priority.of_rank,
    **{
        kind.__name__: kind
        for kind in (ApprovalStatus, RunStatus, StepStatus, TaskKind, TaskStatus)
    },
}
_known: dict[type[Any], list[tuple[str, Callable[[Any], Any]]]] = {}


def _columns(kind: type[Any]) -> list[tuple[str, Callable[[Any], Any]]]:
    if kind not in _known:
        _known[kind] = [
            (field.name, _CONVERTERS.get(field.type, _as_it_is)) for field in fields(kind)
        ]
    return _known[kind]


def _as_it_is(value: Any) -> Any:
    return value
