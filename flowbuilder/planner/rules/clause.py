"""One thing that a goal asks, in its own words, and the verb that says what to do."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from flowbuilder.planner.rules.lexicon import Word, lexicon, stems
from flowbuilder.planner.rules.literals import Kind, Literal
from flowbuilder.planner.rules.qualifiers import Qualifier


@dataclass(frozen=True, kw_only=True)
class Clause:
    """One thing that is asked, in the words of the goal."""

    text: str
    start: int
    end: int
    words: tuple[Word, ...]
    """Words outside of literals, known phrases joined, places counted in the goal."""
    literals: tuple[Literal, ...]
    negated: bool = False
    question: bool = False
    approval: bool = False
    """A person has to agree before this is done."""
    later: bool = False
    """An order word stands before it: "then", "after that"."""
    nominal: bool = False
    """A noun phrase without a verb: "the weather in Paris"."""
    asks_approval: bool = False
    """The clause itself asks a person to agree."""
    each: str | None = None
    """The words that ask for one call an element: "for each row"."""
    conditions: tuple[Qualifier, ...] = ()
    attempts: int = 0
    """How many attempts it asks for, the first included; 0 where it says nothing of them."""
    opening: int = 0
    """How many characters a qualifier that leads in has: "For order 88, …"."""
    cut_from: tuple[int, int] | None = None
    """The place of the whole clause whose verb it shares with others."""
    extra: tuple[Literal, ...] = field(default=())
    """Literals that a question's answer or a neighbour lends to this clause."""

    @property
    def _addressed(self) -> bool:
        """Whether it names somebody to be told: then "tell" and "give" are what to do."""
        named = any(item.kind in (Kind.EMAIL, Kind.PHONE, Kind.CHANNEL) for item in self.literals)
        return named or _TOLD.search(self.text) is not None

    @property
    def verb(self) -> Word | None:
        """The first word that says what to do; None for a question such as "what is …"."""
        if self.nominal:
            return None
        said = [word for word in self.words if word.start >= self.start + self.opening]
        if self.question and said and said[0].stem in _QUESTION_STEMS:
            return None
        known = lexicon()
        for word in said:
            if word.stem in _LIGHT and not self._addressed:
                return None
            if word.stem not in known.fillers or word.stem in known.actions:
                return word
        return None


#: "tell Peter that …", "tell the data team about it": somebody else than who asks is told.
_TOLD = re.compile(
    r"\b(?:[Tt]ell|[Ll]et)\s+(?:(?!I\b)[A-ZÀ-Þ][\w'’.-]+|(?:the|our|my|his|her|their|all|every)\s+(?:[\w-]+\s+){0,2}"
    r"(?:team|group|department|staff|customer|client|manager|boss|user|owner|people|colleagues?|"
    r"engineers?|developers?|managers|customers|guests?|support|sales|agent|channel|assignee|author|"
    r"mother|father|wife|husband|brother|sister|friend|neighbou?r|landlord|doctor|teacher|driver)"
    r"|everyone|everybody|him|them|her)\b"
    r"|\b[Tt]ell\s+(?:the|our|my|his|her|their)\s+[\w-]+(?:\s+(?:of|in|at)\s+(?:the\s+)?[\w-]+)?\s+"
    r"(?:that|about|to|when|how)\b"
    r"|\b[Tt]ell\s+(?!(?:me|us|you|whether|if|what|which|who|how|when|where|why|apart)\b)"
    r"(?:[\w.-]+\s+){1,3}?(?:that|about)\b"
    r"|\b[Gg]ive\s+(?!(?:me|us|it|a|an|the|back|up|out)\b)\w+\s+(?:a|an|the|\d)"
)
_QUESTION_STEMS = stems("what which who where when why how is are was were")


#: Verbs that only say that something is wanted; the noun after them says what.
_LIGHT = stems("give tell show know want need provide do perform")
