"""One verb for several objects: "find flights to Rome and *hotels in Rome*"."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from flowbuilder.planner.document import mention_of
from flowbuilder.planner.rules.arguments import Binding
from flowbuilder.planner.rules.binding import bind
from flowbuilder.planner.rules.choice import Choice, choose
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.lexicon import Word, lexicon, stem, words
from flowbuilder.planner.rules.literals import Kind, Literal
from flowbuilder.planner.rules.matching import ToolIndex
from flowbuilder.planner.rules.outputs import StepDraft, consumes
from flowbuilder.planner.rules.reading import spent
from flowbuilder.planner.rules.referring import CONTENT, alike_steps
from flowbuilder.planner.rules.slots import SlotKind
from flowbuilder.planner.rules.table_arguments import works_on_records
from flowbuilder.planner.rules.wording import known_words, leftovers

_CUT = re.compile(
    r"\s*,\s*(?:(?:and|plus)\s+)?(?:also\s+)?|\s+(?:and|plus|as well as|&)\s+(?:also\s+)?", re.I
)
_COUNTED = re.compile(r"\d+\s+\D|(?:a|an|two|three|four|five|six|ten)\s", re.IGNORECASE)
_PREPOSITION = re.compile(r"(?:to|into|in|from|for|on|with|at|by|of)\b", re.IGNORECASE)
_PARTICLE = re.compile(r"\b(?:on|off|up|down|in|out)\s*$", re.IGNORECASE)
_IT = re.compile(r"\bit\b", re.IGNORECASE)
_TAIL = re.compile(r"\s(?=(?:to|into|in|as|from|for|on|onto|with|at|by|of)\s)", re.IGNORECASE)
#: What stands before the first object where no verb says what to do.
_LEAD = re.compile(
    r"\s*(?:(?:give|show|tell|get|bring)\s+(?:me|us)|(?:what|how|where|who)(?:['’]s|\s+(?:is|are|was"
    r"|were)))\b",
    re.IGNORECASE,
)
#: A clause with more joints than this is not taken apart.
_MOST = 8
_BRIDGED = frozenset({SlotKind.TEXT, SlotKind.RECORDS, SlotKind.ANY})


@dataclass(frozen=True, slots=True)
class _Planned:
    """The tool for a clause and its arguments, where nothing of the clause is left over."""

    choice: Choice
    binding: Binding


def shared(clause: Clause, index: ToolIndex, steps: list[StepDraft]) -> list[Clause]:
    """Return a clause as one for each of the objects that share its verb.

    It is cut only where it leaves words over as a whole, and nothing is left over on either side.
    """
    found = _shared(clause, index, steps)
    place = (clause.start, clause.end)
    return [replace(one, cut_from=place) for one in found] if len(found) > 1 else found


def one_of_several(clause: Clause, step: StepDraft, steps: list[StepDraft]) -> str | None:
    """Say that "it" is only one of the results that share a verb."""
    before = steps[: steps.index(step)]
    alike = alike_steps(before) if before and before[-1].clause is not clause else []
    given = str(step.args)
    taken = [one for one in alike if mention_of(one.id).search(given)]
    if len(alike) < 2 or len(taken) != 1 or _IT.search(clause.text) is None:
        return None
    return f"“it” in “{clause.text}” was taken to be what {taken[0].id} gives alone"


def _shared(clause: Clause, index: ToolIndex, steps: list[StepDraft]) -> list[Clause]:
    cuts = list(_cuts(clause))
    if not cuts or len(cuts) > _MOST or clause.negated or clause.each or clause.opening:
        return [clause]
    if _planned(clause, index, steps) is not None or _tabular(clause, index, steps):
        return [clause]
    for start, end in cuts:
        right = _right(clause, end)
        if right is None:
            return [clause]
        rest = _shared(right, index, steps)
        first = _planned(rest[0], index, steps)
        if first is None or not (first.binding.used or rest[0].literals):
            continue
        if _PREPOSITION.match(clause.text[end:]) and consumes(first.choice.profile):
            continue  # "transfer 50 to A and to B": twice the 50, or halves?
        left = _left(clause, start)
        if _planned(left, index, steps) is not None:
            return [left, *rest]
        lent = _lent(left, rest[0], first, index, steps)
        if lent is not None:
            return [lent, *rest]
    return [clause]


def _cuts(clause: Clause) -> Iterator[tuple[int, int]]:
    """Return the places of the joints after a clause's verb, counted in its text."""
    masked = list(clause.text)
    for item in clause.literals:
        start, end = item.start - clause.start, item.end - clause.start
        masked[start:end] = "\x01" * (end - start)
    text = "".join(masked)
    lead = _lead(clause)
    for found in _CUT.finditer(text, len(lead[0]) if lead else 0):
        if found.end() < len(text):
            yield found.span()


def _tabular(clause: Clause, index: ToolIndex, steps: list[StepDraft]) -> bool:
    """Whether a clause speaks of columns and rows, whose lists mean something else."""
    choice = choose(clause, index, steps)
    return choice is not None and works_on_records(choice.profile)


def _planned(clause: Clause, index: ToolIndex, steps: list[StepDraft]) -> _Planned | None:
    """Return the tool of a clause if it accounts for all its words without a guess."""
    choice = choose(clause, index, steps)
    if choice is None or choice.doubts:
        return None
    binding = bind(choice.profile, clause, steps)
    files = {str(item.value) for item in clause.literals if item.kind in (Kind.PATH, Kind.URL)}
    unmet = [slot for slot in binding.missing if not (files and slot.kind in _BRIDGED)]
    bridged = len(binding.missing) - len(unmet)
    left = sum(item.kind in (Kind.PATH, Kind.URL) and not spent(item, binding)
               for item in clause.literals)  # fmt: skip
    counted = any(_COUNTED.match(str(one)) for row in binding.repeats.values() for one in row)
    told = any(item.start == start for item in clause.literals for start, _ in binding.used)
    if unmet or (binding.guessed and not told) or counted or left > max(bridged, 1):
        return None
    loaded = known_words(steps) | files
    if leftovers(clause, choice.match, binding, loaded, steps):
        return None
    return _Planned(choice, binding)


def _left(clause: Clause, end: int) -> Clause:
    """Return the part of a clause before a joint."""
    last = clause.start + end
    return replace(
        clause,
        text=clause.text[:end],
        end=last,
        words=tuple(word for word in clause.words if word.start < last),
        literals=tuple(item for item in clause.literals if item.start < last),
    )


def _right(clause: Clause, begin: int) -> Clause | None:
    """Return the part of a clause after a joint, led in by the verb of the clause."""
    lead = _lead(clause, begin)
    if lead is None:
        return None
    text, said = lead
    first = clause.start + begin
    start = first - len(text) - 1
    shift = start - clause.start
    moved = [replace(word, start=word.start + shift, end=word.end + shift) for word in said]
    inside = (item for item in clause.literals if item.end <= clause.start + len(text))
    lent = [replace(item, start=item.start + shift, end=item.end + shift) for item in inside]
    after = [word for word in clause.words if word.start >= first]
    return replace(
        clause,
        text=f"{text} {clause.text[begin:]}",
        start=start,
        words=tuple(lexicon().units([*moved, *after])),
        literals=(*lent, *(item for item in clause.literals if item.start >= first)),
        later=False,
    )


def _lead(clause: Clause, begin: int = 0) -> tuple[str, tuple[Word, ...]] | None:
    """Return what leads the first object in, with its words: "Find", "Show me", "What is".

    Where an object goes on with a preposition the noun is shared too: "the weather in Rome and
    *in Oslo*".
    """
    verb = clause.verb
    rest = clause.text[begin:]
    led = _PREPOSITION.match(rest) if begin else None
    found = _LEAD.match(clause.text)
    if led is not None and (found is not None or verb is not None):
        after = found.end() if found is not None else 0
        if found is None and verb is not None:
            after = verb.end - clause.start
        same = re.compile(rf"\s{led.group()}\s", re.I).search(clause.text, after, begin)
        if same is not None and clause.text[after : same.start()].strip():
            last = clause.start + same.start()
            return clause.text[: same.start()], tuple(w for w in clause.words if w.end <= last)
    if found is not None:
        return found.group(), tuple(words(found.group(), start=clause.start))
    if verb is None or clause.text[: verb.start - clause.start].strip():
        return None
    if " " in verb.text and verb.end - verb.start != len(verb.text):  # "turn … off"
        text = verb.text.split()[0] if _PARTICLE.search(rest) else verb.text
        said = stem(text) if " " not in text else verb.stem
        return text, (Word(text, said, verb.start, verb.start + len(text)),)
    return clause.text[: verb.end - clause.start], (verb,)


def _lent(
    left: Clause, right: Clause, planned: _Planned, index: ToolIndex, steps: list[StepDraft]
) -> Clause | None:
    """Return a part with the end of its neighbour: "translate "Hi" and "Bye" *into French*".

    None unless both are for the same tool; two texts for one place may be meant as one.
    """
    lead = _lead(right)
    tail = _TAIL.search(right.text, len(lead[0]) + 1 if lead else 0)
    if tail is None:
        return None
    lent = _joined(left, right, tail.start())
    found = _planned(lent, index, steps)
    if found is None or found.choice.profile is not planned.choice.profile:
        return None
    args, others = found.binding.args, planned.binding.args
    differing = [slot for slot in found.choice.profile.slots
                 if args.get(slot.name) != others.get(slot.name)]  # fmt: skip
    texts = consumes(found.choice.profile) and any(slot.kind in CONTENT for slot in differing)
    return lent if differing and not texts else None


def _joined(left: Clause, right: Clause, begin: int) -> Clause:
    """Return a clause with the end of another after it, its places moved to fit."""
    first = right.start + begin
    shift = left.end - first

    def moved(found: Sequence[Word | Literal]) -> Iterator[Word | Literal]:
        for item in found:
            if item.start >= first:
                yield replace(item, start=item.start + shift, end=item.end + shift)

    tail = right.text[begin:]
    return replace(
        left,
        text=left.text + tail,
        end=left.end + len(tail),
        words=(*left.words, *(item for item in moved(right.words) if isinstance(item, Word))),
        literals=(
            *left.literals,
            *(item for item in moved(right.literals) if isinstance(item, Literal)),
        ),
    )
