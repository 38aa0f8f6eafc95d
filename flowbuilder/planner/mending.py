"""Mend references and steps that are wrong in ways a small model is known for.

Each change is certain enough to be made without asking: a field is corrected only where one
reading is left, a step is left out only if nothing of it comes from the goal and nothing uses it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from flowbuilder.planner.grounding import Ground
from flowbuilder.planner.literals import lost_literals
from flowbuilder.planner.rules.literals import Kind, find_literals
from flowbuilder.tools import Effects, Tool, ToolRegistry
from flowbuilder.types import JsonObject, JsonValue

_REFERENCE = re.compile(r"\$\{\{ steps\.([A-Za-z_]\w*)((?:\.\w+|\[\d+\])*) \}\}")
#: Template filters behind a path: a habit from other languages, references have none.
_FILTERED = re.compile(r"\$\{\{ (steps\.[\w.\[\]]+)\s*\|[^{}]*\}\}")
_FIELD = re.compile(r"^\.(\w+)(.*)$")
_WORD = re.compile(r"[^\W_]+")
#: Letters that two words must share at their beginning to count as the same.
_STEM = 4
#: Names that models give to the whole of a list.
_COLLECTIVE = {
    "answer", "array", "body", "content", "data", "entries", "hits", "items", "json", "list",
    "matches", "output", "records", "response", "result", "results", "return", "rows", "text",
    "value", "values",
}  # fmt: skip
_HARMLESS = frozenset({Effects.PURE, Effects.READ})
#: Literals that `lost_literals` does not know.
_SPOKEN = frozenset({Kind.LANGUAGE, Kind.CURRENCY})
_SCALARS = {"string", "number", "integer", "boolean"}


#: A quoted text, or a name that is no field of something and no function.
_BARE = re.compile(r"\"[^\"]*\"|'[^']*'|(?<![\w.])[A-Za-z_]\w*(?!\w*\s*\()")
#: One comparison, which the tools understand as `{field: {sign: value}}`, records without the
#: field included.
_COMPARISON = re.compile(
    r"(?:item\.)?(?P<field>[A-Za-z_]\w*)\s*(?P<sign>[<>]=?|[=!]?=)\s*"
    r"(?:(?P<number>-?\d+(?:\.\d+)?)|\"(?P<double>[^\"]*)\"|'(?P<single>[^']*)')"
)
_NOT_FIELDS = {"item", "in", "true", "false", "null", "index"}
#: Arguments that hold a condition on a record, whose fields are `item.<field>`.
_CONDITIONS = {("data.filter", "where")}


def mend(document: JsonObject, registry: ToolRegistry, goal: str) -> list[str]:
    """Mend a document in place; return one sentence for each change."""
    steps = [step for step in _steps(document) if isinstance(step.get("args"), dict)]
    by_id = {str(step.get("id")): step for step in steps}
    notes: list[str] = []
    for step in steps:
        step["args"] = _map(step["args"], _Corrector(by_id, registry, step, notes).correct)
        notes += _mend_conditions(step)
    return notes + _leave_out(document, registry, goal)


def _mend_conditions(step: JsonObject) -> list[str]:
    """Write bare names of fields as fields of the record, as SQL's habit leaves them."""
    notes, arguments = [], step["args"]
    assert isinstance(arguments, dict)
    for tool, name in _CONDITIONS:
        text = arguments.get(name) if step.get("tool") == tool else None
        if isinstance(text, str) and "${{" not in text:
            mended = _condition(text)
            if mended != text:
                arguments[name] = mended
                notes.append(f"{step.get('id')}: {name} {text!r} was read as {mended!r}.")
    return notes


def _condition(text: str) -> JsonValue:
    found = _COMPARISON.fullmatch(text.strip())
    if found is None:
        return text if "item" in text else _BARE.sub(_as_field, text)
    number = found["number"]
    value: JsonValue = found["double"] if found["double"] is not None else found["single"]
    if number is not None:
        value = float(number) if "." in number else int(number)
    return {found["field"]: {found["sign"]: value}}


def _as_field(match: re.Match[str]) -> str:
    word = match.group(0)
    return word if word[0] in "\"'" or word in _NOT_FIELDS else f"item.{word}"


class _Corrector:
    """Corrects the references in one step's arguments."""

    def __init__(
        self,
        by_id: dict[str, JsonObject],
        registry: ToolRegistry,
        step: JsonObject,
        notes: list[str],
    ) -> None:
        self._by_id, self._registry, self._step, self._notes = by_id, registry, step, notes

    def correct(self, text: str) -> str:
        """Return the text with its references corrected."""
        return _REFERENCE.sub(self._replace, _FILTERED.sub(self._unfiltered, text))

    def _unfiltered(self, match: re.Match[str]) -> str:
        plain = f"${{{{ {match.group(1)} }}}}"
        self._notes.append(f"{self._step.get('id')}: {match.group(0)} was read as {plain}.")
        return plain

    def _replace(self, match: re.Match[str]) -> str:
        source = self._by_id.get(match.group(1))
        tool = _tool_of(source, self._registry)
        if source is None or tool is None or source is self._step:
            return match.group(0)
        found = self._path(source, tool, match.group(2))
        if found is None:
            return match.group(0)
        corrected = f"${{{{ {found} }}}}"
        self._notes.append(f"{self._step.get('id')}: {match.group(0)} was read as {corrected}.")
        return corrected

    def _path(self, source: JsonObject, tool: Tool, tail: str) -> str | None:
        """Return the corrected path, None if it is right or cannot be told."""
        name, output = str(source.get("id")), tool.output_schema
        field = _FIELD.match(tail)
        if output.get("type") in _SCALARS:
            # What a step was given is no part of what it returns: a file's text, not its path.
            passed = _passed_on(source, field.group(1)) if field else None
            return passed or (f"steps.{name}" if field else None)
        if output.get("type") == "array" and field:
            whole = _is_collective(field.group(1), tool) and not _has_field(output, field.group(1))
            return f"steps.{name}{field.group(2)}" if whole else None
        properties = output.get("properties")
        if not isinstance(properties, dict) or not properties or tail.startswith("["):
            return None
        if field and field.group(1) in properties:
            return None
        if field and (passed := _passed_on(source, field.group(1))):
            return passed
        only = next(iter(properties)) if len(properties) == 1 else None
        if only is None or (not field and _is_structured(properties[only])):
            return None
        return f"steps.{name}.{only}{field.group(2) if field else ''}"


def _is_collective(field: str, tool: Tool) -> bool:
    """Whether a name means the whole list: a general word, or one made of the tool's name."""
    own = _stems(tool.name.replace("_", " "))
    return field in _COLLECTIVE or bool(_stems(field.replace("_", " ")) & own)


def _passed_on(source: JsonObject, field: str) -> str | None:
    """Return the reference that a step was given under this field's name.

    A model that lets a file be written and then mailed refers to the text of the writing step.
    """
    arguments = source.get("args")
    found = set()
    for name, value in (arguments if isinstance(arguments, dict) else {}).items():
        match = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
        if match and (name == field or match.group(2).endswith(f".{field}")):
            found.add(f"steps.{match.group(1)}{match.group(2)}")
    return found.pop() if len(found) == 1 else None


def _leave_out(document: JsonObject, registry: ToolRegistry, goal: str) -> list[str]:
    """Leave out harmless steps that share no word with the goal and that nothing refers to."""
    notes = []
    known = Ground(goal).stems | _stems(goal)
    for step in reversed(_steps(document)):
        tool = _tool_of(step, registry)
        kept = _steps(document)
        if tool is None or tool.effects not in _HARMLESS or len(kept) < 2:
            continue
        late = _follows_effects(step, kept, registry)
        if _is_used(step, kept):
            continue
        idle = not _stems(tool.name.replace("_", " ")) & known and _is_idle(
            step, document, registry, goal
        )
        if not idle and not _is_invented(step, known, late=late):
            continue
        document["steps"] = [item for item in kept if item is not step]
        notes.append(f"{step.get('id')} was left out: the goal says nothing of it.")
    return notes


def _is_idle(step: JsonObject, document: JsonObject, registry: ToolRegistry, goal: str) -> bool:
    """Whether others act and without this step nothing that the goal names would be lost."""
    rest = [item for item in _steps(document) if item is not step]
    tools = [_tool_of(item, registry) for item in rest]
    if not any(tool and tool.effects not in _HARMLESS for tool in tools):
        return False
    spoken = [item.text for item in find_literals(goal) if item.kind in _SPOKEN]
    carried = repr(step.get("args")).lower()
    if any(text.lower() in carried for text in spoken):
        return False
    before = lost_literals(goal, document, registry)
    return lost_literals(goal, {**document, "steps": list(rest)}, registry) == before


def _follows_effects(step: JsonObject, steps: list[JsonObject], registry: ToolRegistry) -> bool:
    before = steps[: next(index for index, item in enumerate(steps) if item is step)]
    tools = [_tool_of(item, registry) for item in before]
    return any(tool and tool.effects not in _HARMLESS for tool in tools)


def _is_invented(step: JsonObject, known: set[str], *, late: bool) -> bool:
    """Whether no literal of a step comes from the goal.

    A step that works on another's result counts only behind the last thing the goal wanted done.
    """
    texts: list[str] = []

    def note(text: str) -> str:
        texts.append(text)
        return text

    _map(step.get("args"), note)
    written = [text for text in texts if text.strip() and not _REFERENCE.search(text)]
    if not written or (len(written) < len(texts) and not late):
        return False
    return not any(_stems(text) & known for text in written)


def _is_used(step: JsonObject, steps: list[JsonObject]) -> bool:
    name = re.escape(str(step.get("id")))
    others = [item for item in steps if item is not step]
    return bool(re.search(rf"steps\.{name}\b|'{name}'", repr(others)))


def _stems(text: str) -> set[str]:
    return {word[:_STEM] for word in _WORD.findall(text.lower()) if len(word) > 2 or word.isdigit()}


def _has_field(output: Any, field: str) -> bool:
    """Whether the elements of a list have such a field, as far as the schema shows."""
    items = output.get("items")
    if isinstance(items, dict) and "$ref" in items:
        items = output.get("$defs", {}).get(str(items["$ref"]).rpartition("/")[2])
    return isinstance(items, dict) and field in items.get("properties", {})


def _is_structured(shape: Any) -> bool:
    return isinstance(shape, dict) and shape.get("type") not in _SCALARS


def _tool_of(step: JsonObject | None, registry: ToolRegistry) -> Tool | None:
    name = step.get("tool") if step else None
    return registry.get(name) if isinstance(name, str) else None


def _steps(document: JsonObject) -> list[JsonObject]:
    steps = document.get("steps")
    return [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []


def _map(value: JsonValue, change: Callable[[str], str]) -> JsonValue:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_map(item, change) for item in value]
    if isinstance(value, dict):
        return {key: _map(item, change) for key, item in value.items()}
    return value
