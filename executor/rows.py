"""Database rows to records: the one place that knows the columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowbuilder.executor.records import (
    ApprovalRow,
    EventRow,
    Exchange,
    FlowRow,
    LeasedTask,
    PlanRow,
    RunRow,
    StepRow,
    TaskKind,
    TaskRow,
    Verdict,
    VersionRow,
    WorkerRow,
)
from flowbuilder.executor.states import ApprovalStatus, RunStatus, StepStatus, TaskStatus

Row = Mapping[str, Any]


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def flow(row: Row) -> FlowRow:
    """Read a row of flows."""
    return FlowRow(
        slug=row["slug"],
        description=row["draft"].get("description"),
        draft=row["draft"],
        version=row["head"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def version(row: Row) -> VersionRow:
    """Read a row of flow_versions."""
    return VersionRow(
        id=str(row["id"]),
        slug=row["slug"],
        version=row["version"],
        content_hash=row["content_hash"],
        document=row["document"],
        origin=row["origin"],
        created_at=row["created_at"],
    )


def run(row: Row) -> RunRow:
    """Read a row of runs."""
    return RunRow(
        id=str(row["id"]),
        flow=row["flow"],
        version=row["version"],
        version_id=str(row["version_id"]),
        status=RunStatus(row["status"]),
        input=row["input"],
        output=row["output"],
        error=row["error"],
        remaining_steps=row["remaining_steps"],
        last_seq=row["last_seq"],
        idempotency_key=row["idempotency_key"],
        parent_run_id=_text(row["parent_run_id"]),
        plan_id=_text(row["plan_id"]),
        created_at=row["created_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        deadline_at=row["deadline_at"],
    )


def step(row: Row) -> StepRow:
    """Read a row of run_steps joined with its tool."""
    return StepRow(
        run_id=str(row["run_id"]),
        position=row["position"],
        step_id=row["step_id"],
        tool=row["tool"],
        status=StepStatus(row["status"]),
        task_count=row["task_count"],
        remaining_tasks=row["remaining_tasks"],
        output=row["output"],
        error=row["error"],
        skip_reason=row["skip_reason"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
    )


def task(row: Row) -> TaskRow:
    """Read a row of tasks joined with its step's id."""
    return TaskRow(
        id=str(row["id"]),
        run_id=str(row["run_id"]),
        step_id=row["step_id"],
        index=None if row["element"] < 0 else row["element"],
        kind=TaskKind(row["kind"]),
        status=TaskStatus(row["status"]),
        tool=row["tool"],
        attempt=row["attempt"],
        fence=row["fence"],
        worker_id=_text(row["worker_id"]),
        available_at=row["available_at"],
        output=row["output"],
        error=row["error"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
    )


def event(row: Row) -> EventRow:
    """Read a row of events."""
    return EventRow(
        stream=str(row["stream"]),
        seq=row["seq"],
        type=row["type"],
        run_id=_text(row["run_id"]),
        step_name=row["step_name"],
        task_id=_text(row["task_id"]),
        attempt=row["attempt"],
        at=row["at"],
        actor=row["actor"],
        data=row["data"],
    )


def approval(row: Row) -> ApprovalRow:
    """Read a row of approvals joined with its run's flow."""
    return ApprovalRow(
        id=str(row["id"]),
        run_id=str(row["run_id"]),
        flow=row["flow"],
        step_id=row["step_id"],
        task_id=str(row["task_id"]),
        kind=row["kind"],
        status=ApprovalStatus(row["status"]),
        tool=row["tool"],
        args=row["args"],
        args_hash=row["args_hash"],
        message=row["message"],
        schema=row["schema"],
        by=row["approvers"],
        requested_at=row["requested_at"],
        deadline_at=row["deadline_at"],
        on_deadline=row["on_deadline"],
        decided_at=row["decided_at"],
        decided_by=row["decided_by"],
        comment=row["comment"],
        value=row["value"],
    )


def plan(row: Row) -> PlanRow:
    """Read a row of plans."""
    return PlanRow(
        id=str(row["id"]),
        goal=row["goal"],
        status=row["status"],
        document=row["document"],
        created_at=row["created_at"],
        run_id=_text(row["run_id"]),
    )


def worker(row: Row) -> WorkerRow:
    """Read a row of workers."""
    return WorkerRow(
        id=str(row["id"]),
        name=row["name"],
        pid=row["pid"],
        host=row["host"],
        status=row["status"],
        concurrency=row["concurrency"],
        tools=row["tools"],
        started_at=row["started_at"],
        last_seen_at=row["last_seen_at"],
    )


def exchange(answer: Row) -> Exchange:
    """Read the answer of the SQL function `exchange`."""
    return Exchange(
        tasks=[LeasedTask(**{**row, "kind": TaskKind(row["kind"])}) for row in answer["tasks"]],
        verdicts={(task_id, fence): Verdict(v) for task_id, fence, v in answer["verdicts"]},
        lost=[(task_id, fence) for task_id, fence in answer["lost"]],
        touched=list(answer["touched"]),
        ready=answer["ready"],
        next_due_seconds=answer["next_due_seconds"],
    )
