"""Small judgements about a clause that the composer makes on its way."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from flowbuilder.planner.rules.arguments import Binding
from flowbuilder.planner.rules.binding import bind
from flowbuilder.planner.rules.bridges import extension
from flowbuilder.planner.rules.choice import Choice
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.instructions import instructs
from flowbuilder.planner.rules.lexicon import lexicon, name_words, stem, stems
from flowbuilder.planner.rules.literals import Kind, Literal
from flowbuilder.planner.rules.matching import Profile
from flowbuilder.planner.rules.outputs import TABLES, StepDraft, output_fields
from flowbuilder.planner.rules.slots import SlotKind
from flowbuilder.planner.rules.table_arguments import works_on_records
from flowbuilder.planner.rules.wishes import is_wanted
from flowbuilder.tools import HARMLESS

_LOADING = stems("read get load open take use fetch download view import retrieve pull grab see")


def points_back(clause: Clause, profile: Profile) -> bool:
    """Whether a clause speaks of an earlier result: "it", "the totals".

    What the tool itself is named for is none: "the lab results of patient 9".
    """
    own = {stem(part) for part in name_words(profile.tool.name)}
    if any(word.stem in _POINTERS and word.stem not in own for word in clause.words):
        return True
    named = re.findall(r"\bthe ([a-z]+)$|\bthe ([a-z]+)(?= (?:to|in|as|by)\b)", clause.text)
    known = lexicon().references - own
    return any(stem(word) in known for pair in named for word in pair if word)


def only_loads(clause: Clause) -> bool:
    """Whether a clause asks for nothing but having a file or page at hand."""
    known = lexicon()
    if clause.verb is not None and not clause.question and clause.verb.stem not in _LOADING:
        return False
    return clause.question or all(
        word is clause.verb
        or word.stem in known.fillers
        or word.stem in known.references
        or any(item.start <= word.start < item.end for item in clause.literals)
        for word in clause.words
    )


_WHOLE = re.compile(
    r"^what(?:['’]s|\s+(?:is|are|does|do))?\b.*?(?:\b(?:in|inside|on|at|say|says|contain|contains|"
    r"contents?|return|returns|hold|holds|text)\b|^what(?:['’]s| is) \S+\?*$)",
    re.IGNORECASE,
)


def asks_more(clause: Clause, profile: Profile) -> bool:
    """Whether a question asks about what a tool only loads: "what is a.txt about"."""
    places = (SlotKind.PATH, SlotKind.URL)
    required = [slot for slot in profile.slots if slot.required]
    loads = bool(required) and all(slot.kind in places for slot in required)
    harmless = profile.tool.effects in HARMLESS
    if not (clause.question and loads and harmless):
        return False
    return _WHOLE.search(clause.text) is None or _TOPIC.search(clause.text) is not None


def part_asked(clause: Clause, profile: Profile) -> str | None:
    """Return the part of a file or page that is asked for of a tool that gives all of it."""
    places = (SlotKind.PATH, SlotKind.URL)
    required = [slot for slot in profile.slots if slot.required]
    whole = bool(required) and all(slot.kind in places for slot in required)
    own = {stem(part) for part in name_words(profile.tool.name)} | set(profile.told)
    for item in clause.literals if whole and profile.tool.effects in HARMLESS else ():
        before = clause.text[: max(item.start - clause.start, 0)]
        found = _PART.search(before) if item.kind in (Kind.PATH, Kind.URL) else None
        if found is not None and stem(found["part"]) not in own:
            return " ".join(found["said"].split())
    return None


_PART = re.compile(
    r"\b(?P<said>(?:first|last|second|third|top)?\s*(?P<part>line|title|heading|headline|header|"
    r"footer|paragraph|sentence|word|letter|section|chapter|author|row|column|record|entry|field|"
    r"key|link|image|picture|length|size))\s+(?:of|from|in)\s+(?:the\s+)?(?:(?:file|page|site)\s+)?[\"'“]?$",
    re.IGNORECASE,
)
_TOPIC = re.compile(r"\b(?:about|mean|means|conclude|in short|in brief)\b", re.IGNORECASE)


def explained(inner: Clause, choice: Choice) -> bool:
    """Whether the outer tool's own words account for the inner object: "count the words in"."""
    head = re.split(r"\b(?:of|in|for|about|at|on|from|into|between)\b", inner.text)[0]
    nouns = [
        word
        for word in inner.words
        if word.start < inner.start + len(head) and word.stem not in lexicon().fillers
    ]
    weights = choice.profile.weights
    return all(word.start in choice.match.explained and word.stem in weights for word in nouns)


def fits_inside(found: Choice, inner: Clause, steps: list[StepDraft], outer: Profile) -> bool:
    """Whether everything that a tool for an inner object needs stands in its words.

    A table's rows may still have to be loaded, unless the outer tool works on rows as well.
    """
    if instructs(found.profile):
        return False
    binding = bind(found.profile, inner, steps)
    named = [item for item in inner.literals if item.kind in (Kind.PATH, Kind.URL)]
    tables = any(extension(str(item.value)) in TABLES for item in named)
    rows = tables and not works_on_records(outer)
    bridged = {SlotKind.TEXT, SlotKind.RECORDS} if rows else {SlotKind.TEXT}
    return all(named and slot.kind in bridged for slot in binding.missing)


def without(clause: Clause, used: Sequence[tuple[int, int]]) -> Clause:
    """Return a clause without the comparison that begins at "whose", "where", "that", "with"."""
    spans = [span for span in used if clause.start <= span[0] < clause.end]
    if not spans:
        return clause
    first, last = min(span[0] for span in spans), max(span[1] for span in spans)
    lead = re.search(
        r"\b(?:(?:the|all|only|those)\s+)*(?:rows?|records?|entries|ones|lines|items)?\s*"
        r"(?:whose|where|that|which|with|having)\b(?:(?!\b(?:whose|where|that|with)\b).)*$",
        clause.text[: first - clause.start], re.IGNORECASE,
    )  # fmt: skip
    start = clause.start + lead.start() if lead else first
    blank = " " * (last - start)
    text = clause.text[: start - clause.start] + blank + clause.text[last - clause.start :]
    return replace(
        clause,
        text=text,
        words=tuple(word for word in clause.words if not start <= word.start < last),
        literals=tuple(item for item in clause.literals if not start <= item.start < last),
    )


def is_target(item: Literal, clause: Clause) -> bool:
    """Whether a path is where something goes: "to x.csv", "as x.csv"."""
    before = clause.text[: max(item.start - clause.start, 0)]
    if is_wanted(item, clause):
        return True
    return re.search(r"\b(?:to|as|into|onto)\s+(?:the\s+)?(?:file\s+)?$", before, re.I) is not None


def spent(item: Literal, binding: Binding) -> bool:
    """Whether an argument holds a literal already."""
    inside = any(start <= item.start < end for start, end in binding.used)
    return inside or any(item.value in values for values in binding.repeats.values())


def gives_records(step: StepDraft) -> bool:
    """Whether a step gives records as they are."""
    return any(item.is_records for item in output_fields(step.profile))


def new_id(profile: Profile, steps: Sequence[StepDraft]) -> str:
    """Return an id for a step of a tool that no other step has."""
    base = re.sub(r"\W", "_", profile.tool.name.rsplit(".", 1)[-1])[:56] or "step"
    taken = {step.id for step in steps}
    number, name = 1, base
    while name in taken:
        number += 1
        name = f"{base}_{number}"
    return name


_POINTERS = stems("it them these those result output outcome")
SILENCE = Clause(text="", start=0, end=0, words=(), literals=())
NOBODY: Any = None
