"""The state machine is said in four places; they agree."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path

import pytest

from flowbuilder.executor.database import Database
from flowbuilder.executor.states import (
    RUN_TRANSITIONS,
    TASK_TRANSITIONS,
    ApprovalStatus,
    RunStatus,
    StepStatus,
    TaskStatus,
)

ARCHITECTURE = Path(__file__).parents[2] / "docs" / "architecture.md"

_CHECKS = b"""
select c.relname as relation, pg_get_constraintdef(k.oid) as definition
from pg_constraint k join pg_class c on c.oid = k.conrelid
where k.contype = 'c' and k.connamespace = 'flowbuilder'::regnamespace
"""


@pytest.mark.parametrize(
    ("relation", "states"),
    [
        ("runs", RunStatus),
        ("run_steps", StepStatus),
        ("tasks", TaskStatus),
        ("approvals", ApprovalStatus),
    ],
)
async def test_the_check_of_a_table_lists_exactly_the_states_of_its_enum(
    database: Database, relation: str, states: type[StrEnum]
) -> None:
    checks = await database.fetch_all(_CHECKS)
    listings = [
        set(re.findall(r"'([a-z]+)'::text", check["definition"]))
        for check in checks
        if check["relation"] == relation and check["definition"].startswith("CHECK ((status = ANY")
    ]
    assert listings == [set(states)]


@pytest.mark.parametrize(
    ("entity", "transitions"), [("run", RUN_TRANSITIONS), ("task", TASK_TRANSITIONS)]
)
def test_the_diagram_draws_exactly_the_allowed_transitions(
    entity: str, transitions: dict[StrEnum, frozenset[StrEnum]]
) -> None:
    drawn = re.findall(rf"{entity}_(\w+) --> {entity}_(\w+)", ARCHITECTURE.read_text())
    allowed = [
        (source.value, target.value) for source, all_ in transitions.items() for target in all_
    ]
    assert sorted(drawn) == sorted(allowed)


def test_a_state_is_terminal_when_nothing_leads_out_of_it() -> None:
    assert {s for s in RunStatus if s.terminal} == {"completed", "failed", "cancelled"}
    assert {s for s in TaskStatus if s.terminal} == {
        "completed",
        "failed",
        "skipped",
        "cancelled",
    }
