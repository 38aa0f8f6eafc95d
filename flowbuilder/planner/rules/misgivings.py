"""A last look at a whole plan: what its steps do although the words ask for something else.

Each step may be right by itself: it keeps the first rows where the last ones are wanted, it copies
a file into one of another format, or it reads what nobody takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from flowbuilder.planner.document import MENTION
from flowbuilder.planner.rules.continuing import sorted_both_ways
from flowbuilder.planner.rules.giving import gives
from flowbuilder.planner.rules.instructions import instructs
from flowbuilder.planner.rules.lexicon import lexicon, listed, name_words, stems
from flowbuilder.planner.rules.literals import broken_json
from flowbuilder.planner.rules.outputs import TABLES, StepDraft, consumes
from flowbuilder.planner.rules.referring import takes_content
from flowbuilder.planner.rules.slots import SlotKind
from flowbuilder.planner.rules.speaking import GENERAL
from flowbuilder.planner.rules.table_arguments import (
    condition_slot,
    takes_measures,
    works_on_records,
)
from flowbuilder.planner.rules.tables import TableWords
from flowbuilder.toolkit import is_starter
from flowbuilder.tools import HARMLESS

#: Endings of files that hold data in a form of their own: a copy of one is none of another.
_FORMATS = listed("json jsonl csv tsv xml yaml yml toml html pdf docx xlsx ods")
#: Endings of files that hold no text.
_BYTES = listed(
    "png jpg jpeg gif webp bmp tiff ico zip gz tgz tar 7z rar pdf docx xlsx pptx odt ods odp mp3 "
    "wav ogg flac mp4 mov avi mkv webm exe dll so bin iso dmg woff woff2 ttf otf sqlite db parquet"
)
_LAST = re.compile(
    r"\b(?:last|bottom|final)\s+(?:\d+|two|three|four|five|six|ten)\b", re.IGNORECASE
)
_UTMOST = re.compile(
    r"\b(?:highest|largest|biggest|greatest|most|lowest|smallest|least|fewest|best|worst)\b",
    re.IGNORECASE,
)
#: Words that compare, and so are no value to compare with; nor is a moment's.
_COMPARING = listed("above below over under more less greater fewer higher lower between than")
_MOMENTS = listed("yesterday today tomorrow tonight now monday tuesday wednesday thursday friday "
                  "saturday sunday")  # fmt: skip
#: Words for the rows that were picked before.
_OF_THOSE = re.compile(
    r"\b(?:of|from|among|in|out of) (?:those|these|them|that|it)\b"
    r"|\b(?:these|them|remaining|rest|further|left)\b",
    re.IGNORECASE,
)
#: What things have, so that other clauses hardly mean them by these words.
_PARTS = listed("names titles")
#: From here on a noun means what a verb does: "a summary".
_SAME = 0.7
_NAMING = stems("id number no code key reference")


def misgivings(steps: Sequence[StepDraft], goal: str) -> Iterator[str]:
    """Yield what is doubtful about a plan for a goal, a sentence without its full stop each."""
    if (broken := broken_json(goal)) is not None:
        yield f"“{broken}” begins like JSON, but no whole JSON follows"
    for place, step in enumerate(steps):
        if _is_lost(step, steps[place + 1 :]):
            yield f"nothing takes what {step.id} gives"
        if works_on_records(step.profile):
            yield from _about_rows(step, steps)
            yield from _about_narrowed(step, steps[:place])
        yield from _about_formats(step, steps[:place])
        yield from _about_bytes(step)
        yield from sorted_both_ways(step)
        yield from _about_sources(step, steps[:place])
        yield from _about_parts(step, steps[:place])
        yield from _about_names(step)


def _is_lost(step: StepDraft, later: Sequence[StepDraft]) -> bool:
    """Whether a step only gets something, and no later one, though some take things, takes it."""
    gets = step.profile.tool.effects in HARMLESS and not step.silent
    table = step.format in TABLES
    takers = [
        other
        for other in later
        if (consumes(other.profile) and not other.silent)
        or (table and works_on_records(other.profile))
    ]
    return gets and bool(takers) and not any(step.id in _taken(other) for other in later)


def _taken(step: StepDraft) -> set[str]:
    """Return the steps of which a step takes something, and does not only wait for."""
    return set(MENTION.findall(str([step.args, step.for_each, step.when])))


def _about_rows(step: StepDraft, steps: Sequence[StepDraft]) -> Iterator[str]:
    said = step.clause.text if step.clause is not None else ""
    given = {name for name in step.args if name not in _row_arguments(step)}
    if not given:
        yield f"{step.id} would give back the rows as they are"
    if "limit" in given and _LAST.search(said) and not step.args.get("descending"):
        yield f"{step.id} keeps the first rows, and “{said}” speaks of the last ones"
    limits = any(slot.name == "limit" for slot in step.profile.slots) and "limit" not in given
    some = TableWords(step.clause).extreme_of_several if step.clause and limits else None
    if some is not None:
        yield f"{step.id} keeps all rows, and “{some}” speaks of some of them"
    measures = step.args.get("compute")
    if isinstance(measures, dict) and takes_measures(step.profile) and _UTMOST.search(said):
        kinds = {item.get("fn") for item in measures.values() if isinstance(item, dict)}
        if not kinds & {"max", "min"} and step is steps[-1]:
            yield f"{step.id} computes the values, and “{said}” asks which one stands out"
    where = step.args.get("where")
    for row in where.values() if isinstance(where, dict) else ():
        values = row.values() if isinstance(row, dict) else [row]
        for value in values:
            if isinstance(value, str) and value.lower() in _COMPARING | _MOMENTS:
                yield f"“{value}” was taken as a value in “{said}”"


def _about_narrowed(step: StepDraft, before: Sequence[StepDraft]) -> Iterator[str]:
    """Say that rows are picked from those that were picked and put somewhere before.

    "Save those above 10 as hi.csv, and those below 5 as lo.csv" may speak of all rows twice.
    """
    clause = step.clause
    if clause is None or clause.later or not _picks(step) or _OF_THOSE.search(clause.text):
        return
    sources = [other for other in before if other.id in _taken(step) and _picks(other)]
    kept = {name for other in before if other.sink for name in _taken(other)}
    for source in sources:
        if source.id in kept and source.clause not in (None, clause):
            yield f"{step.id} picks from the rows that {source.id} has picked, not from all"


def _picks(step: StepDraft) -> bool:
    slot = condition_slot(step.profile) if works_on_records(step.profile) else None
    return slot is not None and slot.name in step.args


def _row_arguments(step: StepDraft) -> set[str]:
    return {slot.name for slot in step.profile.slots if slot.kind is SlotKind.RECORDS}


def _about_formats(step: StepDraft, before: Sequence[StepDraft]) -> Iterator[str]:
    """Say that data in one form is read or kept as data in another."""
    by_id = {other.id: other for other in before}
    for name in sorted(_taken(step)):
        source = by_id.get(name)
        have = _format(source.origin) if source is not None else ""
        if source is None or not have:
            continue
        parses = name_words(step.profile.tool.name)[:1]
        if parses and parses[0] in _FORMATS and parses[0] != have:
            yield f"{step.id} reads “{source.origin}” as {parses[0]}"
        for slot in step.profile.slots:
            kept = _format(str(step.args.get(slot.name, ""))) if slot.writes else ""
            if kept and kept != have:
                yield f"{step.id} keeps what is in “{source.origin}” as {kept}, as it is"


def _about_bytes(step: StepDraft) -> Iterator[str]:
    """Say that the starter tools for files know texts only: a picture would be kept as letters."""
    for slot in step.profile.slots if is_starter(step.profile.tool) else ():
        path = str(step.args.get(slot.name, ""))
        ending = PurePosixPath(path).suffix.lower().removeprefix(".")
        if slot.kind is SlotKind.PATH and ending in _BYTES:
            yield f"{step.profile.tool.name} knows texts only, and “{path}” is none"


def _about_sources(step: StepDraft, before: Sequence[StepDraft]) -> Iterator[str]:
    """Say that a file is written over that was read, where "in" may tell what is meant by it.

    "Save the number of words in notes.txt" says what is saved, or where to.
    """
    said = step.clause.text if step.clause is not None else ""
    if not takes_content(step.profile) or "append" in step.args.values():
        return
    read = {other.origin: other.id for other in before if other.origin}
    for slot in step.profile.slots:
        path = str(step.args.get(slot.name))
        if slot.kind is not SlotKind.PATH or not slot.writes or path not in read:
            continue
        if re.search(rf"\bin\s+(?:(?:the\s+)?file\s+)?\W?{re.escape(path)}", said):
            yield f"{step.id} would write over “{path}”, which {read[path]} reads"


def _about_parts(step: StepDraft, before: Sequence[StepDraft]) -> Iterator[str]:
    """Say that a whole is kept where its parts are asked for: "write the titles to a file"."""
    clause = step.clause
    if clause is None or not takes_content(step.profile):
        return
    for word in clause.words:
        if word.lower in _PARTS and not gives(word, clause, before):
            yield f"no step gives “{word.text}” of “{clause.text}”"
    member = _MEMBER.search(clause.text)
    if member is not None and f".{member['name']}" not in str(step.args):
        yield f"no step gives “{member.group()}” alone"


#: A part of a JSON value: "only the field items".
_MEMBER = re.compile(
    r"\b(?:field|key|property|attribute|member)\s+(?:called\s+|named\s+)?[\"“']?(?P<name>[A-Za-z_]\w*)",
    re.IGNORECASE,
)


def _format(path: str) -> str:
    ending = PurePosixPath(path.partition("?")[0]).suffix.lower().removeprefix(".")
    return {"yml": "yaml"}.get(ending, ending) if ending in _FORMATS else ""


def _about_names(step: StepDraft) -> Iterator[str]:
    """Say that a word for a moment stands where something is named by its number."""
    if instructs(step.profile):
        yield from _about_writing(step)
        return
    for slot in step.profile.slots:
        value = step.args.get(slot.name)
        if slot.stems & _NAMING and isinstance(value, str) and value.lower() in _MOMENTS:
            yield f"“{value}” names no {slot.name.replace('_', ' ')}"


def _about_writing(step: StepDraft) -> Iterator[str]:
    """Say that no word asks for anything to be written: "make the room warmer"."""
    clause = step.clause
    verb = clause.verb if clause is not None else None
    if clause is None or verb is None or clause.question or verb.stem not in GENERAL:
        return
    said = {word.stem for word in clause.words if word is not verb} - lexicon().fillers
    near = lexicon().nearness
    own = step.profile.verbs
    if not any(near(word, act) >= _SAME for word in said for act in own):
        yield f"no word of “{clause.text}” asks for {step.profile.tool.name}"
