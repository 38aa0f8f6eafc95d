"""Names that are values themselves, though another tool could look the thing up."""

from __future__ import annotations

from flowbuilder.planner.rules.matching import Profile
from flowbuilder.planner.rules.slots import SlotKind
from flowbuilder.planner.rules.speaking import nouns

_NAMED = frozenset({SlotKind.NAME, SlotKind.CODE, SlotKind.PLACE})


def takes_the_name(outer: Profile, found: Profile, args: dict[str, object], said: str) -> bool:
    """Whether a tool takes the very name by which another would look a thing up.

    "Assign it to the worker Jonas" needs no look at the worker where the parameter is `worker`.
    """
    own = {*nouns(found)}
    for slot in outer.slots:
        value = args.get(slot.name)
        named = slot.kind in _NAMED and slot.stems <= own and isinstance(value, str)
        if named and "${{" not in str(value) and str(value) in said:
            return True
    return False
