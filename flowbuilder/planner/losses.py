"""Which tools bring back what a plan lost of its goal."""

from __future__ import annotations

from collections.abc import Sequence

from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.forgetting import shortens
from flowbuilder.planner.judging import Judgement
from flowbuilder.planner.literals import Literal, field_tools, is_field, literals, taking
from flowbuilder.tools import HARMLESS, Tool

_SOURCES = frozenset({"address", "file name", "query"})


def field_finders(judged: Judgement, request: PlanRequest, tools: Sequence[Tool]) -> list[Tool]:
    """Return the tools that find a value in a document if a path within one was lost.

    None where the plan has errors, or has such a step.
    """
    if judged.errors or not any(is_field(item) for item in _lost(judged, request)):
        return []
    shown = {tool.name for tool in tools} - set(judged.tools)
    return [tool for tool in field_tools(request.registry) if tool.name in shown]


def translators(judged: Judgement, tools: Sequence[Tool]) -> list[Tool]:
    """Return the tools that put a text into a language if a plan without errors lost one."""
    told = [item.message for item in judged.to_mend if item.code == "literal_lost"]
    if judged.errors or not any(message.startswith("the language ") for message in told):
        return []
    return [
        tool
        for tool in tools
        if tool.effects in HARMLESS and tool.name not in judged.tools
        if any("lang" in name for name in tool.input_schema.get("required", ()))
    ]


def shorteners(judged: Judgement, tools: Sequence[Tool]) -> list[Tool]:
    """Return the tools that shorten a text if a plan without errors forgot that."""
    forgot = any(item.code == "change_forgotten" for item in judged.to_mend)
    if judged.errors or not forgot:
        return []
    return [tool for tool in tools if shortens(tool) and tool.name not in judged.tools]


def source_readers(judged: Judgement, request: PlanRequest, tools: Sequence[Tool]) -> list[Tool]:
    """Return the tools that read what was lost, if nothing is wrong but that one source is lost."""
    if any(item.code != "literal_lost" for item in judged.errors):
        return []
    lost = [item for item in _lost(judged, request) if item.kind in _SOURCES]
    if len(lost) != 1 or judged.unfit or judged.wrong_steps:
        return []
    return [tool for tool in tools if tool.effects in HARMLESS and taking(lost[0], tool)]


def _lost(judged: Judgement, request: PlanRequest) -> list[Literal]:
    told = [item.message for item in judged.to_mend if item.code == "literal_lost"]
    return [
        item
        for item in literals(request.goal)
        if any(f"the {item.kind} {item.text} " in message for message in told)
    ]
