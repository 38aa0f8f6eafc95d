"""Words for people: questions, subjects, and what in a clause is left unexplained."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from flowbuilder.planner.rules.arguments import Binding
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.fitting import BOUNDS
from flowbuilder.planner.rules.giving import gives, is_new, makes
from flowbuilder.planner.rules.lexicon import (
    Word,
    lexicon,
    listed,
    name_words,
    stem,
    stems,
    words,
)
from flowbuilder.planner.rules.literals import STRONG, Kind
from flowbuilder.planner.rules.matching import PLAIN_VERBS, Match
from flowbuilder.planner.rules.outputs import StepDraft, consumes
from flowbuilder.planner.rules.slots import Slot, SlotKind
from flowbuilder.planner.rules.table_arguments import works_on_records


def question_text(slot: Slot, step: StepDraft) -> str:
    """Return the question for a parameter that the goal says nothing about."""
    name = slot.name.replace("_", " ")
    described = str(slot.schema.get("description") or "").strip()
    detail = f" ({described.rstrip('.')})" if described else ""
    return f"What is the “{name}” of {step.profile.tool.name}?{detail}"


def subject_from(steps: list[StepDraft], binding: Binding) -> None:
    """Take a message's required subject from the goal's own words."""
    for slot in list(binding.missing):
        if slot.kind is not SlotKind.TITLE or not binding.refers:
            continue
        clause = next((step.clause for step in reversed(steps) if step.clause), None)
        if clause is None:
            continue
        text = clause.text.strip()
        binding.args[slot.name] = text[:1].upper() + text[1:120]
        binding.missing.remove(slot)
        binding.notes.append(f"{slot.name} is in the goal's own words")


def known_words(steps: Sequence[StepDraft]) -> set[str]:
    """Return what earlier steps have loaded, and the stems of the columns they name."""
    found = {step.origin for step in steps if step.origin}
    for step in steps:
        if step.origin:  # what "penguins.csv" holds is penguins
            found |= {stem(word) for word in name_words(PurePosixPath(step.origin).stem)}
        if works_on_records(step.profile):
            found |= {word.stem for word in words(str(step.args))}
    return found


def leftovers(
    clause: Clause,
    match: Match,
    binding: Binding,
    loaded: set[str],
    steps: Sequence[StepDraft],
) -> list[str]:
    """Return the words and literals of a clause that no part of the step accounts for."""
    spans = list(binding.used)
    found = []
    for item in clause.literals:
        spans.append((item.start, item.end))
        kept = any(start <= item.start < end for start, end in binding.used)
        carried = str(item.value) in loaded or _in_arguments(item.value, binding)
        if (
            item.kind in STRONG
            and not kept
            and not carried
            and not _weak(item.kind, item.text, match)
        ):
            found.append(item.text)
    outside = [
        word
        for word in clause.words
        if not any(start <= word.start < end for start, end in spans)
        and (word.start not in match.explained or _asks_anew(word, clause, match, binding, steps))
    ]
    return found + [
        word.text
        for word in outside
        if (
            not _says_nothing(word, clause, match, binding)
            or _asks_anew(word, clause, match, binding, steps)
        )
        and not (binding.refers and _stands_for(word, clause, steps))
        and not _is_field(word.stem, binding)
        and not (
            works_on_records(match.profile) and (_in_table(word, binding) or word.stem in loaded)
        )
    ]


def _asks_anew(
    word: Word, clause: Clause, match: Match, binding: Binding, steps: Sequence[StepDraft]
) -> bool:
    """Whether a noun asks for what a tool does not make of what it is given: "write *a report*"."""
    if not binding.refers or word is clause.verb or works_on_records(match.profile):
        return False
    if word.stem in lexicon().fillers or word.text.isdigit():
        return False
    new = is_new(word, clause) and word.stem not in _EMPTY - _MADE
    gone = word.stem in lexicon().references and consumes(match.profile)
    if not (new or (gone and not _stands_for(word, clause, steps))):
        return False
    tool = match.tool
    own = {stem(part) for part in name_words(tool.name)}
    own |= {part for slot in match.profile.slots for part in slot.stems}
    summary = {one.stem for one in words(tool.summary.split(". ")[0])}
    things = lexicon().things.get(word.stem, {})
    if word.stem in own | summary or any(things.get(part, 0.0) >= 0.6 for part in own):
        return False
    near = lexicon().nearness
    makes_it = any(near(word.stem, act) >= 0.7 for act in match.profile.verbs)
    return consumes(match.profile) or not makes_it


def _says_nothing(word: Word, clause: Clause, match: Match, binding: Binding) -> bool:
    """Whether a word asks for nothing of its own: an article, a unit, the parameter's name."""
    if word.lower in _RANKS and binding.refers and not works_on_records(match.profile):
        return False
    if word.stem in lexicon().fillers or word.stem in _EMPTY or word.text.isdigit():
        return True
    if any(word.stem in slot.stems for slot in match.profile.slots):
        return True
    if word is clause.verb and word.stem in PLAIN_VERBS and match.verb >= 0.35:
        return True
    near_literal = any(0 < begin - word.end < 8 for begin, _ in binding.used)
    return word.stem in _BOUNDING and near_literal


def _is_field(word: str, binding: Binding) -> bool:
    """Whether an argument refers to a field of that name: "send the status"."""
    fields = re.findall(r"\$\{\{ (?:steps|item)\.(?:\w+\.)?(\w+)", str(binding.args))
    return any(stem(part) == word for field in fields for part in name_words(field))


def _stands_for(word: Word, clause: Clause, steps: Sequence[StepDraft]) -> bool:
    """Whether a noun such as "summary" can mean what some step so far gives."""
    if word.stem not in lexicon().references:
        return False
    if is_new(word, clause):
        return makes(word, steps)
    if word.stem in _GENERIC or word.stem in lexicon().pronouns:
        return True
    return gives(word, clause, steps)


#: Nouns for any result at all.
_GENERIC = stems(
    "result output answer response outcome everything all list table text content page data row "
    "record value reply file line item entry document body finding info information detail "
    "report figure number"
)


def _in_arguments(value: object, binding: Binding) -> bool:
    if isinstance(value, str):
        given = str([*binding.args.values()])
        return re.search(rf"(?<!\w){re.escape(value)}(?!\w)", given) is not None
    return any(value in row for row in binding.repeats.values())


def _weak(kind: Kind, text: str, match: Match) -> bool:
    """Whether a literal of this kind may be part of the tool's own name: "SMS", "English text"."""
    named = stem(text) in match.profile.weights
    return kind is Kind.LANGUAGE and named and not match.profile.takes(kind)


def _in_table(word: Word, binding: Binding) -> bool:
    if word.stem in _TABLE or word.stem == "how mani":
        return True
    return word.lower in str(binding.args).lower()


_MADE = stems("list number")
_RANKS = listed("first second third last latest newest oldest next")
_BOUNDING = BOUNDS["max"] | BOUNDS["min"]
_TABLE = stems(
    "row record column field where whose which that with only keep above over below under more "
    "less than greater at least most descending ascending first last highest lowest largest "
    "smallest top order by per each total average sum count equal empty between not entry item "
    "list table data number everything except line from cheapest exceed leave"
)
_EMPTY = stems(
    "file text message document page website address number short quick brief version word "
    "line data information info detail sentence paragraph pixel unit amount value list person "
    "language currency city channel format kind type sort way look time people"
)
