"""Whether a value of a plan has any evidence in what the user said."""

from flowbuilder.planner.evidence.statement import Statement

__all__ = ["Statement"]
