"""Whatever is said to the engine, and in whatever order: it is what its mirror in memory says.

After each call everything in the database is compared: states, counters, fences, verdicts, leases,
messages, events. The clock stands still but for the jumps, so every comparison with it is decided.
`make faults` runs the long form; `FLOWBUILDER_TEST_SEED=n` repeats it, and with
`FLOWBUILDER_TEST_ROUNDS=n` it makes n hundred histories instead of 2,500.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from flowbuilder.executor.states import RUN_BEGINS, RUN_TRANSITIONS, TASK_BEGINS, TASK_TRANSITIONS
from tests.model.outcomes import DEEDS
from tests.model.stage import Stage
from tests.model.verbs import WholeMachine
from tests.support.transitions import noted

LONG = os.environ.get("FLOWBUILDER_TEST_FAULTS") == "long"
#: The short form is always the same one.
SEED = int(os.environ.get("FLOWBUILDER_TEST_SEED", "0")) or (
    secrets.randbelow(10**6) if LONG else 1
)
EXAMPLES, STEPS = (
    (int(os.environ.get("FLOWBUILDER_TEST_ROUNDS", "25")) * 100, 60) if LONG else (30, 40)
)


@pytest.fixture
def stage(dsn: str) -> Iterator[Stage]:
    opened = Stage(dsn)
    yield opened
    opened.close()


def test_the_engine_is_its_mirror_whatever_is_said_to_it(stage: Stage) -> None:
    class Bound(WholeMachine):
        pass

    Bound.stage = stage
    print(f"FLOWBUILDER_TEST_SEED={SEED}")
    run_state_machine_as_test(
        seed(SEED)(Bound),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
        ),
    )
    print(dict(stage.told))
    assert stage.run(noted(stage.database, "runs")) <= _arrows(RUN_TRANSITIONS, RUN_BEGINS)
    assert stage.run(noted(stage.database, "tasks")) <= _arrows(TASK_TRANSITIONS, TASK_BEGINS)
    # All of it has really happened.
    often = {"accepted", "already", "fenced", "refused", "unheard", "completed", "failed"}
    seldom = {
        "lost", "cancelled", "blocked", "undone", "grown", "held", "let go", "given up", "retried",
        "pruned", "heard", "unlimited", *(f"said {deed}" for deed in DEEDS if deed != "keep"),
    }  # fmt: skip
    missing = [what for what in often | (seldom if LONG else set()) if not stage.told[what]]
    assert not missing, f"never happened: {missing}"


def _arrows(
    transitions: Mapping[Any, frozenset[Any]], begins: frozenset[Any]
) -> set[tuple[str, str]]:
    drawn = {(one.value, other.value) for one, others in transitions.items() for other in others}
    return drawn | {("", one.value) for one in begins}
