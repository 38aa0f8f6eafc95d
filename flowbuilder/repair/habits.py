"""Habits of small models: fields and conditions that say in another way what is surely meant.

What is mended here need not be an error: a condition in the habit of SQL, a filter of a template
language, a field that a plain result has not. So this is a stage of its own, for plans of models
alone; `repair` asks it only about what is an error. A field is corrected only where one reading is
left. Where its name says nothing of that reading, it is marked as guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flowbuilder.likeness import stems
from flowbuilder.repair.desk import Desk, Mending
from flowbuilder.repair.edits import REFERENCE, Edit, steps_of, with_texts
from flowbuilder.tools import Tool, ToolRegistry
from flowbuilder.types import JsonObject, JsonValue

#: Template filters behind a path: a habit from other languages, references have none.
_FILTERED = re.compile(r"\$\{\{ (steps\.[\w.\[\]]+)\s*\|[^{}]*\}\}")
#: What a step was given, which references cannot reach.
_GIVEN = re.compile(r"\$\{\{ steps\.([A-Za-z_]\w*)\.(?:args|arguments|input)\.(\w+) \}\}")
_FIELD = re.compile(r"^\.(\w+)(.*)$")
_WORD = re.compile(r"[^\W_]+")
#: Letters that two words must share at their beginning to count as the same.
_WORD_STEM = 5
#: Names that models give to the whole of a list.
_COLLECTIVE = {
    "answer", "array", "body", "content", "data", "entries", "hits", "items", "json", "lines",
    "list", "matches", "output", "records", "response", "result", "results", "return", "rows",
    "text", "value", "values",
}  # fmt: skip
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What a part of a step was read as."""

    step: str
    """The step's id."""
    position: int
    """Of the step."""
    said: str
    meant: str
    name: str = ""
    """Of the argument, where all of it was read."""
    guessed: bool = False
    """Whether only the type speaks for it, and not the name."""

    @property
    def note(self) -> str:
        """The change as a sentence."""
        said = f"{self.name} {self.said}" if self.name else self.said
        return f"{self.step}: {said} was read as {self.meant}."


def read_habits(
    document: JsonObject, registry: ToolRegistry, *, among: JsonObject | None = None
) -> tuple[JsonObject, tuple[Reading, ...]]:
    """Return a document with what is surely meant, and each change; the given one stays as it is.

    Args:
        document: A `flow.v1` document of a model, or what was meant as one.
        registry: The tools that steps may use.
        among: The document whose steps these may refer to besides, if they are only some of it.
    """
    listed = document.get("steps")
    steps: list[JsonValue] = list(listed) if isinstance(listed, list) else []
    own = [(place, dict(step)) for place, step in steps_of(document)]
    known = [*(steps_of(among) if among is not None else ()), *own]
    by_id = {str(step.get("id")): step for _, step in known if isinstance(step.get("args"), dict)}
    readings: list[Reading] = []
    for place, step in own:
        if isinstance(step.get("args"), dict):
            corrector = _Corrector(by_id, registry, step, place)
            step["args"] = with_texts(step["args"], corrector.correct)
            readings += [*corrector.readings, *_read_conditions(step, place)]
            steps[place] = step
    return ({**document, "steps": steps} if readings else document), tuple(readings)


def mend(desk: Desk) -> Iterator[Mending]:
    """Propose what a wrong reference in an argument is read as."""
    by_id = {name: desk.step_at(("steps", place)) for name, place in desk.places.items()}
    for problem, path, text in desk.of("unknown_output_field", "reference_syntax"):
        if isinstance(text, str) and path[2:3] == ("args",):
            corrector = _Corrector(by_id, desk.registry, desk.step_at(path), 0)
            mended = corrector.correct(text)
            if mended != text:
                yield Mending(problem.code, ((Edit(path, mended),),))


def _read_conditions(step: JsonObject, place: int) -> list[Reading]:
    """Write bare names of fields as fields of the record, as SQL's habit leaves them."""
    readings, arguments = [], step["args"]
    assert isinstance(arguments, dict)
    for tool, name in _CONDITIONS:
        text = arguments.get(name) if step.get("tool") == tool else None
        if isinstance(text, str) and "${{" not in text:
            mended = _condition(text)
            if mended != text:
                step["args"] = arguments = {**arguments, name: mended}
                said, meant = repr(text), repr(mended)
                readings.append(
                    Reading(
                        step=str(step.get("id")), position=place, said=said, meant=meant, name=name
                    )
                )
    return readings


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
        self, by_id: dict[str, JsonObject], registry: ToolRegistry, step: JsonObject, place: int
    ) -> None:
        self._by_id, self._registry, self._step, self._place = by_id, registry, step, place
        self.readings: list[Reading] = []

    def correct(self, text: str) -> str:
        """Return the text with its references corrected."""
        text = _GIVEN.sub(self._written, _FILTERED.sub(self._unfiltered, text))
        return REFERENCE.sub(self._replace, text)

    def _read(self, said: str, meant: str, *, guessed: bool = False) -> str:
        name = str(self._step.get("id"))
        self.readings.append(
            Reading(step=name, position=self._place, said=said, meant=meant, guessed=guessed)
        )
        return meant

    def _unfiltered(self, match: re.Match[str]) -> str:
        return self._read(match.group(0), f"${{{{ {match.group(1)} }}}}")

    def _written(self, match: re.Match[str]) -> str:
        """Write out the text or number that another step was given."""
        source = self._by_id.get(match.group(1))
        arguments = source.get("args") if source and source is not self._step else None
        value = arguments.get(match.group(2)) if isinstance(arguments, dict) else None
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return match.group(0)
        return self._read(match.group(0), str(value))

    def _replace(self, match: re.Match[str]) -> str:
        source = self._by_id.get(match.group(1))
        tool = self._tool_of(source) if source else None
        if source is None or tool is None or source is self._step:
            return match.group(0)
        found = self._path(source, tool, match.group(2))
        if found is None:
            return match.group(0)
        field = _FIELD.match(match.group(2))
        guessed = field is not None and not _says(field.group(1), tool, source, found)
        return self._read(match.group(0), f"${{{{ {found} }}}}", guessed=guessed)

    def _tool_of(self, step: JsonObject) -> Tool | None:
        name = step.get("tool")
        return self._registry.get(name) if isinstance(name, str) else None

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
            beside = _beside(field.group(1), field.group(2), properties)
            return f"steps.{name}.{beside}" if beside else None
        if field and (passed := _passed_on(source, field.group(1))):
            return passed
        only = next(iter(properties)) if len(properties) == 1 else None
        if only is None or (not field and _is_structured(properties[only])):
            return None
        return f"steps.{name}.{only}{field.group(2) if field else ''}"


def _beside(field: str, tail: str, properties: JsonObject) -> str | None:
    """Return the field that stands beside a plain one, where a path looks for it within that.

    The e-mail address of `customer` is `email` or `customer_email` of the same record.
    """
    plain = isinstance(shape := properties[field], dict) and shape.get("type") in _SCALARS
    inner = _FIELD.match(tail) if plain else None
    if inner is None or inner.group(2):
        return None
    names = (f"{field}_{inner.group(1)}", inner.group(1))
    return next((name for name in names if name in properties), None)


def _says(field: str, tool: Tool, source: JsonObject, found: str) -> bool:
    """Whether a field's name speaks of what it was read as: by a word of the tool or the path."""
    told = f"{tool.name} {tool.summary} {' '.join(tool.output_schema.get('properties', ()))}"
    if not found.startswith(f"steps.{source.get('id')}"):
        return True  # what the source itself was given under that name
    return field in _COLLECTIVE or bool(_words(field) & _words(told))


def _words(text: str) -> set[str]:
    found = _WORD.findall(text.replace("_", " ").lower())
    return {word.removesuffix("s")[:_WORD_STEM] for word in found if len(word) > 2}


def _is_collective(field: str, tool: Tool) -> bool:
    """Whether a name means the whole list: a general word, or one of the tool's own words."""
    own = stems(f"{tool.name} {tool.summary}".replace("_", " "), numbers=True)
    return field in _COLLECTIVE or bool(stems(field.replace("_", " "), numbers=True) & own)


def _passed_on(source: JsonObject, field: str) -> str | None:
    """Return the reference that a step was given under this field's name.

    A model that lets a file be written and then mailed refers to the text of the writing step.
    """
    arguments = source.get("args")
    found = set()
    for name, value in (arguments if isinstance(arguments, dict) else {}).items():
        match = REFERENCE.fullmatch(value) if isinstance(value, str) else None
        if match and (name == field or match.group(2).endswith(f".{field}")):
            found.add(f"steps.{match.group(1)}{match.group(2)}")
    return found.pop() if len(found) == 1 else None


def _has_field(output: Any, field: str) -> bool:
    """Whether the elements of a list have such a field, as far as the schema shows."""
    items = output.get("items")
    if isinstance(items, dict) and "$ref" in items:
        items = output.get("$defs", {}).get(str(items["$ref"]).rpartition("/")[2])
    return isinstance(items, dict) and field in items.get("properties", {})


def _is_structured(shape: Any) -> bool:
    return isinstance(shape, dict) and shape.get("type") not in _SCALARS
