"""Telling names for the steps of an answer, given one by one.

`s1` becomes `weather_lookup`. Neither what a step is called nor what it calls others depends on
those behind it, so the steps of a stream get the names that they have in the whole answer; each
costs the same, however many there are. A step that one before it waits for keeps its id: that one
has been shown with it.
"""

from __future__ import annotations

import json
import re
from collections import ChainMap, defaultdict
from collections.abc import Collection, Mapping

from flowbuilder.flow import STEP_ID_PATTERN
from flowbuilder.planner.document import MENTION
from flowbuilder.types import JsonObject, JsonValue

_NUMBERED = re.compile(r"^(?:s|step|task|t)[_-]?\d+$", re.IGNORECASE)
_DIGITS = re.compile(r"\d+$")
_FROM_ZERO = re.compile(r"\{\{\s*(?:steps\.)?0\b|\[\s*\"0\"")
_WORDS = re.compile(r"[A-Za-z0-9]+")
_HEADS = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)")
_LONGEST = 40


class StepNames:
    """Names steps; no step keeps the name of another one of the tools than its own.

    What a step is called, and what it calls others, is settled when it is added.

    Args:
        tools: The names of all tools.
    """

    def __init__(self, tools: Collection[str] = ()) -> None:
        self._tools: dict[str, set[str]] = defaultdict(set)
        for tool in tools:
            self._tools[_name_of(tool, "")].add(tool)
        self._used: dict[str, JsonValue] = {}
        self._names: dict[str, str] = {}
        self._taken: dict[str, int] = {}
        self._by_digits: dict[str, str] = {}
        self._by_place: dict[str, str] = {}
        self._from_zero = False

    def keep(self, name: str) -> None:
        """Take note of a step that has its name already."""
        self._names[name] = name
        self._taken.setdefault(name, 1)

    def add(self, step: JsonObject) -> str:
        """Return the name of the next step, which is `in_shape`.

        A step of another tool than an earlier one of the same id gets a name of its own: references
        to that id mean the earlier step. So does a step whose id is none.
        """
        text = json.dumps(step)
        self._from_zero = self._from_zero or _FROM_ZERO.search(text) is not None
        name = self._name(step)
        self._by_place[str(len(self._by_place))] = name
        self._expect(step, text)
        return name

    def _name(self, step: JsonObject) -> str:
        given, tool = str(step["id"]), step.get("tool")
        if not given or self._used.setdefault(given, tool) != tool:
            return self._free(_name_of(tool, f"s{len(self._by_place) + 1}"))
        if given not in self._names:
            self._names[given] = self._free(self._wanted(given, step))
        name = self._names[given]
        if _NUMBERED.match(given):
            self._by_digits[_DIGITS.findall(given)[0]] = name
        return name

    def _expect(self, step: JsonObject, text: str) -> None:
        """Keep the ids that a step refers to for those that are still to come."""
        after = step.get("depends_on")
        bare = [name for name in _HEADS.findall(text) if _NUMBERED.match(name)]
        awaited = [*after] if isinstance(after, list) else []
        for given in (*awaited, *MENTION.findall(text), *bare):
            known = given in self._names or given in self._taken or given in self._tools
            if not known and re.match(STEP_ID_PATTERN, given):
                self._names[given] = self._free(given)

    @property
    def by_id(self) -> Mapping[str, str]:
        """The names so far by the answer's ids, and by bare numbers.

        A number is that of an id, or a place if the answer counts from 0.
        """
        numbers = self._by_place if self._from_zero else self._by_digits
        return ChainMap(self._names, numbers)

    def _wanted(self, given: str, step: JsonObject) -> str:
        usable = re.match(STEP_ID_PATTERN, given)
        telling = usable and not _NUMBERED.match(given)
        others = self._tools.get(given, set()) - {str(step.get("tool"))}
        return given if telling and not others else _name_of(step.get("tool"), given)

    def _free(self, wanted: str) -> str:
        name, number = wanted, self._taken.get(wanted, 1)
        while name in self._taken:
            number += 1
            name = f"{wanted}_{number}"
        self._taken[wanted] = number
        self._taken.setdefault(name, 1)
        return name


def _name_of(tool: JsonValue, given: str) -> str:
    words = _WORDS.findall(tool.partition("@")[0]) if isinstance(tool, str) else []
    name = "_".join(words).lower()[:_LONGEST]
    return name if re.match(STEP_ID_PATTERN, name) else given
