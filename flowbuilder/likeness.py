"""Whether one name is a misspelling of another.

Strict on purpose: what is taken for a misspelling is mended without asking. `start_date` is not
`end_date`, `get` is not `set`, `step_2` is not `step_1`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from functools import lru_cache

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_LETTERS = re.compile(r"[^\W_]+")
#: Letters that two words must share at their beginning to count as the same.
_STEM = 4
_LONGEST = 200
_REMEMBERED = 8192
_SHORT = 4
_ALIKE = 0.8


@lru_cache(maxsize=_REMEMBERED)
def plain(name: str) -> str:
    """Return a name's letters and digits alone, in lower case."""
    return "".join(character for character in name.lower() if character.isalnum())


def words(name: str) -> list[str]:
    """Return a name's words in lower case: `fetchPages2` has three."""
    return [word.lower() for word in _WORD.findall(name)]


def stems(text: str, *, numbers: bool = False) -> set[str]:
    """Return the beginnings of a text's words of three signs and more.

    `numbers`: those of one or two digits count too.
    """
    return {
        word[:_STEM]
        for word in _LETTERS.findall(text.lower())
        if len(word) > 2 or (numbers and word.isdigit())
    }


def like(name: str, known: Sequence[str]) -> str | None:
    """Return the one known name that a name is another spelling of, None if there is none."""
    if not 0 < len(name) <= _LONGEST:
        return None
    bare = plain(name)
    same = [item for item in known if plain(item) == bare]
    if same:
        return same[0] if len(same) == 1 else None
    near = [item for item in known if is_alike(name, item)]
    return near[0] if len(near) == 1 else None


def is_alike(name: str, other: str) -> bool:
    """Whether a name may be the other one misspelt."""
    bare, meant = plain(name), plain(other)
    if not bare or not meant or abs(len(bare) - len(meant)) > max(3, len(meant) // 4):
        return False
    told, known = words(name), words(other)
    if len(told) != len(known):
        return _one_slip(bare, meant)  # a sign between words was lost, perhaps
    return all(_same_word(one, two) for one, two in zip(told, known, strict=True))


def _same_word(one: str, two: str) -> bool:
    if one == two:
        return True
    if not one or not two or one.isdigit() or two.isdigit():
        return False
    if min(len(one), len(two)) <= _SHORT:
        return _one_slip(one, two)
    return one[0] == two[0] and difflib.SequenceMatcher(None, one, two).ratio() >= _ALIKE


def _one_slip(one: str, two: str) -> bool:
    """Whether a letter was left out, doubled, swapped with the next, or (not the first) mistaken.

    Digits are never mistaken: they count.
    """
    if len(one) > len(two):
        one, two = two, one
    if len(two) < 3 or len(two) - len(one) > 1:
        return False
    start = next((at for at, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), len(one))
    if len(one) < len(two):
        return one[start:] == two[start + 1 :] and not two[start].isdigit()
    swapped = one[start : start + 2] == two[start : start + 2][::-1]
    if swapped and one[start + 2 :] == two[start + 2 :]:
        return True
    mistaken = one[start + 1 :] == two[start + 1 :] and len(one) > _SHORT and start > 0
    return mistaken and one[start].isalpha() and two[start].isalpha()
