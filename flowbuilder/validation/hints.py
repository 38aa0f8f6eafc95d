"""Did-you-mean, at a bounded price.

Comparing names is slow, and a document may be wrong all over.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from flowbuilder.strictjson import dumps
from flowbuilder.tools import ToolRegistry

#: Comparisons of a name with another one in one validation; ten thousand take a tenth of a second.
_MOST_COMPARISONS = 20_000
_LONGEST_NAME = 100
_LISTED = 15


@dataclass(slots=True)
class Hints:
    """Finds what a misspelt name may have meant."""

    left: int = _MOST_COMPARISONS
    _near: dict[tuple[str, tuple[str, ...]], str | None] = field(default_factory=dict)
    """What was found; what is left is the same whether it was sought or known."""

    def near(self, name: object, known: Sequence[str]) -> str | None:
        """Return the known name most like this one, None when there is none, or none is sought."""
        self.left -= len(known)
        if self.left < 0 or not isinstance(name, str) or len(name) > _LONGEST_NAME:
            return None
        asked = (name, tuple(known))
        if asked not in self._near:
            self._near[asked] = next(iter(difflib.get_close_matches(name, known, 1)), None)
        return self._near[asked]

    def meant(self, name: object, known: Sequence[str], otherwise: str = "There is") -> str | None:
        """Return a sentence: the nearest name, else the first ones that there are."""
        near = self.near(name, known)
        if near is not None:
            return f"Did you mean {near!r}?"
        if not known:
            return None
        more = ", ..." if len(known) > _LISTED else ""
        return f"{otherwise} {', '.join(shorten(item) for item in known[:_LISTED])}{more}."

    def tool(self, name: str, registry: ToolRegistry) -> str | None:
        """Return a sentence that names the tools most like this one."""
        self.left -= 2 * len(registry)
        near = registry.near(name) if self.left >= 0 else []
        return f"Did you mean {' or '.join(near)}?" if near else None


def shorten(text: object, length: int = 60) -> str:
    """Return a text that fits into a message."""
    whole = str(text)
    return whole if len(whole) <= length else f"{whole[: length - 3]}..."


def shown(value: Any) -> str:
    """Write a checked value as JSON, cut to what fits into a message."""
    if isinstance(value, str):
        value = shorten(value)
    if isinstance(value, list | dict) and len(value) > 10:
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    return shorten(dumps(value).decode())
