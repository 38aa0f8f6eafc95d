"""A run with its child runs, as one tree."""

from __future__ import annotations

from collections.abc import Iterable

from flowbuilder.client.session import Session
from flowbuilder.executor.families import FamilyRow, run_tree
from flowbuilder.types import JsonObject


async def read_tree(session: Session, run_id: str) -> JsonObject:
    """Return a run with its steps, and in each step the child runs that it has started.

    `{id, flow, version, status, created_at, finished_at, error, steps: [{step_id, tool, status,
    runs: […]}]}`; at most 200 runs.

    Raises:
        NotFound: There is no such run (run_not_found).
    """
    found = await run_tree(session.store.database, session.store.workspace, run_id)
    below: dict[tuple[str, str], list[FamilyRow]] = {}
    for row in found[1:]:
        below.setdefault((str(row.parent_run_id), str(row.parent_step)), []).append(row)

    def told(row: FamilyRow) -> JsonObject:
        return {
            "id": row.id,
            "flow": row.flow,
            "version": row.version,
            "status": row.status.value,
            "created_at": row.created_at.isoformat(),
            "finished_at": row.finished_at.isoformat() if row.finished_at else None,
            "error": row.error,
            "steps": [
                {**step, "runs": [*_all(below.get((row.id, step["step_id"]), ()))]}
                for step in row.steps
            ],
        }

    def _all(rows: Iterable[FamilyRow]) -> Iterable[JsonObject]:
        return (told(row) for row in rows)

    return told(found[0])
