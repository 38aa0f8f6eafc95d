"""Deterministic repair: what is certainly meant otherwise is mended, and each change is told.

`repair` never touches a valid document, not a byte of it, and repairing twice is repairing once.
`read_habits` is for plans of models alone: it also reads what is no error and yet surely meant
otherwise.
"""

from flowbuilder.repair.edits import ABSENT, Change
from flowbuilder.repair.habits import Reading, read_habits
from flowbuilder.repair.pipeline import Repair, repair

__all__ = ["ABSENT", "Change", "Reading", "Repair", "read_habits", "repair"]
