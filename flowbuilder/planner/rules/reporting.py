"""Clauses that only ask to see what the steps before give: "and show me the results"."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from flowbuilder.planner.rules.choice import Choice, choose
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.giving import gives, says
from flowbuilder.planner.rules.inner import piece
from flowbuilder.planner.rules.lexicon import Word, lexicon, listed, stems
from flowbuilder.planner.rules.matching import ToolIndex
from flowbuilder.planner.rules.outputs import StepDraft, consumes

_REPORTING = stems("show tell give print return display report output present let see know answer")
_LEADING = re.compile(
    r"^\W*(?:(?:get|bring|fetch|hand|let)\s+(?:me|us)\b(?:\s+(?:have|see|know))?|[a-z]+)", re.I
)
_HANDED = re.compile(r"^\W*(?:get|bring|fetch|hand|let)\s+(?:me|us)\b", re.IGNORECASE)
#: "answer the mail" wants an answer; "answer with the result" only reports.
_ANSWERING = re.compile(r"^\W*answer\b(?!\s+(?:with|by|me)\b)", re.IGNORECASE)
#: Fillers that ask for something after all.
_ASKING = listed(
    "what which who whom whose when where why how if first next new latest last current currently "
    "long much many good because than per each every some any later before after once "
    "instead such same"
)
#: Fillers that are nouns where something is asked to be shown.
_NAMES = listed("name names title titles")
#: Questions for nothing but the result: "what it says", "what you found", "what is in it".
_WHOLE = re.compile(
    r"\bwhat\s+(?:(?:it|they|that|this|you|we)\s+(?:says?|contains?|holds?|finds?|found|gets?|got"
    r"|gives?|gave|returns?|returned|shows?|reads?|have|had)|(?:is|was|are|were)\s+(?:in|inside|on"
    r"|there|found|written|returned)|(?:comes?|came)\s+(?:out|back))\b(?:\s+(?:in|inside|on|of|"
    r"there|it|them))*|\bwhat['’]s\s+(?:in|inside|on|there)\b(?:\s+(?:it|them))?",
    re.IGNORECASE,
)
_SLIGHT = stems("short quick brief concise little small full complete whole entire nice please")


@dataclass(frozen=True, slots=True)
class Report:
    """What a clause asks to see, and the words for what no step before it gives."""

    missing: tuple[Word, ...]

    def unmet(self, choice: Choice | None) -> list[str]:
        """Return the words that a tool chosen for the clause does not account for either.

        With a tool, whatever can stand for no result may be an argument: "the weather in *Oslo*".
        """
        if choice is None:
            return [word.text for word in self.missing]
        known = choice.match.explained
        nouns = lexicon().references
        return [w.text for w in self.missing if w.start not in known and w.stem in nouns]

    def is_met_by(self, choice: Choice) -> bool:
        """Whether a tool gives something of what no step gives yet: "give me *a summary*"."""
        return any(word.start in choice.match.explained for word in self.missing)


def reported(
    clause: Clause, choice: Choice | None, index: ToolIndex, steps: list[StepDraft]
) -> tuple[Clause, Choice | None, Report | None]:
    """Return a clause that only asks to see something, the tool that gives it, and what it asks.

    The tool is the one chosen already, or that for the noun alone ("display *a summary*"); None if
    the steps before give all. The report is None if the clause orders something else.
    """
    report = _report_of(clause, choice)
    if report is None:
        return clause, choice, None
    report = Report(tuple(_missing(clause, steps)))
    if choice is not None and _pauses(choice):
        choice = None
    if choice is not None and report.is_met_by(choice):
        return clause, choice, report
    if report.missing:
        noun = _noun_alone(clause)
        found = choose(noun, index, steps)
        shows = found is not None and not (_pauses(found) or consumes(found.profile))
        if found is not None and shows and report.is_met_by(found):
            return noun, found, report
    known = lexicon()
    if all(word.stem in known.fillers | known.references for word in report.missing):
        return clause, None, report
    return clause, choice, None


def _report_of(clause: Clause, choice: Choice | None) -> Report | None:
    """Return an empty report if a clause may be one."""
    if clause.literals or clause.extra or _ANSWERING.match(clause.text):
        return None
    if choice is not None and choice.match.verb >= 1.0 and consumes(choice.profile):
        return None
    first = clause.words[0].stem if clause.words else ""
    opens = not clause.words or first in _REPORTING or _HANDED.match(clause.text) is not None
    return Report(()) if opens else None


def _noun_alone(clause: Clause) -> Clause:
    """Return what a clause asks to see as a noun phrase of its own."""
    lead = _LEADING.match(clause.text)
    begin = clause.start + (lead.end() if lead else 0)
    noun = piece(clause, begin, clause.end)
    return replace(noun, approval=clause.approval, conditions=clause.conditions, later=clause.later)


def _missing(clause: Clause, steps: Sequence[StepDraft]) -> Iterator[Word]:
    """Return the words for what no step gives."""
    lead = _LEADING.match(clause.text)
    begin = clause.start + (lead.end() if lead else 0)
    whole = [(one.start() + clause.start, one.end() + clause.start)
             for one in _WHOLE.finditer(clause.text)]  # fmt: skip
    given = False
    asking: list[Word] = []
    for word in clause.words:
        if word.start < begin or any(start <= word.start < end for start, end in whole):
            continue
        if word.lower in _ASKING:
            asking.append(word)
        elif word.stem in _SLIGHT or _is_filler(word):
            continue
        elif gives(word, clause, steps):
            given = True
        else:
            yield word
    for word in asking:  # "what the weather is", but not "why" or "the first result"
        if not (given and word.lower in ("what", "which", "how")) and not says(word, steps):
            yield word


def _is_filler(word: Word) -> bool:
    return word.stem in lexicon().fillers and word.lower not in _NAMES


def _pauses(choice: Choice) -> bool:
    """Whether what a tool gives is no content."""
    return StepDraft(id="shown", profile=choice.profile, clause=None).silent
