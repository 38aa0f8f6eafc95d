"""Approvals as the database would give them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from flowbuilder.executor.fingerprints import fingerprint
from flowbuilder.executor.records import ApprovalRow
from flowbuilder.executor.states import ApprovalStatus
from flowbuilder.types import JsonObject

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def granted(
    *, tool: str, args: JsonObject, edits: JsonObject | None = None, **more: Any
) -> ApprovalRow:
    """Return the approval of task 1, step `work` of run r1, that ada has given."""
    agreed = fingerprint(args if edits is None else edits)
    fields: dict[str, Any] = {
        "id": "a1",
        "run_id": "r1",
        "flow": "f",
        "step_id": "work",
        "task_id": "1",
        "kind": "gate",
        "status": ApprovalStatus.APPROVED,
        "tool": f"{tool}@1",
        "args": args,
        "args_hash": fingerprint(args),
        "message": None,
        "schema": None,
        "by": [],
        "requested_at": NOW,
        "deadline_at": NOW + timedelta(days=1),
        "on_deadline": "reject",
        "decided_at": NOW,
        "decided_by": "user:ada",
        "comment": None,
        "value": edits,
        "votes": [{"by": "user:ada", "hash": agreed}],
        "agreed_hash": agreed,
    }
    return ApprovalRow(**{**fields, **more})
