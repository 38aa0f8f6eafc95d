"""Text of others on a terminal: what would turn, hide or colour it is shown as an escape."""

from __future__ import annotations

import re

from rich.markup import escape as without_markup

#: Controls but for line ends and tabs, signs that turn the direction, spaces of no width, tags.
#: Joiners (U+200C, U+200D) stay: whole scripts are written with them.
_HIDING = re.compile(
    "\r(?!\n)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff"
    "\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    """Return a text in which every sign that hides something is written as JSON would escape it."""
    return _HIDING.sub(_escaped, text)


def escape(text: str) -> str:
    """Return a text for rich: visible, and without any markup of its own."""
    return without_markup(visible(text))


def _escaped(found: re.Match[str]) -> str:
    raw = found.group().encode("utf-16-be")
    return "".join(f"\\u{raw[at : at + 2].hex()}" for at in range(0, len(raw), 2))
