"""What a docstring says about a function and its parameters."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

_SECTION = re.compile(r"^(args|arguments|parameters|params):$", re.IGNORECASE)
_ENTRY = re.compile(r"^\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")
_SPHINX = re.compile(r"^:param(?:\s+[^:]+)?\s+(\w+)\s*:\s*(.*)$")


def summary_of(function: Callable[..., Any], name: str) -> str:
    """Return the first line of the docstring, or the name in words."""
    lines = _own_doc(function).splitlines()
    if lines:
        return lines[0].strip()
    words = name.replace("_", " ").replace(".", " ").strip("<> ")
    return words[:1].upper() + words[1:] + "."


def _own_doc(function: Callable[..., Any]) -> str:
    if not (inspect.isroutine(function) or hasattr(function, "__wrapped__")):
        return ""  # what getdoc would find is the doc of the callable's class
    return inspect.getdoc(function) or ""


def parameter_texts(doc: str) -> dict[str, str]:
    """Return `{parameter: description}` from a Google-style section or `:param name:` lines."""
    texts: dict[str, str] = {}
    current: str | None = None
    section_indent: int | None = None
    entry_indent: int | None = None
    for line in doc.splitlines():
        text, indent = line.strip(), len(line) - len(line.lstrip())
        if sphinx := _SPHINX.match(text):
            texts[sphinx[1]] = sphinx[2]
        elif _SECTION.match(text):
            section_indent, entry_indent, current = indent, None, None
        elif section_indent is None or not text:
            continue
        elif indent <= section_indent:
            section_indent = None
        elif entry_indent in (None, indent) and (entry := _ENTRY.match(text)):
            entry_indent, current = indent, entry[1]
            texts[current] = entry[2]
        elif current:
            texts[current] = f"{texts[current]} {text}".strip()
    return {name: text for name, text in texts.items() if text}
