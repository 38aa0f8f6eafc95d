"""Have a column that a model made up chosen anew among the words of the goal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from flowbuilder.errors import Problem, Severity
from flowbuilder.planner.judging import Judgement
from flowbuilder.planner.namings import is_column
from flowbuilder.planner.schema import sequence_schema
from flowbuilder.tools import Tool
from flowbuilder.types import JsonSchema

_BARE = re.compile(r"\S*(?:://|@|\w[./]\w)\S*|\"[^\"]*\"|“[^”]*”")
_WORD = re.compile(r"[A-Za-z]\w{2,}")
_SAID = frozenset(
    {
        *("all", "and", "are", "being", "can", "could", "each", "every", "for", "from", "get"),
        *("give", "has", "have", "how", "into", "its", "like", "make", "need", "one", "only"),
        *("our", "per", "please", "put", "see", "shall", "should", "show", "some", "that", "the"),
        *("their", "them", "there", "these", "they", "this", "those", "want", "was", "were"),
        *("what", "when", "where", "which", "who", "whose", "will", "with", "would", "you"),
        *("bar", "chart", "database", "file", "line", "list", "pie", "row", "rows", "table"),
    }
)
_MOST = 40


def columns_schema(
    judged: Judgement, goal: str, steps: Sequence[Tool], longest_text: int
) -> JsonSchema | None:
    """Return the schema of the same steps with columns among the goal's words.

    None where no column was made up, where there are errors, or where no word is left.
    """
    made_up = any(item.code == "column_unnamed" for item in judged.problems)
    words = [item for item in _WORD.findall(_BARE.sub(" ", goal)) if item.lower() not in _SAID]
    if judged.errors or not made_up or not words or len(steps) != judged.size:
        return None
    schema = sequence_schema(steps, longest_text=longest_text)
    for step in schema["properties"]["tasks"]["prefixItems"]:
        shapes: dict[str, Any] = step["properties"]["args"].get("properties", {})
        for name, shape in shapes.items():
            if is_column(name) and shape.get("type") == "string":
                shapes[name] = {"type": "string", "enum": list(dict.fromkeys(words))[:_MOST]}
    return schema


def supposed(found: Judgement, judged: Judgement) -> Judgement:
    """Return the judgement with a doubt if its columns were chosen so."""
    if not any(item.code == "column_unnamed" for item in judged.problems):
        return found
    doubt = Problem(
        code="step_supposed",
        pointer="",
        message="the columns are supposed to be those that the goal means",
        severity=Severity.WARNING,
    )
    return replace(found, problems=(*found.problems, doubt))
