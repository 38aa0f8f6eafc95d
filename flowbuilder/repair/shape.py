"""The shape of a document: keys of other languages, values of another type than is meant."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from flowbuilder.errors import InvalidValue, Problem
from flowbuilder.flow import SLUG_PATTERN, STEP_ID_PATTERN, Flow, OnError, Step, TriggerRule
from flowbuilder.likeness import like, plain
from flowbuilder.repair.desk import Desk, Mending
from flowbuilder.repair.edits import ABSENT, Edit, Path, Way, renamed, text_edits, value_at
from flowbuilder.strictjson import loads
from flowbuilder.types import JsonObject

_STEP_KEYS = {
    "name": "id", "stepid": "id", "key": "id", "label": "id", "action": "tool", "function": "tool",
    "toolname": "tool", "api": "tool", "uses": "tool", "arguments": "args", "inputs": "args",
    "input": "args", "params": "args", "parameters": "args", "with": "args", "after": "depends_on",
    "needs": "depends_on", "dependencies": "depends_on", "dependson": "depends_on",
    "dep": "depends_on", "deps": "depends_on", "foreach": "for_each", "loop": "for_each",
    "map": "for_each", "if": "when", "condition": "when", "onerror": "on_error",
    "retries": "retry", "title": "description", "comment": "description", "note": "description",
    "reason": "description", "explanation": "description", "thought": "description",
}  # fmt: skip
_FLOW_KEYS = {
    "name": "flow", "slug": "flow", "id": "flow", "tasks": "steps", "nodes": "steps",
    "plan": "steps", "calls": "steps", "outputs": "output", "result": "output",
    "inputs": "input", "inputschema": "input", "title": "description", "goal": "description",
    "summary": "description",
}  # fmt: skip
_ON_ERROR = {"ignore": OnError.CONTINUE, "stop": OnError.FAIL, "abort": OnError.FAIL}
_UNITS = (
    (r"milliseconds?|millis|msecs?", "ms"), (r"seconds?|secs?", "s"), (r"minutes?|mins?", "m"),
    (r"hours?|hrs?", "h"), (r"days?", "d"),
)  # fmt: skip
_WORDS = re.compile(r"[a-z0-9]+")


def mend(desk: Desk) -> Iterator[Mending]:
    """Propose what makes a document one of steps that can be read."""
    for problem, path, value in desk.of("unknown_key"):
        yield from _key(desk, problem, path, value)
    for problem, path, value in desk.of("missing_key"):
        yield from _missing(desk, problem, path, value)
    for problem, path, value in desk.of("wrong_type", "no_steps", "bad_value", "bad_slug"):
        meant = _MEANT.get(problem.code, _of_type)
        ways = [(Edit(path, new),) for new in meant(path, value)]
        if ways:
            yield Mending(problem.code, tuple(ways))
    for problem, path, value in desk.of("bad_step_id"):
        if path[2:] == ("id",) and isinstance(value, str):
            new = _fresh(_identifier(value), desk)
            yield Mending(problem.code, (_renaming(desk, path, value, new),))
    for problem, path, value in desk.of("duplicate_step_id"):
        yield from _duplicate(desk, problem, path, value)


def _key(desk: Desk, problem: Problem, path: Path, value: Any) -> Iterator[Mending]:
    owner = value_at(desk.document, path[:-1])
    if not path or not isinstance(owner, dict) or len(path) not in (1, 3):
        return
    name = str(path[-1])
    model, aliases = (Flow, _FLOW_KEYS) if len(path) == 1 else (Step, _STEP_KEYS)
    near = aliases.get(plain(name)) or like(name, list(model.model_fields))
    ways: list[Way] = []
    if near is not None and near not in owner:
        ways.append((Edit(path[:-1], renamed(owner, name, near)),))
    if value is None or value in ("", [], {}):
        ways.append((Edit(path, ABSENT),))
    if ways:
        yield Mending(problem.code, tuple(ways))


def _missing(desk: Desk, problem: Problem, path: Path, value: Any) -> Iterator[Mending]:
    if not isinstance(value, dict):
        return
    if not path and "flow" not in value and "'flow'" in problem.message:
        told = value.get("description")
        slug = _slug(told if isinstance(told, str) else "plan")
        yield Mending(problem.code, ((Edit(("flow",), slug),),))
    elif len(path) == 2 and "id" not in value and isinstance(value.get("tool"), str):
        name = _fresh(_identifier(str(value["tool"])), desk)
        yield Mending(problem.code, ((Edit((*path, "id"), name),),))


def _of_type(path: Path, value: Any) -> Iterator[Any]:
    """Yield what a value of the wrong type may mean at a key of the document."""
    key = path[-1] if path else None
    if value is None and key not in ("id", "tool", "flow", "steps"):
        yield ABSENT
    elif key == "steps" and isinstance(value, dict) and value:
        yield (
            [{"id": name, **step} for name, step in value.items() if isinstance(step, dict)]
            if all(isinstance(step, dict) for step in value.values())
            else value
        )
    elif key == "args":
        yield from _arguments(value)
    elif key == "depends_on" and isinstance(value, str):
        yield [part for part in re.split(r"[,\s]+", value) if part]
    elif key == "when" and value is True:
        yield ABSENT
    elif key == "retry" and isinstance(value, int):
        yield {"max_attempts": value}
    elif key == "approval" and isinstance(value, bool):
        yield {} if value else ABSENT
    elif key in ("concurrency", "max_attempts") and isinstance(value, str) and value.isdecimal():
        yield int(value)
    elif key in ("id", "flow", "description") and isinstance(value, int | float):
        yield str(value)


def _arguments(value: Any) -> Iterator[Any]:
    if isinstance(value, str):
        try:
            read = loads(value)
        except InvalidValue:
            return
        if isinstance(read, dict):
            yield read
    elif isinstance(value, list):
        named = [item for item in value if isinstance(item, dict) and "name" in item]
        if value and len(named) == len(value):
            yield {str(item["name"]): item.get("value") for item in named}
        elif len(value) == 1 and isinstance(value[0], dict):
            yield value[0]
        elif not value:
            yield {}


def _of_value(path: Path, value: Any) -> Iterator[Any]:
    key = path[-1] if path else None
    if key == "format":
        yield ABSENT
    elif key in ("timeout", "base_delay", "max_delay", "deadline") and isinstance(value, str):
        text = value.strip().lower()
        for long, short in _UNITS:
            text = re.sub(rf"(?<=[\d ])(?:{long})\b", short, text)
        yield re.sub(r"\s+|,|and", "", text)
    elif isinstance(value, str) and key in ("on_error", "trigger_rule", "backoff"):
        listed = OnError if key == "on_error" else TriggerRule
        near = _ON_ERROR.get(value.lower()) or like(value, [item.value for item in listed])
        if near is not None:
            yield str(near)
        yield ABSENT
    elif key == "when" and value == "":
        yield ABSENT


def _duplicate(desk: Desk, problem: Problem, path: Path, value: Any) -> Iterator[Mending]:
    """Leave the same step out once; give another one of the same name a name of its own."""
    if not isinstance(value, str):
        return
    place, step = path[1], desk.step_at(path)
    first = desk.step_at(("steps", desk.places.get(value, 0)))
    if step == first:
        yield Mending(problem.code, ((Edit(("steps", place), ABSENT),),))
        return
    yield Mending(problem.code, ((Edit(path, _fresh(value, desk)),),))


def _renaming(desk: Desk, path: Path, old: str, new: str) -> Way:
    """Return the edits that give a step another id wherever it is named."""
    reference = re.compile(rf"(\$\{{\{{\s*steps\.){re.escape(old)}(?=[\s.\[}}])")
    edits = [Edit(path, new)]
    for place, step in desk.steps:
        for key in ("args", "for_each"):
            edits += text_edits(
                step.get(key), ("steps", place, key), lambda t: reference.sub(rf"\g<1>{new}", t)
            )
        listed = step.get("depends_on")
        if isinstance(listed, list) and old in listed:
            named = [new if item == old else item for item in listed]
            edits.append(Edit(("steps", place, "depends_on"), named))
    document: JsonObject = desk.document if isinstance(desk.document, dict) else {}
    edits += text_edits(
        document.get("output"), ("output",), lambda t: reference.sub(rf"\g<1>{new}", t)
    )
    return tuple(edits)


def _identifier(text: str) -> str:
    name = "_".join(re.findall(r"[A-Za-z0-9]+", text))[:50] or "step"
    return name if re.match(STEP_ID_PATTERN, name) else f"s_{name}"


def _fresh(name: str, desk: Desk) -> str:
    if name not in desk.places:
        return name
    number = next(n for n in range(2, len(desk.places) + 3) if f"{name}_{n}" not in desk.places)
    return f"{name}_{number}"


def _slug(text: str) -> str:
    slug = "-".join(_WORDS.findall(text.lower())[:8])[:80]
    return slug if re.match(SLUG_PATTERN, slug) else "plan"


def _of_slug(path: Path, value: Any) -> Iterator[Any]:
    if isinstance(value, str):
        yield _slug(value)


#: What a value may mean, by what is wrong with it.
_MEANT: dict[str, Callable[[Path, Any], Iterator[Any]]] = {
    "bad_value": _of_value,
    "bad_slug": _of_slug,
}
