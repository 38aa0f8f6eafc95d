"""What the machine's workers do with their tasks, and how they report it."""

from __future__ import annotations

from flowbuilder.executor.records import LeasedTask, Outcome, OutcomeKind, TaskKind
from flowbuilder.types import JsonObject, JsonValue
from tests.model.deeds import LISTENS, WAITS
from tests.model.rows import DECISION_SECONDS, EVENT_SECONDS, NAP_SECONDS, RETRY_SECONDS, Task
from tests.support.engine import done, failed, retry, skipped, waiting

DEEDS = (
    "keep", "complete", "complete", "complete", "fail", "retry", "retry later", "release", "skip",
    "nap", "gate", "question", "child", "hear a", "hear b", "hear b or not",
)  # fmt: skip


def possible(task: LeasedTask, deed: str, mirrored: Task | None) -> str:
    """Only a whole step has a condition, and only its work waits; a child has no child."""
    if deed == "skip":
        conditional = mirrored is not None and mirrored.plan is not None and mirrored.plan.when
        whole = task.index is None and task.kind is not TaskKind.COMPENSATE
        return deed if conditional and whole else "complete"
    if task.kind not in (TaskKind.STEP, TaskKind.COMPENSATE) and deed in WAITS:
        return "complete"
    if deed == "gate" and task.approved:
        return "complete"
    if deed == "child" and (mirrored is None or mirrored.run.flow == "child"):
        return "complete"
    return deed


def outcome_of(task: LeasedTask, deed: str, value: JsonValue, child: str) -> Outcome:
    if deed == "complete":
        return done(task, True if task.kind.value == "expand" else value)
    if deed == "fail":
        return failed(task)
    if deed in ("retry", "retry later"):
        return retry(task, delay=RETRY_SECONDS if deed == "retry later" else 0)
    if deed == "release":
        return task.outcome(OutcomeKind.RELEASED)
    if deed == "skip":
        return skipped(task)
    wait: JsonObject = {"kind": "time", "seconds": NAP_SECONDS}
    if deed == "child":
        wait = {"kind": "run", "version_id": child, "flow": "child", "input": None}
    elif deed in LISTENS:
        key, may_end = LISTENS[deed]
        wait = {
            "kind": "event", "name": "go", "key": key, "timeout_seconds": EVENT_SECONDS,
            "on_timeout": "null" if may_end else "fail",
        }  # fmt: skip
    elif deed != "nap":
        wait = {
            "kind": "approval", "approval_kind": "gate" if deed == "gate" else "decision",
            "args": {}, "args_hash": "x", "deadline_seconds": DECISION_SECONDS,
            "on_deadline": "reject" if deed == "gate" else "approve",
        }  # fmt: skip
    return waiting(task, **wait)
