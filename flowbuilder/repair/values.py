"""Literals of the wrong spelling: numbers and lists as text, words in another case, empty ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from flowbuilder.likeness import plain
from flowbuilder.repair.desk import Desk, Mending, argument_path
from flowbuilder.repair.edits import ABSENT, Edit, Path
from flowbuilder.repair.spelling import respelt
from flowbuilder.schemapaths import Hit, lookup
from flowbuilder.schemapaths import plain as plain_schema
from flowbuilder.tools import Tool
from flowbuilder.types import JsonSchema

_REFERENCE = re.compile(r"\$\{\{")


def mend(desk: Desk) -> Iterator[Mending]:
    """Write a literal as its argument takes it, where that says the same."""
    for problem, path, value in desk.of("argument_type"):
        tool = desk.tool_at(path)
        if tool is None or value is ABSENT or not argument_path(path):
            continue
        if isinstance(value, str) and _REFERENCE.search(value):
            continue
        ways = [(Edit(path, new),) for new in _spellings(value, path, tool)]
        if value is None and not _is_needed(path, tool):
            ways.append((Edit(path, ABSENT),))
        if ways:
            yield Mending(problem.code, tuple(ways))


def _spellings(value: Any, path: Path, tool: Tool) -> Iterator[Any]:
    look = lookup(tool.input_schema, argument_path(path))
    if not isinstance(look, Hit):
        return
    known = plain_schema(look.schema, look.root) or {}
    listed = known.get("enum")
    if isinstance(listed, list):
        same = [item for item in listed if plain(str(item)) == plain(str(value))]
        if len(same) == 1:
            yield same[0]
    yield from respelt(value, look.schema, look.root)


def _is_needed(path: Path, tool: Tool) -> bool:
    look = lookup(tool.input_schema, argument_path(path[:-1]))
    known: JsonSchema = {}
    if isinstance(look, Hit):
        known = plain_schema(look.schema, look.root) or {}
    return path[-1] in known.get("required", ())
