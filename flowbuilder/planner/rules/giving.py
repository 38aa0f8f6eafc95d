"""Whether a noun can stand for what a step gives: "the summary", but not "a summary" of a file."""

from __future__ import annotations

import re
from collections.abc import Sequence

from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.lexicon import Word, lexicon, name_words, stem, stems, words
from flowbuilder.planner.rules.outputs import StepDraft, output_fields

#: What is still to be made, unless it only says where something goes: "as a file".
_INDEFINITE = re.compile(
    r"(?<!\bas )(?<!\bto )(?<!\bin )(?<!\binto )(?<!\bon )(?<!\bonto )(?<!\bwith )(?<!\bby )"
    r"(?<!\bvia )\b(?:an?|another|some)\s+(?:[\w-]+\s+){0,2}$",
    re.IGNORECASE,
)
#: Nouns for any result at all, for the elements of a list, and for a number.
ANY = stems(
    "result output outcome response answer everything content contents text body info information "
    "detail data finding it them this that these those they rest all both"
)
_LISTED = stems("list table row record item entry line hit match")
_COUNTED = stems("number value figure total sum amount count average")
#: How near a noun is to what a tool does, or to the name of what it gives, if it means that.
_DOES, _GIVES = 0.7, 0.4


def gives(word: Word, clause: Clause, steps: Sequence[StepDraft]) -> bool:
    """Whether a noun of a clause can stand for what some step gives."""
    loud = [step for step in steps if not step.silent]
    if is_new(word, clause):
        return makes(word, loud)
    return (
        word.stem in ANY
        or says(word, loud)
        or any(_makes(word.stem, step) or _speaks(word, step) for step in loud)
        or any(_calls_besides(word, clause, step) for step in loud)
    )


def is_new(word: Word, clause: Clause) -> bool:
    """Whether a noun asks for something that is not there yet: "a summary"."""
    before = clause.text[: max(word.start - clause.start, 0)]
    return _INDEFINITE.search(before) is not None


def makes(word: Word, steps: Sequence[StepDraft]) -> bool:
    """Whether a step is there to make what a noun names."""
    return any(_makes(word.stem, step) for step in steps)


def _makes(noun: str, step: StepDraft) -> bool:
    """Whether a step gives what a noun calls by name, or does what the noun is made from."""
    names = {stem(part) for part in name_words(step.profile.tool.name)}
    near = lexicon().nearness
    return (
        noun in names
        or any(near(noun, verb) >= _DOES for verb in step.profile.verbs)
        or any(near(noun, name) >= _GIVES for name in step.profile.told)
    )


def _speaks(word: Word, step: StepDraft) -> bool:
    """Whether a noun can stand for what a step gives, by its tool's words or its type."""
    tool = step.profile.tool
    near = lexicon().nearness
    fields = output_fields(step.profile)
    several = any(item.type in ("array", None) for item in fields)
    if word.stem in {one.stem for one in words(tool.summary.split(". ")[0])}:
        return True
    plural = word.lower.endswith("s") and not several  # a page is no links
    if not plural and any(near(word.stem, stem(part)) >= _DOES for part in name_words(tool.name)):
        return True
    if word.stem in _LISTED and several:
        return True
    return word.stem in _COUNTED and all(item.type in ("number", "integer") for item in fields)


def _calls_besides(word: Word, clause: Clause, step: StepDraft) -> bool:
    """Whether a word only says more of a field that is named beside it: "the status *code*"."""
    place = clause.words.index(word) if word in clause.words else -1
    beside = {one.stem for one in clause.words[max(place - 1, 0) : place + 2]}
    for item in output_fields(step.profile) if place >= 0 else ():
        told = {one.stem for one in words(str(item.schema.get("description") or ""))}
        if beside & {stem(part) for part in name_words(item.name)} and word.stem in told:
            return True
    return False


def says(word: Word, steps: Sequence[StepDraft]) -> bool:
    """Whether the words of an earlier step, or the name of what it loads, say a word."""
    for step in steps:
        said = {one.stem for one in step.clause.words} if step.clause is not None else set()
        said |= {stem(part) for part in name_words(step.origin)}
        if word.stem in said:
            return True
    return False
