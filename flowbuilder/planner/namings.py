"""Find the values that a goal names by the name of an argument: "the bucket reports-2027".

And the columns that a plan uses although no word of the goal says anything like them.
"""

from __future__ import annotations

import re
from typing import Any

from flowbuilder.errors import Fix, Problem, Severity
from flowbuilder.planner.coercion import takes_text, texts_of
from flowbuilder.planner.document import steps_of
from flowbuilder.planner.grounding import COMPOSED, Ground
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonObject

_BARE = re.compile(r"\S*(?:://|@)\S*|\"[^\"]*\"|“[^”]*”")
#: Names of arguments that are words of everyday speech, or that are looked for otherwise.
_EVERYDAY = COMPOSED | {
    "account", "address", "channel", "code", "date", "destination", "document", "email",
    "expression", "file", "filename", "format", "function", "handle", "items", "kind", "language",
    "limit", "link", "list", "mail", "member", "method", "mode", "name", "number", "operator",
    "order", "origin", "output", "path", "pattern", "person", "phone", "place", "query", "reason",
    "receiver", "recipient", "recipients", "record", "records", "rows", "search", "source",
    "start", "status", "target", "term", "time", "to", "type", "unit", "url", "user", "value",
    "values", "when", "word",
}  # fmt: skip
_NO_VALUES = frozenset(
    {
        *("a", "about", "all", "and", "are", "as", "at", "be", "before", "behind", "below", "by"),
        *("called", "can", "contains", "for", "from", "has", "have", "holds", "in", "into", "is"),
        *("it", "its", "may", "must", "named", "names", "of", "on", "or", "over", "should"),
        *("shows", "so", "than", "that", "the", "there", "to", "under", "until", "was", "were"),
        *("when", "where", "which", "whose", "will", "with", "would", "chart", "file", "row"),
        *("if", "then", "now", "only", "please", "again", "today", "rows", "equals", "greater"),
    }
)
#: What is called by plain words too; of a "city trip" or a "team lunch" that is not to be believed.
_PLAINLY = frozenset(
    {
        *("branch", "bucket", "collection", "column", "database", "dataset", "field", "folder"),
        *("playlist", "queue", "repo", "repository", "sheet", "table", "topic"),
    }
)
_MARKED = re.compile(r"[\d_-]")
_COLUMNS = frozenset({"column", "field"})
_SHORTEST = 4


def kind_of(name: str) -> str:
    """Return what an argument's name says it holds: `column` of `value_column`."""
    return name.lower().rpartition("_")[2]


def is_column(name: str) -> bool:
    """Whether an argument takes a column's name."""
    return kind_of(name) in _COLUMNS


def named_values(goal: str, registry: ToolRegistry) -> list[tuple[str, str]]:
    """Return what it is and its text for each value that a goal names by an argument's name."""
    bare = _BARE.sub(" ", goal)
    found = []
    for kind in _kinds(registry):
        quoted = rf"(?i:\b{kind}) (?:(?:called|named) )?[\"“](?P<text>[^\"“”]{{1,100}})[\"”]"
        found += [(kind, match["text"]) for match in re.finditer(quoted, goal)]
        after = rf"(?i:\b{kind}) (?:(?:called|named) )?(?P<text>[A-Za-z][\w-]*)(?![\w./@]*\w)"
        before = rf"(?<![\w./@-])(?P<text>[A-Za-z]\w*[-_][\w-]*\w) (?i:{kind})\b"
        for match in (*re.finditer(after, bare), *re.finditer(before, bare)):
            believed = kind in _PLAINLY or _MARKED.search(match["text"])
            if believed and match["text"].lower() not in _NO_VALUES:
                found.append((kind, match["text"]))
    return list(dict.fromkeys(found))


def is_named_so(kind: str, text: str, document: JsonObject) -> bool:
    """Whether a step has such a value in an argument for what it is."""
    return any(
        text.lower() in value.lower()
        for step in steps_of(document)
        for name, given in _args(step).items()
        if kind_of(name) in {kind, f"{kind}s"}
        for value in texts_of(given)
    )


def unnamed_columns(document: JsonObject, registry: ToolRegistry, ground: Ground) -> list[Problem]:
    """Return a warning for each necessary column that no word of the goal is like."""
    problems = []
    for index, step in enumerate(steps_of(document)):
        tool = registry.get(str(step.get("tool")))
        for name in tool.input_schema.get("required", ()) if tool else ():
            value = _args(step).get(name)
            if is_column(name) and isinstance(value, str) and not ground.holds(value):
                problems.append(
                    Problem(
                        code="column_unnamed",
                        pointer=f"/steps/{index}/args/{name}",
                        message=f"the goal names no {name.replace('_', ' ')} {value}",
                        hint="Use a name that the goal says, or leave the step out.",
                        severity=Severity.WARNING,
                        fix=Fix.MODEL,
                    )
                )
    return problems


def _kinds(registry: ToolRegistry) -> list[str]:
    found: dict[str, None] = {}
    for tool in registry:
        shapes: dict[str, Any] = tool.input_schema.get("properties", {})
        for name in tool.input_schema.get("required", ()):
            kind = kind_of(name)
            if kind not in _EVERYDAY and len(kind) >= _SHORTEST and takes_text(shapes.get(name)):
                found[kind] = None
    return list(found)


def _args(step: JsonObject) -> JsonObject:
    given = step.get("args")
    return given if isinstance(given, dict) else {}
