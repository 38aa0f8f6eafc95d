"""What `why` finds is weighed, put into words, and listed in the architecture page."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flowbuilder.executor.diagnosis import Reason, ReasonCode, diagnose
from flowbuilder.executor.reasonwords import span

ARCHITECTURE = Path(__file__).parents[2] / "docs" / "architecture.md"
AT = "2030-01-01T12:00:00+00:00"


def fact(code: str, **rest: Any) -> dict[str, Any]:
    return {
        "code": code,
        "step": None,
        "task_id": None,
        "since": None,
        "until": None,
        "details": {},
        **rest,
    }


def reasons(*facts: dict[str, Any]) -> tuple[Reason, ...]:
    return diagnose(
        {
            "run_id": "r",
            "flow": "f",
            "status": "running",
            "at": AT,
            "deadline_at": AT,
            "reasons": list(facts),
        }
    ).reasons


def codes(*facts: dict[str, Any]) -> list[str]:
    return [reason.code.value for reason in reasons(*facts)]


def test_the_page_lists_every_code_in_the_order_of_weight() -> None:
    text = ARCHITECTURE.read_text()
    section = text[text.index("### Why a run") : text.index("### Retry")]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == [c.value for c in ReasonCode]


def test_an_open_run_without_any_reason_says_that_it_is_a_fault() -> None:
    (reason,) = reasons()
    assert reason.code is ReasonCode.NOTHING_OPEN
    assert "fault of the engine" in reason.message


def test_a_worker_that_nothing_needs_yet_comes_late() -> None:
    later, over = "2030-01-01T13:00:00+00:00", "2030-01-01T11:00:00+00:00"
    no_worker = fact("no_worker")
    assert codes(no_worker, fact("time", step="a", until=later)) == ["time", "no_worker"]
    assert codes(no_worker, fact("time", step="a", until=over)) == ["no_worker", "time"]
    outbox = fact("outbox", details={"kind": "start_child"})
    assert codes(outbox, no_worker) == ["no_worker", "outbox"]
    needed = fact("no_worker", step="a", task_id=7)
    assert [r.task_id for r in reasons(no_worker, needed)] == ["7"]


def test_the_nearest_of_one_kind_comes_first() -> None:
    found = reasons(
        fact("time", step="b", until="2030-01-02T00:00:00+00:00"),
        fact("time", step="c"),
        fact("time", step="a", until="2030-01-01T13:00:00+00:00"),
    )
    assert [reason.step for reason in found] == ["a", "b", "c"]


def test_the_reasons_of_a_child_are_weighed_too() -> None:
    inner = [
        fact("dependencies", step="z", details={"steps": ["y"]}),
        fact("leased", step="y", details={"worker": "w", "tasks": 3}),
    ]
    details = {"child_run_id": "c", "status": "running", "reasons": inner}
    (reason,) = reasons(fact("child_run", step="call", task_id=1, details=details))
    assert reason.message == (
        "Step call waits for run c, which is under way: Worker w runs step y (3 tasks)."
    )
    shown = reason.details["reasons"]
    assert isinstance(shown, list)
    assert [item["code"] for item in shown if isinstance(item, dict)] == [
        "leased",
        "dependencies",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0s"),
        (0.4, "0s"),
        (119, "119s"),
        (120, "2m"),
        (3600, "1h"),
        (11_100, "3h 5m"),
        (86_400, "1d"),
        (187_200, "2d 4h"),
    ],
)
def test_lengths_of_time(seconds: float, text: str) -> None:
    assert span(timedelta(seconds=seconds)) == text
