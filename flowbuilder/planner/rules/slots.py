"""What a tool's parameters can take, read from its input schema: names, types, descriptions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any

from flowbuilder.planner.rules.lexicon import listed, name_words, stem, stems, words
from flowbuilder.tools import Effects, Tool
from flowbuilder.types import JsonSchema


class SlotKind(StrEnum):
    """What sort of value a parameter wants."""

    URL = "url"
    EMAIL = "email"
    PHONE = "phone"
    PATH = "path"
    CHANNEL = "channel"
    CURRENCY = "currency"
    LANGUAGE = "language"
    DATE = "date"
    TIME = "time"
    SPAN = "span"
    NUMBER = "number"
    BOOLEAN = "boolean"
    ENUM = "enum"
    EXPRESSION = "expression"
    SQL = "sql"
    JSON_PATH = "json_path"
    CODE = "code"
    COLUMN = "column"
    PLACE = "place"
    QUERY = "query"
    TITLE = "title"
    NAME = "name"
    TEXT = "text"
    RECORDS = "records"
    OBJECT = "object"
    ANY = "any"


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One parameter of a tool."""

    name: str
    kind: SlotKind
    schema: JsonSchema
    required: bool
    many: bool
    """It takes an array of such values."""
    stems: frozenset[str]
    """Words of its name."""
    described: frozenset[str]
    """Words of its description."""
    writes: bool = False
    """Its tool writes: a path here is where something goes."""
    leads: frozenset[str] = frozenset()
    """Prepositions before its noun where the tool says what it does: "to a worker"."""

    @property
    def integer(self) -> bool:
        """Whether only whole numbers fit."""
        return self.schema.get("type") == "integer"

    @property
    def options(self) -> list[Any]:
        """The values of an enumeration."""
        return _options(self.schema)


#: Words of a parameter's name and what they make of a text parameter, the first hit counts.
_BY_NAME: tuple[tuple[SlotKind, str], ...] = (
    (SlotKind.URL, "url uri link href website webpage endpoint site"),
    (SlotKind.EMAIL, "email mail recipient recipients cc bcc sender mailto addressee"),
    (SlotKind.PHONE, "phone mobile telephone tel cell msisdn sms"),
    (SlotKind.PATH, "path file filename filepath pathname folder directory dir archive "
                    "saveas outfile infile "
                    "image picture photo photograph video audio recording attachment pdf "
                    "spreadsheet workbook"),
    (SlotKind.CHANNEL, "channel hashtag"),
    (SlotKind.LANGUAGE, "language lang locale"),
    (SlotKind.CURRENCY, "currency"),
    (SlotKind.SQL, "sql"),
    (SlotKind.EXPRESSION, "expression formula equation calculation expr math"),
    (SlotKind.DATE, "date start begin end day deadline due checkin checkout birthday expires "
                    "expiry expiration until since month year week quarter period"),
    (SlotKind.TIME, "time hour when at"),
    (SlotKind.SPAN, "seconds duration delay timeout minutes hours window interval lookback span"),
    (SlotKind.CODE, "symbol ticker code id identifier number sku isbn iban version release "
                    "build serial postcode zipcode zip hash commit host hostname server "
                    "node container pod cluster vin account repo repository metric gauge tag"),
    (SlotKind.COLUMN, "column columns field fields key keys property attribute by on x y axis"),
    (SlotKind.QUERY, "query search topic keyword keywords term terms q question phrase word"),
    (SlotKind.PLACE, "city location place town country origin destination region state airport "
                     "street venue departure arrival where pickup dropoff"),
    (SlotKind.TITLE, "title subject heading headline label summary"),
    (SlotKind.TEXT, "text content contents body message msg document description html markdown "
                    "article note notes prompt comment details passage paragraph input string data "
                    "transcript reply caption csv json source sentence payload snippet story "
                    "essay reason"),
    (SlotKind.NAME, "name person customer client contact user username employee company member "
                    "assignee author product item title task artist song team project category "
                    "drug medicine medication "
                    "service app application namespace branch department brand "
                    "model genre sport league player game movie book animal species ingredient "
                    "museum court judge lawyer queue role food dish drink room door light lamp "
                    "appliance machine window device sensor attendee participant guest invitee "
                    "doctor patient school course teacher student payee bank airline hotel "
                    "restaurant car vehicle table bucket collection index sheet tab board "
                    "playlist calendar group candidate employer label station stage"),
)  # fmt: skip
_KIND_BY_WORD = {word: kind for kind, names in reversed(_BY_NAME) for word in names.split()}
_BY_FORMAT = {
    "uri": SlotKind.URL, "url": SlotKind.URL, "email": SlotKind.EMAIL, "path": SlotKind.PATH,
    "date": SlotKind.DATE, "date-time": SlotKind.DATE, "time": SlotKind.TIME,
    "duration": SlotKind.SPAN, "file-path": SlotKind.PATH,
}  # fmt: skip
_RECORD_NAMES = listed("records rows items data table list entries left right")
#: Last words of a name that say less than the word before: `phone_number`, `city_name`.
_GENERIC = listed("number name value string str id text address")
_CODES = listed("id number code no ref reference nr")
#: People who get something; an address only where mail is spoken of.
_PEOPLE = listed("recipient recipients sender addressee")
_ENDPOINTS = listed("from to source target base origin destination src dst start end")


@lru_cache(maxsize=4096)
def _stems(text: str) -> frozenset[str]:
    return frozenset(word.stem for word in words(text))


def tool_slots(tool: Tool) -> tuple[Slot, ...]:
    """Return the parameters of a tool in their order."""
    properties: Mapping[str, Any] = tool.input_schema.get("properties") or {}
    required = set(tool.input_schema.get("required") or ())
    definitions: Mapping[str, Any] = tool.input_schema.get("$defs") or {}
    found = []
    for name, raw in properties.items():
        schema = resolve(raw if isinstance(raw, dict) else {}, definitions)
        inner, many = _element(schema, definitions)
        found.append(
            Slot(
                name=name,
                kind=_kind(tool, name, schema, inner, many),
                schema=schema,
                required=name in required,
                many=many,
                stems=frozenset(stem(part) for part in name_words(name)),
                described=_stems(str(schema.get("description") or "")),
                writes=tool.effects is Effects.WRITE,
                leads=_leads(tool, name),
            )
        )
    return tuple(_of_thing(_of_day(slot, found), tool, found) for slot in found)


def _leads(tool: Tool, name: str) -> frozenset[str]:
    """Return the prepositions that lead a parameter's noun in where its tool is described."""
    said = tool.summary.split(". ")[0].lower()
    nouns = {stem(part) for part in name_words(name)} - _NO_LEAD
    return frozenset(
        found.group("lead")
        for found in _LED.finditer(said)
        if {stem(word) for word in found.group("thing").split()} & nouns
    )


_LED = re.compile(
    r"\b(?P<lead>to|into|from|with|for|on|in|at|by|of)\s+(?:an?|the|its|another|some)\s+"
    r"(?P<thing>[a-z]+)\b"
)
_NO_LEAD = stems("id name number to from in of")
_HOLDERS = frozenset({SlotKind.RECORDS, SlotKind.PATH, SlotKind.URL, SlotKind.ANY, SlotKind.OBJECT})
#: What a thing is called where nothing is read that has columns.
_PLOTS = stems("field")


def _of_thing(slot: Slot, tool: Tool, slots: Sequence[Slot]) -> Slot:
    """Return a parameter as a name where it is that of a thing: "water a field", "to a worker".

    A field is a column only where there are records, a file or a document that has it.
    """
    if slot.kind is SlotKind.COLUMN and slot.stems <= _PLOTS:
        return slot if _has_columns(tool, slots) else replace(slot, kind=SlotKind.NAME)
    plain = slot.kind is SlotKind.TEXT and slot.schema.get("type") == "string" and slot.required
    if plain and len(slot.stems) == 1 and slot.leads and _kind_by_words([slot.name]) is None:
        return replace(slot, kind=SlotKind.NAME)
    return slot


def _has_columns(tool: Tool, slots: Sequence[Slot]) -> bool:
    about = {word.lower for word in words(f"{' '.join(name_words(tool.name))} {tool.summary}")}
    return any(slot.kind in _HOLDERS for slot in slots) or bool(about & _TABLES)


_TABLES = listed("table column row csv json records database spreadsheet sheet query document form")


#: Names of a moment, which beside a parameter for the day alone is a time of that day.
_MOMENTS = listed("start begin end")


def _of_day(slot: Slot, slots: Sequence[Slot]) -> Slot:
    """Return a parameter as a time of day where another one takes the day: `date`, `start`."""
    days = any(other.name in ("date", "day") and other.kind is SlotKind.DATE for other in slots)
    dated = "format" in slot.schema or slot.described & _DATED
    if days and slot.kind is SlotKind.DATE and slot.name in _MOMENTS and not dated:
        return replace(slot, kind=SlotKind.TIME)
    return slot


_DATED = frozenset({"date", "day"})


def resolve(schema: JsonSchema, definitions: Mapping[str, Any]) -> JsonSchema:
    """Return a schema with its local `$ref` followed and `null` taken out of a union."""
    for _ in range(8):
        target = schema.get("$ref")
        if isinstance(target, str) and target.startswith("#/$defs/"):
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            schema = {**definitions.get(target.removeprefix("#/$defs/"), {}), **rest}
            continue
        union = schema.get("anyOf") or schema.get("oneOf")
        real = [part for part in union or () if part.get("type") != "null"]
        if len(real) != 1 and not (real and len(real) < len(union or ())) and not real:
            return schema
        rest = {key: value for key, value in schema.items() if key not in ("anyOf", "oneOf")}
        schema = {**real[0], **rest}
    return schema


def _options(schema: JsonSchema) -> list[Any]:
    if "const" in schema:
        return [schema["const"]]
    return list(schema.get("enum") or ())


def _element(schema: JsonSchema, definitions: Mapping[str, Any]) -> tuple[JsonSchema, bool]:
    if schema.get("type") != "array":
        return schema, False
    items = schema.get("items")
    return resolve(items if isinstance(items, dict) else {}, definitions), True


def _kind(tool: Tool, name: str, schema: JsonSchema, inner: JsonSchema, many: bool) -> SlotKind:
    parts = name_words(name)
    if many and inner.get("type") in ("object", None) and not _options(inner):
        return SlotKind.RECORDS
    if _options(inner):
        return SlotKind.ENUM
    kind = inner.get("type")
    if kind == "boolean":
        return SlotKind.BOOLEAN
    if kind in ("integer", "number"):
        return SlotKind.SPAN if _kind_by_words(parts) is SlotKind.SPAN else SlotKind.NUMBER
    if kind == "object":
        return SlotKind.OBJECT
    if kind is None and set(parts) & _RECORD_NAMES:
        return SlotKind.RECORDS
    if kind not in ("string", None) and "string" not in (kind or ()):
        return SlotKind.ANY
    return _text_kind(tool, parts, inner, str(schema.get("description") or "").lower())


def _text_kind(tool: Tool, parts: list[str], schema: JsonSchema, described: str) -> SlotKind:
    about = f"{tool.name} {tool.summary}".lower()
    by_format = _BY_FORMAT.get(str(schema.get("format")))
    if by_format is not None:
        return by_format
    last = parts[-1] if parts else ""
    joined = _KIND_BY_WORD.get("".join(parts)) if len(parts) > 1 else _by_tool(tool, parts, about)
    if joined is not None:
        return joined
    if last in ("path", "key", "pointer", "field") and _reads_json(tool, about, described):
        return SlotKind.JSON_PATH
    if last in _ENDPOINTS or last in ("to", "from") or parts[0] in ("to", "from"):
        special = _endpoint_kind(parts, about, described)
        if special is not None:
            return special
    if "address" in parts:
        return SlotKind.EMAIL if "mail" in about else SlotKind.PLACE
    found = _kind_by_words(parts) or _kind_described(described)
    if found is SlotKind.EMAIL and last in _PEOPLE and "mail" not in f"{about} {described}":
        found = SlotKind.NAME
    if last in _CODES and (found is None or last == "id"):
        return SlotKind.CODE
    return found or SlotKind.TEXT


def _by_tool(tool: Tool, parts: list[str], about: str) -> SlotKind | None:
    """Return what a bare `number`, `code` or `output` is, by what the tool is about."""
    if parts == ["output"] and "output" in (tool.input_schema.get("required") or ()):
        return SlotKind.PATH
    if parts == ["number"] and re.search(r"\bfax|\bphone|\bsms\b|text message|\bdial", about):
        return SlotKind.PHONE
    if parts == ["code"] and re.search(r"\bsource|\bprogram|\bscript|\bsnippet|\blint", about):
        return SlotKind.TEXT
    return None


def _reads_json(tool: Tool, about: str, described: str) -> bool:
    others = len(tool.input_schema.get("properties") or {}) > 1
    if not others or re.search(r"\bfile|\bfolder|\bdisk", described or about):
        return False
    return bool(re.search(r"\bjson\b|dotted|\bvalue\b|json ?path", f"{about} {described}"))


def _endpoint_kind(parts: list[str], about: str, described: str) -> SlotKind | None:
    """Return what `to`, `from_`, `target` … of a tool mean, by what the tool is about."""
    by_word = _kind_by_words([part for part in parts if part not in _ENDPOINTS])
    if by_word is not None:
        return by_word
    for pattern, kind in (
        (r"\bcurrenc|exchange rate|\bmoney\b", SlotKind.CURRENCY),
        (r"\btranslat|\blanguage", SlotKind.LANGUAGE),
        (r"e-?mail|\bmail", SlotKind.EMAIL),
        (r"\bsms\b|phone|text message", SlotKind.PHONE),
        (r"\broute|direction|travel|flight|distance|train|map|trip|places", SlotKind.PLACE),
        (r"\bfiles?\b|\bfolder", SlotKind.PATH),
        (r"\bchannel|\bslack", SlotKind.CHANNEL),
        (r"\bdate|\bdays?\b", SlotKind.DATE),
        (r"\bbranch|\bversion|\brevision", SlotKind.CODE),
    ):
        if re.search(pattern, described) or re.search(pattern, about):
            return kind
    return None


def _kind_by_words(parts: list[str]) -> SlotKind | None:
    telling = [part for part in parts if part not in _GENERIC] or parts
    for part in reversed(telling):
        for form in (part, part.removesuffix("s")):
            if form in _KIND_BY_WORD:
                return _KIND_BY_WORD[form]
    return None


def _kind_described(described: str) -> SlotKind | None:
    for pattern, kind in (
        (r"\bemail address", SlotKind.EMAIL), (r"\burl\b|web address", SlotKind.URL),
        (r"\bphone number", SlotKind.PHONE), (r"\bfile\b|\bpath\b", SlotKind.PATH),
        (r"\bcolumn|\bfield name", SlotKind.COLUMN), (r"\bcity\b|\bplace\b", SlotKind.PLACE),
    ):  # fmt: skip
        if re.search(pattern, described):
            return kind
    return None
