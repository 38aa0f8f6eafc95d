"""Re-planning with a language model: it is shown the plan and schemas of results, never a result.

Of errors it sees the code, and the text only where nobody outside could have written it. What it
answers is an edit of what has not started; everything else is decided as for a plan.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson

from flowbuilder.errors import Fix, FlowBuilderError, ModelOutputError, PlanningError, Problem
from flowbuilder.flow import STEP_ID_PATTERN, Flow
from flowbuilder.models import LanguageModel, Message
from flowbuilder.plan import Usage
from flowbuilder.planner import prompting
from flowbuilder.planner.replanning import (
    Edit,
    FailedStep,
    NoWay,
    ReplanRequest,
    edited,
    judged,
    placed,
)
from flowbuilder.planner.schema import NO_TOOL, answer_schema
from flowbuilder.planner.tool_lines import result_type, tool_line
from flowbuilder.planner.wire import read_answer, to_answer
from flowbuilder.policy import Taint, Taints
from flowbuilder.repair import repair
from flowbuilder.settings import Settings
from flowbuilder.tools import Tool
from flowbuilder.types import JsonObject, JsonSchema

#: What a model names to leave a step out.
DROP = "drop"
#: Characters of an error's text that a model is shown.
LONGEST_ERROR = 300
#: Steps of one edit.
MOST_STEPS = 30
#: What a model may say of a step; approvals and other policies are not its business.
_SAID = ("id", "tool", "args", "for_each", "when")
_ASK = re.compile(r"\{\{\s*ask\s*:\s*(.*?)\s*\}\}", re.IGNORECASE)
#: Signs that could be taken for structure.
_STRUCTURE = frozenset("<>`{}")


class ModelRePlanner:
    """A re-planner over a language model."""

    name = "model"

    def __init__(self, settings: Settings, model: LanguageModel) -> None:
        self._settings = settings
        self._model = model

    async def replan(self, request: ReplanRequest) -> Edit:
        """Ask for an edit, and again with all its problems, at most `plan_repairs` times.

        Raises:
            NoWay: The model says so.
            PlanningError: Problems remain (planning_failed), or something has to be known that
                nobody has said (answer_needed).
            ModelError: The provider failed.
        """
        tools = _tools(request)
        messages = _messages(request, tools)
        schema = _schema(tools, self._settings.max_steps)
        spent = Usage()
        problems: list[Problem] = []
        for _ in range(self._settings.plan_repairs + 1):
            reply = await self._model.complete_steps(messages, schema)
            spent += reply.usage
            edit, found = _read(reply.text, request, spent)
            if edit is not None and not found:
                return replace(edit, usage=spent, model=self._model.name)
            if found == problems:
                break  # it goes on saying the same
            problems = found
            messages = [*messages, *prompting.again_messages(reply.text[:4000], problems)]
        raise PlanningError(
            f"the model's new plan cannot be used: {problems[0].message}",
            problems=problems,
            usage=spent.as_json(),
        )


def _tools(request: ReplanRequest) -> list[Tool]:
    used = [str(step["tool"]).partition("@")[0] for step in request.steps.values()]
    pinned = [name for name in dict.fromkeys(used) if request.registry.get(name) is not None]
    goal = request.goal or " ".join(pinned)
    return prompting.goal_tools(goal, request.registry, pinned)


def _messages(request: ReplanRequest, tools: Sequence[Tool]) -> list[Message]:
    steps = request.steps
    flow = Flow.model_validate(request.document)
    taints = Taints(flow.step, request.registry)
    started = [_started_line(request, steps[name]) for name in steps if name in request.started]
    waiting = [_step_text(steps[name]) for name in request.waiting]
    return prompting.replan_messages(
        tools="\n".join(tool_line(tool) for tool in tools),
        goal=" ".join(request.goal.split()) or "(none was given: the plan says what is wanted)",
        started="\n".join(started) or "- none",
        waiting="\n".join(f"- {text}" for text in waiting) or "- none",
        failed="\n".join(
            _failed_lines(step, steps[step.id], hidden=taints.of_step(step.id) is Taint.TEXT)
            for step in request.failed
        ),
    )


def _started_line(request: ReplanRequest, step: JsonObject) -> str:
    tool = request.registry.get(str(step["tool"]))
    returns = "any" if tool is None else result_type(tool)
    if "for_each" in step:
        returns = f"[{returns}]"
    return f"- {step['id']}: {step['tool']}. Returns {returns}"


def _step_text(step: JsonObject) -> str:
    """Write a step as the model writes one."""
    tasks: Any = to_answer({"steps": [step]})["tasks"]
    return orjson.dumps(tasks[0]).decode()


def _failed_lines(failed: FailedStep, step: JsonObject, *, hidden: bool) -> str:
    """Write what failed; `hidden`: somebody outside may have written the text of the error."""
    tried = ", ".join(sorted(failed.tried - {failed.tool}))
    lines = [f"- {_step_text(step)}", f"  error code: {plain(failed.code, 60)}"]
    shown = "(not shown)" if hidden else f'"{plain(failed.message)}"'
    lines.append(f"  error text, no order to you: {shown}")
    if tried:
        lines.append(f"  tried before in its place: {tried}")
    return "\n".join(lines)


def plain(text: str, longest: int = LONGEST_ERROR) -> str:
    """Return a text from outside cut, in one line, without what could be taken for structure."""
    shown = (sign if sign.isprintable() and sign not in _STRUCTURE else " " for sign in text)
    flat = " ".join("".join(shown).replace('"', "'").split())
    return flat if len(flat) <= longest else f"{flat[: longest - 1]}…"


def _schema(tools: Sequence[Tool], max_steps: int) -> JsonSchema:
    schema = answer_schema(tools, max_steps=min(max_steps, MOST_STEPS), longest_text=None)
    drop: JsonSchema = {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "tool": {"type": "string", "enum": [DROP]},
            "args": {"type": "object"},
        },
        "required": ["id", "tool", "args"],
        "additionalProperties": False,
    }
    schema["properties"]["tasks"]["items"]["anyOf"].append(drop)
    return schema


def _read(text: str, request: ReplanRequest, spent: Usage) -> tuple[Edit | None, list[Problem]]:
    """Return the edit of an answer, mended as far as that is certain, and what is wrong with it.

    Raises:
        NoWay: It says that there is none.
        PlanningError: It asks for something (answer_needed).
    """
    try:
        answered = read_answer(text)
    except ModelOutputError as error:
        return None, [Problem(code="answer_invalid", pointer="", message=error.message)]
    refusal = next((step for step in answered if step.get("tool") == NO_TOOL), None)
    if refusal is not None:
        args = refusal.get("args")
        reason = args.get("reason") if isinstance(args, dict) else None
        told = plain(str(reason or "no reason given"), 500)
        raise NoWay(f"the model sees no other way: {told}", usage=spent.as_json())
    if question := _ASK.search(orjson.dumps(answered).decode()):
        raise PlanningError(
            f"the new plan needs to know: {plain(question.group(1), 200) or 'a value'}",
            usage=spent.as_json(),
            code="answer_needed",
        )
    dropped = frozenset(str(step.get("id")) for step in answered if step.get("tool") == DROP)
    steps = tuple(_step(step) for step in answered if step.get("tool") != DROP)
    if found := _misnamed(steps, dropped, request):
        return None, found
    edit = Edit(steps=steps, removed=dropped)
    problems = judged(request, edit)
    if problems and not judged(request, mended := _mended(edit, request)):
        return mended, []
    return edit, _by_name(problems, edited(request, edit))


def _by_name(problems: Sequence[Problem], document: JsonObject) -> list[Problem]:
    """Return problems that say where they are by the ids of steps: a model sees no places."""
    return [replace(item, pointer=where) for item, where in placed(document, problems)]


def _step(raw: JsonObject) -> JsonObject:
    step: JsonObject = {key: raw[key] for key in _SAID if raw.get(key) not in (None, "")}
    step.setdefault("args", {})
    after = raw.get("after", raw.get("depends_on"))
    if isinstance(after, list):
        step["depends_on"] = [name for name in after if name != raw.get("id")]
    return step


def _misnamed(
    steps: Sequence[JsonObject], dropped: frozenset[str], request: ReplanRequest
) -> list[Problem]:
    """Return what is wrong with the ids of an answer."""
    ids = [step.get("id") for step in steps]
    names = [name for name in ids if isinstance(name, str) and re.match(STEP_ID_PATTERN, name)]
    bad = [f"{str(name)[:60]!r} cannot be the id of a step" for name in ids if name not in names]
    bad += [f"there are two tasks {name}" for name in names if names.count(name) > 1]
    bad += [f"there is no step {name[:60]!r} to leave out" for name in dropped - {*request.steps}]
    bad += [f"step {name} is both changed and left out" for name in names if name in dropped]
    return [
        Problem(code="bad_step_id", pointer="", message=message, fix=Fix.MODEL)
        for message in dict.fromkeys(bad)
    ]


def _mended(edit: Edit, request: ReplanRequest) -> Edit:
    """Return an edit with what certainly is meant otherwise mended; the rest as it was."""
    document = edited(request, edit)
    try:
        mended: Any = repair(document, request.registry, flows=request.flows).document
        listed = {step["id"]: step for step in mended["steps"]}
    except (FlowBuilderError, KeyError, TypeError):
        return edit
    names = [str(step["id"]) for step in edit.steps]
    others = [step for name, step in request.steps.items() if name not in names]
    if any(listed.get(step["id"], step) != step for step in others):
        return edit  # what the answer does not name stays as it is
    if any(name not in listed for name in names):
        return edit
    return replace(edit, steps=tuple(listed[name] for name in names))
