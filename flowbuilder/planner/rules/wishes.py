"""Sentences that say how something is to be, where others say what to do.

"report.csv should contain the totals" names what is to be made, and orders nothing by a verb.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from flowbuilder.planner.document import mention_of
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.instructions import instructs
from flowbuilder.planner.rules.lexicon import name_words, stem
from flowbuilder.planner.rules.literals import Kind, Literal
from flowbuilder.planner.rules.matching import Profile
from flowbuilder.planner.rules.outputs import StepDraft, consumes
from flowbuilder.planner.rules.table_arguments import works_on_records

_MODAL = r"(?:should|must|shall|ought\s+to|(?:has|have|needs?|is|are)\s+to)"
#: What follows the file that is wanted: "x.csv *should contain*", "x.csv *with all the rows*".
_TO_BE = re.compile(
    rf"\W{{0,2}}\s*{_MODAL}\s+(?:\w+ly\s+|only\s+|just\s+)?(?:contain|have|hold|list|show|include|"
    r"give|get|receive|consist|store|keep|be\s+(?:made|created|written|filled|produced|a|an|the))\b",
    re.IGNORECASE,
)
#: What goes before it: "I want to have *in* x.csv", "there should be *a* x.csv".
_WANTED = re.compile(
    r"\b(?:want|wanted|need|needed|like|love|wish|have|has|get|be|is|are|see|find|keep|up|put)\s+"
    r"(?:(?:to\s+)?(?:have|get|see|find|be)\s+)?(?:a\s+file\s+(?:called\s+|named\s+)?|a\s+|me\s+a\s+"
    r"|(?:with)?in(?:side|to)?\s+(?:the\s+file\s+|a\s+file\s+)?|as\s+(?:a\s+)?)[\"'“]?$",
    re.IGNORECASE,
)
#: What a look into a file says, which is there: "what is in x.csv", "have a look in x.csv".
_THERE = re.compile(
    r"\b(?:what(?:['’]s|\s+(?:is|are))|that(?:['’]s|\s+(?:is|are))|which\s+(?:is|are)|look|"
    r"rows?|lines?|records?|entries|everything|all)\s+(?:in|inside|within|into)\s+(?:\w+\s+)*[\"'“]?$",
    re.IGNORECASE,
)
_DECLARED = re.compile(
    rf"\s*(?:(?!(?:what|who|where|when|why|how|which)\b)[^,;]{{1,60}}?)\b{_MODAL}\s+(?:be|have|say|"
    r"read|contain|hold|list|show|go|end\s+up|get|receive|include|look|come|stand|mention|consist)\b",
    re.IGNORECASE,
)
_STATE = re.compile(r"\s*(?:have|see)\s+", re.IGNORECASE)


def is_wanted(item: Literal, clause: Clause) -> bool:
    """Whether a file is what is to be made: "x.csv should contain …", "have in x.csv …"."""
    start, end = item.start - clause.start, item.end - clause.start
    if item.kind is not Kind.PATH or start < 0 or end > len(clause.text):
        return False
    before, after = clause.text[:start], clause.text[end:]
    if _TO_BE.match(after):
        return True
    return _WANTED.search(before) is not None and _THERE.search(before) is None


def unsaid(clause: Clause, step: StepDraft) -> Iterator[str]:
    """Say what is doubtful about a step for a clause that only says how something is to be."""
    wanted = [item for item in clause.literals if is_wanted(item, clause)]
    for item in wanted:
        if not consumes(step.profile):
            yield f"“{item.text}” is what is to be made, which {step.profile.tool.name} does not do"
    yield from _described(clause, step.profile)
    if clause.question:
        return
    if _DECLARED.match(clause.text):
        yield f"“{clause.text}” says how something is to be, not what is to be done"
    elif _STATE.match(clause.text) and not _named_for(clause, step.profile):
        yield f"“{clause.text}” says what is wanted, not what is to be done"


_RELATIVE = re.compile(r"\b(?P<noun>[a-z]+)\s+(?:that|which|who|whom|whose)\b", re.IGNORECASE)


def _described(clause: Clause, profile: Profile) -> Iterator[str]:
    """Say which parameter's thing is described and not named: "the pen that Ann cleaned"."""
    if works_on_records(profile) or instructs(profile):
        return
    for found in _RELATIVE.finditer(clause.text):
        noun = stem(found.group("noun"))
        if any(noun in slot.stems and slot.required for slot in profile.slots):
            yield f"“{found.group()} …” in “{clause.text}” describes what is meant"


def unread(steps: Sequence[StepDraft]) -> Iterator[str]:
    """Say what was loaded for a step that takes nothing of it: one of two files."""
    for place, step in enumerate(steps):
        used = any(_mentions(other, step) for other in steps)
        later = steps[place + 1 :]
        if step.clause is None and later and not used:  # added to parse what was loaded
            yield from (
                f"nothing takes what {step.id} makes of “{other.origin}”"
                for other in steps[:place]
                if other.origin and _mentions(step, other)
            )
            continue
        loaded = step.origin and step.clause is not None and not step.clause.words
        if loaded and not used and any(consumes(other.profile) for other in later):
            yield f"nothing takes what {step.id} reads from “{step.origin}”"


def _mentions(step: StepDraft, other: StepDraft) -> bool:
    said = f"{step.args} {step.when} {step.for_each}"
    return mention_of(other.id).search(said) is not None


def _named_for(clause: Clause, profile: Profile) -> bool:
    """Whether the verb of a clause is a part of a tool's name."""
    verb = clause.verb
    return verb is not None and verb.stem in {stem(part) for part in name_words(profile.tool.name)}
