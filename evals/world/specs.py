"""What a simulated world is made of, read from the documents of any catalogue."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from flowbuilder.errors import DefinitionError, Problem
from flowbuilder.evals.catalogue import ToolSpec
from flowbuilder.flow import TOOL_PATTERN
from flowbuilder.schemas import schema_problems
from flowbuilder.strictjson import escape
from flowbuilder.tools import Effects
from flowbuilder.types import is_number

_NAME = re.compile(TOOL_PATTERN)
_KEYS = frozenset(
    {"name", "summary", "description", "input_schema", "output_schema", "effects",
     "untrusted_output", "seconds", "seconds_from"}
)  # fmt: skip


def read_catalogue(documents: Iterable[Any]) -> dict[str, ToolSpec]:
    """Return the tools of a catalogue by name, in its order.

    Args:
        documents: Objects `{name, summary | description, input_schema, output_schema, effects,
            untrusted_output, seconds, seconds_from}`; all but the name may be missing.

    Raises:
        DefinitionError: With every problem (catalogue_invalid).
    """
    specs: dict[str, ToolSpec] = {}
    problems: list[Problem] = []
    for index, document in enumerate(documents):
        found = _problems(document, f"/{index}")
        if not found and document["name"] in specs:
            found = [_wrong(f"/{index}/name", f"there is another tool {document['name']!r}")]
        problems += found
        if not found:
            specs[document["name"]] = _spec(document)
    if problems:
        raise DefinitionError(
            f"the catalogue has {len(problems)} problem{'s' if len(problems) > 1 else ''}; "
            f"first: {problems[0].message}",
            problems=problems,
            code="catalogue_invalid",
        )
    return specs


def _spec(document: Mapping[str, Any]) -> ToolSpec:
    return ToolSpec(
        name=document["name"],
        summary=document.get("summary", document.get("description", "")),
        input_schema=document.get("input_schema", {"type": "object"}),
        output_schema=document.get("output_schema", {}),
        effects=Effects(document.get("effects", Effects.READ)),
        untrusted_output=document.get("untrusted_output", False),
        seconds=float(document.get("seconds", 0)),
        seconds_from=document.get("seconds_from"),
    )


def _problems(document: Any, at: str) -> list[Problem]:
    if not isinstance(document, Mapping):
        return [_wrong(at, "a tool is an object")]
    problems = [
        _wrong(f"{at}/{escape(str(key))}", "there is no such key")
        for key in document
        if key not in _KEYS
    ]
    name = document.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or "@" in name:
        problems.append(_wrong(f"{at}/name", f"{str(name)[:80]!r} is no name of a tool"))
    for key in ("summary", "description", "seconds_from"):
        if not isinstance(document.get(key, ""), str):
            problems.append(_wrong(f"{at}/{key}", "is no text"))
    for key in ("input_schema", "output_schema"):
        problems += schema_problems(document.get(key, {}), f"{at}/{key}")
    if document.get("effects", "read") not in list(Effects):
        known = ", ".join(Effects)
        problems.append(_wrong(f"{at}/effects", f"unknown effects; known are {known}"))
    if not isinstance(document.get("untrusted_output", False), bool):
        problems.append(_wrong(f"{at}/untrusted_output", "is neither true nor false"))
    seconds = document.get("seconds", 0)
    if not is_number(seconds) or not seconds >= 0:
        problems.append(_wrong(f"{at}/seconds", "is no number of seconds"))
    return problems


def _wrong(pointer: str, message: str) -> Problem:
    return Problem(code="catalogue_invalid", pointer=pointer, message=message)
