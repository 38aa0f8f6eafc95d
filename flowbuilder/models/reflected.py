"""The key of a model's server in its own answers: a server may give back what it was sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flowbuilder.secrecy.redaction import MARK

#: What is shorter could not be told from a word, and is no key.
_SHORTEST = 8


class Reflected:
    """Takes a key out of one answer, whole or in pieces; most have none, and stay as they are."""

    def __init__(self, key: str | None) -> None:
        self._key = key if key is not None and len(key) >= _SHORTEST else None
        self._held: dict[tuple[object, ...], tuple[str, Any, Any, str]] = {}

    def clean(self, response: Any) -> None:
        """Take the key out of a whole answer."""
        if self._key is None:
            return
        for choice in getattr(response, "choices", None) or []:
            for _, owner, name, text in _texts(getattr(choice, "message", None)):
                if self._key in text:
                    setattr(owner, name, text.replace(self._key, MARK))

    def clean_piece(self, chunk: Any) -> None:
        """Take the key out of a piece; what may be its beginning waits for the next piece."""
        if self._key is None:
            return
        for choice in getattr(chunk, "choices", None) or []:
            for place, owner, name, text in _texts(getattr(choice, "delta", None)):
                where = (getattr(choice, "index", 0), *place)
                before = self._held.pop(where, None)
                whole = (before[0] + text if before else text).replace(self._key, MARK)
                kept = self._beginning(whole)
                if kept:
                    self._held[where] = kept, chunk, owner, name
                shown = whole[: len(whole) - len(kept)]
                if shown != text:
                    setattr(owner, name, shown)

    def rest(self) -> Iterator[Any]:
        """Yield what still waits, as pieces: it was no key."""
        for kept, chunk, owner, name in self._held.values():
            for choice in chunk.choices:
                for _, other, other_name, _ in _texts(choice.delta):
                    setattr(other, other_name, "")
            setattr(owner, name, kept)
            yield chunk
        self._held = {}

    def _beginning(self, text: str) -> str:
        """Return the end of a text that a key may begin with."""
        assert self._key is not None
        for size in range(min(len(text), len(self._key) - 1), 0, -1):
            if text.endswith(self._key[:size]):
                return text[-size:]
        return ""


def _texts(message: Any) -> Iterator[tuple[tuple[object, ...], Any, str, str]]:
    """Yield the texts of a message or a piece of one: which it is, and where it stands."""
    for name in ("content", "refusal"):
        text = getattr(message, name, None)
        if isinstance(text, str) and text:
            yield (name,), message, name, text
    passed = getattr(message, "provider_specific_fields", None)
    if isinstance(passed, dict) and isinstance(passed.get("refusal"), str) and passed["refusal"]:
        yield ("passed",), _Item(passed), "refusal", passed["refusal"]
    for number, call in enumerate(getattr(message, "tool_calls", None) or []):
        text = getattr(call.function, "arguments", None)
        if isinstance(text, str) and text:
            index = getattr(call, "index", None)
            yield ("call", number if index is None else index), call.function, "arguments", text


class _Item:
    """A dictionary whose items are set as attributes."""

    _items: dict[str, Any]

    def __init__(self, items: dict[str, Any]) -> None:
        object.__setattr__(self, "_items", items)

    def __setattr__(self, name: str, value: Any) -> None:
        self._items[name] = value
