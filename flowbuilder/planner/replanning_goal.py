"""What a goal says of its own parts: which of them may be left out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from flowbuilder.planner.replanning import ReplanRequest
from flowbuilder.strictjson import dumps
from flowbuilder.tools.ranking import words

_PERSON = r"(?:(?:my|our|the|a|an) )?\w+"
_GIVEN = r"(?:possible|allowed|permitted|approved|okay|ok)"
_MARKER = re.compile(
    rf"\b(?:if (?:at all )?possible|if you can|if (?:(?:it|that|this) is )?{_GIVEN}|"
    rf"where possible|when possible|"
    rf"if {_PERSON} (?:agrees?|approves?|allows?|says? yes|permits?|confirms?)(?: to)?(?: it)?|"
    r"(?<!not )optional(?:ly)?|ideally|preferably|nice to have|"
    r"(?:may|can) be (?:skipped|left out|omitted)|"
    r"not (?:strictly )?(?:required|necessary|essential|a must))\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[.!?;\n]+(?:\s|$)")
#: What stands before a marker that is about what follows: "and, if possible, …".
_LEADING = re.compile(r"(?:^|[,:(]|\b(?:and|then|but|also|plus))\s*$", re.IGNORECASE)
_BREAK = re.compile(
    r",?\s+(?:and then|then|and|but|afterwards|finally|plus)\b|,|:|[()\[\]]|\s[-–—]\s",
    re.IGNORECASE,
)


def is_optional(request: ReplanRequest, step_id: str) -> bool:
    """Whether the goal says of this step, and of no other so clearly, that it may be missing."""
    found = {name: set(_words_of(request, step)) for name, step in request.steps.items()}
    for clause in optional_clauses(request.goal):
        said = set(words(clause))
        scores = {name: len(said & own) for name, own in found.items()}
        best = max(scores.values())
        if best and [name for name, score in scores.items() if score == best] == [step_id]:
            return True
    return False


def optional_clauses(goal: str) -> list[str]:
    """Return the parts of a goal of which it says that they need not be done."""
    clauses: list[str] = []
    before_it = ""
    for sentence in _SENTENCE.split(goal):
        for marker in _MARKER.finditer(sentence):
            before, behind = sentence[: marker.start()], sentence[marker.end() :]
            said = _first(reversed(_BREAK.split(before)))
            leads = bool(_LEADING.search(before)) and not behind.lstrip().startswith(")")
            clause = _first(_BREAK.split(behind)) if leads else said
            if clause or said or before_it:
                clauses.append(clause or said or before_it)
        before_it = _first(reversed(_BREAK.split(sentence)))
    return clauses


def _first(parts: Iterable[str]) -> str:
    """Return the first part that says something."""
    return next((part.strip() for part in parts if words(part)), "")


def _words_of(request: ReplanRequest, step: dict[str, Any]) -> list[str]:
    """Return the stems by which a goal may speak of a step."""
    tool = request.registry.get(str(step["tool"]))
    texts = [step["id"].replace("_", " "), dumps(step.get("args", {})).decode()]
    if tool is not None:
        texts += [re.sub(r"[._]", " ", tool.name), tool.summary, *tool.keywords]
    return [stem for text in texts for stem in words(text)]
