"""What is fetched to be kept: "download https://… to data.csv" fetches and then saves."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.lexicon import stems, words
from flowbuilder.planner.rules.literals import Kind, Literal
from flowbuilder.planner.rules.matching import Profile
from flowbuilder.planner.rules.slots import SlotKind

_FETCHING = stems("download fetch get retrieve pull grab")
_TO = re.compile(r"\s*,?\s+(?:to|as|into|in|under)\s+(?:(?:the|a)\s+)?(?:(?:local\s+)?file\s+)?")
_SAVING = "save it to "


def saved_apart(clauses: Sequence[Clause], profiles: Sequence[Profile]) -> Iterator[Clause]:
    """Yield clauses; one that fetches an address to a file becomes two.

    Not where a tool takes both an address and a path, and so does it alone.
    """
    both = {SlotKind.URL, SlotKind.PATH}
    alone = any(both <= {slot.kind for slot in profile.slots} for profile in profiles)
    for clause in clauses:
        found = None if alone else _address_and_file(clause)
        if found is None:
            yield clause
            continue
        address, file = found
        yield replace(
            clause,
            text=clause.text[: address.end - clause.start],
            end=address.end,
            words=tuple(word for word in clause.words if word.start < address.end),
            literals=tuple(item for item in clause.literals if item.start < address.end),
            approval=False,
        )
        start = file.start - len(_SAVING)
        yield Clause(
            text=f"{_SAVING}{file.text}",
            start=start,
            end=file.end,
            words=tuple(words(_SAVING, start=start)),
            literals=(file,),
            approval=clause.approval,
            later=True,
            attempts=clause.attempts,
        )


def _address_and_file(clause: Clause) -> tuple[Literal, Literal] | None:
    """Return an address and the file it goes to, where a clause says no more."""
    verb = clause.verb
    kinds = [item.kind for item in clause.literals]
    if clause.negated or verb is None or verb.stem not in _FETCHING or clause.each:
        return None
    if kinds != [Kind.URL, Kind.PATH]:
        return None
    address, file = clause.literals
    gap = clause.text[address.end - clause.start : file.start - clause.start]
    rest = clause.text[file.end - clause.start :]
    return (address, file) if _TO.fullmatch(gap) and not rest.strip(" .,;") else None
