"""A goal taken apart for retrieval: its sentences, and the clauses of sentences with several.

Coarser than the reading of the planner by rules, which has to know the tools' verbs first: a cut
too many costs a place or two in the list, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from flowbuilder.planner.retrieval.vocabulary import text_stems

#: More than these are not looked at one by one; what lies behind them is one more.
_MOST_UNITS, _MOST_STEMS = 60, 80
#: A clause with fewer telling words stays with its sentence.
_SHORTEST_CLAUSE = 3
#: How much a clause's finds count beside those of whole sentences.
_CLAUSE_WEIGHT = 0.95
_SENTENCE = re.compile(r"(?<=[.!?;:])\s+|\n+|\s[-–—•]\s|\s*(?:→|->|=>)\s*")
_CLAUSE = re.compile(
    r",\s*(?:and|but|or|then|also|plus|as well as)\s+"
    r"|\s+(?:and|then|also|as well as|while|but|before|after)\s+|,\s+",
    re.IGNORECASE,
)
#: What values look like: a quotation, a number, an identifier, a name in capitals.
_VALUE = re.compile(r"[\"'“‘`]\S|\d|\S@\S|\w[._/]\w|(?<=[^\s.!?:;]) [A-Z]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """A part of a goal that may ask for one thing."""

    stems: tuple[str, ...] = ()
    """Its telling stems, each once, sorted."""
    weight: float = 1.0
    has_value: bool = False
    """Whether it names anything that an argument could hold."""


def units(goal: str) -> list[Unit]:
    """Return the parts of a goal, sentences first."""
    sentences = [part for part in _SENTENCE.split(goal) if part.strip()]
    head, tail = sentences[:_MOST_UNITS], sentences[_MOST_UNITS:]
    parts = [*head, " ".join(tail)] if tail else head
    whole = [found for part in parts if (found := _unit(part)).stems]
    clauses = [clause for part in head for clause in _clauses(part)]
    return [*whole, *clauses[: max(_MOST_UNITS - len(whole), 0)]]


def _clauses(sentence: str) -> Iterator[Unit]:
    found = [_unit(part, _CLAUSE_WEIGHT) for part in _CLAUSE.split(sentence)]
    telling = [unit for unit in found if len(unit.stems) >= _SHORTEST_CLAUSE]
    if len(telling) > 1:
        yield from telling


def _unit(text: str, weight: float = 1.0) -> Unit:
    stems = sorted(set(text_stems(text)))[:_MOST_STEMS]
    return Unit(stems=tuple(stems), weight=weight, has_value=bool(_VALUE.search(text)))
