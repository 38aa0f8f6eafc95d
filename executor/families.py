"""A run and the child runs below it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flowbuilder.errors import NotFound
from flowbuilder.executor import queries, rows
from flowbuilder.executor.database import Database
from flowbuilder.executor.states import RunStatus
from flowbuilder.executor.store.base import as_uuid
from flowbuilder.types import JsonObject

#: Runs of one tree that are read.
MOST_RUNS = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class FamilyRow:
    """A run of a tree of runs."""

    id: str
    parent_run_id: str | None
    """None for the run that was asked about."""
    parent_step: str | None
    """The step that started it."""
    flow: str
    version: int | None
    status: RunStatus
    depth: int
    created_at: datetime
    finished_at: datetime | None
    error: JsonObject | None
    steps: list[Any]
    """`{step_id, tool, status}` in the order of the flow."""


async def run_tree(
    database: Database, workspace: str, run_id: str, *, limit: int = MOST_RUNS
) -> list[FamilyRow]:
    """Read a run and its child runs, each after its parent.

    Raises:
        NotFound: `run_not_found`.
    """
    found = await database.fetch_all(queries.RUN_TREE, (workspace, as_uuid(run_id), limit))
    if not found:
        raise NotFound(f"there is no run {run_id}", code="run_not_found")
    return [rows.read(FamilyRow, row) for row in found]
