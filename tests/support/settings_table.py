"""The table of settings in docs/operations.md, made from `Settings`.

`python -m tests.support.settings_table` writes it anew.
"""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined

from flowbuilder.settings import Settings
from flowbuilder.types import format_duration

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
_BEGIN, _END = "<!-- settings: begin -->\n", "<!-- settings: end -->\n"


def table() -> str:
    """Every setting with its variable, its default and what it is for."""
    lines = ["| variable | default | what it is for |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        about = re.sub(r"\s+", " ", field.description or "").replace("|", "\\|")
        lines.append(f"| `FLOWBUILDER_{name.upper()}` | {_default(field)} | {about} |")
    return "\n".join(lines) + "\n"


def _default(field: Any) -> str:
    value = field.default
    if value is PydanticUndefined:
        value = field.default_factory()
    if value is None or value == []:
        return ""
    if isinstance(value, timedelta):
        return f"`{format_duration(value)}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def in_page() -> str:
    """The table as the page has it."""
    return PAGE.read_text().partition(_BEGIN)[2].partition(_END)[0]


def main() -> None:
    text = PAGE.read_text()
    before, _, rest = text.partition(_BEGIN)
    PAGE.write_text(before + _BEGIN + table() + _END + rest.partition(_END)[2])


if __name__ == "__main__":
    main()
