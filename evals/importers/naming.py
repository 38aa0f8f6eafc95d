"""Names for what other formats call as they like: tools, steps and cases."""

from __future__ import annotations

import re

from flowbuilder.flow import STEP_ID_PATTERN, TOOL_PATTERN

_TOOL = re.compile(TOOL_PATTERN)
_STEP = re.compile(STEP_ID_PATTERN)
_NO_TOOL_SIGN = re.compile(r"[^A-Za-z0-9_.]")
#: A dot that does not stand between two parts that could each be a name.
_LOOSE_DOT = re.compile(r"\.(?![A-Za-z_])|^\.")
#: So that a version has room behind it: `name@1`.
_LONGEST_TOOL = 198
_LONGEST_CASE = 80


class ToolNames:
    """Gives every title of a tool one legal name, and no two titles the same.

    A title that is a legal name keeps it, also when another title was heard of before.
    """

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._taken: set[str] = set()

    def name(self, title: str) -> str:
        """Return the name of a title, the same one each time."""
        found = self._names.get(title)
        if found is None:
            found = self._free(legal_tool(title))
            self._names[title] = found
            self._taken.add(found)
        return found

    def _free(self, name: str) -> str:
        candidate, number = name, 1
        while candidate in self._taken:
            number += 1
            candidate = f"{name[: _LONGEST_TOOL - 12]}_{number}"
        return candidate


def legal_tool(title: str) -> str:
    """Return a title as a name of a tool: other signs become underscores."""
    if _TOOL.fullmatch(title) and "@" not in title and len(title) <= _LONGEST_TOOL:
        return title
    name = _LOOSE_DOT.sub("_", _NO_TOOL_SIGN.sub("_", title)).rstrip(".")
    if not name or not (name[0].isalpha() or name[0] == "_"):
        name = f"_{name}"
    return name[:_LONGEST_TOOL].rstrip(".")


def step_id(wanted: str, taken: set[str]) -> str:
    """Return an id that no step has yet, and take it: the wanted one, or one like it."""
    name = wanted if _STEP.fullmatch(wanted) else "step"
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        candidate = f"{name[:50]}_{number}"
    taken.add(candidate)
    return candidate


def case_name(wanted: str, taken: set[str]) -> str:
    """Return a case's name that is not taken yet, and take it."""
    slug = re.sub(r"[^a-z0-9]+", "-", wanted.lower()).strip("-")[:_LONGEST_CASE] or "case"
    candidate, number = slug, 1
    while candidate in taken:
        number += 1
        candidate = f"{slug[: _LONGEST_CASE - 12]}-{number}"
    taken.add(candidate)
    return candidate
