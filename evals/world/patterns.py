"""Texts that match a regular expression, for values of schemas with a `pattern`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from random import Random
from typing import Any

#: Repetitions beyond the least, where a pattern sets no bound.
_MOST_MORE = 4
_CATEGORIES = {
    "CATEGORY_DIGIT": "0123456789",
    "CATEGORY_NOT_DIGIT": "abcxyz",
    "CATEGORY_SPACE": " ",
    "CATEGORY_NOT_SPACE": "abcxyz0123456789",
    "CATEGORY_WORD": "abcdefghij0123456789_",
    "CATEGORY_NOT_WORD": " -.",
}
_ANY = "abcdefghijklmnopqrstuvwxyz0123456789"
_PRINTABLE = [chr(code) for code in range(32, 127)]


def text_matching(pattern: str, random: Random) -> str | None:
    """Return a text that the pattern was read to match, None if it cannot be read.

    Look-around is left out of account; the caller checks the text.
    """
    try:
        parsed = import_module("re._parser").parse(pattern)
        return _several(parsed, random, {})
    except (ValueError, ArithmeticError, RecursionError, KeyError, LookupError):
        return None
    except import_module("re").error:
        return None


Groups = dict[int, str]


def _several(items: Any, random: Random, groups: Groups) -> str:
    return "".join(_one(operator, given, random, groups) for operator, given in items)


def _one(operator: Any, given: Any, random: Random, groups: Groups) -> str:
    write = _WRITERS.get(str(operator))
    if write is None:
        raise ValueError(f"no text for {operator}")
    return write(given, random, groups)


def _set(given: Sequence[tuple[Any, Any]], random: Random, groups: Groups) -> str:
    negated = str(given[0][0]) == "NEGATE"
    members: list[str] = []
    for operator, value in given:
        kind = str(operator)
        if kind == "LITERAL":
            members.append(chr(value))
        elif kind == "RANGE":
            members += [chr(code) for code in range(value[0], min(value[1], value[0] + 200) + 1)]
        elif kind == "CATEGORY":
            members += _CATEGORIES[str(value)]
    if negated:
        members = [letter for letter in _PRINTABLE if letter not in members]
    return random.choice(members)


def _repeat(given: Any, random: Random, groups: Groups) -> str:
    least, most, items = given
    count = random.randint(least, min(most, least + _MOST_MORE))
    return "".join(_several(items, random, groups) for _ in range(count))


def _group(given: Any, random: Random, groups: Groups) -> str:
    number, _, _, items = given
    text = _several(items, random, groups)
    if number is not None:
        groups[number] = text
    return text


_WRITERS: dict[str, Callable[[Any, Random, Groups], str]] = {
    "LITERAL": lambda given, random, groups: chr(given),
    "NOT_LITERAL": lambda given, random, groups: "b" if given == ord("a") else "a",
    "ANY": lambda given, random, groups: random.choice(_ANY),
    "IN": _set,
    "CATEGORY": lambda given, random, groups: random.choice(_CATEGORIES[str(given)]),
    "BRANCH": lambda given, random, groups: _several(random.choice(given[1]), random, groups),
    "SUBPATTERN": _group,
    "MAX_REPEAT": _repeat,
    "MIN_REPEAT": _repeat,
    "POSSESSIVE_REPEAT": _repeat,
    "ATOMIC_GROUP": _several,
    "GROUPREF": lambda given, random, groups: groups[given],
    "AT": lambda given, random, groups: "",
    "ASSERT": lambda given, random, groups: "",
    "ASSERT_NOT": lambda given, random, groups: "",
}
