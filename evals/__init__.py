"""Evaluation: suites of goals that tell how good the planner is, and whether its plans work.

A `Dataset` holds `Case`s; an `Evaluator` judges what was observed of a case; a `Report` gathers
the findings. `import_cases` makes suites of public benchmark data, `compare_plans` holds a plan
against a gold flow. Mounted as `flowbuilder.evals`.
"""

from __future__ import annotations

if __name__ != "flowbuilder.evals":
    raise ImportError("import flowbuilder.evals, not evals")

from flowbuilder.evals.catalogue import ToolSpec
from flowbuilder.evals.comparison import Comparison, compare_reports, read_scores
from flowbuilder.evals.dataset import Case, Dataset, Expectation
from flowbuilder.evals.evaluators import Evaluator, Finding, judge
from flowbuilder.evals.importers import Imported, export_case, import_cases
from flowbuilder.evals.loading import find_suites, load_suite
from flowbuilder.evals.metrics import PlanScores, compare_plans
from flowbuilder.evals.report import CaseReport, Report
from flowbuilder.evals.runner import Observation, run_suite

__all__ = [
    "Case",
    "CaseReport",
    "Comparison",
    "Dataset",
    "Evaluator",
    "Expectation",
    "Finding",
    "Imported",
    "Observation",
    "PlanScores",
    "Report",
    "ToolSpec",
    "compare_plans",
    "compare_reports",
    "export_case",
    "find_suites",
    "import_cases",
    "judge",
    "load_suite",
    "read_scores",
    "run_suite",
]
