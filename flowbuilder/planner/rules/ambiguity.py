"""What in a step's arguments could as well be meant otherwise."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.fitting import ENOUGH, closeness, fit
from flowbuilder.planner.rules.instructions import instructs
from flowbuilder.planner.rules.lexicon import stem, stems
from flowbuilder.planner.rules.literals import Kind
from flowbuilder.planner.rules.matching import Profile
from flowbuilder.planner.rules.outputs import StepDraft
from flowbuilder.planner.rules.phrases import Candidate
from flowbuilder.planner.rules.slots import Slot, SlotKind
from flowbuilder.planner.rules.table_arguments import works_on_records
from flowbuilder.toolkit import is_starter
from flowbuilder.tools import HARMLESS

#: Two literals that would fit each other's parameters nearly as well.
_CLOSE = 1.2
_PERCENT = stems("percent percentage pct")
#: Words that turn a number round; a parameter of that name takes it as it is.
_LOSING = stems("loss lose losing lost decline decrease decreasing drop deficit debit negative "
                "fall fell shrink minus below reduction")  # fmt: skip
_GAINING = stems("gain profit increase rise change growth difference")


@dataclass(frozen=True, slots=True)
class Given:
    """A literal and the parameter it was given to."""

    slot: Slot
    item: Candidate


def doubtful(given: Sequence[Given], slots: Sequence[Slot], left: frozenset[str]) -> Iterator[str]:
    """Say which literals could have gone elsewhere or meant another value.

    `left` names the parameters that nothing has filled.
    """
    for index, one in enumerate(given):
        for other in given[index + 1 :]:
            if _exchangeable(one, other):
                yield (
                    f"“{one.item.text}” and “{other.item.text}” could be meant the other way "
                    f"round for {one.slot.name} and {other.slot.name}"
                )
        rival = _rival(one, slots, left)
        if rival is not None:
            yield f"“{one.item.text}” could as well be the {rival.name}"
        yield from _other_value(one)


def _exchangeable(one: Given, other: Given) -> bool:
    if one.slot.many or other.slot.many or one.item.text == other.item.text:
        return False
    crossed = fit(one.slot, other.item), fit(other.slot, one.item)
    if min(crossed) < ENOUGH:
        return False
    straight = fit(one.slot, one.item) + fit(other.slot, other.item)
    return straight - sum(crossed) < _CLOSE


def _rival(one: Given, slots: Sequence[Slot], left: frozenset[str]) -> Slot | None:
    """Return a required parameter that stayed open though the literal fits it as well."""
    if one.item.kind not in (Kind.NUMBER, Kind.MONEY, Kind.QUOTED, Kind.DATE, Kind.PERCENT):
        return None
    for slot in slots:
        if slot.name in left and slot.required and slot.kind is one.slot.kind:
            value = fit(slot, one.item)
            if value >= ENOUGH and fit(one.slot, one.item) - value < _CLOSE:
                return slot
    return None


#: "The day after 2027-03-01" is another day, except where a parameter is for what comes then.
_BESIDE = (
    (stems("after"), stems("after since start begin from min earliest")),
    (stems("before"), stems("before until end deadline due to by max latest expires")),
)


def _other_value(one: Given) -> Iterator[str]:
    slot, item = one.slot, one.item
    for said, names in _BESIDE if slot.kind in (SlotKind.DATE, SlotKind.TIME) else ():
        if said & item.near and not names & slot.stems:
            yield f"“{item.text}” is said to be before or after the {slot.name}"
    if slot.kind is not SlotKind.NUMBER and slot.kind is not SlotKind.SPAN:
        return
    said = item.owner | item.near
    if item.kind is Kind.PERCENT and not (slot.stems | slot.described) & _PERCENT:
        yield f"“{item.text}” may be wanted as a fraction of one"
    losing = said & _LOSING if slot.stems & _GAINING else said & _LOSING - slot.stems
    if losing and slot.stems - _LOSING and closeness(slot, item):
        yield f"“{item.text}” may be wanted as a negative number"
    unit = slot.stems | slot.described
    spans = item.kind is Kind.DURATION and slot.kind is SlotKind.SPAN
    if spans and not unit & _UNITS and slot.schema.get("type") != "string":
        yield f"the unit of {slot.name} is not known"


_UNITS = stems("ms millisecond milliseconds second seconds minute minutes hour hours day days")


_OR = re.compile(
    r"\b(?:or|either|versus|vs)\b(?!\s+(?:more|less|fewer|above|below|higher|lower)\b)", re.I
)
_EVERY = re.compile(r"\b(?:all|every|each|everything|everyone|both|except|any)\b", re.I)
_TIMES = re.compile(r"\b(?:twice|thrice|\w+ times|again|repeatedly|daily|weekly|hourly)\b", re.I)
_FORMAT = re.compile(
    r"\b(?:to|into|as|in)\s+(?:an?\s+)?(?P<format>wav|mp3|mp4|ogg|flac|png|jpe?g|gif|webp|svg|pdf|"
    r"docx?|xlsx?|csv|json|xml|yaml|html|markdown|md|zip|txt)\b(?!\s*[./])",
    re.IGNORECASE,
)


def _names(profile: Profile, text: str) -> bool:
    return stem(text) in profile.weights and profile.weights[stem(text)] >= 0.7


def open_choices(
    clause: Clause, profile: Profile, step: StepDraft, used: Sequence[tuple[int, int]]
) -> Iterator[str]:
    """Say what a clause leaves to choose or to repeat, which one call cannot do."""
    if works_on_records(profile) or instructs(profile):
        return
    parts = list(clause.text)
    for start, end in [*used, *((item.start, item.end) for item in clause.literals)]:
        for place in range(max(start - clause.start, 0), min(end - clause.start, len(parts))):
            parts[place] = "\x01"
    said = "".join(parts)
    if (found := _OR.search(said)) is not None:
        yield f"“{found.group()}” in “{clause.text}” leaves a choice"
    several = step.for_each is not None or any(slot.many for slot in profile.slots)
    effects = profile.tool.effects in HARMLESS
    if not several and not effects and (found := _EVERY.search(said)) is not None:
        yield f"“{found.group()}” in “{clause.text}” may ask for more than one call"
    if (found := _FORMAT.search(said)) is not None and not _names(profile, found.group("format")):
        yield f"no part of {profile.tool.name} makes it {found.group('format')}"
    if (found := _TIMES.search(said)) is not None:
        yield f"“{found.group()}” in “{clause.text}” may ask for more than one call"


_ASKING = re.compile(
    r"\b(?:ask|asks|asked|prompt|request|wait|seek|get|obtain|require|need|collect|enter|input"
    r"|(?:let|have)\s+(?:\w+\s+){1,4}?(?:approve|confirm|review|check|decide|look|sign|choose|pick"
    r"|answer|say|enter|fill|type|tell|know|give)|question|once|until|when|answer|choose|decide"
    r"|pick|type|tell me|fill in)\b",
    re.IGNORECASE,
)
_WAITING = ("human.", "event.")


def asks_nobody(clause: Clause, profile: Profile) -> str | None:
    """Say that a person or an event is waited for though the words ask for something done.

    "Approve the expense of 64.80 euros" wants an expense approved, not a question put to somebody.
    """
    waits = is_starter(profile.tool) and profile.tool.name.startswith(_WAITING)
    if not waits or clause.approval or clause.asks_approval or _ASKING.search(clause.text):
        return None
    return f"“{clause.text}” was taken as a question to a person, which {profile.tool.name} asks"
