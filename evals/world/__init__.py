"""A simulated world for evaluations: tools without anything behind them, on the real engine."""

from __future__ import annotations

from flowbuilder.evals.catalogue import ToolSpec
from flowbuilder.evals.world.audit import Audit, audit
from flowbuilder.evals.world.callgraph import CallGraph, defects, interpret, read_call_graph
from flowbuilder.evals.world.clock import Clock, RealClock, VirtualClock
from flowbuilder.evals.world.faults import Fault, FaultInjector, FaultKind
from flowbuilder.evals.world.ledger import Entry, Ledger
from flowbuilder.evals.world.people import Answer, Person, agreeing, answering, refusing, silent
from flowbuilder.evals.world.scoring import Score, score
from flowbuilder.evals.world.specs import read_catalogue
from flowbuilder.evals.world.stage import Performance, Stage, open_stage
from flowbuilder.evals.world.values import value_for
from flowbuilder.evals.world.world import World

__all__ = [
    "Answer",
    "Audit",
    "CallGraph",
    "Clock",
    "Entry",
    "Fault",
    "FaultInjector",
    "FaultKind",
    "Ledger",
    "Performance",
    "Person",
    "RealClock",
    "Score",
    "Stage",
    "ToolSpec",
    "VirtualClock",
    "World",
    "agreeing",
    "answering",
    "audit",
    "defects",
    "interpret",
    "open_stage",
    "read_call_graph",
    "read_catalogue",
    "refusing",
    "score",
    "silent",
    "value_for",
]
