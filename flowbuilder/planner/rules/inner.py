"""Objects that are tasks of their own: "email *the weather in Paris* to …"."""

from __future__ import annotations

import re
from dataclasses import replace

from flowbuilder.planner.rules.binding import bind
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.literals import Kind
from flowbuilder.planner.rules.matching import Profile
from flowbuilder.planner.rules.outputs import StepDraft
from flowbuilder.planner.rules.phrases import is_reference
from flowbuilder.planner.rules.slots import SlotKind

_CONTENT = frozenset({SlotKind.TEXT, SlotKind.RECORDS, SlotKind.ANY})
_OBJECT = re.compile(
    r"(?:^|\s)(?P<lead>from\s+|with\s+|of\s+)?"
    r"(?:the|a|an|my|our|today['’]s|this (?:week|month)['’]s)\s+"
    r"(?P<core>[^\x01\x02,]+?(?:\s+(?:of|in|for|about|at|on|from|into|to)\s+[^\x01\x02,]+?)?)"
    r"(?=\s+(?:to|as|into|in|by|via|on)\s+"
    r"(?:\x02|my\b|the\b|a\b|\d|(?:one|two|three|four|five|ten)\b)|\s*\x02|\s*,|\s*$)",
    re.IGNORECASE,
)
_LINK = re.compile(
    r"\b(?:containing|whose|with|of|in|for|about|at|on|from|into|between)\s+\S", re.IGNORECASE
)


#: What an earlier step is said to have given: "the lines found", "with the results".
_FOUND = re.compile(
    r"\b(?:the|these|those|all|any)\s+(?:[\w-]+\s+){1,3}"
    r"(?:found|returned|retrieved|fetched|listed|matched|located|collected)\b"
    r"(?!\s+(?:in|on|at|by|from|under|within)\b)"
    r"|\bwith\s+(?:the|these|those|its|their)\s+(?:results?|findings?|matches|hits|output)\b"
    r"(?!\s+(?:of|for|from)\b)",
    re.IGNORECASE,
)


def object_clause(clause: Clause, profile: Profile, steps: list[StepDraft]) -> Clause | None:
    """Return the noun phrase of a clause that another tool may have to work out first.

    Only for tools that take content which the clause does not give as a literal, and only for
    phrases that say more than a pointer to an earlier result.
    """
    binding = bind(profile, clause, steps)
    open_content = [
        slot
        for slot in profile.slots
        if slot.kind in _CONTENT
        and (slot.name not in binding.args or "${{" in str(binding.args[slot.name]))
    ]
    worded = {str(binding.args.get(s.name)) for s in profile.slots if s.kind in _CONTENT}
    worded -= {str(item.value) for item in clause.literals}
    if not (open_content or worded) or clause.verb is None:
        return None
    own = [
        item
        for item in clause.literals
        if any(start <= item.start < end for start, end in binding.used)
        and item.kind not in (Kind.QUOTED, Kind.CURRENCY, Kind.LANGUAGE, Kind.NUMBER)
    ]
    masked = list(clause.text)
    for item in own:
        end = min(item.end - clause.start, len(masked))  # it may hold a full stop
        for place in range(max(item.start - clause.start, 0), end):
            masked[place] = "\x02"
    text = "".join(masked)
    match = None
    place = clause.verb.end - clause.start
    while found := _OBJECT.search(text, place):
        if _LINK.search(found.group("core")) or " " in found.group("core").strip():
            match = found if match is None or _LINK.search(found.group("core")) else match
        place = found.start("core")
    if match is None:
        return None
    core = match.group("core")
    if not open_content and not any(core.startswith(said) for said in worded if said):
        return None
    if steps and _FOUND.search(core):
        return None
    if is_reference(re.split(r"\b(?:of|in|for|about|at|on|from)\b", core)[0]) and steps:
        return None
    start = clause.start + match.start("core")
    return piece(clause, start, start + len(core.rstrip()))


def linked(inner: Clause) -> bool:
    """Whether a phrase says of what it is: "the weather *in* Paris", unlike "my reading list"."""
    return _LINK.search(inner.text) is not None


def piece(clause: Clause, start: int, end: int) -> Clause:
    """Return a part of a clause as a noun phrase of its own."""
    text = clause.text[start - clause.start : end - clause.start]
    return Clause(
        text=text,
        start=start,
        end=end,
        words=tuple(word for word in clause.words if start <= word.start < end),
        literals=tuple(item for item in clause.literals if start <= item.start < end),
        nominal=True,
    )


def emptied(clause: Clause, inner: Clause) -> Clause:
    """Return a clause with an inner object replaced by a pronoun."""
    width = inner.end - inner.start
    pronoun = "it".ljust(width)[:width] if width > 2 else "it"
    start, end = inner.start - clause.start, inner.end - clause.start
    return replace(
        clause,
        text=clause.text[:start] + pronoun + clause.text[end:],
        words=tuple(word for word in clause.words if not inner.start <= word.start < inner.end),
        literals=tuple(
            item for item in clause.literals if not inner.start <= item.start < inner.end
        ),
    )
