"""How something is to be done, where its verb is the very name of an option: "*append* it to"."""

from __future__ import annotations

from flowbuilder.planner.rules.arguments import Binding
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.lexicon import stems
from flowbuilder.planner.rules.matching import Profile
from flowbuilder.planner.rules.slots import SlotKind

#: Verbs that say which tool is meant, and seldom how it is to work.
_EVERYDAY = stems("create make get set open list put read")


def bind_manner(profile: Profile, clause: Clause, binding: Binding) -> None:
    """Set the options that are called as the verb of a clause."""
    verb = clause.verb
    if verb is None or verb.stem in _EVERYDAY:
        return
    for slot in profile.slots:
        if slot.kind is SlotKind.ENUM and not slot.many and slot.name not in binding.args:
            for option in slot.options:
                if str(option).lower() == verb.lower:
                    binding.args[slot.name] = option
