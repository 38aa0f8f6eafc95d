"""Where a command's output goes: tables and text for people, JSON lines for programs.

In JSON mode standard output carries one JSON object a line and nothing else; what is meant for a
person (questions, error messages) goes to standard error in both modes.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Any

from rich.console import Console
from rich.table import Table

from flowbuilder.cli.visible import escape, visible
from flowbuilder.types import JsonObject


class Printer:
    """Prints for people or for programs."""

    def __init__(self, *, as_json: bool, debug: bool = False) -> None:
        self.as_json = as_json
        self.debug = debug
        self.out = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
        self.err = Console(highlight=False, stderr=True, soft_wrap=not sys.stderr.isatty())

    @property
    def talk(self) -> Console:
        """Where text for a person goes: beside the JSON lines, or among the output."""
        return self.err if self.as_json else self.out

    @property
    def live(self) -> bool:
        """Whether output can be drawn over: a terminal that is not given JSON."""
        return not self.as_json and self.out.is_terminal

    def line(self, record: Mapping[str, Any]) -> None:
        """Write one JSON line, and flush it: a reader may be waiting for it."""
        sys.stdout.write(to_line(record) + "\n")
        sys.stdout.flush()

    def say(self, text: str = "", style: str | None = None) -> None:
        """Write a line of text for a person; in JSON mode nothing."""
        if not self.as_json:
            self.out.print(escape(text), style=style)

    def rows(self, records: Sequence[JsonObject], columns: Mapping[str, str], empty: str) -> None:
        """Write records as JSON lines, or as a table with these keys and headings."""
        if self.as_json:
            for record in records:
                self.line(record)
        elif records:
            self.out.print(table(records, columns))
        else:
            self.out.print(empty, style="dim")

    def value(self, value: Any) -> None:
        """Write a value for a person: text as it is, everything else as indented JSON."""
        if isinstance(value, str):
            self.out.print(escape(value))
        else:
            self.out.print(escape(to_text(value)))


def table(records: Iterable[Mapping[str, Any]], columns: Mapping[str, str]) -> Table:
    """Return records as a table; `columns` maps keys to headings."""
    made = Table(box=None, header_style="bold", pad_edge=False)
    for heading in columns.values():
        made.add_column(heading, overflow="fold")
    for record in records:
        made.add_row(*(escape(_cell(record.get(key))) for key in columns))
    return made


def row_json(row: Any) -> JsonObject:
    """Return a row of the store as JSON values."""
    found: JsonObject = json.loads(
        to_line({item.name: getattr(row, item.name) for item in dataclasses.fields(row)})
    )
    return found


def to_line(record: Mapping[str, Any]) -> str:
    """Return one line of JSON."""
    return visible(json.dumps(record, ensure_ascii=False, default=_plain, separators=(",", ":")))


def to_text(value: Any) -> str:
    """Return indented JSON."""
    return visible(json.dumps(value, ensure_ascii=False, default=_plain, indent=2))


def shorten(value: Any, limit: int = 80) -> str:
    """Return a value as one line of at most `limit` characters."""
    text = (
        value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=_plain)
    )
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return shorten(value)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    return str(value)
