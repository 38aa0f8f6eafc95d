"""Between a model's answer and a flow document: read leniently, name steps, rewrite references.

A model writes `{"tasks": [{"id", "tool", "args", "for_each"?, "when"?, "after"?}, …]}`. Nothing is
judged here: whatever cannot stand in a flow is left for validation to name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from flowbuilder.errors import InvalidValue, ModelOutputError
from flowbuilder.flow import FORMAT
from flowbuilder.plan import Question
from flowbuilder.planner.document import with_texts
from flowbuilder.planner.schema import NO_TOOL
from flowbuilder.planner.shapes import ASIDE, WORD, as_written, in_shape
from flowbuilder.planner.stepnames import StepNames
from flowbuilder.strictjson import DOCUMENT_LIMITS, check
from flowbuilder.types import JsonObject, JsonSchema, JsonValue

_PLACEHOLDER = re.compile(r"\$?\{\{\s*(.*?)\s*\}\}", re.DOTALL)
_ASK = re.compile(r"\$?\{\{\s*ask\s*:\s*(.*?)\s*\}\}", re.IGNORECASE)
_WORDS = re.compile(r"[A-Za-z0-9]+")
_FILLERS = "a an the and or of to in on at for with from by it its is are be my me"
_SLUG_FILLERS = frozenset(_FILLERS.split())
_SLUG_WORDS, _SLUG_LENGTH = 7, 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A document made from an answer, and what the answer says besides."""

    document: JsonObject
    questions: tuple[Question, ...] = ()
    unfit: tuple[str, ...] = field(default_factory=tuple)
    """The reasons of steps by which the model says that no tool fits."""


def read_answer(text: str) -> list[JsonObject]:
    """Return the steps of an answer, in the shapes that models are known to choose.

    Raises:
        ModelOutputError: `model_output_invalid`; the text holds no list of steps.
    """
    steps = _steps_of(read_json(text))
    if not steps or not all(isinstance(step, dict) for step in steps):
        raise ModelOutputError(
            'the answer has no list of steps under "tasks"', code="model_output_invalid"
        )
    return steps


def read_json(text: str) -> Any:
    """Return the JSON of an answer, whatever words stand around it.

    Raises:
        ModelOutputError: `model_output_invalid`; there is none that could stand in a flow.
    """
    body = text.strip()
    fenced = re.search(r"```(?:json)?\s*(.*?)```", body, re.DOTALL)
    if fenced and not body.startswith(("{", "[")):
        body = fenced.group(1)
    try:
        answer = json.loads(body, parse_constant=_no_constant, object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        reason = str(error)[:200]
        raise ModelOutputError(
            f"the answer is no JSON document ({reason})", code="model_output_invalid"
        ) from None
    try:
        return check(answer, limits=DOCUMENT_LIMITS)
    except InvalidValue as error:
        raise ModelOutputError(
            f"the answer holds a value that no flow may have: {error.message} ({error.pointer})",
            code="model_output_invalid",
        ) from None


def with_step(answer: str, further: str) -> str | None:
    """Return an answer with the first step of a further one at its end, None if either is none."""
    try:
        steps, added = read_answer(answer), read_answer(further)[0]
    except ModelOutputError:
        return None
    taken = {step.get("id") for step in steps}
    name = next(name for number in count(len(steps) + 1) if (name := f"s{number}") not in taken)
    return json.dumps({"tasks": [*steps, {**added, "id": name}]})


def _steps_of(answer: Any) -> list[Any] | None:
    if isinstance(answer, dict):
        for key in ("tasks", "steps", "plan"):
            if isinstance(answer.get(key), dict | list):
                return _steps_of(answer[key])
        return [answer] if "tool" in answer else None
    return answer if isinstance(answer, list) else None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has the same key twice")
    return found


class StepReader:
    """Turns the steps of one answer, in their order, into steps of a document.

    What becomes of a step depends on none behind it: a whole answer is read as a streamed one is.
    """

    def __init__(self, tools: Collection[str] = ()) -> None:
        self._names = StepNames(tools)

    def read(self, raw: JsonObject) -> JsonObject:
        """Return a step of a document under its final name, `in_shape`."""
        step = in_shape(raw)
        return to_step(step, self._names.add(step), self._names.by_id)


def draft(
    steps: Sequence[JsonObject],
    *,
    goal: str,
    input_schema: JsonSchema | None,
    tools: Collection[str] = (),
) -> Draft:
    """Turn the steps of an answer into a flow document with names for its steps.

    No step keeps the name of another one of `tools` than its own.
    """
    reader = StepReader(tools)
    read = [reader.read(step) for step in steps]
    written = [step for step in read if step["tool"] != NO_TOOL]
    questions = [
        question for index, step in enumerate(written) for question in take_questions(index, step)
    ]
    document = head(goal, input_schema)
    document["steps"] = list(written)
    return Draft(document=document, questions=tuple(questions), unfit=_reasons(read))


def head(goal: str, input_schema: JsonSchema | None) -> JsonObject:
    """Return a plan's document without its steps."""
    document: JsonObject = {"format": FORMAT, "flow": slug(goal)}
    document["description"] = goal[:4000]
    if input_schema:
        document["input"] = input_schema
    return document


def slug(goal: str) -> str:
    """Return a flow's name made of the goal's first telling words."""
    text = re.sub(r"\S*(?:://|@)\S*", " ", goal.lower())
    words = [word for word in _WORDS.findall(text) if word not in _SLUG_FILLERS]
    return "-".join(words[:_SLUG_WORDS])[:_SLUG_LENGTH].strip("-") or "plan"


def to_answer(document: JsonObject, questions: Sequence[Question] = ()) -> JsonObject:
    """Write a document back as an answer, so that a model sees its plan under the final names."""
    asked = {question.pointer: question.text for question in questions}
    tasks: list[JsonValue] = []
    steps = document.get("steps")
    for index, step in enumerate(steps if isinstance(steps, list) else []):
        assert isinstance(step, dict)
        step = as_written(step)
        task: JsonObject = {key: step[key] for key in ("id", "tool") if key in step}
        task.update({key: step[key] for key in ("for_each", "when") if key in step})
        given = step.get("args")
        prefix = f"/steps/{index}/args/"
        asking: JsonObject = {
            pointer.removeprefix(prefix): f"${{{{ ask: {text} }}}}"
            for pointer, text in asked.items()
            if pointer.startswith(prefix)
        }
        task["args"] = {**given, **asking} if isinstance(given, dict) else given
        if step.get("depends_on"):
            task["after"] = step["depends_on"]
        tasks.append(task)
    return {"tasks": tasks}


def _reasons(steps: Sequence[JsonObject]) -> tuple[str, ...]:
    found = []
    for step in steps:
        if step.get("tool") == NO_TOOL:
            arguments = step.get("args")
            reason = arguments.get("reason") if isinstance(arguments, dict) else None
            found.append(str(reason or "No tool does this.")[:500])
    return tuple(found)


def to_step(raw: JsonObject, name: str, names: Mapping[str, str]) -> JsonObject:
    """Turn a step of an answer, `in_shape`, into one of a document that has this name.

    Ids and references become the names that they have.
    """
    rewrite = _rewriter(names)
    step: JsonObject = {
        "id": name,
        "tool": raw["tool"],
        "args": with_texts(raw.get("args", {}), rewrite),
    }
    if raw.get("for_each") not in (None, ""):
        step["for_each"] = with_texts(raw["for_each"], rewrite)
    when = raw.get("when")
    if isinstance(when, str) and when.strip():
        step["when"] = _condition(when, names)
    after = raw.get("depends_on")
    if isinstance(after, list) and after:
        meant = [names.get(item, item) for item in after if isinstance(item, str)]
        # No step waits for itself: a small model's slip.
        step["depends_on"] = [item for item in meant if item != name]
    # Approvals are for policy to set, never for a model.
    known = {"id", "tool", "args", "for_each", "when", "depends_on", "approval"}
    step.update({key: value for key, value in raw.items() if key not in known})
    aside = raw.get(ASIDE)
    if isinstance(aside, dict):
        step[ASIDE] = {key: _renamed(key, value, names) for key, value in aside.items()}
    return step


def _renamed(key: str, value: JsonValue, names: Mapping[str, str]) -> JsonValue:
    """Return what was set aside of a step, with the names of others."""
    if key == "id":
        return value
    if key == "depends_on":
        return with_texts(
            value, lambda text: WORD.sub(lambda match: names.get(match[0], match[0]), text)
        )
    return with_texts(value, _rewriter(names))


def _rewriter(names: Mapping[str, str]) -> Callable[[str], str]:
    def replace(match: re.Match[str]) -> str:
        inner = match.group(1)
        if inner.lower().startswith("ask:"):
            return match.group(0)
        return "${{ " + _path(inner, names) + " }}"

    return lambda text: _PLACEHOLDER.sub(replace, text)


def _path(path: str, names: Mapping[str, str]) -> str:
    """Return a reference's path under the final names, `steps.` supplied where it is missing."""
    head, _, rest = path.partition(".")
    if head == "steps":
        step, dot, tail = rest.partition(".")
        name, bracket, index = step.partition("[")
        return f"steps.{names.get(name, name)}{bracket}{index}{dot}{tail}"
    name, bracket, index = head.partition("[")
    if name in names and name not in {"input", "item", "index", "run"}:
        dot = "." if rest else ""
        return f"steps.{names[name]}{bracket}{index}{dot}{rest}"
    return path


def _condition(text: str, names: Mapping[str, str]) -> str:
    bare = _PLACEHOLDER.sub(lambda match: match.group(1), text.strip())
    return re.sub(
        r"\bsteps\.([A-Za-z_]\w*)",
        lambda match: f"steps.{names.get(match.group(1), match.group(1))}",
        bare,
    )


def take_questions(index: int, step: JsonObject) -> list[Question]:
    """Take arguments that ask for a value out of a step and return their questions."""
    arguments = step.get("args")
    if not isinstance(arguments, dict):
        return []
    asked = [(name, _question_in(value)) for name, value in arguments.items()]
    questions = []
    for name, text in asked:
        if text is not None:
            del arguments[name]
            escaped = name.replace("~", "~0").replace("/", "~1")
            pointer = f"/steps/{index}/args/{escaped}"
            questions.append(Question(id=f"{step.get('id')}.{name}", text=text, pointer=pointer))
    return questions


def _question_in(value: JsonValue) -> str | None:
    if isinstance(value, str):
        found = _ASK.search(value)
        return (found.group(1) or "Which value?") if found else None
    items = value if isinstance(value, list) else ()
    items = list(value.values()) if isinstance(value, dict) else items
    return next((text for item in items if (text := _question_in(item)) is not None), None)
