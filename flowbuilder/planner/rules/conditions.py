"""From "if there are more than 3 rows" to a CEL condition on what earlier steps give."""

from __future__ import annotations

import json
import re

from flowbuilder.planner.rules.lexicon import lexicon, listed, name_words, stem, words
from flowbuilder.planner.rules.outputs import Field, StepDraft, output_fields
from flowbuilder.planner.rules.qualifiers import Qualifier

_NUMBER = r"(?P<n>-?\d[\d,]*(?:\.\d+)?|one|two|three|four|five|six|seven|eight|nine|ten)"
_SIGNS: tuple[tuple[str, str], ...] = (
    (">=", r"at least|no less than|not less than|>=|from"),
    ("<=", r"at most|no more than|not more than|<=|up to"),
    (">", r"more than|over|above|greater than|higher than|larger than|exceeds?|warmer than|>"),
    ("<", r"less than|fewer than|below|under|lower than|smaller than|colder than|<"),
    ("!=", r"not equal to|not|!="),
    ("==", r"equals?(?: to)?|exactly|==|="),
)
#: Judgements that no comparison with a text can make.
_VAGUE = listed(
    "ready available good bad ok okay fine possible done true false needed necessary important "
    "correct wrong valid invalid interesting relevant there missing new old different"
)
_COMPARING = "|".join(pattern for _, pattern in _SIGNS)
_OPPOSITE = {">=": "<", "<=": ">", ">": "<=", "<": ">=", "==": "!=", "!=": "=="}
_COUNTED = re.compile(
    rf"^(?:there (?:are|is|were)|it has|they have|we (?:have|find|get)|it (?:returns|finds|"
    rf"gives)|)\s*"
    rf"(?:still\s+)?(?P<op>{_COMPARING})\s*{_NUMBER}\s+(?P<noun>[a-z]+)",
    re.I,
)
_SOME = re.compile(
    r"^(?:there (?:are|is)|we (?:have|find)|it (?:has|finds|"
    r"returns))\s+(?:still\s+)?(?P<any>any|some|no|at least one|nothing|something)\b"
    r"|^(?P<any2>any|no)\s+\w+\s+(?:are|is|remain|were|match)|^(?:it|the \w+|the list) is "
    r"(?P<not>not )?empty",
    re.I,
)
_COMPARED = re.compile(
    rf"^(?P<left>.+?)\s+(?:is|are|was|has|have|gets?|goes|rises|falls|"
    rf"drops)?\s*(?P<op>{_COMPARING})\s*{_NUMBER}\b",
    re.I,
)
#: "It has more than 3 rows": a number of these, and of nothing else.
_COUNTABLE = re.compile(
    r"\s+((?:rows?|records?|lines?|entries|entry|items?|elements?|results?|columns?|words?"
    r"|characters?|letters?|sentences?|paragraphs?|pages?)\b)",
    re.I,
)
_IS_TEXT = re.compile(
    r"^(?P<left>.+?)\s+(?:is|are|was|sounds|comes out(?: as)?|turns "
    r"out)\s+(?P<not>not\s+)?[\"“]?(?P<word>[A-Za-z][\w-]*)[\"”]?$",
    re.I,
)


def condition_for(qualifier: Qualifier, steps: list[StepDraft]) -> str | None:
    """Return a CEL expression, or None if the words map to no number, size or text for certain."""
    text = re.sub(
        r"^[\s,]*(?:(?:but|and|only)\s+)*(?:if|when|in case|unless|whenever|provided(?: that)?)\s+",
        "", qualifier.text, flags=re.IGNORECASE,
    ).strip(" ,.")  # fmt: skip
    for reader in (_by_size, _by_presence, _by_number, _by_text):
        found = reader(text, steps)
        if found is not None:
            left, sign, right = found
            return f"{left} {_OPPOSITE[sign] if qualifier.negated else sign} {right}"
    return None


_Parts = tuple[str, str, str]


def _sign(worded: str) -> str:
    return next(sign for sign, words in _SIGNS if re.fullmatch(words, worded, re.IGNORECASE))


def _number(text: str) -> str:
    worded = lexicon().numbers.get(text.lower())
    return str(worded) if worded is not None else text.replace(",", "")


def _records_path(steps: list[StepDraft]) -> str | None:
    for step in reversed(steps):
        if step.sink or step.silent:
            continue
        for item in output_fields(step.profile):
            if item.type == "array":
                return _path(step, item)
    return None


def _path(step: StepDraft, item: Field) -> str:
    return f"steps.{step.id}.{item.name}" if item.name else f"steps.{step.id}"


def _by_size(text: str, steps: list[StepDraft]) -> _Parts | None:
    match = _COUNTED.match(text)
    path = _records_path(steps)
    if not match or path is None or match.group("noun").lower().startswith(("degree", "percent")):
        return None
    return f"size({path})", _sign(match.group("op")), _number(match.group("n"))


def _by_presence(text: str, steps: list[StepDraft]) -> _Parts | None:
    match = _SOME.match(text)
    path = _records_path(steps)
    if not match or path is None:
        return None
    said = (match.group("any") or match.group("any2") or "").lower()
    none = said in ("no", "nothing") or (not said and not match.group("not"))
    return f"size({path})", "==" if none else ">", "0"


def _by_number(text: str, steps: list[StepDraft]) -> _Parts | None:
    match = _COMPARED.match(text)
    if not match:
        return None
    counted = _COUNTABLE.match(text, match.end())
    said = counted.group(1) if counted else match.group("left")
    found = _field(said, steps, ("number", "integer"))
    return (found, _sign(match.group("op")), _number(match.group("n"))) if found else None


def _by_text(text: str, steps: list[StepDraft]) -> _Parts | None:
    match = _IS_TEXT.match(text)
    if not match:
        return None
    word = match.group("word").lower()
    found = _field(match.group("left"), steps, ("string",))
    if not found or word in _VAGUE:
        return None
    value = "" if word in ("empty", "blank") else match.group("word")
    return found, "!=" if match.group("not") else "==", json.dumps(value)


def _field(said: str, steps: list[StepDraft], kinds: tuple[str, ...]) -> str | None:
    """Return the output field that a noun names, or the only one of that type for "it"."""
    stems = {word.stem for word in words(said)}
    for step in reversed(steps):
        if step.silent or step.sink:
            continue
        fitting = [item for item in output_fields(step.profile) if item.type in kinds]
        for item in fitting:
            if item.name and {stem(part) for part in name_words(item.name)} & stems:
                return _path(step, item)
        about = {stem(part) for part in name_words(step.profile.tool.name)}
        pointing = (
            stems & {"it", "that", "this", "result", "number", "value", "answer"} or stems & about
        )
        if len(fitting) == 1 and pointing:
            return _path(step, fitting[0])
    return None
