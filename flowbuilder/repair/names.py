"""Names that are not there: tools and arguments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flowbuilder.likeness import like
from flowbuilder.repair.desk import Desk, Mending, argument_path
from flowbuilder.repair.edits import ABSENT, Edit, Path, Way, renamed, value_at
from flowbuilder.repair.likeness import Likeness
from flowbuilder.schemapaths import Hit, lookup, plain
from flowbuilder.tools import Tool

_EMPTY: tuple[Any, ...] = (None, "", [], {})


def mend_tools(desk: Desk) -> Iterator[Mending]:
    """Put a known tool in the place of one that is not there, if it speaks of the same."""
    for problem, path, value in desk.of("unknown_tool", "bad_tool_name"):
        if isinstance(value, str):
            found = Likeness.among(desk.registry).tools(value.partition("@")[0])
            if found:
                yield Mending(problem.code, tuple((Edit(path, name),) for name in found))


def mend_arguments(desk: Desk) -> Iterator[Mending]:
    """Rename arguments that are near a known name, and give those that can only be one value."""
    for problem, path, value in desk.of("unknown_argument"):
        tool = desk.tool_at(path)
        ways = _renamings(desk, tool, path) if tool is not None else []
        if value in _EMPTY:
            ways.append((Edit(path, ABSENT),))
        if ways:
            yield Mending(problem.code, tuple(ways))
    for problem, path, value in desk.of("missing_argument"):
        tool = desk.tool_at(path)
        if tool is None or not isinstance(value, dict):
            continue
        way = tuple(_only_values(tool, path, value))
        if way:
            yield Mending(problem.code, (way,))


def _renamings(desk: Desk, tool: Tool, path: Path) -> list[Way]:
    """Return the ways to rename an argument: to the nearest name, to the one that is missing."""
    owner, name = path[:-1], str(path[-1])
    given = value_at(desk.document, owner)
    look = lookup(tool.input_schema, argument_path(owner))
    shape = plain(look.schema, look.root) if isinstance(look, Hit) else None
    if shape is None or not isinstance(given, dict):
        return []
    free = [item for item in shape.get("properties", {}) if item not in given]
    near = like(name, free)
    missing = [item for item in shape.get("required", ()) if item not in given]
    wanted = [item for item in dict.fromkeys([near, *missing[:1]]) if item is not None]
    if near is None and (len(missing) != 1 or len(_strangers(given, shape)) != 1):
        return []
    return [(Edit(owner, renamed(given, name, new)),) for new in wanted]


def _strangers(given: dict[str, Any], shape: dict[str, Any]) -> list[str]:
    return [name for name in given if name not in shape.get("properties", {})]


def _only_values(tool: Tool, path: Path, given: dict[str, Any]) -> Iterator[Edit]:
    """Yield the needed arguments for which the schema leaves or names one value."""
    look = lookup(tool.input_schema, argument_path(path))
    shape = plain(look.schema, look.root) if isinstance(look, Hit) else None
    for name in (shape or {}).get("required", ()):
        part = (shape or {}).get("properties", {}).get(name)
        if name in given or not isinstance(part, dict):
            continue
        listed = part.get("enum")
        if "const" in part:
            yield Edit((*path, name), part["const"])
        elif "default" in part:
            yield Edit((*path, name), part["default"])
        elif isinstance(listed, list) and len(listed) == 1:
            yield Edit((*path, name), listed[0])
