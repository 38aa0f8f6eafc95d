"""Database rows to records: a column is the field of its name, in the type that the field has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from flowbuilder.executor.records import (
    ApprovalRow,
    Exchange,
    FlowRow,
    LeasedTask,
    PlanRow,
    TaskKind,
    TaskRow,
    Verdict,
)
from flowbuilder.executor.states import ApprovalStatus, RunStatus, StepStatus, TaskStatus

Row = Mapping[str, Any]
Record = TypeVar("Record")


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


def approval(row: Row) -> ApprovalRow:
    """Read a row of approvals joined with its run's flow."""
    return read(ApprovalRow, row, by=row["approvers"])


def plan(row: Row) -> PlanRow:
    """Read a row of plans. The status is the column's: accepting a plan leaves its text alone."""
    return read(PlanRow, row, document={**row["document"], "status": row["status"]})


def exchange(answer: Row) -> Exchange:
    """Read the answer of the SQL function `exchange`."""
    return read(
        Exchange,
        answer,
        tasks=[read(LeasedTask, row) for row in answer["tasks"]],
        verdicts={(task_id, fence): Verdict(v) for task_id, fence, v in answer["verdicts"]},
        lost=[(task_id, fence) for task_id, fence in answer["lost"]],
    )


def _optional_text(value: object) -> str | None:
    return None if value is None else str(value)


#: By the type of the field as it is written in records.py: ids are texts outside the database,
#: states are enumerations. JSON, numbers and times stay as they are.
_CONVERTERS: dict[Any, Callable[[Any], Any]] = {
    "str": str,
    "str | None": _optional_text,
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
