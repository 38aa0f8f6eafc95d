"""Findings about a plan that has a gold flow: scores from 0 to 1, and whether all is right."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from flowbuilder.evals.metrics import PlanScores, Ratio, compare_plans, plan_graph
from flowbuilder.evals.metrics.strict import scores_as_numbers

if TYPE_CHECKING:
    from flowbuilder.evals.dataset import Expectation
    from flowbuilder.evals.runner import Observation


def gold_scores(expect: Expectation, seen: Observation) -> list[tuple[str, bool | float, str]]:
    """Return name, value and reason of each score; nothing when no gold flow is given."""
    if expect.flow is None:
        return []
    plan = None if seen.flow is None else seen.flow.document()
    scores = compare_plans(plan, expect.flow, accepted=expect.accepted, durations=expect.durations)
    told = _reasons(scores, plan, expect.flow)
    return [
        (name, value, "" if value == 1 else told.get(name, ""))
        for name, value in scores_as_numbers(scores).items()
        if isinstance(value, bool | float)
    ]


def _reasons(scores: PlanScores, plan: object, gold: object) -> dict[str, str]:
    planned = Counter(step.tool for step in plan_graph(plan).steps)
    wanted = Counter(step.tool for step in plan_graph(gold).steps)
    missing = sorted((wanted - planned).elements())
    extra = sorted((planned - wanted).elements())
    told = [("missing", missing), ("extra", extra)]
    return {
        "step_f1": "; ".join(f"{word} {', '.join(names)}" for word, names in told if names),
        "edge_f1": _share(scores.edges),
        "reference_f1": _share(scores.references),
        "argument_f1": _share(scores.arguments),
        "order_kept": f"{scores.missing_order:.0%} of the gold's order is not kept",
        "order_needed": f"{scores.needless_order:.0%} of the plan's order is needless",
        "parallelism": "steps that could go on at once wait for each other",
        "exact": "the plan is another one than the gold",
    }


def _share(ratio: Ratio) -> str:
    return f"{ratio.right:g} right of {ratio.planned:g} planned and {ratio.wanted:g} wanted"
