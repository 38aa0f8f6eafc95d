"""Leave out steps that change rows in a way that no word of the goal asks for.

A small model sorts by `date` what was only to be shown. What comes out of such a step is what went
in, so that the step behind it may take that.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from flowbuilder.planner.coercion import kinds_of
from flowbuilder.planner.document import mention_of, result_in, steps_of, with_texts
from flowbuilder.planner.grounding import Ground, stems
from flowbuilder.tools import HARMLESS, Effects, Tool, ToolRegistry
from flowbuilder.types import JsonObject

_WHOLE = re.compile(r"\$\{\{ steps\.[A-Za-z_]\w* \}\}")
#: What speaks of an order or a choice without naming a column.
_RANKED = re.compile(
    r"(?i)\b(?!rest\b|test\b|best-|request|interest)(?:\w+est|most|least|top|first|last|sort\w*|"
    r"order(?:ed)?|(?:arrang|group|list)ed by|rank\w*|ascending|descending|alphabet\w*|"
    r"chronolog\w*|only|unique|distinct|duplicates?|recent(?:ly)?)\b"
)
_NAMES = re.compile(r"\S*(?:://|@|\w[./]\w)\S*|\"[^\"]*\"|“[^”]*”")


def leave_out_aimless(
    document: JsonObject, registry: ToolRegistry, ground: Ground, goal: str
) -> list[str]:
    """Change a document in place; return one sentence for each step that was left out."""
    ranked = _RANKED.search(_NAMES.sub(" ", goal))
    notes = []
    for step in list(steps_of(document)):
        tool = registry.get(str(step.get("tool")))
        source = _repeated(step, tool, steps_of(document)) if tool is not None else None
        if source is None and tool is not None and not ranked:
            source = _aimless(step, tool, ground)
        kept = [item for item in steps_of(document) if item is not step]
        if source is None or not kept:
            continue
        own = mention_of(str(step.get("id")))
        inner = source[3:-2].strip()
        document["steps"] = [with_texts(item, partial(own.sub, inner)) for item in kept]
        notes.append(f"{step.get('id')} was left out: nothing in the goal asks for {step['tool']}.")
    return notes


def _repeated(step: JsonObject, tool: Tool, steps: list[JsonObject]) -> str | None:
    """Return what a step passes on that does to a result what made it, such as a second summary."""
    given: Any = step.get("args")
    if tool.effects not in HARMLESS or "for_each" in step or not isinstance(given, dict):
        return None
    for name, value in given.items():
        before = next((item for item in steps if value == result_in(item)), {})
        args: Any = before.get("args")
        same = before.get("tool") == tool.name and isinstance(args, dict) and before is not step
        if same and {**args, name: value} == given and "${{" in str(args.get(name)):
            return str(value)
    return None


def _aimless(step: JsonObject, tool: Tool, ground: Ground) -> str | None:
    """Return the reference that a step passes on, None if it may be asked for."""
    given: Any = step.get("args")
    if tool.effects is not Effects.PURE or "for_each" in step or not isinstance(given, dict):
        return None
    sources = [item for item in given.values() if isinstance(item, str) and _WHOLE.fullmatch(item)]
    required = set(tool.input_schema.get("required", ()))
    own = [value for name, value in given.items() if name in required and value not in sources]
    listed = kinds_of(tool.output_schema) == {"array"} and tool.effects in HARMLESS
    spoken = stems(tool.name.rpartition(".")[2].replace("_", " ")) & ground.stems
    if len(sources) != 1 or not own or not listed or spoken:
        return None
    texts = [value for value in own if isinstance(value, str)]
    foreign = len(texts) == len(own) and not any(ground.holds(value) for value in texts)
    return sources[0] if foreign else None
