"""Check a plan against the goal's own words: addresses, names, numbers and quoted texts.

A model that drops a step usually drops its literals too, and one that invents an address puts one
in that nobody named. Both are seen without understanding anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from flowbuilder.errors import Fix, Problem, Severity
from flowbuilder.planner.document import steps_of
from flowbuilder.planner.grounding import COMPOSED
from flowbuilder.planner.names import carries_name, names_in
from flowbuilder.planner.namings import is_named_so, kind_of, named_values
from flowbuilder.planner.rules.literals import Kind, find_literals
from flowbuilder.tools import HARMLESS, Effects, Tool, ToolRegistry
from flowbuilder.types import JsonObject, JsonValue

_URL = re.compile(r"https?://[^\s\"'<>,;]+")
EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_FILE = re.compile(
    r"(?<![\w@/.~:<>-])(?:~|\.{1,2})?/(?:[\w.-]+/)*[\w.-]*\w(?!@)"
    r"|(?<![\w@/.])(?:[\w-]+/)*[\w-]+(?:\.[\w-]+)*\.[A-Za-z][A-Za-z0-9]{0,4}\b(?!@)"
)
PHONE = re.compile(r"(?<![\w+])\+\d[\d ()./-]{5,20}\d")
_DATE = re.compile(r"(?<![\w-])\d{4}-\d{2}-\d{2}(?![\w-])")
CHANNEL = re.compile(r"(?<![\w@#/.&])#(?=[\w-]*[A-Za-z])\w[\w-]*")
HANDLE = re.compile(r"(?<![\w@#/.&])@(?=[\w-]*[A-Za-z])\w[\w-]*")
_QUOTED = re.compile(r"\"([^\"]{1,300})\"|“([^”]{1,300})”|(?<!\w)'([^']{1,300})'(?!\w)")
#: The name of a column or table, which no plain word looks like.
_IDENTIFIER = re.compile(r"(?<![\w.@#/-])[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)+(?![\w.@/-]*\w)")
_NUMBER = re.compile(r"(?<![\w.,:/-])\d+(?:[.,]\d+)*(?![\w:/-])")
#: The number before a point of a list.
_POINT = re.compile(r"(?:^|\s)\(?(?P<number>\d{1,3})[.)](?=\s)")
#: A path within a document, and the arguments that take one.
_FIELD = re.compile(r"[A-Za-z_]\w*(?:\.\w+)+")
#: One whose last part is too long for the end of a file's name.
_LONG_FIELD = re.compile(r"(?<![\w./@-])[a-z_]\w*(?:\.\w+)*\.[a-z_]\w{5,}(?![\w./@-]*\w)")
#: Arguments of look-ups that mean no day: words to search for, and places.
_UNDATED = {
    "city", "destination", "keyword", "keywords", "location", "name", "origin", "place", "q",
    "query", "search", "term", "terms", "text", "title", "topic",
}  # fmt: skip
_REFERENCE = re.compile(r"\$\{\{.*?\}\}", re.DOTALL)
FIELD_ARGUMENTS = frozenset({"path", "key", "field", "pointer", "selector", "jsonpath"})
#: Arguments that take what is in a file or a page.
CONTENTS = frozenset({
    "body", "comment", "content", "contents", "csv", "csv_text", "data", "document", "html",
    "json", "json_text", "message", "text", "xml",
})  # fmt: skip
#: Arguments that take a literal of a kind.
ARGUMENTS = {
    "address": {"url", "uri", "link", "address", "endpoint"},
    "e-mail address": {"to", "email", "recipient", "recipients", "address", "cc", "mail"},
    "file name": {"path", "file", "filename", "file_name", "file_path", "target", "output"},
    "phone number": {"to", "phone", "number", "phone_number", "recipient", "mobile", "tel"},
    "date": {"date", "day", "when", "due", "due_date", "deadline", "start", "start_date"},
    "channel": {"channel", "room", "chat"},
    "handle": {"user", "handle", "member", "person", "recipient", "to", "username"},
    "query": {"query", "sql", "statement"},
}
#: Kinds of what can be read.
SOURCES = frozenset({"address", "file name"})
#: A statement in a query language, which is carried out and not told to anybody.
_QUERY = "query"
_STATEMENT = re.compile(
    r"(?is)\s*(?:select\s.+?\sfrom|insert\s+into|update\s.+?\sset|delete\s+from|with\s.+?\sas\s*\()\s"
)
#: Kinds whose first character is a sign that an argument may go without.
_SIGNED = frozenset({"channel", "handle"})
_MOST_NAMED = 3
#: What the name of an argument for a language has in it; its value may be a code.
_LANGUAGE = "lang"
#: What a dotted word must end in to be surely a file and not `Node.js` or `example.com`.
_FILES = (
    "txt md rst csv tsv json jsonl ndjson yaml yml xml html htm pdf doc docx odt rtf xls xlsx ods "
    "ppt pptx png jpg jpeg gif svg webp tif tiff bmp mp3 mp4 wav ogg flac mov avi zip tar gz log "
    "sql py ini cfg toml parquet ics eml bak db sqlite tex"
)
_ENDINGS = frozenset(_FILES.split())
_ABBREVIATIONS = {"e.g", "i.e", "a.m", "p.m", "vs.", "u.s", "u.k"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Literal:
    """A piece of the goal that a right plan must carry on word for word."""

    kind: str
    text: str
    is_named: bool = False
    """Whether the goal names it by the name of an argument, which is its kind."""

    @property
    def severity(self) -> Severity:
        """A lost address makes a plan wrong; a lost number may have become part of a unit."""
        known = self.kind in ARGUMENTS and self.kind != _QUERY
        return Severity.ERROR if known else Severity.WARNING


_A_QUERY = Literal(kind=_QUERY, text="")


def literals(goal: str) -> list[Literal]:
    """Return the goal's literals, each once, in order of kind."""
    return list(_found(goal))


@lru_cache(maxsize=32)  # everything that judges a plan asks for them
def _found(goal: str) -> tuple[Literal, ...]:
    found: list[Literal] = []
    rest = _without_numbering(goal)
    for kind, pattern in (
        ("address", _URL),
        ("e-mail address", EMAIL),
        ("quoted text", _QUOTED),
        ("file name", _FILE),
        ("name", _LONG_FIELD),
        ("phone number", PHONE),
        ("date", _DATE),
        ("channel", CHANNEL),
        ("handle", HANDLE),
        ("identifier", _IDENTIFIER),
        ("number", _NUMBER),
    ):
        for match in pattern.finditer(rest):
            text = next((group for group in match.groups() if group), match.group(0))
            text = text.rstrip(".,;:!?)") if kind != "quoted text" else text
            if text.lower() not in _ABBREVIATIONS:
                found.append(Literal(kind=_kind(kind, text), text=text))
        rest = pattern.sub(" ", rest)
    return tuple(dict.fromkeys(found))


def _without_numbering(goal: str) -> str:
    """Return a goal without the numbers of its points, "1. … 2. …", which no step has to carry."""
    points: list[re.Match[str]] = []
    for match in _POINT.finditer(goal):
        if int(match["number"]) == len(points) + 1:
            points.append(match)
    for match in reversed(points if len(points) > 1 else []):
        goal = f"{goal[: match.start('number')]} {goal[match.end() :]}"
    return goal


def _kind(kind: str, text: str) -> str:
    if kind == "quoted text" and _STATEMENT.match(f"{text} "):
        return _QUERY
    surely = kind != "file name" or text[0] in "/~." or _ends_as_file(text)
    return kind if surely else "name"


def _ends_as_file(text: str) -> bool:
    return text.rpartition(".")[2].lower() in _ENDINGS


def lost_literals(goal: str, document: JsonObject, registry: ToolRegistry) -> list[Problem]:
    """Return a problem for each literal of the goal that no step carries."""
    return [
        Problem(
            code="literal_lost",
            pointer="",
            message=f"the {literal.kind} {literal.text} of the goal is in no step's args",
            hint=hint_for(literal, registry),
            severity=literal.severity,
            fix=Fix.MODEL,
        )
        for literal in lost(goal, document, registry)
    ]


def lost(goal: str, document: JsonObject, registry: ToolRegistry) -> list[Literal]:
    """Return the literals of the goal that no step carries."""
    carried = _texts(document.get("steps"))
    terse = _texts(_without_prose(document.get("steps")))
    pointed = terse if field_tools(registry) else carried
    asked = terse if any(taking(_A_QUERY, tool) for tool in registry) else carried
    dated = _texts(_without_searches(document.get("steps"), registry))
    where = {_QUERY: asked, "date": dated}
    spoken = any(_LANGUAGE in name.lower() for name in _argument_names(document.get("steps")))
    return [
        literal
        for literal in [*literals(goal), *_names(goal, registry), *_languages(goal, registry)]
        if not (
            _is_carried(literal, pointed if is_field(literal) else where.get(literal.kind, carried))
            or (literal.kind == "language" and spoken)
        )
        or (literal.kind == "channel" and _is_unreached(literal, goal, terse, registry))
    ]


def is_missed(step: JsonObject, document: JsonObject, registry: ToolRegistry, goal: str) -> bool:
    """Whether something that the goal names would be lost without a step."""
    rest: list[JsonValue] = [item for item in steps_of(document) if item is not step]
    before = lost(goal, document, registry)
    return lost(goal, {**document, "steps": rest}, registry) != before


def _is_unreached(channel: Literal, goal: str, terse: list[str], registry: ToolRegistry) -> bool:
    """Whether nothing is posted to a channel, nor to any other of the goal, that could be."""
    channels = [item for item in literals(goal) if item.kind == "channel"]
    reached = any(_is_carried(item, terse) for item in channels)
    return not reached and channel in channels[:1] and bool(takers(channel, registry))


def named_literals(goal: str, registry: ToolRegistry) -> list[Literal]:
    """Return the values that a goal names by the name of an argument: "the bucket reports"."""
    return [
        Literal(kind=kind, text=text, is_named=True) for kind, text in named_values(goal, registry)
    ]


def lost_values(goal: str, document: JsonObject, registry: ToolRegistry) -> list[Problem]:
    """Return a warning for each such value that stands in no argument of that name."""
    return [
        Problem(
            code="value_lost",
            pointer="",
            message=f"the {literal.kind} {literal.text} of the goal is in no step's args",
            hint=hint_for(literal, registry),
            severity=Severity.WARNING,
            fix=Fix.MODEL,
        )
        for literal in named_literals(goal, registry)
        if not is_named_so(literal.kind, literal.text, document)
    ]


def is_field(literal: Literal) -> bool:
    """Whether a literal looks like a path within a document: `main.temp`."""
    return literal.kind == "name" and _FIELD.fullmatch(literal.text) is not None


def field_tools(registry: ToolRegistry) -> list[Tool]:
    """Return the tools that take a value out of a document by its path."""
    return [
        tool
        for tool in registry
        if tool.effects in HARMLESS and FIELD_ARGUMENTS & set(_required(tool))
        if tool.effects is Effects.PURE or CONTENTS & set(_required(tool))
    ]


def _required(tool: Tool) -> Iterable[str]:
    names: Iterable[str] = tool.input_schema.get("required", ())
    return names


def _without_prose(steps: JsonValue) -> list[JsonValue]:
    """Return the steps with no more than the references of composed texts.

    A message that names a value does not find it.
    """
    found: list[JsonValue] = []
    for step in steps if isinstance(steps, list) else []:
        given = step.get("args") if isinstance(step, dict) else None
        if isinstance(step, dict) and isinstance(given, dict):
            kept: JsonObject = {
                name: " ".join(_REFERENCE.findall(str(value))) if name in COMPOSED else value
                for name, value in given.items()
            }
            found.append({**step, "args": kept})
    return found


def _without_searches(steps: JsonValue, registry: ToolRegistry) -> JsonValue:
    """Return the steps without what look-ups look for and labels, if some tool acts on a date.

    A day that is only searched for, or written on a timer, is in nobody's calendar.
    """
    if not isinstance(steps, list) or not takers(Literal(kind="date", text=""), registry):
        return steps
    found: list[JsonValue] = []
    for step in steps:
        given = step.get("args") if isinstance(step, dict) else None
        tool = registry.get(str(step.get("tool"))) if isinstance(step, dict) else None
        if isinstance(step, dict) and isinstance(given, dict) and tool is not None:
            undated = {"label"}
            if tool.effects in HARMLESS:
                undated = _UNDATED | ({"start", "end"} if "destination" in given else set())
            given = {name: item for name, item in given.items() if name not in undated}
            found.append({**step, "args": given})
    return found


def _names(goal: str, registry: ToolRegistry) -> list[Literal]:
    return [Literal(kind="name", text=text) for text in names_in(goal, registry)]


def _languages(goal: str, registry: ToolRegistry) -> list[Literal]:
    """Return the languages of a goal if there is a tool that is told one."""
    if not any(_LANGUAGE in repr(list(_properties(tool))).lower() for tool in registry):
        return []
    found = [item.text for item in find_literals(goal) if item.kind is Kind.LANGUAGE]
    return [Literal(kind="language", text=text) for text in found]


def _properties(tool: Tool) -> Iterable[str]:
    names: Iterable[str] = tool.input_schema.get("properties", ())
    return names


def hint_for(literal: Literal, registry: ToolRegistry) -> str:
    """Return a hint at the tools that take such a thing: one was usually forgotten."""
    fitting = [tool.name for tool in registry if taking(literal, tool)]
    if is_field(literal):
        fitting = [tool.name for tool in field_tools(registry)]
    if 0 < len(fitting) <= _MOST_NAMED:
        return f"Add a step of {' or '.join(fitting)} whose args hold {literal.text}."
    return f"Some step is missing, or its args must hold {literal.text} as it stands."


def taking(literal: Literal, tool: Tool) -> list[str]:
    """Return the arguments of a tool that take such a thing."""
    wanted = ARGUMENTS.get(literal.kind, set())
    named = literal.kind if literal.is_named else ""
    properties = tool.input_schema.get("properties", ())
    return [name for name in properties if name in wanted or kind_of(name) == named]


def takers(literal: Literal, registry: ToolRegistry) -> list[Tool]:
    """Return the tools with an effect that take such a thing, such as what mails to an address."""
    return [tool for tool in registry if tool.effects not in HARMLESS and taking(literal, tool)]


def readers_of(literal: Literal, registry: ToolRegistry) -> list[tuple[Tool, str]]:
    """Return the tools that read such a thing and need nothing else, each with the argument."""
    return [
        (tool, name)
        for tool in registry
        for name in taking(literal, tool)
        if tool.effects in HARMLESS and tool.input_schema.get("required") == [name]
    ]


def _texts(steps: JsonValue) -> list[str]:
    """Return every text and number that stands in the steps' arguments and conditions."""
    found: list[str] = []
    for step in steps if isinstance(steps, list) else []:
        if isinstance(step, dict):
            for key in ("args", "for_each", "when"):
                _collect(step.get(key), found)
    return found


def _argument_names(steps: JsonValue) -> Iterable[str]:
    for step in steps if isinstance(steps, list) else []:
        given = step.get("args") if isinstance(step, dict) else None
        yield from given if isinstance(given, dict) else ()


def _collect(value: JsonValue, found: list[str]) -> None:
    if isinstance(value, str):
        found.append(value)
    elif isinstance(value, bool):
        return
    elif isinstance(value, int | float):
        found.append(json.dumps(value))
    elif isinstance(value, list):
        for item in value:
            _collect(item, found)
    elif isinstance(value, dict):
        for key, item in value.items():
            found.append(key)
            _collect(item, found)


def _is_carried(literal: Literal, carried: list[str]) -> bool:
    if literal.kind == "number":
        return any(_same_number(literal.text, text) for text in carried)
    if is_field(literal):
        return any(literal.text.lower() in text.lower() for text in carried)
    if literal.kind == "name":
        return any(carries_name(literal.text, text) for text in carried)
    if literal.kind == "date" and any(_same_date(literal.text, text) for text in carried):
        return True
    wanted = " ".join(literal.text.lower().split())
    if literal.kind == "address":  # `…/rates.USD` is another page than `…/rates`
        whole = re.compile(rf"{re.escape(wanted)}(?![.-][\w.-]*\w)")
        return any(whole.search(text.lower()) for text in carried)
    if literal.kind == "channel":  # `ops@example.org` is not `#ops`
        whole = re.compile(rf"(?<![\w@.-]){re.escape(wanted[1:])}(?![\w@]|[.-]\w)")
        return any(whole.search(text.lower()) for text in carried)
    wanted = wanted[1:] if literal.kind in _SIGNED else wanted
    return any(wanted in " ".join(text.lower().split()) for text in carried)


def _same_date(wanted: str, text: str) -> bool:
    """Whether a text names a day in any spelling: its year and its day stand in it."""
    year, _, day = wanted.split("-")
    return year in text and re.search(rf"(?<!\d)0?{int(day)}(?!\d)", text) is not None


def _same_number(wanted: str, text: str) -> bool:
    spellings = {wanted, wanted.replace(",", ""), wanted.replace(",", ".")}
    values = {float(item) for item in spellings if re.fullmatch(r"\d+(\.\d+)?", item)}
    values |= {value / 100 for value in set(values)}
    if any(spelling in text for spelling in spellings):
        return True
    found = {float(item) for item in re.findall(r"\d+(?:\.\d+)?", text)}
    return bool(values & found)
