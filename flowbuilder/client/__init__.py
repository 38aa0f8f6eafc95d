"""What users hold: `FlowBuilder`, flow handles, runs and their events."""

from __future__ import annotations

from flowbuilder.client.builder import FlowBuilder
from flowbuilder.client.flows import FlowHandle
from flowbuilder.client.runs import RetriedRun, Run

__all__ = ["FlowBuilder", "FlowHandle", "RetriedRun", "Run"]
