"""Metrics of plans: strict ones of our own, and the published ones of others as they are computed.

`compare_plans` holds a plan against a gold flow as a graph. The modules `taskbench`, `worfeval`,
`bfcl` and `sealtools` compute what the evaluations of these names compute, faults included, so that
figures can be set beside published ones.
"""

from flowbuilder.evals.metrics.graph import PlanGraph, plan_graph
from flowbuilder.evals.metrics.strict import PlanScores, Ratio, compare_plans

__all__ = ["PlanGraph", "PlanScores", "Ratio", "compare_plans", "plan_graph"]
