"""Arguments as they really are, for the eyes of who decides about them.

Nothing is summed up and nothing is left to how a screen draws it: signs that are not seen, or that
turn the order of others, are written out; long values are whole, with their length; what is odd is
marked. The same arguments always give the same lines.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice

from flowbuilder.approving.lookalikes import hosts_in, mixes_alphabets, suspicions
from flowbuilder.strictjson import escape
from flowbuilder.types import JsonValue

#: Lines of one value; what comes after is shown as one text.
MOST_LINES = 2_000
#: Texts from this length on are marked as long.
LONG = 1_000
_MOST_DESTINATIONS = 200
#: Hosts that are compared with each other, and hosts of one text that are looked at.
_MOST_HOSTS = 200
_MOST_IN_TEXT = 50
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
#: Letters and marks by their category that leave nothing on a screen.
_BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5")
_WRITTEN = {"\n": "\u23ce\n", "\t": "\u21e5"}
#: Signs that stand for others here, so they are written out where they mean themselves.
_OWN = frozenset("\u23ce\u21e5\u27e8\u27e9")
_PLAIN = re.compile(r"[ -~]*")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}:(?://|(?<=mailto:))[^\s\"'<>]+")
_ADDRESS = re.compile(r"[^\s@<>()\[\],;:\"'\\]{1,64}@[^\s@<>()\[\],;:\"'\\/?#]{1,253}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """One line: a value inside of the arguments, or an object or list with how much is in it."""

    pointer: str
    """Where it stands; keys with their odd signs written out."""
    type: str
    """As JSON calls it."""
    text: str
    """The whole value with its odd signs written out; empty for objects and lists."""
    length: int
    """Characters of a text, members of an object or list."""
    marks: tuple[str, ...] = ()
    """What is odd about it, in words."""


def visible(text: str) -> str:
    """Return a text in which every sign is seen: `\u27e8U+202E\u27e9` for what would not be."""
    if _PLAIN.fullmatch(text):
        return text
    return "".join(_WRITTEN.get(sign) or (_code(sign) if _is_odd(sign) else sign) for sign in text)


def shown(value: JsonValue, *, others: Collection[str] = ()) -> list[Shown]:
    """Return a value line by line, at most `MOST_LINES`.

    Args:
        value: Arguments, or data that is shown to somebody.
        others: Names of hosts that those in the value could be taken for.
    """
    found = (host for text in _texts(value) for host in hosts_in(text))
    hosts = frozenset(islice({*others, *dict.fromkeys(islice(found, _MOST_HOSTS))}, _MOST_HOSTS))
    lines: list[Shown] = []
    for line in _lines("", value, hosts):
        if len(lines) == MOST_LINES:
            break
        lines.append(line)
    return lines


def destinations(value: JsonValue) -> list[str]:
    """Return every URL and mail address in a value, however deep in its texts, as they are seen."""
    found: dict[str, None] = {}
    for text in _texts(value):
        for pattern in (_URL, _ADDRESS):
            for match in pattern.finditer(text):
                found[visible(match[0])] = None
                if len(found) == _MOST_DESTINATIONS:
                    return list(found)
    return list(found)


def _lines(pointer: str, value: JsonValue, hosts: frozenset[str]) -> Iterator[Shown]:
    if isinstance(value, dict):
        marks = tuple(f"the name {visible(key)}: {mark}" for key in value for mark in _marks(key))
        yield Shown(pointer=pointer, type="object", text="", length=len(value), marks=marks)
        for key, item in value.items():
            yield from _lines(f"{pointer}/{visible(escape(key))}", item, hosts)
    elif isinstance(value, list):
        yield Shown(pointer=pointer, type="array", text="", length=len(value))
        for index, item in enumerate(value):
            yield from _lines(f"{pointer}/{index}", item, hosts)
    elif isinstance(value, str):
        marks = (*_marks(value), *_host_marks(value, hosts))
        yield Shown(
            pointer=pointer, type="string", text=visible(value), length=len(value), marks=marks
        )
    else:
        text = json.dumps(value)
        kind = "null" if value is None else "boolean" if isinstance(value, bool) else "number"
        yield Shown(pointer=pointer, type=kind, text=text, length=len(text))


def _marks(text: str) -> Iterator[str]:
    if len(text) >= LONG:
        yield f"long: {len(text)} characters"
    if text.isascii() and text.isprintable():
        return
    odd = {sign for sign in text if _is_odd(sign) and sign not in _OWN}
    if odd & _BIDI:
        yield "signs that turn the order of what is shown"
    if any(unicodedata.category(sign) == "Cc" for sign in odd):
        yield "control characters"
    if any(unicodedata.category(sign) != "Cc" and sign not in _BIDI for sign in odd):
        yield "signs that are not seen"
    if any(unicodedata.bidirectional(sign) in ("R", "AL") for sign in text):
        yield "letters that are written from right to left"
    if mixes_alphabets(text):
        yield "words that mix alphabets"


def _host_marks(text: str, hosts: frozenset[str]) -> Iterator[str]:
    found = hosts_in(text)
    if len(found) > _MOST_IN_TEXT:
        yield f"{len(found)} hosts, of which {_MOST_IN_TEXT} were looked at"
    for host in found[:_MOST_IN_TEXT]:
        for suspicion in suspicions(host, hosts):
            yield visible(suspicion)
    if re.search(r"://[^\s/?#]*@", text):
        yield "a URL with a name before its host"


def _is_odd(sign: str) -> bool:
    if " " <= sign <= "~" or sign in _WRITTEN:
        return False
    category = unicodedata.category(sign)
    return (
        category[0] in "CZ"
        or sign in _BLANK
        or sign in _OWN
        or "\ufe00" <= sign <= "\ufe0f"
        or "\U000e0100" <= sign <= "\U000e01ef"
    )


def _code(sign: str) -> str:
    return f"\u27e8U+{ord(sign):04X}\u27e9"


def _texts(value: JsonValue) -> Iterator[str]:
    """Yield every text in a value, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
