"""Simulated models for evaluations, all behind the one seam for model calls."""

from __future__ import annotations

from flowbuilder.evals.models.base import Request, SimulatedModel
from flowbuilder.evals.models.defects import DEFECTS, TEXT_DEFECTS, Defect, TextDefect
from flowbuilder.evals.models.hostile import TRICKS, HostileModel, ObedientModel
from flowbuilder.evals.models.noisy import NoisyModel
from flowbuilder.evals.models.oracle import OracleModel
from flowbuilder.evals.models.pacing import Pace, PacedModel, Stall
from flowbuilder.evals.models.recording import RecordingModel
from flowbuilder.evals.models.replaying import ReplayingModel

__all__ = [
    "DEFECTS",
    "TEXT_DEFECTS",
    "TRICKS",
    "Defect",
    "HostileModel",
    "NoisyModel",
    "ObedientModel",
    "OracleModel",
    "Pace",
    "PacedModel",
    "RecordingModel",
    "ReplayingModel",
    "Request",
    "SimulatedModel",
    "Stall",
    "TextDefect",
]
