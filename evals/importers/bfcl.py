"""BFCL: goals with functions to choose from, and for every argument all the values that are right.

Lines `{"id", "question": [[message]], "function": [schema]}`, and in `possible_answer/` a file of
the same name with `{"id", "ground_truth": [{"function": {"argument": [right values]}}]}`; an empty
text among these says that the argument may be left out. Goals of an `irrelevance` file have no
answer: no function does what is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from flowbuilder.evals.catalogue import ToolSpec, described_tools
from flowbuilder.evals.dataset import Accepted, Case, Expectation
from flowbuilder.evals.importers.contract import Desk, Shape, flow_document, shaped
from flowbuilder.evals.importers.functions import function_record, function_tool
from flowbuilder.evals.importers.records import BadRecord, Record, data_files, read_records
from flowbuilder.evals.importers.texts import escaped, in_texts, without_references
from flowbuilder.schemas import schema_problems
from flowbuilder.types import JsonObject, JsonValue

NAME = "bfcl"
ANSWERS = "possible_answer"
NO_ANSWER = "irrelevance"


class _Goal(Shape):
    id: str
    question: list[list[dict[str, Any]]]
    function: list[dict[str, Any]]
    ground_truth: list[dict[str, dict[str, list[Any]]]] | None = None


def read(path: Path, catalogue: Path | None, desk: Desk) -> None:
    """Put the goals of a file, or of all files beside `possible_answer`, on the desk."""
    del catalogue  # every goal brings its own functions
    for file in data_files(path, r"(?i).*bfcl.*\.jsonl?"):
        if file.parent.name == ANSWERS:
            continue
        records = read_records(file, desk.problems)
        if NO_ANSWER not in file.name:
            records = list(_with_answers(records, file, desk))
        category = file.stem.split("_v4_")[-1].split("_v3_")[-1]
        desk.add_all(records, partial(_case, category=category, desk=desk))


def export(case: Case, tools: Mapping[str, ToolSpec]) -> JsonObject:
    """Return the record that says what the case says, with its answers."""
    del tools
    source = case.source
    by_title = {spec.called: spec for spec in case.catalogue}
    record: JsonObject = {
        "id": source["id"],
        "question": source.get("question") or [[{"role": "user", "content": case.goal}]],
        "function": [
            function_record(by_title[title]) for title in source.get("functions", by_title)
        ],
    }
    if case.expect.flow is not None:
        titles = {spec.name: spec.called for spec in case.catalogue} | source.get("titles", {})
        record["ground_truth"] = [
            {titles.get(step["tool"], step["tool"]): _right_values(step, case)}
            for step in case.expect.flow["steps"]
        ]
    return {**record, **source.get("rest", {})}


def meaning(record: JsonObject) -> JsonValue:
    """Return the record with right values as sets."""
    calls = record.get("ground_truth")
    if not isinstance(calls, list):
        return record
    return {**record, "ground_truth": [_as_sets(call) for call in calls]}


def _as_sets(call: JsonValue) -> JsonValue:
    if not isinstance(call, dict):
        return call
    sets: JsonObject = {}
    for function, arguments in call.items():
        if isinstance(arguments, dict):
            sets[function] = {name: _as_set(values) for name, values in arguments.items()}
    return sets


def _as_set(values: JsonValue) -> JsonValue:
    return [*sorted({repr(value) for value in values})] if isinstance(values, list) else values


def _with_answers(records: Iterable[Record], file: Path, desk: Desk) -> Iterable[Record]:
    """Yield the records with their answers; one without any is a problem."""
    answers: dict[str, JsonValue] = {}
    path = file.parent / ANSWERS / file.name
    for answer in read_records(path, desk.problems) if path.is_file() else ():
        given = answer.value if isinstance(answer.value, dict) else {}
        if isinstance(given.get("id"), str) and "ground_truth" in given:
            answers[str(given["id"])] = given["ground_truth"]
        else:
            desk.tell(answer.place, "record_invalid", "is no answer: no id and ground_truth")
    for record in records:
        value = record.value
        own = value.get("id") if isinstance(value, dict) else None
        if isinstance(value, dict) and isinstance(own, str) and own in answers:
            yield Record(record.place, {**value, "ground_truth": answers[own]})
        elif isinstance(value, dict) and "ground_truth" in value:
            yield record  # it brings its answer itself, as exported ones do
        else:
            message = f"{str(own)[:80]!r} has no answer in {ANSWERS}/{path.name}"
            desk.tell(record.place, "record_invalid", message)


def _case(record: Record, category: str, desk: Desk) -> Case:
    goal = shaped(_Goal, record.value)
    tools: dict[str, ToolSpec] = {}
    for place, function in enumerate(goal.function):
        spec = function_tool(function, f"/function/{place}", desk.names)
        if tools.setdefault(spec.called, spec) != spec:
            raise BadRecord(f"two functions are called {spec.called}", f"/function/{place}")
        wrong = schema_problems(spec.input_schema, f"/function/{place}/parameters")
        if wrong:
            raise BadRecord(wrong[0].message, wrong[0].pointer)
    described_tools(tools.values())
    name = desk.case_name(goal.id)
    text, question = _goal_text(goal.question)
    source: dict[str, Any] = {
        "format": NAME, "id": goal.id, "place": record.place,
        "question": question, "rest": goal.rest(),
    }  # fmt: skip
    if len(tools) < len(goal.function):
        source["functions"] = [function["name"] for function in goal.function]
    if "ground_truth" in goal.model_fields_set and goal.ground_truth is None:
        raise BadRecord("the answer is nothing", "/ground_truth")
    if goal.ground_truth is None:
        expect = Expectation(outcome="refusal")
    else:
        expect = _expected(name, goal.ground_truth, tools, desk, source)
    return Case(
        name=name,
        goal=text,
        tags=[NAME, category],
        catalogue=list(tools.values()),
        source={key: part for key, part in source.items() if part or key == "id"},
        expect=expect,
    )


def _goal_text(question: list[list[dict[str, Any]]]) -> tuple[str, Any]:
    """Return the goal, and the messages where they are more than this one. Raises: BadRecord."""
    messages = [message for turn in question for message in turn]
    asked = [str(item.get("content", "")) for item in messages if item.get("role") == "user"]
    if not asked:
        raise BadRecord("nobody asks for anything", "/question")
    usual = [[{"role": "user", "content": asked[0]}]]
    return "\n\n".join(asked), None if question == usual else question


def _expected(
    name: str,
    calls: list[dict[str, dict[str, list[Any]]]],
    tools: Mapping[str, ToolSpec],
    desk: Desk,
    source: dict[str, Any],
) -> Expectation:
    steps: list[JsonObject] = []
    accepted: dict[str, dict[str, Accepted]] = {}
    nested: dict[str, dict[str, Any]] = {}
    for number, call in enumerate(calls, start=1):
        if len(call) != 1:
            raise BadRecord("an answer names one function", f"/ground_truth/{number - 1}")
        ((title, arguments),) = call.items()
        spec = tools.get(title)
        tool = spec.name if spec else desk.names.name(title)
        if spec is None and tool != title:
            source.setdefault("titles", {})[tool] = title
        own = f"call{number}"
        values: JsonObject = {}
        for argument, right in arguments.items():
            choice = _choice(right)
            if choice.values and (right[0] != "" or not choice.optional):
                values[argument] = choice.values[0]
            if len(choice.values) != 1 or choice.optional:
                accepted.setdefault(own, {})[argument] = choice
            if any(_structured(value) for value in right):
                nested.setdefault(own, {})[argument] = right
        steps.append({"id": own, "tool": tool, "args": values})
    source["right"] = nested
    return Expectation(flow=flow_document(name, steps), accepted=accepted)


def _choice(right: list[Any]) -> Accepted:
    """Return the right values one by one; those of an object's members are combined."""
    given = [value for value in right if value != ""]
    values = [in_texts(one, escaped) for value in given for one in (_first(value), *_others(value))]
    return Accepted(values=_distinct(values), optional=len(given) < len(right))


def _structured(value: JsonValue) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(map(_structured, value)))


def _first(value: JsonValue) -> JsonValue:
    """Return an object whose members list right values with the first of each; others as is."""
    if isinstance(value, dict):
        return {
            key: (_first(part[0]) if isinstance(part, list) else part)
            for key, part in value.items()
            if not isinstance(part, list) or (part and part[0] != "")
        }
    if isinstance(value, list):
        return [_first(part) if isinstance(part, dict) else part for part in value]
    return value


def _others(value: JsonValue) -> Iterable[JsonValue]:
    """Yield what an object is when one member has another right value."""
    if isinstance(value, dict):
        first = _first(value)
        assert isinstance(first, dict)
        for key, part in value.items():
            for other in part if isinstance(part, list) else []:
                if other == "":
                    yield {name: kept for name, kept in first.items() if name != key}
                else:
                    yield {**first, key: _first(other)}


def _distinct(values: list[JsonValue]) -> list[JsonValue]:
    """Return values without repetition; 1, 1.0 and true are three."""
    return list({repr(value): value for value in values}.values())


def _right_values(step: Mapping[str, Any], case: Case) -> JsonObject:
    """Return every right value of a step's arguments, as the format lists them."""
    choices = case.expect.accepted.get(step["id"], {})
    nested = case.source.get("right", {}).get(step["id"], {})
    values = {name: [value] for name, value in step.get("args", {}).items()}
    for name, choice in choices.items():
        left_out = [""] if choice.optional else []  # what the flow does stands first
        first = name not in values
        values[name] = [*left_out, *choice.values] if first else [*choice.values, *left_out]
    return {
        name: nested.get(name) or in_texts(listed, lambda text: without_references(text, str))
        for name, listed in values.items()
    }
