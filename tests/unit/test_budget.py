"""Budgets as people write them, and what attempts say that they have spent."""

from __future__ import annotations

import math
from typing import Any

import pytest

from flowbuilder import Budget, InvalidValue, Settings, SettingsError
from flowbuilder.budget import BudgetUse, Spending
from flowbuilder.cli.budgeting import budget_text
from flowbuilder.client.budgets import budget_of, spent_on
from flowbuilder.plan import Usage


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (None, None),
        ({}, None),
        ({"tokens": None}, None),
        ({"tokens": 0}, Budget(tokens=0)),
        ({"seconds": "10m", "usd": 1}, Budget(seconds=600.0, usd=1.0)),
        ("tokens=2000, usd=0.5,seconds=90s,steps=7,replans=0",
         Budget(tokens=2000, usd=0.5, seconds=90.0, steps=7, replans=0)),
        ("tokens=1e3", Budget(tokens=1000)),
        (Budget(steps=3), Budget(steps=3)),
    ],
)  # fmt: skip
def test_what_people_write_is_read(given: Any, read: Budget | None) -> None:
    assert Budget.read(given) == read


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ("", "/budget"),
        ("tokens", "/budget/tokens"),
        ("tokens=", "/budget/tokens"),
        ("tokens=1,tokens=2", "/budget/tokens"),
        ("tokens=many", "/budget/tokens"),
        ("seconds=soon", "/budget/seconds"),
        ("money=3", "/budget/money"),
        ({"tokens": -1}, "/budget/tokens"),
        ({"tokens": 1.5}, "/budget/tokens"),
        ({"tokens": True}, "/budget/tokens"),
        ({"usd": math.nan}, "/budget/usd"),
        ({"usd": math.inf}, "/budget/usd"),
        ({"steps": [1]}, "/budget/steps"),
        ({1: 2}, "/budget/1"),
        (5, "/budget"),
        ([], "/budget"),
    ],
)
def test_what_is_no_budget_is_refused(given: Any, pointer: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        Budget.read(given)
    assert (refused.value.code, refused.value.pointer) == ("budget_invalid", pointer)


def test_settings_say_what_a_caller_does_not() -> None:
    settings = Settings(run_budget="tokens=100,steps=5")
    assert budget_of({"tokens": 7}, settings) == Budget(tokens=7, steps=5)
    assert budget_of(None, settings) == Budget(tokens=100, steps=5)
    assert budget_of(None, Settings()) is None
    assert Settings(run_budget="").run_budget is None
    with pytest.raises(SettingsError, match="FLOWBUILDER_RUN_BUDGET"):
        Settings.load(run_budget="all")


@pytest.mark.parametrize(
    ("tokens", "usd"),
    [(-1, 0), (1.5, 0), (True, 0), (0, -0.1), (0, math.nan), (0, "1"), (10**13, 0), (None, 0)],
)
def test_what_nobody_can_spend_is_refused(tokens: Any, usd: Any) -> None:
    with pytest.raises(InvalidValue) as refused:
        Spending.of(tokens, usd)
    assert refused.value.code == "spending_invalid"


def test_an_unknown_price_is_not_nothing() -> None:
    known, unknown = Spending.of(10, 0.0), Spending.of(5, None)
    assert known.unpriced_tokens == 0
    assert (known + unknown).as_json() == {"tokens": 15, "unpriced_tokens": 5, "usd": 0.0}
    assert not Spending.of(0, 0)


def test_planning_without_a_model_costs_nothing() -> None:
    assert spent_on(Usage()) is None
    usage = Usage(calls=1, prompt_tokens=3, completion_tokens=4, cost_usd=0.1)
    assert spent_on(usage) == Spending(tokens=7, usd=0.1)
    free = Usage(calls=1, prompt_tokens=3, cost_usd=0.0)
    assert spent_on(free) == Spending(tokens=3, unpriced_tokens=3)
    assert spent_on(usage, Spending(tokens=1)) == Spending(tokens=8, usd=0.1)


def test_a_budget_in_words() -> None:
    use = BudgetUse(
        budget=Budget(tokens=2000, usd=1.0, seconds=60.0, steps=0, replans=2),
        tokens=1200, unpriced_tokens=200, usd=None, seconds=1.5, steps=0, replans=1,
        root_run_id="r",
    )  # fmt: skip
    assert budget_text(use) == (
        "1200 of 2000 tokens, $unknown of $1, 1.5 of 60 s, 0 of 0 steps, 1 of 2 re-plans, "
        "the price of 200 tokens is not known"
    )
