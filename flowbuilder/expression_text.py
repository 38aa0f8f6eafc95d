"""What a CEL expression says, read from its text: which steps and inputs, how deep, how much.

Nothing is compiled here. Texts and comments in an expression say nothing.
"""

from __future__ import annotations

import re
from functools import lru_cache

#: Expressions that are remembered; of the largest, these are some ten million characters.
REMEMBERED = 4096

_CODE = re.compile(
    r"(?P<comment>//[^\n]*)"
    r"|(?P<text>[bB]?(?:[rR][bB]?(?:\"\"\"[\s\S]*?\"\"\"|'''[\s\S]*?'''|\"[^\"\n]*\"|'[^'\n]*')"
    r"|\"\"\"(?:[^\\]|\\[\s\S])*?\"\"\"|'''(?:[^\\]|\\[\s\S])*?'''"
    r"|\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'))"
    r"|(?P<name>[A-Za-z_]\w*)"
)
_KEY = re.compile(r"""([\"'])[A-Za-z_]\w*\1""")
_STEP = re.compile(
    r"""(?<![\w.])(?<!\.\s)steps\s*(?:\.\s*(?P<name>[A-Za-z_]\w*)|\[\s*[\"'](?P<key>\w+)[\"']\s*\])"""
    r"(?P<path>(?:\s*\.\s*[A-Za-z_]\w*)*)"
)
_ROOT = re.compile(r"(?<![\w.])(?<!\.\s)(?P<root>input|run)(?P<path>(?:\s*\.\s*[A-Za-z_]\w*)+)")
_STEPS = re.compile(r"(?<![\w.])(?<!\.\s)steps\b")
_MACRO = re.compile(r"\.\s*(all|exists|exists_one|map|filter)\s*\(\s*(\w*)")
#: What may be any other of its kind without a change of how an expression is read: plain texts,
#: small whole numbers, names of steps. Of a function's name, and of words that CEL keeps for
#: itself, that is not so.
_ANY = re.compile(
    r"(?P<text>\"[^\"]*\"|'[^']*')"
    r"|(?<![\w.])(?<![eE][+-])(?P<number>[0-9]{1,15})(?![\w.])"
    r"|(?<![\w.])steps\.(?!(?:as|break|const|continue|else|false|for|function|if|import|in|let|loop"
    r"|namespace|null|package|return|true|var|void|while)\b)[A-Za-z_]\w*+(?!\s*\()",
    re.ASCII,
)
#: Where one of these is, or a line ends, a text need not end at the next quotation mark.
_ODD_TEXTS = ("\\", "//", '"""', "'''")
_COPIES = re.compile(r"\.\s*(?:map|filter)\s*\(|\bin\b")


@lru_cache(maxsize=REMEMBERED)
def bare_code(text: str) -> str:
    """Return the code without comments and texts; the key in `steps["a"]` stays."""

    def without(match: re.Match[str]) -> str:
        if match["comment"] is not None:
            return ""
        if match["text"] is None:
            return match.group()
        before = text[max(0, match.start() - 40) : match.start()]
        kept = re.search(r"\bsteps\s*\[\s*$", before) and _KEY.fullmatch(match.group())
        return match.group() if kept else '""'

    return _CODE.sub(without, text)


@lru_cache(maxsize=REMEMBERED)
def step_names(text: str) -> frozenset[str]:
    """Return the ids of the steps that an expression reads, without compiling it."""
    return frozenset(match["name"] or match["key"] for match in _STEP.finditer(bare_code(text)))


def step_paths(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """Return `(step id, path)` for every plain path behind `steps.<id>`, as far as it is plain.

    The last name of a method call, as in `steps.a.text.startsWith("x")`, is no part of the path.
    """
    bare = bare_code(text)
    return [
        (match["name"] or match["key"], _plain_path(match, bare)) for match in _STEP.finditer(bare)
    ]


def root_paths(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """Return `(root, path)` for every plain path behind `input` and `run`; see `step_paths`."""
    bare = bare_code(text)
    named = {name for _, name in _MACRO.findall(bare)}
    return [
        (match["root"], _plain_path(match, bare))
        for match in _ROOT.finditer(bare)
        if match["root"] not in named
    ]


def _plain_path(match: re.Match[str], bare: str) -> tuple[str, ...]:
    names = re.findall(r"\w+", match["path"])
    is_call = bare[match.end() :].lstrip().startswith("(")
    return tuple(names[:-1] if is_call else names)


def alike(text: str) -> str:
    """Return what all expressions have in common that differ only in values and steps' names.

    Reading an expression takes the library long; of many that are alike it reads one.
    """
    if not (text.isascii() and text.isprintable()) or any(odd in text for odd in _ODD_TEXTS):
        return text
    return _ANY.sub(_any, text)


def _any(match: re.Match[str]) -> str:
    if match["text"] is not None:
        return '"x"'  # two in a row are no longer text
    return "steps.s" if match["number"] is None else "1"


def calling(text: str, name: str, other: str) -> str:
    """Return an expression that calls another function wherever it calls this one."""
    if name not in text:
        return text

    def renamed(match: re.Match[str]) -> str:
        called = match["name"] == name and text[match.end() :].lstrip().startswith("(")
        return other if called else match.group()

    return _CODE.sub(renamed, text)


def names_every_step(bare: str) -> bool:
    """Whether each `steps` is followed by the step that is meant."""
    return len(_STEPS.findall(bare)) <= len(_STEP.findall(bare))


def loop_variables(bare: str) -> list[str]:
    """Return the variable of each `all`, `exists`, `map` or `filter`."""
    return [name for _, name in _MACRO.findall(bare)]


def copies_lists(bare: str) -> bool:
    """Whether something in it copies lists, which takes quadratic time."""
    return _COPIES.search(bare) is not None


def is_deeper(bare: str, most: int) -> bool:
    """Whether brackets nest deeper than this."""
    if bare.count("(") + bare.count("[") + bare.count("{") <= most:
        return False
    depth = 0
    for character in bare:
        if character in "([{":
            depth += 1
            if depth > most:
                return True
        elif character in ")]}":
            depth -= 1
    return False


def macro_depth(bare: str) -> int:
    """Count how deep macros stand in each other's brackets."""
    starts = {bare.index("(", match.start()) for match in _MACRO.finditer(bare)}
    if not starts:
        return 0
    open_: list[bool] = []
    deepest = 0
    for place, character in enumerate(bare):
        if character == "(":
            open_.append(place in starts)
            deepest = max(deepest, sum(open_))
        elif character == ")" and open_:
            open_.pop()
    return deepest


def growth(bare: str) -> int:
    """Return how many copies of what an expression reads its value may hold, at most."""
    grown = 1 + bare.count("+")
    for match in _MACRO.finditer(bare):
        if match[1] == "map" and match[2]:
            body = _bracket(bare, bare.index("(", match.start()))
            grown *= max(1, len(re.findall(rf"\b{match[2]}\b", body)) - 1)
    return grown


def _bracket(bare: str, start: int) -> str:
    """Return what stands from a bracket to the one that closes it."""
    depth = 0
    for place in range(start, len(bare)):
        depth += (bare[place] == "(") - (bare[place] == ")")
        if depth == 0:
            return bare[start : place + 1]
    return bare[start:]
