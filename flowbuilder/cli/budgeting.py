"""Budgets and estimates in words."""

from __future__ import annotations

from datetime import timedelta

from flowbuilder.budget import BudgetUse
from flowbuilder.costs import Estimate, Interval

_UNITS = {"tokens": "tokens", "usd": "$", "seconds": "s", "steps": "steps", "replans": "re-plans"}


def budget_text(use: BudgetUse) -> str:
    """Return what is used of a run's budget: `1200 of 2000 tokens, $0.02 of $1`."""
    spent = use.spent
    parts: list[str] = []
    for name, unit in _UNITS.items():
        limit = use.budget.as_json().get(name)
        if limit is None:
            continue
        used = "unknown" if spent[name] is None else f"{spent[name]:g}"
        parts.append(f"${used} of ${limit:g}" if unit == "$" else f"{used} of {limit:g} {unit}")
    if use.unpriced_tokens:
        parts.append(f"the price of {use.unpriced_tokens} tokens is not known")
    return ", ".join(parts)


def estimate_text(estimate: Estimate) -> str:
    """Return an estimate in one line, likely numbers first."""
    parts = [f"{_span(estimate.steps)} steps", f"{estimate.approvals} approvals"]
    if estimate.model_calls.high:
        parts.append(f"{_span(estimate.model_calls)} model calls")
        parts.append(f"{_span(estimate.tokens)} tokens")
    if estimate.cost_usd is None:
        parts.append("cost unknown")
    elif estimate.cost_usd.high:
        cost = estimate.cost_usd
        parts.append(f"${cost.likely:.4f} (${cost.low:.4f} to ${cost.high:.4f})")
    seconds = estimate.seconds
    low, likely, high = (_time(v) for v in (seconds.low, seconds.likely, seconds.high))
    parts.append(f"about {likely} ({low} to {high})" if low != high else f"about {likely}")
    return ", ".join(parts)


def _span(interval: Interval) -> str:
    low, likely, high = (round(v) for v in (interval.low, interval.likely, interval.high))
    return f"{likely}" if low == high else f"{likely} ({low} to {high})"


def _time(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f}s"
    return str(timedelta(seconds=round(seconds))) if seconds >= 120 else f"{seconds:.0f}s"
