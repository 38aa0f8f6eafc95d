"""Files that are to be deleted, which no tool does that sends a DELETE or writes files.

And what "it" is that is to be deleted after it was fetched: what was got, or what stands there.
"""

from __future__ import annotations

import re

from flowbuilder.planner.rules.arguments import Binding
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.lexicon import stems
from flowbuilder.planner.rules.literals import Kind
from flowbuilder.planner.rules.matching import Match, Profile
from flowbuilder.planner.rules.slots import SlotKind
from flowbuilder.toolkit import is_starter

_DELETING = stems("delete remove erase unlink trash purge destroy wipe discard")
#: Between the verb and the name of a file: "delete *the file* x.txt".
_THING = re.compile(
    r"\s+(?:(?:the|that|this|my|our|a|an|old|local|original|downloaded)\s+)*(?:files?|document)?\s*",
    re.IGNORECASE,
)
#: What stands behind a file that is meant as a whole, and not something of it.
_WHOLE = re.compile(
    r"\W*(?:$|(?:\s|,)*\b(?:from|in|on|at|and|or|again|afterwards|too|now|then|as well|"
    r"once|when|if|after|before|forever|completely|permanently)\b)",
    re.IGNORECASE,
)
_FILE = re.compile(
    r"\s+(?:(?:the|that|this|my|our|old|local|original|downloaded)\s+)+(?:files?|folder|directory)\b"
    r"\W*(?:$|(?:again|afterwards|too|now|then|as well|from disk)\b)",
    re.IGNORECASE,
)
#: A verb that is less near to what a tool does does not ask for it.
_KNOWN = 0.7


def deletes_otherwise(clause: Clause, match: Match) -> bool:
    """Whether a file is to be deleted, and a tool does something else: an HTTP DELETE."""
    if not _deletes_file(clause):
        return False
    needed = [slot.kind for slot in match.profile.slots if slot.required]
    return SlotKind.URL in needed or match.verb < _KNOWN


def _deletes_file(clause: Clause) -> bool:
    verb = clause.verb
    if verb is None or clause.question or verb.stem not in _DELETING:
        return False
    if any(item.kind is Kind.URL for item in clause.literals):
        return False
    after = verb.end - clause.start
    if _FILE.match(clause.text, after):
        return True
    for item in clause.literals:
        start, end = item.start - clause.start, item.end - clause.start
        if (
            item.kind is Kind.PATH
            and start >= after
            and _THING.fullmatch(clause.text, after, start)
        ):
            return _WHOLE.match(clause.text, end) is not None
    return False


#: Words that say that what stands at an address is meant, and not what was got from it.
_THERE = re.compile(
    r"\b(?:there|requests?|resources?|endpoint|server|url|address)\b", re.IGNORECASE
)


def ask_where(clause: Clause, profile: Profile, binding: Binding) -> str | None:
    """Leave open where something is deleted that only "it" names; return what is doubtful then.

    "Fetch https://… and delete it" may mean what was fetched, or what stands at the address.
    """
    verb = clause.verb
    if verb is None or verb.stem not in _DELETING or not is_starter(profile.tool):
        return None
    if _THERE.search(clause.text):
        return None
    for slot in profile.slots:
        if slot.kind is SlotKind.URL and "${{" in str(binding.args.get(slot.name)):
            del binding.args[slot.name]
            binding.missing.append(slot)
            return "this may mean what was got, or what stands at its address"
    return None
