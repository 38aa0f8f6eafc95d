"""Which tools a goal has something for: no mail goes out where nobody's address is named.

A small model is held to these by the schema, so that what it adds of its own has nowhere to go.
The prompt still lists every tool, and so stays the same for all goals.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from flowbuilder.planner.argument_names import (
    FILES,
    LANGUAGE,
    MAIL,
    MAILS,
    PHONE,
    PHONES,
    open_kind,
)
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.carriers import sole_taker
from flowbuilder.planner.coercion import takes_text
from flowbuilder.planner.document import fields_of
from flowbuilder.planner.grounding import GENERAL, stems
from flowbuilder.planner.literals import literals
from flowbuilder.planner.rules.literals import Kind, find_literals
from flowbuilder.toolkit import is_starter
from flowbuilder.tools import HARMLESS, Effects, Tool

#: Names of arguments that hold a thing of one kind and nothing else.
_KINDS = {
    "address": {"url", "uri", "link", "endpoint"},
    MAIL: MAILS,
    "file name": FILES,
    PHONE: PHONES,
    "channel": {"channel"},
    "handle": {"user", "handle", "member", "username"},
    LANGUAGE: {"language", "lang", "target_language", "to_language", "target_lang"},
}
#: Tools that could be said to do anything, and the words of goals that mean them. Small models
#: take them for want of a better idea; what "Bob is asking" is no question to a person.
_VAGUE = {
    "llm.generate": re.compile(
        r"(?i)\b(?:writ|wrote|draft|compos|generat|explain|poem|haiku|story|joke|idea|suggest|"
        r"rephras|paraphras|describ|summar|gist|short|boil|condens|digest|key point|plain|translat|"
        r"turn|answer|model|llm|advice|recommend|brainstorm|repl|slogan|compar|opinion|think|"
        r"improv|letter|speech)"
    ),
    "llm.extract": re.compile(
        r"(?i)\b(?:extract|pull|field|structur|classif|categor|label|sentiment|invoice|schema|"
        r"key fact|names|addresses|dates|amounts|out of|find all|list all|which of|json)"
    ),
    "human.input": re.compile(r"(?i)\b(?:ask|input|enter|tell me|prompt|fill in|question)\b"),
}
#: A capital letter within a sentence: somebody's name, perhaps.
_PROPER = re.compile(r"(?<=[^\s.!?:\"“(]) [A-Z][^\W\d_]{2,}")
#: How a goal speaks of what a look-up is to find.
_SPOKEN_OF = {
    MAIL: re.compile(r"(?i)\b(?:e-?mail(?:s|ed)?|mail|address|inbox|write|writes)\b"),
    PHONE: re.compile(r"(?i)\b(?:phone|number|sms|text|texts|mobile|cell)\b"),
}
_OUTSIDE = {"address", "file name"}


def eligible(request: PlanRequest, tools: Sequence[Tool]) -> list[Tool]:
    """Return the tools without those that need what the goal does not name; all if none is left.

    A tool whose own name the goal speaks of stays: what it needs is then asked for.
    """
    if request.input is not None or request.input_schema is not None:
        return list(tools)
    if (sole := sole_taker(request.goal, tools)) is not None:
        return [sole]
    named = _named(request.goal) | _found(request.goal, tools)
    spoken = stems(request.goal)
    alone = all(is_starter(tool) for tool in tools)
    shut = {name for name, said in _VAGUE.items() if not (alone or said.search(request.goal))}
    kept = [
        tool
        for tool in tools
        if _needs(tool) <= named or (stems(tool.name.replace("_", " ")) - GENERAL) & spoken
        if tool.name not in shut
    ]
    return kept or list(tools)


def _named(goal: str) -> set[str]:
    """Return the kinds of what a goal names."""
    kinds = {literal.kind for literal in literals(goal)}
    if "name" in kinds:  # such as `example.com` or `Makefile.old`, of which nobody knows
        kinds |= {"address", "file name"}
    if _PROPER.search(goal):
        kinds.add("handle")
    if any(item.kind is Kind.LANGUAGE for item in find_literals(goal)):
        kinds.add(LANGUAGE)
    return kinds


def _found(goal: str, tools: Sequence[Tool]) -> set[str]:
    """Return the kinds that some look-up gives and that the goal speaks of: her number."""
    given = {name for tool in tools if tool.effects in HARMLESS for name in fields_of(tool)}
    return {
        kind for kind, words in _SPOKEN_OF.items() if words.search(goal) and _KINDS[kind] & given
    }


def _needs(tool: Tool) -> set[str]:
    """Return the kinds of what a tool cannot do without."""
    required: Sequence[str] = tool.input_schema.get("required", ())
    shapes: dict[str, Any] = tool.input_schema.get("properties", {})
    found = set()
    for name in required:
        if not takes_text(shapes.get(name)):
            continue
        kinds = {kind for kind, names in _KINDS.items() if name in names}
        # What touches nothing outside reads no file: its path is one within a document.
        found |= kinds - _OUTSIDE if tool.effects is Effects.PURE else kinds
        if kind := open_kind(name, tool):
            found.add(kind)
    return found
