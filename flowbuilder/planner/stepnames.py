"""Telling names for the steps of an answer, given one by one.

`s1` becomes `weather_lookup`. What a step is called does not depend on those behind it, so the
steps of a stream can be named as they arrive; each costs the same, however many there are. A step
that one before it waits for keeps its id: that one has been shown with it.
"""

from __future__ import annotations

import json
import re
from collections import ChainMap, defaultdict
from collections.abc import Collection, Iterable, Mapping

from flowbuilder.flow import STEP_ID_PATTERN
from flowbuilder.types import JsonObject, JsonValue

_NUMBERED = re.compile(r"^(?:s|step|task|t)[_-]?\d+$", re.IGNORECASE)
_DIGITS = re.compile(r"\d+$")
_FROM_ZERO = re.compile(r"\{\{\s*(?:steps\.)?0\b|\[\s*\"0\"")
_WORDS = re.compile(r"[A-Za-z0-9]+")
_REFERRED = re.compile(r"\bsteps\.([A-Za-z_][A-Za-z0-9_]*)")
_LONGEST = 40


class StepNames:
    """Names steps; no step keeps the name of another one of the tools than its own.

    Args:
        tools: The names of all tools.
        ids: The ids that the answer uses, as far as they are known before its steps are.
    """

    def __init__(self, tools: Collection[str] = (), ids: Iterable[str] = ()) -> None:
        self._tools: dict[str, set[str]] = defaultdict(set)
        for tool in tools:
            self._tools[_name_of(tool, "")].add(tool)
        self._used: dict[str, JsonValue] = {}
        self._ids, self._count = set(ids), 0
        self._names: dict[str, str] = {}
        self._awaited: set[str] = set()
        self._taken: dict[str, int] = {}
        self._listed: list[str] = []
        self._by_digits: dict[str, str] = {}
        self._by_place: dict[str, str] = {}
        self._from_zero = False

    def keep(self, name: str) -> None:
        """Take note of a step that has its name already."""
        self._ids.add(name)
        self._names[name] = name
        self._taken.setdefault(name, 1)

    def tell_apart(self, step: JsonObject) -> JsonObject:
        """Return the next step, under an id of its own if one of another tool has its id.

        References to that id mean the earlier step.
        """
        self._count += 1
        given = str(step.get("id"))
        self._ids.add(given)
        if given in self._used and self._used[given] != step.get("tool"):
            number = self._count
            while f"s{number}" in self._ids:
                number += 1
            given = f"s{number}"
            self._ids.add(given)
            step = {**step, "id": given}
        self._used.setdefault(given, step.get("tool"))
        return step

    def add(self, step: JsonObject) -> None:
        """Name a step."""
        text = json.dumps(step)
        self._from_zero = self._from_zero or _FROM_ZERO.search(text) is not None
        given = step.get("id")
        after = step.get("after", step.get("depends_on"))
        named = [item for item in after if isinstance(item, str)] if isinstance(after, list) else []
        self._awaited |= {*named, *_REFERRED.findall(text)} - {given}
        if not isinstance(given, str):
            return
        if given not in self._names:
            self._names[given] = self._free(self._wanted(given, step))
        name = self._names[given]
        self._by_place[str(len(self._listed))] = name
        self._listed.append(given)
        if _NUMBERED.match(given):
            self._by_digits[_DIGITS.findall(given)[0]] = name

    @property
    def by_id(self) -> Mapping[str, str]:
        """The names so far by the answer's ids, and by bare numbers.

        A number is that of an id, or a place if the answer counts from 0.
        """
        numbers = self._by_place if self._from_zero else self._by_digits
        return ChainMap(self._names, numbers)

    def _wanted(self, given: str, step: JsonObject) -> str:
        usable = re.match(STEP_ID_PATTERN, given)
        telling = usable and (given in self._awaited or not _NUMBERED.match(given))
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
