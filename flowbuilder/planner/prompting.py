"""Build the planner's messages from the files in `prompts/`; the only reader of that folder.

The long part (rules, examples, catalogue) comes first and is the same for every goal over the
same tools, so that a server which caches prefixes reads it once. The goal comes last.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import yaml

from flowbuilder.errors import Problem
from flowbuilder.models.base import Message
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.demonstration import demonstrations
from flowbuilder.planner.literals import literals
from flowbuilder.planner.memory.recollection import Recollection
from flowbuilder.planner.shortlist import fitting_tools
from flowbuilder.planner.tool_lines import line, tool_line, type_text
from flowbuilder.toolkit import is_starter
from flowbuilder.tools import Tool, ToolRegistry
from flowbuilder.types import JsonObject, JsonValue

_FOLDER = Path(__file__).resolve().parent.parent / "prompts"
_LINKED = Path(__file__).resolve().parent.parent.parent / "prompts"
_WEB = (
    "http", "www.", "url", "web", "site", "page", "link", "api", "online", "internet", "download",
    "fetch", "feed", "endpoint", "host", "domain", "request",
)  # fmt: skip
#: Tools that serve only goals which speak of such things; small models misuse them.
_OCCASIONAL = {
    "human.approve": ("approv", "confirm", "review", "permission", "sign off", "agree", "check"),
    "human.input": ("ask", "input", "enter", "tell me", "person", "question"),
    "llm.extract": (
        "extract",
        "pull",
        "field",
        "structur",
        "classif",
        "categor",
        "label",
        "detail",
        "mention",
        "sentiment",
        "names",
        "addresses",
        "dates",
        "amounts",
        "invoice",
        "out of",
        "json",
        "find all",
        "list all",
        "which of",
        "key facts",
        "schema",
    ),
    "http.get": _WEB,
    "http.request": _WEB,
    "time.sleep": ("wait", "sleep", "pause", "delay", "later", "second", "minute", "hour"),
    "flow.run": ("flow",),
}


@cache
def _read(name: str) -> str:
    folder = _FOLDER if _FOLDER.is_dir() else _LINKED
    return (folder / name).read_text(encoding="utf-8").strip()


@cache
def _examples() -> tuple[Message, ...]:
    """Return the examples as a conversation about tools that do not exist."""
    tools = [_example_tool(item) for item in yaml.safe_load(_read("examples/tools.yaml"))]
    catalogue = _read("catalogue.md").replace("{tools}", "\n".join(tools))
    messages: list[Message] = []
    for number, example in enumerate(yaml.safe_load(_read("examples/goals.yaml"))):
        question = _goal(example["goal"])
        answer = dump({"tasks": example["tasks"]})
        messages.append(
            Message(role="user", content=question if number else f"{catalogue}\n\n{question}")
        )
        messages.append(Message(role="assistant", content=answer))
    return tuple(messages)


def dump(answer: JsonValue | dict[str, Any]) -> str:
    """Write an answer as the model should write it."""
    return orjson.dumps(answer).decode()


def select_tools(request: PlanRequest) -> list[Tool]:
    """Return the tools to show for a goal: all of a small catalogue, else what fits best."""
    told = f"{request.goal.lower()} {_given(request)}"
    tools = [
        tool
        for tool in request.registry
        if tool.name not in _OCCASIONAL
        or _serves(tool, told, request.flows)
        or tool.name in request.pinned
    ]
    shown = fitting_tools(request, tools, tool_line)
    occasional = [tool for tool in shown if tool.name in _OCCASIONAL]
    return [tool for tool in shown if tool.name not in _OCCASIONAL] + occasional


def _given(request: PlanRequest) -> str:
    """Return what is known of the run's input, in lower case."""
    return f"{dump(request.input)} {dump(request.input_schema or {})}".lower()


def _serves(tool: Tool, goal: str, flows: Iterable[str]) -> bool:
    if tool.name == "flow.run":
        return any(slug.lower() in goal for slug in flows)
    if _OCCASIONAL[tool.name] is _WEB and any(
        item.kind == "address" or (item.kind == "name" and "." in item.text)
        for item in literals(goal)
    ):
        return True  # such as "example.com", which no file is called
    return any(word in goal for word in _OCCASIONAL[tool.name])


def plan_messages(
    request: PlanRequest, tools: Sequence[Tool], *, shown: bool = False
) -> list[Message]:
    """Return the conversation that asks for a plan.

    With `shown` it holds examples made of the very tools, which small models learn most from.
    """
    return [*_prefix(), *_last(tools, _request_text(request), shown=shown)]


def warm_up_messages(registry: ToolRegistry) -> list[Message]:
    """Return a conversation with the beginning that every goal over these tools shares."""
    request = PlanRequest(id="", goal="", registry=registry)
    return plan_messages(request, select_tools(request), shown=True)


def repair_messages(answer: str, problems: Sequence[Problem]) -> list[Message]:
    """Return what follows on an answer with problems: the answer, and all of them."""
    return _follow_up("repair.md", answer, problems)


def missing_messages(answer: str, problems: Sequence[Problem]) -> list[Message]:
    """Return what follows on an answer that lacks its last step, to ask for that step alone."""
    return _follow_up("missing.md", answer, problems)


def edit_messages(steps: Sequence[JsonObject], tools: Sequence[Tool], words: str) -> list[Message]:
    """Return the conversation that asks for the changes of a flow."""
    asked = (
        _read("edit_flow.md")
        .replace("{steps}", "\n".join(dump(step) for step in steps))
        .replace("{tools}", "\n".join(tool_line(tool) for tool in tools))
    )
    return [
        Message(role="system", content=_read("edit.md")),
        Message(role="user", content=asked.replace("{words}", " ".join(words.split()))),
    ]


def edit_again_messages(answer: str, problems: Sequence[Problem]) -> list[Message]:
    """Return what follows on changes that cannot be made: the changes, and all their problems."""
    return _follow_up("edit_again.md", answer, problems)


def _follow_up(name: str, answer: str, problems: Sequence[Problem]) -> list[Message]:
    listed = "\n".join(_problem_line(problem) for problem in problems)
    asked = _read(name).replace("{problems}", listed)
    return [
        Message(role="assistant", content=answer),
        Message(role="user", content=asked),
    ]


def fresh_messages(
    request: PlanRequest,
    tools: Sequence[Tool],
    problems: Sequence[Problem],
    *,
    shown: bool = False,
) -> list[Message]:
    """Return the conversation anew, with the problems in the place of the answer that had them.

    A small model that sees its own answer tends to repeat it.
    """
    listed = "\n".join(_problem_line(problem) for problem in problems)
    mind = _read("again.md").replace("{problems}", listed)
    text = f"{_request_text(request)}\n{mind}"
    return [*_prefix(), *_last(tools, text, shown=shown)]


def patch_messages(
    request: PlanRequest,
    problems: Sequence[str],
    steps: Sequence[JsonObject],
    others: Sequence[str],
    tools: Sequence[Tool],
) -> list[Message]:
    """Return the conversation that asks for a patch; it shows nothing of a plan but what is given.

    Args:
        request: What was to be planned.
        problems: What is wrong, a line each.
        steps: Those that may be changed, as the model would write them.
        others: The steps that stay, a line each.
        tools: That a changed or added step may need.
    """
    parts = {
        "{goal}": _request_text(request),
        "{problems}": "\n".join(problems),
        "{steps}": "\n".join(dump(step) for step in steps) or "(none)",
        "{others}": "\n".join(others) or "(none)",
        "{tools}": "\n".join(tool_line(tool) for tool in tools),
    }
    text = re.sub(r"\{\w+\}", lambda found: parts.get(found[0], found[0]), _read("patch.md"))
    return [
        Message(role="system", content=_read("patcher.md")),
        Message(role="user", content=text),
    ]


def _prefix() -> list[Message]:
    return [Message(role="system", content=_read("planner.md")), *_examples()]


def _last(tools: Sequence[Tool], goal: str, *, shown: bool) -> list[Message]:
    """Return the catalogue, examples made of it if they are to be shown, and the goal.

    Tools that only some goals need come behind the examples, which stay the same so.
    """
    usual = [tool for tool in tools if tool.name not in _OCCASIONAL]
    own = [tool for tool in usual if not is_starter(tool)]
    found = demonstrations(own) if shown else []
    if not found:
        return [Message(role="user", content=f"{_catalogue(tools)}\n\n{goal}")]
    questions = [_goal(item.goal) for item in found]
    questions[0] = f"{_catalogue(usual)}\n\n{questions[0]}"
    messages: list[Message] = []
    for question, item in zip(questions, found, strict=True):
        answer = dump({"tasks": list(item.tasks)})
        messages.append(Message(role="user", content=question))
        messages.append(Message(role="assistant", content=answer))
    further = [tool for tool in tools if tool.name in _OCCASIONAL]
    goal = f"{_catalogue(further, more=True)}\n\n{goal}" if further else goal
    return [*messages, Message(role="user", content=goal)]


def _catalogue(tools: Sequence[Tool], *, more: bool = False) -> str:
    lines = "\n".join(tool_line(tool) for tool in tools)
    listed = _read("catalogue.md").replace("{tools}", lines)
    return f"Further {listed[:1].lower()}{listed[1:]}" if more else listed


def _request_text(request: PlanRequest) -> str:
    text = "\n".join([*_remembered(request.memory), _goal(request.goal)])
    shape = request.input_schema
    properties = shape.get("properties") if shape else None
    if isinstance(properties, dict) and properties:
        return f"Input of the run, as ${{{{ input.NAME }}}}: {type_text(shape or {}, 0)}\n{text}"
    if isinstance(request.input, dict) and request.input:
        names = ", ".join(sorted(request.input))
        return f"Input of the run, as ${{{{ input.NAME }}}}: {names}\n{text}"
    return text


def _remembered(memory: Recollection) -> Iterator[str]:
    """Yield what runs of before have taught; nothing where that is nothing."""
    if memory.examples:
        shown = [f"{_goal(item.goal)}\n{dump(item.plan)}" for item in memory.examples]
        yield filled("memory_examples.md", examples="\n".join(shown))
    if memory.rules:
        listed = "\n".join(f"- {rule}" for rule in memory.rules)
        yield filled("memory_rules.md", rules=listed)


def _goal(goal: str) -> str:
    return _read("goal.md").replace("{goal}", " ".join(goal.split()))


def _problem_line(problem: Problem) -> str:
    hint = f" {problem.hint}" if problem.hint else ""
    where = problem.pointer or "the plan"
    return f"- {where}: {problem.message}{hint}"


def goal_tools(goal: str, registry: ToolRegistry, pinned: Sequence[str]) -> list[Tool]:
    """Return the tools to show for a goal of which a part is done, those `pinned` among them."""
    return select_tools(PlanRequest(id="", goal=goal, registry=registry, pinned=tuple(pinned)))


def replan_messages(**parts: str) -> list[Message]:
    """Return the conversation that asks for another rest of a run, of these parts."""
    text = re.sub(r"\{(\w+)\}", lambda found: parts[found.group(1)], _read("replan.md"))
    return [
        Message(role="system", content=_read("replanner.md")),
        Message(role="user", content=text),
    ]


def again_messages(answer: str, problems: Sequence[Problem]) -> list[Message]:
    """Return what follows on an edit with problems."""
    return _follow_up("replan_again.md", answer, problems)


def _example_tool(item: dict[str, Any]) -> str:
    required = [name for name in item["input"] if name not in item.get("optional", ())]
    inputs = {"type": "object", "properties": item["input"], "required": required}
    outputs = {"type": "object", "properties": item["output"]}
    return line(item["name"], item["summary"], inputs, outputs)


def filled(name: str, **values: str) -> str:
    """Return a template of the folder with its places filled."""
    text = _read(name)
    for place, value in values.items():
        text = text.replace("{" + place + "}", value)
    return text


def decomposition_messages(request: PlanRequest, tools: Sequence[Tool], most: int) -> list[Message]:
    """Return the conversation that asks for the parts of a large goal."""
    asked = f"{_catalogue(tools)}\n\n{_request_text(request)}"
    return [
        Message(role="system", content=filled("decompose.md", most=str(most))),
        Message(role="user", content=asked),
    ]


def decomposition_again(answer: str, problems: Sequence[Problem]) -> list[Message]:
    """Return what follows on parts that cannot be used: the answer, and all its problems."""
    return _follow_up("decompose_again.md", answer, problems)


def output_messages(goal: str, steps: Sequence[str], values: Sequence[str]) -> list[Message]:
    """Return the question which steps of a part hold the values that it has to give."""
    listed = {"goal": goal, "steps": "\n".join(steps), "values": "\n".join(values)}
    return [Message(role="user", content=filled("choose_outputs.md", **listed))]
