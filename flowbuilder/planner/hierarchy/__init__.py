"""Goals too large for one flow: parts that are flows of their own, called by one parent flow."""

from flowbuilder.planner.hierarchy.bounds import in_one_flow
from flowbuilder.planner.hierarchy.dividing import in_parts
from flowbuilder.planner.hierarchy.telling import step_events

__all__ = ["in_one_flow", "in_parts", "step_events"]
