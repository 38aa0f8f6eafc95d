"""Connect a step whose result nobody uses with the step that was clearly meant to use it.

A small model writes the steps in the right order and then hands the later one what went into the
earlier one: it mails the text that was to be translated first. Only where one place is left to put
the result, and where its type fits, is it put there.
"""

from __future__ import annotations

import re
from typing import Any

from flowbuilder.planner.argument_names import FILES
from flowbuilder.planner.coercion import kinds_of
from flowbuilder.planner.document import steps_of, tool_of, with_texts
from flowbuilder.planner.grounding import COMPOSED, Ground, is_used
from flowbuilder.tools import HARMLESS, Tool, ToolRegistry
from flowbuilder.types import JsonObject, JsonSchema, JsonValue

_REFERENCE = re.compile(r"\$\{\{ steps\.[^{}]+ \}\}")
_WHOLE = re.compile(r"\$\{\{ steps\.([A-Za-z_]\w*) \}\}")
_TEXTS = frozenset({"text", "content", "contents", "page", "transcript"})
#: Characters that a text of the goal must have to be told from a name that stands twice by chance.
_SHORTEST = 8
_NUMBERS = frozenset({"number", "integer"})


def connect(document: JsonObject, registry: ToolRegistry, ground: Ground) -> list[str]:
    """Mend a document in place; return one sentence for each change."""
    steps = steps_of(document)
    notes = []
    for index, step in enumerate(steps):
        tool = tool_of(step, registry)
        later = steps[index + 1 :]
        plain = "for_each" not in step and isinstance(step.get("args"), dict)
        if tool is None or tool.effects not in HARMLESS or not plain or is_used(step, steps):
            continue
        text, number = result_of(step, tool, {"string"}), result_of(step, tool, _NUMBERS)
        placed = _in_place_of_source(step, later, text) if text else None
        if placed is None and number:
            placed = _in_place_of_number(later, number, registry, ground)
        if placed:
            notes.append(f"{placed} uses the result of {step.get('id')}, as no other step did.")
    return notes


def skip_readers(document: JsonObject, registry: ToolRegistry) -> list[str]:
    """Leave out steps that read a text as if it were a file name; return one sentence for each.

    What was downloaded or extracted is the text already, not the name of a file that holds it.
    """
    steps = steps_of(document)
    notes = []
    for step in steps:
        text = _text_read(step, steps, registry)
        if text is None:
            continue
        own = re.compile(rf"\$\{{\{{ steps\.{re.escape(str(step.get('id')))} \}}\}}")
        kept = [item for item in steps_of(document) if item is not step]
        changed = [swapped(item, own, text) for item in kept]
        if is_used(step, [step, *changed]):
            continue
        document["steps"] = list(changed)
        notes.append(f"{step.get('id')} was left out: {text} is a text already, no file.")
    return notes


def _text_read(step: JsonObject, steps: list[JsonObject], registry: ToolRegistry) -> str | None:
    """Return the reference that a reading step takes for a file, None if it takes something else.

    Both steps return a plain text, and the earlier one says that its is what was in something.
    """
    tool, arguments = tool_of(step, registry), step.get("args")
    if tool is None or not isinstance(arguments, dict) or len(arguments) != 1:
        return None
    (name, value), *_ = arguments.items()
    found = _WHOLE.fullmatch(value) if isinstance(value, str) and name in FILES else None
    if found is None or tool.effects not in HARMLESS or kinds_of(tool.output_schema) != {"string"}:
        return None
    source = next((item for item in steps if item.get("id") == found[1]), None)
    other = tool_of(source, registry) if source else None
    if source is None or other is None or other.effects not in HARMLESS:
        return None
    said = set(re.findall(r"[a-z]+", other.summary.lower()))
    text = kinds_of(other.output_schema) == {"string"} and said & _TEXTS and "path" not in said
    mapped = "for_each" in source or "for_each" in step
    return found[0] if text and not mapped else None


def swapped(step: JsonObject, reference: re.Pattern[str], text: str) -> JsonObject:
    """Return a step with a text in the place of a reference."""
    return {
        key: with_texts(value, lambda found: reference.sub(lambda _: text, found))
        for key, value in step.items()
    }


def result_of(step: JsonObject, tool: Tool, kinds: set[str] | frozenset[str]) -> str | None:
    """Return the reference to the one value of such a type that a step returns."""
    output, name = tool.output_schema, step.get("id")
    found = kinds_of(output)
    if found and found <= kinds:
        return f"${{{{ steps.{name} }}}}"
    properties = output.get("properties")
    fields = properties.items() if isinstance(properties, dict) else ()
    fitting = [field for field, shape in fields if (has := kinds_of(shape)) and has <= kinds]
    return f"${{{{ steps.{name}.{fitting[0]} }}}}" if len(fitting) == 1 else None


def _in_place_of_source(step: JsonObject, later: list[JsonObject], result: str) -> str | None:
    """Put a text made of another one where a later step carries that other one."""
    arguments = step["args"]
    assert isinstance(arguments, dict)
    sources = [source for value in arguments.values() for source in _sources(value)]
    for other in later:
        given = other.get("args")
        for name, value in (given if isinstance(given, dict) else {}).items():
            if not isinstance(value, str) or not _is_composed(name):
                continue
            source = next((item for item in sources if item in value), None)
            if source is not None:
                assert isinstance(given, dict)
                whole = value.strip().rstrip(".!?") == source
                given[name] = result if whole else value.replace(source, result)
                return f"{other.get('id')}: {name}"
    return None


def _sources(value: JsonValue) -> list[str]:
    """Return what of an argument is telling enough to be looked for in another step."""
    if not isinstance(value, str):
        return []
    if found := _REFERENCE.findall(value):
        return [str(item) for item in found]
    bare = value.strip().rstrip(".!?")
    return [bare] if len(bare) >= _SHORTEST else []


def _in_place_of_number(
    later: list[JsonObject], result: str, registry: ToolRegistry, ground: Ground
) -> str | None:
    """Put a number where the next step has one that nobody named, such as a price for a 1."""
    for other in later[:1]:
        tool, given = tool_of(other, registry), other.get("args")
        if tool is None or not isinstance(given, dict):
            continue
        required = tool.input_schema.get("required", ())
        shapes: dict[str, Any] = tool.input_schema.get("properties", {})
        names = [name for name in required if _takes_number(shapes.get(name), given.get(name))]
        if len(names) == 1 and not ground.writes(given[names[0]]):
            given[names[0]] = result
            return f"{other.get('id')}: {names[0]}"
    return None


def _takes_number(shape: JsonSchema | None, value: JsonValue) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and "number" in kinds_of(shape)


def _is_composed(name: str) -> bool:
    words = set(re.findall(r"[a-z]+", name.lower()))
    return bool(words & COMPOSED) and not words & {"subject", "title", "headline"}
