"""The benchmark: what the engine does, beside what its queue can do at best, in the same run.

`run_bench` takes a `Plan`, measures every workload of it on flowbuilder and on raw pgmq in turn,
and returns a `Report`. Mounted as `flowbuilder.bench`.
"""

from __future__ import annotations

if __name__ != "flowbuilder.bench":
    raise ImportError("import flowbuilder.bench, not bench")

from flowbuilder.bench.bars import BARS, Bar, Missed, check_bars
from flowbuilder.bench.figures import Measurement
from flowbuilder.bench.report import Report
from flowbuilder.bench.runner import Plan, run_bench
from flowbuilder.bench.workloads import WORKLOADS, Workload

__all__ = [
    "BARS",
    "WORKLOADS",
    "Bar",
    "Measurement",
    "Missed",
    "Plan",
    "Report",
    "Workload",
    "check_bars",
    "run_bench",
]
