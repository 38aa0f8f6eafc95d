"""What a clause offers to a parameter: its literals, and phrases with what leads them in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.lexicon import lexicon, listed, stem, stems, words
from flowbuilder.planner.rules.literals import Kind, Literal
from flowbuilder.types import JsonValue

PREPOSITION = (
    r"to|from|into|in|as|at|by|with|of|for|about|on|onto|via|regarding|concerning|near|between|"
    r"than|over|under|using|that|saying|because|against|versus|vs"
)
_PREPOSITIONS = re.compile(rf"(?:{PREPOSITION}|and|or|\s)+", re.IGNORECASE)
_LEADING = re.compile(rf"\b({PREPOSITION})\s+(?:the\s+|a\s+|an\s+)?$", re.IGNORECASE)
_CUT = re.compile(
    rf"\s*(?:,|;|\b(?:{PREPOSITION}|and|or|but|where|whose|which|who|then|please)\b|['’]s(?=\s))\s*",
    re.IGNORECASE,
)
_ARTICLE = re.compile(
    r"^(?:the|a|an|my|our|some|any|all|its|their|his|her|latest|current|me|us)\s+", re.IGNORECASE
)
_BARE = re.compile(r"its|their|his|her|the|an?|my|our|your", re.IGNORECASE)
_ASKING = re.compile(
    r"^(?:what|who|where|which|when|how|is|are|will|does|do)(?:['’]s|\s+(?:is|are|was|does|do|did|will|"
    r"much|many)\b)*\s+",
    re.IGNORECASE,
)
_MEANING = re.compile(r"\s+means?$", re.IGNORECASE)
_EDGES = re.compile(
    r"^(?:whether|if|saying|that says|that|to say|to|with|by|from|of|for|via|using|"
    r"in|on|at|as|into|onto)\s+"
    rf"|\s+(?:{PREPOSITION}|and|or|then|the|a|an|off|up|down|out|away|back)$",
    re.IGNORECASE,
)
_NAMED = re.compile(
    r"\b(?:called|named|titled|entitled|saying|says|say|labelled|with (?:the )?(?:title|subject|"
    r"name|message|text|body|heading)(?: of)?|subject|title|reading|reads)[ :]+(?=\S)"
    r"(?!(?:and|or|as)\b)"
    r"|(?<=\w|\x01):\s+(?=\S)",
    re.IGNORECASE,
)
#: "look up who invented the zipper": the question itself is what is looked up.
_WONDERING = re.compile(r"\s+(?P<what>(?:who|what|when|where|why|how|which)\b)", re.IGNORECASE)
_PROPER = re.compile(
    r"\b[A-ZÀ-Þ][\w'’-]*(?:\s+(?:(?:of|de|da|von|van|der|la|le|del|the)\s+)?[A-ZÀ-Þ][\w'’-]*)*"
)
_MASK = "\x01"


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something in a clause that an argument can be made of."""

    kind: Kind | None
    """None for a phrase of plain words."""
    value: JsonValue
    text: str
    start: int
    end: int
    lead: str
    """The preposition or naming word before it, lower case, or nothing."""
    near: frozenset[str]
    """Stems of the words right before and right after it."""
    unit: str | None = None
    proper: bool = False
    owner: frozenset[str] = frozenset()
    """Stems of the noun phrase it belongs to: "an initial investment of $2000"."""
    first: bool = False
    """It follows the verb at once: "get 3 articles"."""


def joined_times(clause: Clause) -> Clause:
    """Return the clause with "tomorrow at 9am" as one literal."""
    joined: list[Literal] = []
    for item in clause.literals:
        last = joined[-1] if joined else None
        if last is not None and {last.kind, item.kind} == {Kind.DATE, Kind.TIME}:
            between = clause.text[last.end - clause.start : item.start - clause.start]
            if between.strip(" ,").lower() in ("", "at", "on", "by", "around"):
                text = clause.text[last.start - clause.start : item.end - clause.start]
                joined[-1] = Literal(Kind.DATE, text, text, last.start, item.end)
                continue
        joined.append(item)
    return replace(clause, literals=tuple(joined))


def literal_candidates(clause: Clause) -> list[Candidate]:
    """Return the clause's literals; an amount of money also offers its currency."""
    found: list[Candidate] = []
    for literal in (*clause.literals, *clause.extra):
        candidate = _from_literal(clause, literal)
        found.append(candidate)
        if literal.kind is Kind.MONEY and literal.unit:
            found.append(
                Candidate(Kind.CURRENCY, literal.unit, literal.text, literal.start, literal.end,
                          "from", frozenset({"amount"}), literal.unit)
            )  # fmt: skip
        if literal.kind is Kind.DIMENSIONS and isinstance(literal.value, list):
            found.remove(candidate)
            for name, value in zip(("width", "height"), literal.value, strict=True):
                near = frozenset({stem(name)})
                found.append(
                    Candidate(Kind.NUMBER, value, literal.text, literal.start, literal.end,
                              "", near)
                )  # fmt: skip
    return found


def _from_literal(clause: Clause, literal: Literal) -> Candidate:
    before = clause.text[: max(literal.start - clause.start, 0)]
    after = clause.text[max(literal.end - clause.start, 0) :]
    leading = _LEADING.search(before)
    naming = _NAMED.search(before + "x")
    lead = leading.group(1).lower() if leading else ""
    if naming and naming.end() >= len(before):
        lead = "named"
    near = {word.stem for word in words(before)[-2:]} | {word.stem for word in words(after)[:2]}
    if re.match(r"\s*[,;]|\s+(?:and|in|to|from|with)\b", after):
        near = {word.stem for word in words(before)[-2:]}
    return Candidate(
        literal.kind, literal.value, literal.text, literal.start, literal.end, lead,
        frozenset(near), literal.unit, owner=_owner(clause, literal),
        first=_FIRST.fullmatch(before) is not None,
    )  # fmt: skip


_FIRST = re.compile(r"\s*[A-Za-z]+\s+(?:(?:me|us|the|up to)\s+)?", re.IGNORECASE)
_PART = re.compile(r"[,;:]|\b(?:and|or|but|then|with|plus)\b", re.IGNORECASE)
_AFTER = re.compile(
    rf"[,;:.?!]|\b(?:{PREPOSITION}|and|or|but|then|where|which|who|is|are)\b", re.IGNORECASE
)


def _owner(clause: Clause, literal: Literal) -> frozenset[str]:
    """Return the stems of the words before and after a literal that speak of it."""
    start, end = literal.start - clause.start, literal.end - clause.start
    if start < 0 or end > len(clause.text):
        return frozenset()
    others = [item for item in clause.literals if item is not literal]
    begin = max((o.end - clause.start for o in others if o.end <= literal.start), default=0)
    for part in _PART.finditer(clause.text, begin, start):
        begin = part.end()
    stop = min(
        (o.start - clause.start for o in others if o.start >= literal.end),
        default=len(clause.text),
    )
    cut = _AFTER.search(clause.text, end, stop)
    before = words(clause.text[begin:start])[-5:]
    after = words(clause.text[end : cut.start() if cut else stop])[:3]
    return frozenset(word.stem for word in (*before, *after))


#: Literals that never are part of a phrase.
_FIXED = frozenset({Kind.URL, Kind.EMAIL, Kind.PATH, Kind.PHONE, Kind.CHANNEL})


def phrase_candidates(clause: Clause, used: Sequence[tuple[int, int]]) -> list[Candidate]:
    """Return the phrases of plain words that no argument has used up yet."""
    fixed = [(item.start, item.end) for item in clause.literals if item.kind in _FIXED]
    text = _blank(clause, [*used, *fixed])
    found: list[Candidate] = []
    for start, end, lead in _segments(text, clause):
        whole = text[start:end].strip(" ,.!?;:\x01")
        start += len(text[start:end]) - len(text[start:end].lstrip())
        piece = text[start:end]
        while article := _ARTICLE.match(piece):
            start += article.end()
            piece = text[start:end]
        piece = text[start:end].strip(" ,.!?;:\x01")
        piece = _MEANING.sub("", piece) if lead == "question" else piece
        while (shorter := _EDGES.sub("", piece).strip(" ,.!?;:\x01")) != piece:
            piece = shorter
        if not piece or _MASK in piece or _PREPOSITIONS.fullmatch(piece) or _BARE.fullmatch(piece):
            continue
        start = text.index(piece, start)
        proper = bool(_PROPER.match(piece)) and (start > 0 or not clause.verb)
        near = frozenset(word.stem for word in words(text[:start])[-2:])
        said = whole if whole.endswith(piece) else piece
        found.append(
            Candidate(None, said, piece, clause.start + start, clause.start + start + len(piece),
                      lead, near, proper=proper)
        )  # fmt: skip
    return [*found, *_proper_names(clause, text, found)]


def _proper_names(clause: Clause, text: str, known: list[Candidate]) -> Iterator[Candidate]:
    taken = {(item.start, item.end) for item in known}
    for match in _PROPER.finditer(text):
        place = (clause.start + match.start(), clause.start + match.end())
        first = clause.words[0] if clause.words else None
        opens = first is not None and place[0] == first.start
        if opens and " " not in match.group():
            continue
        said = match.group()
        if opens and clause.verb is first:
            skipped = len(said) - len(said.split(" ", 1)[1].lstrip())
            place, said = (place[0] + skipped, place[1]), said[skipped:]
        if place not in taken:
            leading = _LEADING.search(text[: match.start()])
            lead = leading.group(1).lower() if leading else ""
            near = frozenset(word.stem for word in words(text[: match.start()])[-2:])
            yield Candidate(None, said, said, *place, lead, near, proper=True)


def _blank(clause: Clause, used: Sequence[tuple[int, int]]) -> str:
    parts = list(clause.text)
    for start, end in used:
        for place in range(max(start - clause.start, 0), min(end - clause.start, len(parts))):
            parts[place] = _MASK
    return "".join(parts)


def _segments(text: str, clause: Clause) -> Iterator[tuple[int, int, str]]:
    """Cut a clause at its prepositions; the first segment is what follows the verb."""
    verb = clause.verb
    start = verb.end - clause.start if verb is not None else clause.opening
    leading = re.match(r"(\w+)\s+", text) if clause.opening else None
    if leading:
        yield leading.end(), clause.opening, leading.group(1).lower()
    named = _NAMED.search(text)
    if named:
        yield named.end(), len(text), "named"
    lead = "object" if verb is not None else "question"
    asking = _ASKING.match(text) if verb is None else None
    if verb is not None and (wondering := _WONDERING.match(text, start)):
        yield wondering.start("what"), len(text), lead
    if asking:
        start = asking.end()
    while start < len(text):
        cut = _CUT.search(text, start)
        if cut is None:
            yield start, len(text), lead
            return
        if cut.start() > start:
            yield start, cut.start(), lead
        word = cut.group().strip().lower()
        lead, start = (word if word.isalpha() else lead), cut.end()
        if word in _LONG_LEADS:
            yield start, len(text), f"{word}…"


#: Words after which all the rest may be one phrase.
_LONG_LEADS = listed("about for that saying regarding to on of because")


def is_reference(text: str) -> bool:
    """Tell whether a phrase only points to what an earlier step gave: "it", "the result"."""
    known = lexicon()
    content = [word for word in words(text) if word.stem not in _DETERMINERS]
    return bool(content) and all(word.stem in known.references for word in content)


_DETERMINERS = stems("the a an my our its their all of each every")
