"""A goal taken apart: one clause for each thing that is asked, with what qualifies it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

from flowbuilder.errors import PlanningError
from flowbuilder.planner.rules.breaks import (
    BREAK,
    conditions_cut,
    each_apart,
    orders,
    unwrapped,
)
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.lexicon import lexicon, words
from flowbuilder.planner.rules.literals import Literal, find_literals
from flowbuilder.planner.rules.particles import phrasal_verbs
from flowbuilder.planner.rules.qualifiers import (
    APPROVAL_CLAUSE,
    Qualifier,
    QualifierKind,
    find_qualifiers,
)
from flowbuilder.planner.rules.repeats import find_repeats
from flowbuilder.planner.rules.starting import (
    LEAD,
    LOOK,
    NEGATION,
    orders_unknown,
    starts_clause,
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


#: More blanks than anybody means anything by. Patterns that look for blanks look at all of them
#: from each of them.
_BLANKS = re.compile(r"\s{100,}")


def _broken_up(run: re.Match[str]) -> str:
    """Return a run of blanks as long as it is, in pieces, with its line breaks' effect."""
    breaks = "\n\n" if "\n" in run.group() else "  "
    return breaks + "·" * (len(run.group()) - 4) + "  "


def split_goal(goal: str, verbs: frozenset[str]) -> list[Clause]:
    """Return the clauses of a goal in order.

    `verbs` are stems that name what the registered tools do, beside the verbs of the lexicon.

    Raises:
        PlanningError: It has more conditions than a plan could have.
    """
    text = goal.replace("\x00", " ")
    literals = find_literals(text)
    text = _BLANKS.sub(_broken_up, text)

    def starts(masked: str, place: int, end: int) -> bool:
        return starts_clause(masked, place, end, verbs)

    masked = unwrapped(_masked(text, literals), starts)
    text = "".join(
        " " if said in "\r\n" and shown == " " else said
        for said, shown in zip(text, masked, strict=True)
    )
    repeats = find_repeats(masked)
    for item in repeats:  # no word of them is about what is done
        blank = " " * (item.end - item.start)
        text = text[: item.start] + blank + text[item.end :]
        literals = [one for one in literals if not item.start <= one.start < item.end]
    found = find_qualifiers(masked, repeats)
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
    phrasal = phrasal_verbs(verbs)
    kept: list[Clause] = []
    before = 0
    for start, end in _sentences(masked):
        for piece in _pieces(masked, start, end, verbs):
            if len(kept) > MAX_CLAUSES:
                break
            clause = _clause(text, masked, piece, literals, phrasal)
            if clause.words or clause.literals:
                gap = masked[before : clause.start]
                kept.append(replace(clause, later=bool(kept) and orders(gap)))
                before = piece[1]
    return _qualified(_lent(kept), qualifiers, text)


_POINTING = re.compile(r"\b(?:it|its|them|their|that one|this one|the same)\b", re.IGNORECASE)


def _lent(clauses: list[Clause]) -> list[Clause]:
    """Lend the literals of what is not to be done: "don't close issue 12, assign it to Ada"."""
    result = list(clauses)
    for index, (before, after) in enumerate(pairwise(clauses)):
        if before.negated and not after.negated and _POINTING.search(after.text):
            things = tuple(word for word in before.words if word.stem not in lexicon().fillers)
            bare = all(word.stem in lexicon().fillers for word in after.words[1:])
            said = (*after.words, *things[1:]) if bare else after.words
            result[index + 1] = replace(after, extra=before.literals, words=said)
    return result


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
    found = _CONNECTOR.search(masked, place, end)
    while place < end:
        if found and found.start() < place:
            found = _CONNECTOR.search(masked, place, end)
        if without and without.start() < place:
            without = _WITHOUT.search(masked, place, end)
        if without and (not found or without.start() <= found.start()):
            if (
                starts_clause(masked, without.end(), end, verbs)
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
        own = starts_clause(masked, found.end(), end, verbs)
        if own and _qualifies(masked[cursor : found.start()], found.group()):
            place = found.end()
            continue
        if (
            forced
            or own
            or orders_unknown(
                masked[max(cursor, found.start() - LOOK) : found.start()], masked, found.end()
            )
        ):
            yield cursor, found.start(), negated
            cursor, negated = found.end(), False
        place = found.end()
    yield cursor, end, negated


#: A qualifier that says what the order after it is about: "For order 88123, refund …".
_QUALIFYING = re.compile(
    r"(?:for|in|on|at|within|under|about|regarding|concerning|as for|with regard to|among|inside)"
    r"\s+(?!(?:each|every|case|addition|order to|short|brief|general)\b)[^,;.!?]{1,80}",
    re.IGNORECASE,
)


def _qualifies(piece: str, connector: str) -> bool:
    """Whether a piece before a comma only says what the next order is about."""
    lead = LEAD.match(piece)
    rest = piece[lead.end() :] if lead else piece
    return connector.strip() == "," and _QUALIFYING.fullmatch(rest.strip()) is not None


def _opening(body: str) -> int:
    """Return how long the qualifier is that leads a clause in, with its comma; 0 without one."""
    found = _QUALIFYING.match(body)
    if found is None or body[found.end() : found.end() + 1] != ",":
        return 0
    lead = LEAD.match(body[found.end() :])
    return found.end() + (lead.end() if lead else 1)


def _clause(
    text: str,
    masked: str,
    piece: tuple[int, int, bool],
    literals: list[Literal],
    phrasal: frozenset[str],
) -> Clause:
    start, end, negated = piece
    lead = LEAD.match(masked[start:end])
    start += lead.end() if lead else 0
    body = masked[start:end]
    start += len(body) - len(body.lstrip())
    end = start + len(body.strip())
    body = masked[start:end]
    opening = _opening(body)
    negation = NEGATION.match(body[opening:])
    each = _EACH.search(body)
    return Clause(
        text=text[start:end],
        start=start,
        end=end,
        words=tuple(lexicon().units(words(body, start=start), phrasal)),
        literals=tuple(item for item in literals if start <= item.start < end),
        negated=negated or negation is not None,
        question=negation is None and bool(_QUESTION.match(body[opening:])),
        opening=opening,
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
        elif qualifier.kind is QualifierKind.REPEATS:
            result[index] = replace(clause, attempts=qualifier.attempts)
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
