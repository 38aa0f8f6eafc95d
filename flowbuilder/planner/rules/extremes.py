"""Rows picked by a column's extreme: "save *the row with the highest price* as …"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.inner import emptied, piece
from flowbuilder.planner.rules.lexicon import stems
from flowbuilder.planner.rules.matching import Profile
from flowbuilder.planner.rules.table_arguments import works_on_records
from flowbuilder.planner.rules.tables import TableWords

#: Verbs that ask for the row itself; with any other verb something is done with it.
_PICKING = stems("find show get keep take pick select choose return give list see filter sort")
_PICKED = re.compile(
    r"(?:the )?(?:row|record|entry|line)s? (?:with|having|that has|which has) the", re.IGNORECASE
)


def ranker(profiles: Sequence[Profile]) -> Profile | None:
    """Return the tool that sorts records by a column and keeps so many, if there is just one."""
    found = [
        profile
        for profile in profiles
        if works_on_records(profile)
        and {"by", "limit"} <= {slot.name for slot in profile.slots}
        and any(slot.name.startswith(("desc", "reverse", "order")) for slot in profile.slots)
    ]
    return found[0] if len(found) == 1 else None


def extreme_apart(clause: Clause, profiles: Sequence[Profile]) -> list[Clause]:
    """Return a clause as the picking of a row and what is done with that row, in this order."""
    found = TableWords(clause).extreme
    verb = clause.verb
    if found is None or verb is None or verb.stem in _PICKING or ranker(profiles) is None:
        return [clause]
    place = _PICKED.search(clause.text)
    field = next((w for w in clause.words if w.lower == found.lower()), None)
    literal = next((one for one in clause.literals if str(one.value) == found), None)
    end = literal.end if literal is not None else field.end if field is not None else None
    if place is None or end is None or end <= clause.start + place.end():
        return [clause]
    inner = piece(clause, clause.start + place.start(), end)
    outer = emptied(clause, inner)
    return [replace(inner, later=clause.later), replace(outer, later=False)]
