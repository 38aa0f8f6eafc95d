"""Planning without a language model: clauses, lexical match, typed slots."""

from flowbuilder.planner.rules.planner import RulePlanner

__all__ = ["RulePlanner"]
