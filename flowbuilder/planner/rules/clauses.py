"""A goal taken apart: one clause for each thing that is asked, with what qualifies it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from flowbuilder.errors import PlanningError
from flowbuilder.planner.rules.breaks import (
    BREAK,
    conditions_cut,
    each_apart,
    orders,
    unwrapped,
)
from flowbuilder.planner.rules.lexicon import Word, lexicon, listed, stem, stems, words
from flowbuilder.planner.rules.literals import Kind, Literal, find_literals
from flowbuilder.planner.rules.qualifiers import (
    APPROVAL_CLAUSE,
    Qualifier,
    QualifierKind,
    find_qualifiers,
)

#: More clauses than any sensible plan has; a goal beyond it is refused.
MAX_CLAUSES = 60
_MASK = "\x01"
#: A full stop after a title ends no sentence: "Dr. Weiss".
_TITLED = r"(?<!\bDr)(?<!\bMr)(?<!\bMs)(?<!\bSt)(?<!\bMrs)(?<!\bProf)(?<!\bvs)"
_SENTENCE = re.compile(
    rf"{_TITLED}[.!?;:]+(?=\s|$)|\n+|\s[-–—]+\s|(?<=\s)\d+[.)](?=\s)|^\d+[.)](?=\s)"
    r"|→|->|=>|•"
)
#: Without a first item, "above 8. If …" ends a sentence and numbers nothing.
_NUMBERED = re.compile(r"(?:^|\s)1[.)]\s")
_UNNUMBERED_SENTENCE = re.compile(rf"{_TITLED}[.!?;:]+(?=\s|$)|\n+|\s[-–—]+\s|→|->|=>|•")
_CONNECTOR = re.compile(
    r",?\s*(?:\b(?:and|but|or)\s+)?\b(?:then|after that|afterwards|thereafter|subsequently|"
    r"after which|following that|when (?:that(?:'s| is) |it(?:'s| is) )?(?:done|finished|ready)|"
    r"once (?:that(?:'s| is) |it(?:'s| is) )?(?:done|finished|ready)|finally|lastly|"
    r"next(?=,))\b,?\s+"
    r"|,\s*(?:and|but|plus)\s+|\s+(?:and|but|plus|&)\s+(?:also\s+)?|,\s+|,?\s+before\s+(?:you\s+)?",
    re.IGNORECASE,
)
_ALWAYS = re.compile(
    r"\b(?:then|after that|afterwards|thereafter|subsequently|after which|following that|when|"
    r"once|finally|lastly|next)\b",
    re.IGNORECASE,
)
_LEAD = re.compile(
    r"^(?:\s|[,;:]|\b(?:please|kindly|now|first(?:ly)?|second(?:ly)?|third(?:ly)?|next|then|finally"
    r"|lastly|also|so|and|but|just|afterwards|to begin with|(?:can|could|would|will) you(?: "
    r"please)?"
    r"|i(?:'d| would)? (?:want|need|like)(?: you)? to|i(?:'d| would) like(?: you)? to|i want|i need"
    r"|let's|let us|go ahead and|make sure to|be sure to|you should|help me(?: to)?|your task is to"
    r"|(?:do not|don['’]t) forget to|remember to|instead|hey|hi|hello|quickly|simply)\b)+",
    re.IGNORECASE,
)
_OPENERS = re.compile(
    r"(?:it|them|this|that|these|those|the|a|an|my|our|their|its|all|each|every|me|us|him|her|"
    r"any|to|by|in|into|as|only|both|up|down|out|for|just|with|everyone|everybody|how|what|"
    r"whether|if|where|about|\d+)\b|\x01",
    re.IGNORECASE,
)
#: Verbs that are as often nouns; in a list ("name and email") they start no clause.
_NOUNS = stems(
    "name email mail text title order total sum count rate price date time group number "
    "message report summary address phone state status label note score rank change cost "
    "plan result record log file copy list link image picture point process view share post "
    "book table answer call query search issue ticket bill charge tag value return limit "
    "average mean top maximum minimum max min filter format template input output content "
    "test check review update entry figure key place question reply set start end use test "
    "total highest lowest largest smallest print only with over under above below more less "
    "by per words trip route way direct chart graph plot mark study interest rest room need "
    "display cut turn move play sign schedule market house water light visit transfer release "
    "author contact customer person text string less drop comment upload download sort"
)
_NEGATION = re.compile(
    r"^(?:do not|don['’]t|dont|never|no need to|there is no need to|you need not|must not|"
    r"should not|shouldn['’]t|mustn['’]t|not|avoid|without|refrain from|instead of|rather than)\b",
    re.IGNORECASE,
)
_WITHOUT = re.compile(
    r",?\s+(?:without|instead of|rather than|(?:but\s+)?(?:do not|don['’]t|never|not))\s+", re.I
)
_EACH = re.compile(
    r"\b(?:for (?:each|every)(?: (?:one )?of (?:them|these|those|the \w+))?(?: (?!,)[a-z]+)?"
    r"|(?:each|every) (?:one )?of (?:them|these|the \w+)|each one|one by one|individually"
    r"|(?:each|every) (?:row|line|record|entry|item|result|person|customer|element|name|url|"
    r"link)s?)\b",
    re.IGNORECASE,
)
_QUESTION = re.compile(
    r"^(?:what|which|who|where|when|why|how|is|are|was|were|does|do|did|has|have|will)\b", re.I
)


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
    extra: tuple[Literal, ...] = field(default=())
    """Literals that a question's answer or a neighbour lends to this clause."""

    @property
    def _addressed(self) -> bool:
        """Whether it names somebody to be told: then "tell" and "give" are what to do."""
        return any(item.kind in (Kind.EMAIL, Kind.PHONE, Kind.CHANNEL) for item in self.literals)

    @property
    def verb(self) -> Word | None:
        """The first word that says what to do; None for a question such as "what is …"."""
        if self.nominal:
            return None
        if self.question and self.words and self.words[0].stem in _QUESTION_STEMS:
            return None
        known = lexicon()
        for word in self.words:
            if word.stem in _LIGHT and not self._addressed:
                return None
            if word.stem not in known.fillers or word.stem in known.actions:
                return word
        return None


_QUESTION_STEMS = stems("what which who where when why how is are was were")


#: Verbs that only say that something is wanted; the noun after them says what.
_LIGHT = stems("give tell show know want need provide do perform")


def split_goal(goal: str, verbs: frozenset[str]) -> list[Clause]:
    """Return the clauses of a goal in order.

    `verbs` are stems that name what the registered tools do, beside the verbs of the lexicon.

    Raises:
        PlanningError: It has more conditions than a plan could have.
    """
    text = goal.replace("\x00", " ")
    literals = find_literals(text)

    def starts(masked: str, place: int, end: int) -> bool:
        return _starts_clause(masked, place, end, verbs)

    masked = unwrapped(_masked(text, literals), starts)
    text = "".join(
        " " if said in "\r\n" and shown == " " else said
        for said, shown in zip(text, masked, strict=True)
    )
    found = find_qualifiers(masked)
    if len(found) > MAX_CLAUSES:
        raise PlanningError(
            f"the goal names more than {MAX_CLAUSES} conditions",
            code="goal_too_long",
            hint="Plan it in parts.",
        )
    qualifiers = conditions_cut(masked, found, starts)
    for qualifier in qualifiers:
        blank = " " * (qualifier.end - qualifier.start)
        ended = masked[: qualifier.start].rstrip().endswith((".", "!", "?", ";", ":"))
        if qualifier.leading and masked[qualifier.start] in ", " and not ended:
            blank = BREAK + blank[1:]
        masked = masked[: qualifier.start] + blank + masked[qualifier.end :]
    masked = each_apart(masked, starts)
    kept: list[Clause] = []
    before = 0
    for start, end in _sentences(masked):
        for piece in _pieces(masked, start, end, verbs):
            if len(kept) > MAX_CLAUSES:
                break
            clause = _clause(text, masked, piece, literals)
            if clause.words or clause.literals:
                gap = masked[before : clause.start]
                kept.append(replace(clause, later=bool(kept) and orders(gap)))
                before = piece[1]
    return _qualified(kept, qualifiers, text)


def _masked(text: str, literals: list[Literal]) -> str:
    parts = list(text)
    for literal in literals:
        if literal.kind not in _READABLE:
            parts[literal.start : literal.end] = _MASK * (literal.end - literal.start)
    return "".join(parts)


_READABLE = frozenset({"language", "currency", "duration", "date", "time", "number"})


def _sentences(masked: str) -> Iterator[tuple[int, int]]:
    start = 0
    breaks = _SENTENCE if _NUMBERED.search(masked) else _UNNUMBERED_SENTENCE
    for found in breaks.finditer(masked):
        if found.group().startswith(":") and not re.match(r"\s*\n", masked[found.end() :]):
            continue
        yield start, found.start()
        start = found.end()
    yield start, len(masked)


def _pieces(
    masked: str, start: int, end: int, verbs: frozenset[str]
) -> Iterator[tuple[int, int, bool]]:
    """Cut a sentence where another verb begins; the flag says that the piece is negated."""
    cursor, negated = start, False
    place = start
    without = _WITHOUT.search(masked, place, end)
    while place < end:
        found = _CONNECTOR.search(masked, place, end)
        if without and without.start() < place:
            without = _WITHOUT.search(masked, place, end)
        if without and (not found or without.start() <= found.start()):
            if (
                _starts_clause(masked, without.end(), end, verbs)
                and masked[cursor : without.start()].strip()
            ):
                yield cursor, without.start(), negated
                cursor, negated = without.end(), True
                place = cursor
                continue
            place = without.end()
            continue
        if not found:
            break
        forced = bool(_ALWAYS.search(found.group()))
        own = _starts_clause(masked, found.end(), end, verbs)
        if (
            forced
            or own
            or _orders_unknown(
                masked[max(cursor, found.start() - _LOOK) : found.start()], masked, found.end()
            )
        ):
            yield cursor, found.start(), negated
            cursor, negated = found.end(), False
        place = found.end()
    yield cursor, end, negated


#: Nouns that are verbs before a name: "message Ola".
_ADDRESSING = stems("message email mail text call phone notify tell")
#: Verbs that no noun looks like: "turn on".
_PARTICLE = re.compile(r"[a-z]+ (?:on|off|up|down|out|away|back)")


#: How far a look for the words that begin a clause goes.
_LOOK = 400


def _starts_clause(masked: str, place: int, end: int, verbs: frozenset[str]) -> bool:
    rest = masked[place : min(end, place + _LOOK)]
    lead = _LEAD.match(rest)
    rest = rest[lead.end() :] if lead else rest
    if _NEGATION.match(rest) or _QUESTION_OPEN.match(rest):
        return True
    found = re.match(r"[A-Za-z][\w-]*", rest)
    if not found:
        return False
    word = stem(found.group())
    known = lexicon()
    first_two = next((item.stem for item in known.units(words(rest[:80]))), "")
    acts = word in verbs or word in known.actions or first_two in known.actions
    if word in _RELATIVE or not acts:
        return False
    if first_two in known.actions and _PARTICLE.fullmatch(first_two):
        return True
    pair = " ".join(item.stem for item in words(rest[:80])[:2])
    if pair in verbs:
        return True
    return _orders_something(word, rest[found.end() :].lstrip(), verbs)


def _orders_something(word: str, after: str, verbs: frozenset[str]) -> bool:
    """Whether a word that may be a verb is one, by what stands after it."""
    thing = word in lexicon().things
    if not after or after[0] in ",;":
        return word not in _NOUNS and not thing
    if after.lower().startswith(("and ", "or ")):
        return False
    if word not in _NOUNS and not (thing and word not in verbs):
        return True
    addresses = word not in _NOUNS or word in _ADDRESSING
    if addresses and re.match(r"[A-Z][a-z]", after):
        return True
    return bool(_OPENERS.match(after)) or bool(re.match(r"[\w-]+ (?:by|per|for each)\b", after))


#: In any form before a pronoun ("shreds it"), else as orders are said ("shred the file").
_UNKNOWN_ORDER = re.compile(
    r"(?P<verb>[a-z]{3,})(?:\s+(?:it|them)\b"
    r"|(?<!ing)(?<!ly)\s+(?:the|my|our|a|an|this|that|these|those|its|their)\s+\w)",
)
_RELATING = re.compile(r"\b(?:where|that|which|whose|who|with|whether|if|when)\b", re.IGNORECASE)
_NO_ORDERS = listed(
    "between among around across without near per under above below beyond towards toward like "
    "unlike during until since despite except both not neither either half twice"
)


def _orders_unknown(before: str, masked: str, place: int) -> bool:
    """Whether a verb that nobody knows gives an order of its own: "and fax it to …"."""
    lead = _LEAD.match(masked[place : place + _LOOK])
    found = _UNKNOWN_ORDER.match(masked, place + (lead.end() if lead else 0))
    if found is None or _RELATING.search(before):
        return False
    verb = found.group("verb")
    known = lexicon()
    said = stem(verb)
    plain = said in known.fillers or said in known.references or said in known.things
    return not plain and verb not in known.fillers and verb not in _NO_ORDERS


#: Words that carry on with what the clause is about.
_RELATIVE = stems(
    "whose where which that with only by per over under above below more less most least "
    "highest lowest largest smallest exactly between in briefly"
)
_QUESTION_OPEN = re.compile(r"(?:what|how|who|where|which)\b", re.IGNORECASE)


def _clause(
    text: str, masked: str, piece: tuple[int, int, bool], literals: list[Literal]
) -> Clause:
    start, end, negated = piece
    lead = _LEAD.match(masked[start:end])
    start += lead.end() if lead else 0
    body = masked[start:end]
    start += len(body) - len(body.lstrip())
    end = start + len(body.strip())
    body = masked[start:end]
    negation = _NEGATION.match(body)
    each = _EACH.search(body)
    return Clause(
        text=text[start:end],
        start=start,
        end=end,
        words=tuple(lexicon().units(words(body, start=start))),
        literals=tuple(item for item in literals if start <= item.start < end),
        negated=negated or negation is not None,
        question=negation is None and bool(_QUESTION.match(body)),
        asks_approval=bool(APPROVAL_CLAUSE.search(body)),
        each=each.group() if each else None,
    )


def _qualified(clauses: list[Clause], qualifiers: list[Qualifier], text: str) -> list[Clause]:
    """Give each clause the approvals and conditions that stand in it or before it."""
    result = list(clauses)
    for qualifier in qualifiers:
        index = _owner(result, qualifier)
        if index is None:
            continue
        clause = result[index]
        if qualifier.kind is QualifierKind.APPROVAL:
            result[index] = replace(clause, approval=True)
        else:
            worded = replace(qualifier, text=text[qualifier.start : qualifier.end])
            result[index] = replace(clause, conditions=(*clause.conditions, worded))
    return result


def _owner(clauses: list[Clause], qualifier: Qualifier) -> int | None:
    """Return the clause a qualifier belongs to: the next one if it leads, else the one it ends."""
    following = [i for i, clause in enumerate(clauses) if clause.start >= qualifier.end]
    if qualifier.leading and following:
        return following[0]
    preceding = [i for i, clause in enumerate(clauses) if clause.start < qualifier.start]
    if preceding:
        return preceding[-1]
    return following[0] if following else None
