"""Helpers of the tests about budgets."""

from __future__ import annotations

from dataclasses import replace

from flowbuilder.budget import Budget, Spending
from flowbuilder.executor.records import Outcome
from flowbuilder.executor.states import RunStatus
from flowbuilder.executor.terms import Terms
from flowbuilder.flow import Flow
from flowbuilder.types import JsonObject
from tests.support.engine import Engine, flow_of

CHAIN = flow_of({"id": "a"}, {"id": "b", "depends_on": ["a"]}, {"id": "c", "depends_on": ["b"]})


def spent(outcome: Outcome, tokens: int = 0, usd: float | None = None) -> Outcome:
    """Return an outcome of an attempt that has spent something."""
    return replace(outcome, spent=Spending.of(tokens, usd).as_json())


async def start(engine: Engine, flow: Flow, **bounds: float) -> str:
    """Start a run with a budget."""
    terms = Terms(budget=Budget.read(bounds))
    return await engine.start(flow, terms=terms, timeout_seconds=bounds.get("seconds", 3600))


async def error_of(engine: Engine, run: str) -> JsonObject:
    """Return the error of a run that has failed."""
    row = await engine.run(run)
    assert row.status is RunStatus.FAILED
    assert row.error is not None
    return row.error
