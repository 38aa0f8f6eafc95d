"""Take the values out of goals and plans, so that what is left says how and not what.

An example may reach another user of the workspace and a model's provider. So nothing of it comes
from an input, an output or somebody's text: what is left of a plan are tools, their argument names,
fields that tools declare, options that tools list, and words such as `<address>` for the rest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from flowbuilder.errors import InvalidValue
from flowbuilder.flow import Flow, Step
from flowbuilder.plan import Plan
from flowbuilder.planner.literals import literals
from flowbuilder.planner.names import names_in
from flowbuilder.references import Reference, parse
from flowbuilder.schemapaths import Hit, lookup, plain
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonObject, JsonSchema, JsonValue

#: Steps of a plan that are kept; more teach nothing more.
_MOST_STEPS = 40
_LONGEST_GOAL = 600
_WORDS = {
    "e-mail address": "<address>",
    "address": "<url>",
    "file name": "<file>",
    "phone number": "<phone>",
    "date": "<date>",
    "channel": "<channel>",
    "handle": "<person>",
    "number": "<number>",
    "quoted text": "<text>",
    "query": "<query>",
}
_NAME = re.compile(r"(?<=[^\s.!?:;\n>])(\s+)([A-Z][\w'’.-]*\w)")
_NUMBER = re.compile(r"(?<![\w<])[-+]?\d[\d.,:/-]*\w*")


def abstract_goal(goal: str) -> str:
    """Return a goal with a word such as `<file>` in the place of each value, and of names."""
    text = " ".join(goal.split())
    words = dict.fromkeys(names_in(text, ToolRegistry()), "<name>")
    words |= {item.text: _WORDS.get(item.kind, "<value>") for item in literals(text)}
    if words:
        longest = sorted(words, key=lambda found: (-len(found), found))
        found = "|".join(re.escape(item) for item in longest)
        text = re.sub(rf"(?<!\w)(?:{found})(?!\w)", lambda said: words[said[0]], text)
    text = _NAME.sub(r"\1<name>", text)
    return _NUMBER.sub("<number>", text)[:_LONGEST_GOAL]


def abstract_plan(plan: Plan, registry: ToolRegistry) -> JsonObject:
    """Return the steps of a plan and of its parts as `{tasks: [...]}`, without any value."""
    tasks: list[JsonValue] = []
    for part in plan.tree():
        own = {child.step for child in part.children}
        if part.flow is None:
            continue
        kept = [step for step in part.flow.steps if step.id not in own]
        names = {step.id: f"s{len(tasks) + place}" for place, step in enumerate(kept, 1)}
        tasks += [_task(step, names, part.flow, registry) for step in kept]
    return {"tasks": tasks[:_MOST_STEPS]}


def tools_of(plan: Plan) -> list[str]:
    """Return the tools of a plan and of its parts, in order, without versions."""
    found: list[str] = []
    for part in plan.tree():
        own = {child.step for child in part.children}
        steps = part.flow.steps if part.flow is not None else []
        found += [step.tool.partition("@")[0] for step in steps if step.id not in own]
    return found


def _task(step: Step, names: Mapping[str, str], flow: Flow, registry: ToolRegistry) -> JsonObject:
    reader = _Reader(names, flow, registry)
    tool = registry.get(step.tool)
    schema: JsonSchema = tool.input_schema if tool is not None else {}
    task: JsonObject = {
        "id": names[step.id],
        "tool": step.tool.partition("@")[0],
        "args": {
            name: reader.value(value, schema, [name])
            for name, value in step.args.items()
            if name in (schema.get("properties") or {})
        },
    }
    if step.for_each is not None:
        task["for_each"] = reader.value(step.for_each, {}, [])
    after = [names[name] for name in step.depends_on if name in names]
    if after:
        task["after"] = [*after]
    return task


class _Reader:
    """Reads the values of one flow."""

    def __init__(self, names: Mapping[str, str], flow: Flow, registry: ToolRegistry) -> None:
        self._names, self._flow, self._registry = names, flow, registry

    def value(self, given: Any, schema: JsonSchema, path: Sequence[str]) -> JsonValue:
        """Return what stands for a value."""
        if isinstance(given, bool) or given is None:
            return given
        found = lookup(schema, list(path)) if path else None
        shape = plain(found.schema, found.root) if isinstance(found, Hit) else None
        if not isinstance(given, dict | list) and _is_option(given, shape or {}):
            option: JsonValue = given
            return option
        if isinstance(given, str):
            return self._text(given)
        if isinstance(given, dict):
            known = (shape or {}).get("properties")
            if not isinstance(known, dict) or not known:
                return "<object>"
            return {
                key: self.value(item, schema, [*path, key])
                for key, item in given.items()
                if key in known
            }
        return "<list>" if isinstance(given, list) else "<number>"

    def _text(self, text: str) -> str:
        try:
            parts = parse(text).parts
        except InvalidValue:
            return "<text>"
        shown = [self._reference(part) if isinstance(part, Reference) else "" for part in parts]
        written = " ".join(["<text>", *filter(None, shown)]) if "" in shown else shown[0]
        return written.strip()

    def _reference(self, reference: Reference) -> str:
        """Return a reference as far as tools declare what it leads to."""
        if reference.step is None:
            return "${{ item }}" if reference.root == "item" else "<value>"
        step = self._flow.step(reference.step)
        tool = self._registry.get(step.tool) if step is not None else None
        name = self._names.get(reference.step)
        if name is None or tool is None:
            return "<value>"
        at, path = Hit(tool.output_schema, tool.output_schema), ""
        for part in reference.path:
            found = lookup(at.schema, [part], at.root)
            known = plain(at.schema, at.root) or {}
            if not isinstance(found, Hit) or part not in (known.get("properties") or {}):
                break
            at, path = found, f"{path}.{part}"
        return f"${{{{ steps.{name}{path} }}}}"


def _is_option(value: Any, shape: Mapping[str, Any]) -> bool:
    """Whether a tool's schema lists a value, so that it says nothing about anybody."""
    options = shape.get("enum")
    listed = options if isinstance(options, list) else [shape.get("const", shape.get("default"))]
    return any(value == option and type(value) is type(option) for option in listed)
