"""Deterministic repair: what is certainly meant otherwise is mended, and each change is told.

A valid document is never touched, not a byte of it. Repairing twice is repairing once.
"""

from flowbuilder.repair.edits import ABSENT, Change
from flowbuilder.repair.pipeline import Repair, repair

__all__ = ["ABSENT", "Change", "Repair", "repair"]
