"""The template language of `text.template`: placeholders, sections and formats, nothing else.

    {name}  {a.b}  {items.0}      a value; nested objects and list places by dots
    {rows|table}  {n|.2f}         a value in a format
    {#rows} … {/rows}             once for every element; inside, its fields come first, {.} is it
    {^rows} … {/rows}             when it is null, false, or an empty list or text

`{{name}}` means the same as `{name}`; a backslash before a brace makes it plain. Braces that hold
no name, as in JSON or CSS, are plain text. There are no calls, no attributes and no expressions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from flowbuilder.toolkit.fields import kind_of
from flowbuilder.toolkit.markdown import as_text, bullets, is_records, json_text, table
from flowbuilder.tools import Fail
from flowbuilder.types import JsonValue, is_number

MAX_NESTING = 10
_NAME = r"\.|[A-Za-z_][\w-]*(?:\.[\w-]+)*"
_TAG = re.compile(
    r"\\(?P<plain>[{}])"
    rf"|\{{(?P<twice>\{{)?[ ]?(?P<sign>[#^/])?[ ]?(?P<name>{_NAME})[ ]?"
    r"(?:\|[ ]?(?P<format>[\w.,%]{1,20})[ ]?)?\}(?(twice)\})"
)
_NUMBER_FORMAT = re.compile(r"^,?(?:\.\d{1,2})?[f%]$|^,$")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Section:
    name: str
    inverted: bool = False
    parts: list[Any] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Value:
    name: str
    format: str | None


class _Writer:
    """Collects text up to a limit, so that nested sections cannot fill the memory."""

    def __init__(self, limit: int) -> None:
        self._pieces: list[str] = []
        self._room = limit

    def add(self, text: str) -> None:
        self._room -= len(text)
        if self._room < 0:
            raise Fail("the filled template is too long", code="template_too_long")
        self._pieces.append(text)

    def text(self) -> str:
        return "".join(self._pieces)


def fill(template: str, values: dict[str, Any], *, limit: int) -> str:
    """Return the template with its placeholders filled, at most `limit` characters.

    Raises:
        Fail: `template_invalid`: sections do not match, or a format does not fit its value;
            `template_missing`: a name stands for nothing; `template_too_long`.
    """
    writer = _Writer(limit)
    _write(_parse(template), [values], writer)
    return writer.text()


def _parse(template: str) -> list[Any]:
    root = _Section(name="")
    open_sections = [root]
    position = 0
    for tag in _TAG.finditer(template):
        parts = open_sections[-1].parts
        parts.append(template[position : tag.start()])
        position = tag.end()
        sign, name = tag["sign"], tag["name"]
        if tag["plain"]:
            parts.append(tag["plain"])
        elif sign is None:
            parts.append(_Value(name=name, format=tag["format"]))
        elif sign == "/":
            if open_sections[-1] is root or open_sections[-1].name != name:
                raise Fail(f"{{/{name}}} closes no open section", code="template_invalid")
            open_sections.pop()
        else:
            section = _Section(name=name, inverted=sign == "^")
            parts.append(section)
            open_sections.append(section)
        if len(open_sections) > MAX_NESTING + 1:
            raise Fail(f"sections nest more than {MAX_NESTING} deep", code="template_invalid")
    if open_sections[-1] is not root:
        name = open_sections[-1].name
        raise Fail(f"the section {name!r} is never closed by {{/{name}}}", code="template_invalid")
    root.parts.append(template[position:])
    return root.parts


def _write(parts: Sequence[Any], scopes: list[Any], writer: _Writer) -> None:
    for part in parts:
        if isinstance(part, str):
            writer.add(part)
        elif isinstance(part, _Value):
            writer.add(_formatted(_look_up(part.name, scopes), part))
        else:
            _write_section(part, scopes, writer)


def _write_section(section: _Section, scopes: list[Any], writer: _Writer) -> None:
    value = _look_up(section.name, scopes)
    # 0 is a value like any other; only what is nothing closes a section
    empty = value is None or value is False or (isinstance(value, list | str | dict) and not value)
    if section.inverted:
        if empty:
            _write(section.parts, scopes, writer)
        return
    if empty:
        return
    for item in value if isinstance(value, list) else [value]:
        _write(section.parts, [*scopes, item], writer)


def _look_up(name: str, scopes: list[Any]) -> JsonValue:
    if name == ".":
        here: JsonValue = scopes[-1]
        return here
    first, *rest = name.split(".")
    for scope in reversed(scopes):
        if isinstance(scope, dict) and first in scope:
            return _descend(scope[first], rest, name)
    known = ", ".join(sorted(scopes[0])[:20]) or "none"
    raise Fail(f"the template names {name!r}; there are {known}", code="template_missing")


def _descend(value: Any, path: Sequence[str], name: str) -> JsonValue:
    for part in path:
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            raise Fail(f"{name!r}: {kind_of(value)} has no {part!r}", code="template_missing")
    found: JsonValue = value
    return found


def _formatted(value: JsonValue, tag: _Value) -> str:
    if tag.format is None:
        return as_text(value)
    if is_number(value) and _NUMBER_FORMAT.fullmatch(tag.format):
        return format(value, tag.format)
    known = _FORMATS.get(tag.format)
    if known is None and not _NUMBER_FORMAT.fullmatch(tag.format):
        raise Fail(
            f"unknown format {tag.format!r}; there are {', '.join(_FORMATS)} and .2f",
            code="template_invalid",
        )
    found = None if known is None else known(value)
    if found is None:
        raise Fail(
            f"{tag.name!r} is {kind_of(value)}, which has no format {tag.format!r}",
            code="template_invalid",
        )
    return found


def _table(value: Any) -> str | None:
    if isinstance(value, dict):
        return table([value])
    return table(value) if is_records(value) or value == [] else None


_FORMATS: dict[str, Callable[[Any], str | None]] = {
    "table": _table,
    "bullets": lambda value: bullets(value) if isinstance(value, list) else None,
    "json": json_text,
    "count": lambda value: str(len(value)) if isinstance(value, list | dict | str) else None,
    "upper": lambda value: value.upper() if isinstance(value, str) else None,
    "lower": lambda value: value.lower() if isinstance(value, str) else None,
    "trim": lambda value: value.strip() if isinstance(value, str) else None,
}
