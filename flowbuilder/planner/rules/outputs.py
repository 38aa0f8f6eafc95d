"""What earlier steps give: fields of their outputs and references that fit a parameter."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from flowbuilder.planner.document import MENTION
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.lexicon import lexicon, name_words, stem, stems, words
from flowbuilder.planner.rules.matching import Profile
from flowbuilder.planner.rules.slots import Slot, SlotKind, resolve
from flowbuilder.tools import Effects
from flowbuilder.types import JsonSchema

#: Names of the field that holds what a tool is for, the most telling first.
_MAIN = (
    "records", "text", "summary", "translation", "result", "content", "body", "value", "output",
    "answer", "markdown", "html", "message", "transcript", "groups", "items", "rows", "data",
    "results", "response", "description", "articles", "entries", "report", "table",
)  # fmt: skip


@dataclass(kw_only=True)
class StepDraft:
    """A step that is being put together."""

    id: str
    profile: Profile
    clause: Clause | None
    args: dict[str, Any] = field(default_factory=dict)
    for_each: Any = None
    when: str | None = None
    approval: bool = False
    depends_on: list[str] = field(default_factory=list)
    on_error: str = "fail"
    attempts: int = 0
    """How many attempts it gets, where the goal says so."""
    trigger_rule: str = "all_success"
    sink: bool = False
    """It has taken in an earlier result and put it somewhere: no source for later steps."""
    format: str = ""
    """The file name extension of what it read, for choosing a parser."""
    computed: dict[str, str] = field(default_factory=dict)
    """Names of computed columns by the words they can be called by."""
    origin: str = ""
    """The literal it loads; later mentions of the same file mean this step."""

    @property
    def silent(self) -> bool:
        """Whether its output is no content: an approval, a pause."""
        return self.profile.tool.name in ("human.approve", "time.sleep")


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an output; an empty name is the whole output."""

    name: str
    schema: JsonSchema

    @property
    def type(self) -> str | None:
        """The JSON type, None if it may be anything."""
        kind = self.schema.get("type")
        return kind if isinstance(kind, str) else None

    @property
    def is_records(self) -> bool:
        """Whether it is an array of objects, or of anything."""
        items = self.schema.get("items")
        inner = items.get("type") if isinstance(items, dict) else None
        return self.type == "array" and (inner == "object" or inner is None)


def output_fields(profile: Profile) -> list[Field]:
    """Return the fields of a tool's output, or its whole output if that has no known fields."""
    schema = profile.tool.output_schema
    definitions: Mapping[str, Any] = schema.get("$defs") or {}
    top = resolve(schema, definitions)
    properties = top.get("properties")
    if top.get("type") == "object" and properties:
        return [Field(name, resolve(part, definitions)) for name, part in properties.items()]
    items = top.get("items")
    if isinstance(items, dict):
        top = {**top, "items": resolve(items, definitions)}
    return [Field("", top)]


def main_field(profile: Profile) -> Field | None:
    """Return the field that a tool is mainly for; None if no one stands out."""
    fields = output_fields(profile)
    if len(fields) == 1:
        return fields[0]
    by_name = {item.name: item for item in fields}
    named = next((by_name[name] for name in _MAIN if name in by_name), None)
    if named is not None:
        return named
    texts = [item for item in fields if item.type == "string" and not _identifies(item.name)]
    plain = all(item.type in ("string", "integer", "number", "boolean") for item in fields)
    return texts[0] if len(texts) == 1 and plain and _tells_all(fields) else None


def _identifies(name: str) -> bool:
    return bool({"id", "key", "code", "symbol", "name", "status"} & set(name_words(name)))


def _tells_all(fields: list[Field]) -> bool:
    """Whether what stands beside a text only counts or measures it: `{poem, lines}`."""
    return all(item.type in ("string", "integer", "boolean") for item in fields) and (
        sum(item.type == "string" for item in fields) == 1
    )


def reference(step: StepDraft, name: str) -> str:
    """Write a reference to a step's output or one of its fields."""
    path = f"steps.{step.id}.{name}" if name else f"steps.{step.id}"
    return "${{ " + path + " }}"


def sources(steps: list[StepDraft], clause: Clause) -> Iterator[StepDraft]:
    """Return the steps whose output a clause may mean, the likeliest first.

    A step that the clause names by its noun ("the summary") comes first, then the latest; steps
    that only put an earlier result somewhere come last.
    """
    remade = [step for step in steps if _remakes(step)]
    taken = {name for step in remade for name in MENTION.findall(str(step.args))}
    usable = [step for step in reversed(steps) if not step.silent]
    given = [step for step in usable if step.id not in taken and (step in remade or not step.sink)]
    named = [step for step in given if _names(clause, step)]
    yield from (*named, *(step for step in given if step not in named))
    yield from (step for step in usable if step not in given)


def _remakes(step: StepDraft) -> bool:
    """Whether a step made another file of the one it took: "resize it and mail it"."""
    taken = [step.args.get(slot.name) for slot in step.profile.slots if slot.kind is SlotKind.PATH]
    if not any("${{" in str(value) for value in taken):
        return False
    told = {word.stem for word in words(step.profile.tool.summary)}
    fields = output_fields(step.profile)
    return len(fields) == 1 and fields[0].type == "string" and bool(told & _REMADE)


_REMADE = stems("new path image file")


def _names(clause: Clause, step: StepDraft) -> bool:
    verb = clause.verb  # "translate b.txt" does not speak of a translation made before
    said_nouns = {word.stem for word in clause.words if word is not verb}
    pointing = said_nouns & lexicon().references
    pointing -= lexicon().pronouns
    said = set(pointing)
    about = {stem(part) for part in name_words(step.profile.tool.name)}
    about |= {word.stem for item in output_fields(step.profile) for word in words(item.name)}
    if said & about:
        return True
    near = lexicon().nearness
    return any(near(word, other) >= 0.7 for word in said for other in step.profile.verbs)


#: "the link", which a field calls `page_url`; a link in an order's own name is none.
_LINK = re.compile(r"\b(?:the|its|their|a|with)\s+link\b", re.IGNORECASE)


def mentioned_field(clause: Clause, step: StepDraft) -> Field | None:
    """Return the output field that the clause calls by name.

    "The counts" of an output with records are what the records say, not its one `count`.
    """
    said = {word.stem for word in clause.words}
    plural = {word.stem for word in clause.words if word.lower.endswith("s")}
    fields = output_fields(step.profile)
    has_records = any(item.is_records for item in fields)
    for item in fields:
        parts = name_words(item.name)
        if not item.name or not {stem(part) for part in parts} <= said:
            continue
        if has_records and item.name in step.computed.values():
            continue  # the column of that name, not how many records there are
        one_number = item.type in ("integer", "number") and not parts[-1].endswith("s")
        if not (one_number and has_records and stem(parts[-1]) in plural):
            return item
    links = [item for item in fields if name_words(item.name)[-1:] in (["url"], ["link"])]
    return links[0] if len(links) == 1 and _LINK.search(clause.text) else None


def referenced(slot: Slot, step: StepDraft, clause: Clause) -> str | None:
    """Return the argument that hands a step's output to a parameter, or None if none fits."""
    fields = output_fields(step.profile)
    if slot.kind is SlotKind.RECORDS:
        return _records(step, fields)
    if slot.kind is SlotKind.NUMBER:
        return _typed(step, fields, clause, slot, ("number", "integer"))
    if slot.kind in (SlotKind.TEXT, SlotKind.ANY, SlotKind.QUERY, SlotKind.TITLE):
        return _text(slot, step, clause)
    if slot.kind is SlotKind.PATH and slot.writes and _is_file(step.origin):
        return None  # never write over what was read
    if slot.kind is SlotKind.OBJECT:
        return _typed(step, fields, clause, slot, ("object",))
    return _typed(step, fields, clause, slot, ("string",))


def _is_file(origin: str) -> bool:
    return bool(origin) and "://" not in origin


def _records(step: StepDraft, fields: list[Field]) -> str | None:
    for item in sorted(
        fields, key=lambda item: _MAIN.index(item.name) if item.name in _MAIN else 99
    ):
        if item.is_records:
            return reference(step, item.name)
    main = main_field(step.profile)
    if main is not None and main.type is None and step.format not in _UNPARSED:
        return reference(step, main.name)
    return None


def _typed(
    step: StepDraft, fields: list[Field], clause: Clause, slot: Slot, kinds: tuple[str, ...]
) -> str | None:
    fitting = [item for item in fields if item.type in kinds]
    for item in fitting:
        if item.name and {stem(part) for part in name_words(item.name)} & slot.stems:
            return reference(step, item.name)
    if len(fields) == 1 and fields[0].type in (*kinds, None):
        if "string" in kinds and not _speaks_of(step, slot):
            return None
        return reference(step, fields[0].name)
    mentioned = mentioned_field(clause, step)
    if mentioned is not None and mentioned in fitting and _may_address(slot, mentioned):
        return reference(step, mentioned.name)
    return reference(step, fitting[0].name) if len(fitting) == 1 and "number" in kinds else None


def _may_address(slot: Slot, item: Field) -> bool:
    """Whether a field named in a clause can be an address: a phone's number is no mail address."""
    marks = {
        SlotKind.EMAIL: ("mail",),
        SlotKind.PHONE: ("phone", "mobile", "tel", "number"),
        SlotKind.URL: ("url", "uri", "link", "href", "address", "site", "endpoint"),
    }
    known = marks.get(slot.kind)
    return known is None or any(mark in item.name.lower() for mark in known)


def _speaks_of(step: StepDraft, slot: Slot) -> bool:
    """Whether a tool that returns a bare text says that the text is such a value."""
    said = {word.stem for word in words(step.profile.tool.summary)}
    said |= {stem(part) for part in name_words(step.profile.tool.name)}
    wanted = set(slot.stems) | {stem(slot.kind.value)}
    if slot.kind is SlotKind.PATH:
        wanted |= {"file", "imag", "path"}
    if slot.kind is SlotKind.URL:
        wanted |= {"link", "url", "address"}
    return bool(said & wanted)


def _text(slot: Slot, step: StepDraft, clause: Clause) -> str | None:
    chosen = mentioned_field(clause, step) or main_field(step.profile)
    text_only = slot.schema.get("type") == "string"
    if chosen is None:
        return _listing(step) if text_only else reference(step, "")
    written = reference(step, chosen.name)
    if not text_only or chosen.type in ("string", None):
        return written
    label = (chosen.name or step.id).replace("_", " ").capitalize()
    return f"{label}: {written}"


def _listing(step: StepDraft) -> str:
    """Write an output of several fields as text, one field a line."""
    return "\n".join(
        f"{item.name.replace('_', ' ').capitalize()}: {reference(step, item.name)}"
        for item in output_fields(step.profile)
    )


def consumes(profile: Profile) -> bool:
    """Whether a tool changes the world, so that what it returns is a receipt."""
    return profile.tool.effects in (Effects.WRITE, Effects.EXTERNAL, Effects.IRREVERSIBLE)


#: Files whose content is a text until a tool has parsed it.
_UNPARSED = frozenset(
    {"csv", "tsv", "txt", "md", "html", "htm", "log", "pdf", "xml", "yaml", "yml", "toml", "jsonl",
     "ndjson"}
)  # fmt: skip
TABLES = frozenset({"csv", "tsv", "json", "jsonl", "xlsx", "xls", "parquet"})


def tabular(steps: list[StepDraft]) -> bool:
    """Whether some step gives records, or a text that can be parsed into them."""
    return any(
        step.format in TABLES or any(item.is_records for item in output_fields(step.profile))
        for step in steps
    )
