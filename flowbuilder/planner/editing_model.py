"""Edits by words with a language model: it answers with changes by step id, never a whole flow.

What it does not list cannot change, because it never writes it. What it lists is checked as a
plan is; problems are told to it once.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from flowbuilder.errors import PlanningError, Problem
from flowbuilder.flow import STEP_ID_PATTERN
from flowbuilder.models.base import LanguageModel
from flowbuilder.plan import Usage
from flowbuilder.planner import prompting
from flowbuilder.planner.document import steps_of, tool_of, with_texts
from flowbuilder.planner.editing import Edited, EditRequest, new_errors, questions_at
from flowbuilder.planner.editing_changes import remove_step, step_named
from flowbuilder.planner.editing_rules import edit_by_rules
from flowbuilder.planner.shortlist import narrowed
from flowbuilder.settings import Settings
from flowbuilder.strictjson import escape
from flowbuilder.tools import Tool, ToolRegistry
from flowbuilder.types import JsonObject, JsonSchema, JsonValue

#: Changes of one edit.
_MOST_CHANGES = 50
_ASK = re.compile(r"\$\{\{\s*ask:\s*(.*?)\s*\}\}", re.IGNORECASE | re.DOTALL)
_HEAD = re.compile(r"\$\{\{\s*([A-Za-z_]\w*)\b(?=[.\[\s}])")
_ROOTS = frozenset({"input", "steps", "item", "index", "run", "ask"})
_NAME = re.compile(STEP_ID_PATTERN)


class ModelEdits:
    """What a planner over a language model needs to read an edit's words."""

    _settings: Settings
    _model: LanguageModel

    async def edit(self, request: EditRequest) -> Edited:
        """Return the changed document. Raises: PlanningError, ModelError.

        A model on a server of one's own is taken to be small: what rules are sure of, they do.
        """
        if self._settings.model_api_base is not None:
            try:
                by_rules = await edit_by_rules(request)
            except PlanningError:
                pass
            else:
                sure = not by_rules.doubts and not by_rules.questions
                if sure and not new_errors(request, by_rules):
                    return by_rules
        return await edit_by_model(self._model, request)


async def edit_by_model(model: LanguageModel, request: EditRequest) -> Edited:
    """Ask a model for the changes, once more if they cannot be made.

    Raises:
        PlanningError: It says that the change cannot be made (edit_impossible), or what it
            answers cannot be (edit_invalid).
        ModelError: Its provider failed.
    """
    tools = await _tools(request)
    messages = prompting.edit_messages(_shown(request.document), tools, request.words)
    schema = changes_schema(tools, [str(step.get("id")) for step in steps_of(request.document)])
    answer, usage = await model.extract(messages, schema)
    made, problems = _tried(request, answer)
    if problems:
        again = prompting.edit_again_messages(prompting.dump(answer), problems)
        answer, more = await model.extract([*messages, *again], schema)
        usage += more
        made, problems = _tried(request, answer)
    if problems:
        raise PlanningError(
            f"the model's changes cannot be made: {problems[0].message}",
            problems=problems,
            attempts=2,
            usage=usage.as_json(),
            code="edit_invalid",
        )
    return replace(made, usage=usage, model=model.name)


def changes_schema(tools: Sequence[Tool], ids: Sequence[str]) -> JsonSchema:
    """Return the JSON Schema of an answer: changes by the ids that there are, and these tools."""
    arguments: JsonSchema = {"type": "object"}
    common: JsonSchema = {
        "args": arguments,
        "when": {"type": "string"},
        "for_each": {"type": "string"},
        "after": {"type": "array", "items": {"type": "string"}},
    }
    known: JsonSchema = {"type": "string", "enum": [*ids]}

    def change(op: str, properties: JsonSchema, required: Sequence[str]) -> JsonSchema:
        return {
            "type": "object",
            "properties": {"op": {"const": op}, **properties},
            "required": ["op", "id", *required],
            "additionalProperties": False,
        }

    new: JsonSchema = {"type": "string", "pattern": STEP_ID_PATTERN}
    tool: JsonSchema = {"type": "string", "enum": [item.name for item in tools]}
    drop: JsonSchema = {"type": "array", "items": {"type": "string"}}
    return {
        "type": "object",
        "properties": {
            "changes": {
                "type": "array",
                "maxItems": _MOST_CHANGES,
                "items": {
                    "anyOf": [
                        change("add", {"id": new, "tool": tool, **common}, ["tool", "args"]),
                        change("set", {"id": known, "tool": tool, "drop": drop, **common}, []),
                        change("remove", {"id": known}, []),
                    ]
                },
            },
            "impossible": {"type": "string"},
        },
        "required": ["changes"],
        "additionalProperties": False,
    }


async def _tools(request: EditRequest) -> list[Tool]:
    """Return the tools to show: those of the flow, and those that the words could need."""
    used = [
        tool for step in steps_of(request.document) if (tool := tool_of(step, request.registry))
    ]
    names = tuple(dict.fromkeys(tool.name for tool in used))
    plan = await narrowed(replace(request.plan_request(), pinned=names))
    shown = {tool.name: tool for tool in prompting.select_tools(plan)}
    return [*shown.values(), *(tool for tool in used if tool.name not in shown)]


def _shown(document: JsonObject) -> list[JsonObject]:
    """Return the steps as the model sees them: what it may not change is left out."""
    hidden = ("approval", "retry", "timeout", "compensate", "limit")
    return [
        {key: value for key, value in step.items() if key not in hidden}
        for step in steps_of(document)
    ]


def _tried(request: EditRequest, answer: JsonValue) -> tuple[Edited, list[Problem]]:
    """Apply an answer; return what came of it and what is wrong with that."""
    changes = answer.get("changes") if isinstance(answer, dict) else None
    why = answer.get("impossible") if isinstance(answer, dict) else None
    if not changes and isinstance(why, str) and why.strip():
        raise PlanningError(f"the model says: {why.strip()[:500]}", code="edit_impossible")
    work = _Patch(document=copy.deepcopy(request.document), registry=request.registry)
    for number, change in enumerate(changes if isinstance(changes, list) else []):
        if isinstance(change, dict):
            work.apply(change, f"/changes/{number}")
    made = work.edited()
    return made, [*work.problems, *new_errors(request, made)]


@dataclass(slots=True)
class _Patch:
    """A document on its way through a model's changes."""

    document: JsonObject
    registry: ToolRegistry
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    """Step, place inside of it and text of each question."""

    def apply(self, change: JsonObject, pointer: str) -> None:
        """Make one change; what cannot be made becomes a problem."""
        name, op = str(change.get("id")), change.get("op")
        step = step_named(self.document, name)
        if op == "add":
            self._add(name, change)
        elif step is None:
            self._refuse(pointer, f"there is no step {name}")
        elif op == "remove":
            remove_step(self.document, name)
            self.notes.append(f"{name} was taken out.")
        elif op == "set":
            self._set(step, change)
        else:
            self._refuse(pointer, f"{op!r:.40} is none of add, set and remove")

    def edited(self) -> Edited:
        """Return what came of it."""
        return Edited(
            document=self.document,
            questions=questions_at(self.document, self.asked),
            notes=tuple(dict.fromkeys(self.notes)),
            usage=Usage(),
        )

    def _add(self, wanted: str, change: JsonObject) -> None:
        name, number = wanted if _NAME.match(wanted) else "step", 2
        while step_named(self.document, name) is not None:
            name, number = f"{wanted}_{number}", number + 1
        step: JsonObject = {"id": name, "tool": change.get("tool")}
        steps: Any = self.document["steps"]
        steps.append(step)
        self._fill(step, change)
        self.notes.append(f"{name} was added: {step['tool']}.")

    def _set(self, step: JsonObject, change: JsonObject) -> None:
        if isinstance(change.get("tool"), str):
            step["tool"] = change["tool"]
        given = step.get("args")
        drop = change.get("drop")
        for name in drop if isinstance(drop, list) else ():
            if isinstance(given, dict):
                given.pop(str(name), None)
        self._fill(step, change)

    def _fill(self, step: JsonObject, change: JsonObject) -> None:
        """Write the given parts of a step; what asks becomes a question."""
        arguments = change.get("args")
        for name, value in (arguments if isinstance(arguments, dict) else {}).items():
            kept = step.setdefault("args", {})
            assert isinstance(kept, dict)
            asked = _question_in(value)
            if asked is None:
                kept[name] = self._with_paths(value)
            else:
                kept.pop(name, None)
                self.asked.append((str(step["id"]), f"args/{escape(name)}", asked))
        for key in ("when", "for_each"):
            if isinstance(change.get(key), str) and str(change[key]).strip():
                step[key] = self._with_paths(change[key])
        after = change.get("after")
        if isinstance(after, list) and (waits := [n for n in after if n != step["id"]]):
            step["depends_on"] = waits

    def _with_paths(self, value: JsonValue) -> JsonValue:
        """Return a value whose references say `steps.` where the model left that out."""
        ids = {str(step.get("id")) for step in steps_of(self.document)} - _ROOTS

        def supply(text: str) -> str:
            return _HEAD.sub(
                lambda found: f"${{{{ steps.{found[1]}" if found[1] in ids else found[0], text
            )

        return with_texts(value, supply)

    def _refuse(self, pointer: str, message: str) -> None:
        ids = ", ".join(str(step.get("id")) for step in steps_of(self.document))
        self.problems.append(
            Problem(
                code="edit_invalid", pointer=pointer, message=message, hint=f"The steps are {ids}."
            )
        )


def _question_in(value: JsonValue) -> str | None:
    if isinstance(value, str):
        found = _ASK.search(value)
        return (found[1] or "Which value?") if found else None
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((text for item in inner if (text := _question_in(item)) is not None), None)
