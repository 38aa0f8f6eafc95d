"""Steps that a goal leaves unsaid: loading what a literal names, parsing what was loaded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flowbuilder.planner.rules.lexicon import name_words, stem, stems
from flowbuilder.planner.rules.literals import Kind, Literal
from flowbuilder.planner.rules.matching import ACCEPTS, Profile
from flowbuilder.planner.rules.outputs import StepDraft, main_field, output_fields
from flowbuilder.planner.rules.slots import SlotKind
from flowbuilder.tools import HARMLESS

#: Words by which a tool shows that it is made for files of a sort, by extension.
_SORTS = {
    "pdf": {"pdf"}, "csv": {"csv"}, "tsv": {"csv", "tsv"}, "json": {"json"}, "jsonl": {"json"},
    "png": {"image", "picture", "photo", "ocr"}, "jpg": {"image", "picture", "photo", "ocr"},
    "jpeg": {"image", "picture", "photo", "ocr"}, "mp3": {"audio", "sound", "recording", "speech"},
    "wav": {"audio", "sound", "recording", "speech"}, "m4a": {"audio", "sound", "recording"},
    "mp4": {"video"}, "xlsx": {"excel", "spreadsheet", "xlsx"}, "xls": {"excel", "spreadsheet"},
    "docx": {"docx", "word"}, "zip": {"zip", "archive"}, "html": {"html"}, "xml": {"xml"},
    "eml": {"email", "mail"}, "ics": {"calendar"}, "yaml": {"yaml"}, "yml": {"yaml"},
}  # fmt: skip
_SORT_WORDS = frozenset(stem(word) for names in _SORTS.values() for word in names)
_LOADING = stems("read load get fetch download open retrieve extract import content")


@dataclass(frozen=True)
class Bridge:
    """A tool for an unsaid step, and whether another would do as well."""

    profile: Profile
    rivals: tuple[str, ...]


def extension(text: str) -> str:
    """Return the lower-case extension of a path or URL, `csv` of `a/b.csv?x=1`."""
    name = text.split("?", 1)[0].split("#", 1)[0].rsplit("/", 1)[-1]
    return name.rsplit(".", 1)[-1].lower() if "." in name else ""


def loader(literal: Literal, profiles: Sequence[Profile], not_for: Profile) -> Bridge | None:
    """Return the tool that turns a path or an address into its content."""
    suffix = extension(str(literal.value))
    scored = [
        (score, profile)
        for profile in profiles
        if profile is not not_for and (score := _loads(profile, literal.kind, suffix)) > 0
    ]
    return _best(scored)


def _loads(profile: Profile, kind: Kind, suffix: str) -> float:
    if profile.tool.effects not in HARMLESS or profile.tool.needs_model:
        return 0.0
    required = [slot for slot in profile.slots if slot.required]
    taking = [slot for slot in profile.slots if slot.kind in ACCEPTS[kind] and not slot.many]
    if not taking or any(slot not in taking for slot in required):
        return 0.0
    if not any(
        item.type in ("string", "array", None) or (item.type == "object" and not item.name)
        for item in output_fields(profile)
    ):
        return 0.0
    score = 1.0 + sum(0.5 for word in profile.verbs if word in _LOADING)
    return score + _sort_score(profile, suffix)


def _sort_score(profile: Profile, suffix: str) -> float:
    """Prefer tools that name the sort of file, and avoid those that name another."""
    telling = {stem(part) for part in name_words(profile.tool.name)}
    telling |= {word for word, weight in profile.weights.items() if weight >= 0.75}
    wanted = {stem(word) for word in _SORTS.get(suffix, ())}
    if telling & wanted:
        return 2.0
    return -4.0 if telling & _SORT_WORDS - {stem("word"), stem("html")} else 0.0


def parser(step: StepDraft, profiles: Sequence[Profile]) -> Bridge | None:
    """Return the tool that turns a loaded text into records, by the sort of file it came from."""
    if not any(item.type in ("string", None) for item in output_fields(step.profile)):
        return None
    wanted = {stem(word) for word in _SORTS.get(step.format, ())}
    if step.format not in ("csv", "tsv", "json", "jsonl", "xml", "yaml", "yml", "xlsx"):
        return None
    scored = []
    for profile in profiles:
        required = [slot for slot in profile.slots if slot.required]
        name = {stem(part) for part in name_words(profile.tool.name)}
        if len(required) != 1 or required[0].kind is not SlotKind.TEXT or not name & wanted:
            continue
        if profile.tool.effects not in HARMLESS:
            continue
        field = main_field(profile)
        if field is not None and (field.is_records or field.type is None):
            scored.append((1.0, profile))
    return _best(scored)


def ask_for_text(step: StepDraft, before: Sequence[StepDraft]) -> None:
    """Have a body given as text where a step parses it, and not parsed by its type already."""
    required = [slot for slot in step.profile.slots if slot.required]
    names = {stem(part) for part in name_words(step.profile.tool.name)}
    if len(required) != 1 or required[0].schema.get("type") != "string" or not names & _DATA:
        return
    taken = _WHOLE.fullmatch(str(step.args.get(required[0].name)))
    source = next((other for other in before if taken and other.id == taken[1]), None)
    if source is None or taken is None or source.args.get("parse", "auto") != "auto":
        return
    typed = any(item.name == taken[2] and item.type for item in output_fields(source.profile))
    choices = [slot.options for slot in source.profile.slots if slot.name == "parse"]
    if not typed and any({"auto", "text"} <= set(options) for options in choices):
        source.args["parse"] = "text"


_DATA = stems("csv tsv json yaml xml")
_WHOLE = re.compile(r"\$\{\{ steps\.(\w+)\.(\w+) \}\}")


def _best(scored: Iterable[tuple[float, Profile]]) -> Bridge | None:
    ordered = sorted(scored, key=lambda pair: (-pair[0], pair[1].tool.name))
    if not ordered:
        return None
    top, chosen = ordered[0]
    rivals = tuple(profile.tool.name for score, profile in ordered[1:] if score > top - 0.5)
    return Bridge(chosen, rivals)
