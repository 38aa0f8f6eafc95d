"""Try rules on a suite: it is run without and with them, and the gate of comparisons decides."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

from flowbuilder.evals.comparison import Comparison, compare_reports, scores_of
from flowbuilder.evals.dataset import Case, Dataset
from flowbuilder.evals.report import CaseReport, Report
from flowbuilder.evals.runner import run_suite
from flowbuilder.planner.base import PlanEvent, Planner, PlanRequest
from flowbuilder.planner.memory.recollection import Recollection
from flowbuilder.settings import Settings


class RuledPlanner:
    """A `Planner` that tells the one inside rules, as a workspace that has adopted them would."""

    def __init__(self, inner: Planner, rules: tuple[str, ...]) -> None:
        self._inner, self._rules = inner, rules
        self.name = inner.name

    def stream(self, request: PlanRequest) -> AsyncIterator[PlanEvent]:
        """Plan as the planner inside does, with the rules."""
        known = request.memory
        rules = Recollection(examples=known.examples, rules=(*known.rules, *self._rules))
        return self._inner.stream(replace(request, memory=rules))


async def try_rules(
    dataset: Dataset,
    settings: Settings,
    planner: Callable[[], Planner],
    rules: tuple[str, ...],
    *,
    known: tuple[str, ...] = (),
    trials: int = 1,
    max_drop: float | None = 0.0,
    on_start: Callable[[Case], None] | None = None,
    on_case: Callable[[CaseReport], None] | None = None,
) -> Comparison:
    """Run a suite without and with rules and compare.

    Args:
        dataset: The suite.
        settings: Model and limits; the database is nobody else's, as for `run_suite`.
        planner: Makes the planner, once for each of both.
        rules: What the planner is told the second time only.
        known: What it is told both times: the rules that are in force.
        trials: How often each case is tried.
        max_drop: A loss of a score that is too much however likely it is by chance; None leaves
            that to the test of significance alone.
        on_start: Told of each case before it is tried.
        on_case: Told of each case as it is done.

    Raises:
        As `run_suite`.
    """

    async def tried(by: Planner) -> Report:
        return await run_suite(
            dataset,
            settings,
            planner=by,
            search_path=Path(),
            trials=trials,
            on_start=on_start,
            on_case=on_case,
        )

    before = await tried(RuledPlanner(planner(), known))
    after = await tried(RuledPlanner(planner(), (*known, *rules)))
    return compare_reports(
        scores_of(before.as_json()), scores_of(after.as_json()), max_drop=max_drop
    )
