"""Budgets and estimates in words."""

from __future__ import annotations

from flowbuilder.budget import BudgetUse

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
