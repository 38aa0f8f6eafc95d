"""JSON values as readable text: tables of records, bullet lists, plain words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeGuard

import orjson

from flowbuilder.types import JsonValue, is_number


def is_records(value: object) -> TypeGuard[list[dict[str, Any]]]:
    """Tell whether a value is a list, not empty, of objects only."""
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def columns_of(records: Sequence[dict[str, Any]]) -> list[str]:
    """Return every field that some record has, in the order of first appearance."""
    return list(dict.fromkeys(name for record in records for name in record))


def cell_text(value: JsonValue) -> str:
    """Return a value as the text of one cell: null is empty, what is nested is JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return repr(value)
    return json_text(value)


def json_text(value: JsonValue) -> str:
    """Return a value as compact JSON."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # an integer beyond 64 bits
        import json

        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def as_text(value: JsonValue) -> str:
    """Return a value as people read it: records as a table, a list as bullets, null as nothing."""
    if is_records(value):
        return table(value)
    if isinstance(value, list):
        return bullets(value)
    if isinstance(value, dict):
        return "\n".join(f"- **{name}**: {_line(cell_text(item))}" for name, item in value.items())
    return cell_text(value)


def table(records: Sequence[dict[str, Any]]) -> str:
    """Return records as a Markdown table; empty text for none."""
    columns = columns_of(records)
    if not columns:
        return ""
    numeric = [
        all(is_number(record.get(column)) or record.get(column) is None for record in records)
        for column in columns
    ]
    lines = [
        _row([_cell(column) for column in columns]),
        _row(["---:" if right else "---" for right in numeric]),
    ]
    lines += [_row([_cell(cell_text(record.get(name))) for name in columns]) for record in records]
    return "\n".join(lines)


def bullets(items: Sequence[JsonValue]) -> str:
    """Return a list as Markdown bullets, one line each."""
    return "\n".join(f"- {_line(_item_text(item))}" for item in items)


def _item_text(item: JsonValue) -> str:
    if isinstance(item, dict):
        return ", ".join(f"{name}: {cell_text(value)}" for name, value in item.items())
    return cell_text(item)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(text: str) -> str:
    return _line(text).replace("|", "\\|")


def _line(text: str) -> str:
    return " ".join(text.splitlines())
