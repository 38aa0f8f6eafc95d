"""Evaluation: suites of goals that tell how good the planner is, and whether its plans work.

A `Dataset` holds `Case`s; an `Evaluator` judges what was observed of a case; a `Report` gathers
the findings. Mounted as `flowbuilder.evals`.
"""

from __future__ import annotations

if __name__ != "flowbuilder.evals":
    raise ImportError("import flowbuilder.evals, not evals")

from flowbuilder.evals.dataset import Case, Dataset, Expectation
from flowbuilder.evals.evaluators import Evaluator, Finding, judge
from flowbuilder.evals.loading import find_suites, load_suite
from flowbuilder.evals.report import CaseReport, Report
from flowbuilder.evals.runner import Observation, run_suite

__all__ = [
    "Case",
    "CaseReport",
    "Dataset",
    "Evaluator",
    "Expectation",
    "Finding",
    "Observation",
    "Report",
    "find_suites",
    "judge",
    "load_suite",
    "run_suite",
]
