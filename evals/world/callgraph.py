"""Call graphs as NESTFUL writes its gold, and an interpreter of them that knows no flow.

A graph is a list of calls `{name, arguments, label}`. An argument may hold `$label.field$`, the
output of an earlier call or a part of it; a last call named `var_result` says what the result is.
Nothing here uses the engine's references, its order of execution or the importer of such graphs, so
that each can be compared with the others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flowbuilder.errors import InvalidValue
from flowbuilder.evals.catalogue import ToolSpec
from flowbuilder.schemapaths import Missing, lookup
from flowbuilder.schemas import validator
from flowbuilder.types import JsonObject, JsonSchema, JsonValue

RESULT = "var_result"
#: A name in a path; there may be spaces in it, not around it.
_NAME = r"[^.$\[\]\s](?:[^.$\[\]]*[^.$\[\]\s])?"
_VARIABLE = re.compile(rf"\$([A-Za-z_]\w*)((?:\.{_NAME}|\[\d+\])*)\$")
_PART = re.compile(rf"\.({_NAME})|\[(\d+)\]")

Calling = Callable[[str, JsonObject], JsonValue]


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One call of a function."""

    name: str
    arguments: JsonObject
    label: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CallGraph:
    """Calls in the order in which they are made, and what comes out."""

    calls: tuple[Call, ...]
    result: JsonObject | None = None
    """What `var_result` is made of; None: the output of the last call."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Defect:
    """Why a graph cannot be executed as it is written."""

    code: str
    place: str
    """JSON pointer in the list of calls."""
    message: str


def read_call_graph(calls: Iterable[Any]) -> CallGraph:
    """Return the graph of a list of calls.

    Raises:
        InvalidValue: It is no such list (call_graph_invalid); the pointer says where.
    """
    read: list[Call] = []
    result: JsonObject | None = None
    for index, item in enumerate(calls):
        name = item.get("name") if isinstance(item, Mapping) else None
        arguments = item.get("arguments", {}) if isinstance(item, Mapping) else None
        if not isinstance(name, str) or not isinstance(arguments, dict):
            raise InvalidValue(
                "a call has a name and an object of arguments",
                pointer=f"/{index}",
                code="call_graph_invalid",
            )
        if name == RESULT:
            result = arguments
            continue
        label = item.get("label")
        read.append(
            Call(name=name, arguments=arguments, label=label if isinstance(label, str) else None)
        )
    return CallGraph(calls=tuple(read), result=result)


def interpret(graph: CallGraph, call: Calling) -> JsonValue:
    """Make the calls one after another and return the result.

    Raises:
        InvalidValue: A variable leads nowhere (variable_unknown).
    """
    values: dict[str, JsonValue] = {}
    last: JsonValue = None
    for index, item in enumerate(graph.calls):
        arguments = _filled(item.arguments, values, f"/{index}/arguments")
        assert isinstance(arguments, dict)
        last = call(item.name, arguments)
        if item.label is not None:
            values[item.label] = last
    if graph.result is None:
        return last
    return _filled(graph.result, values, f"/{len(graph.calls)}/arguments")


def defects(graph: CallGraph, specs: Mapping[str, ToolSpec]) -> list[Defect]:
    """Return why a graph cannot be executed over these tools; nothing when it can."""
    found: list[Defect] = []
    outputs: dict[str, JsonSchema] = {}
    for index, item in enumerate(graph.calls):
        spec = specs.get(item.name)
        if spec is None:
            found.append(_defect("tool_unknown", f"/{index}/name", f"no tool {item.name!r}"))
        else:
            found += _unfit(item, spec, index)
        found += _unknown(item.arguments, outputs, f"/{index}/arguments")
        if item.label in outputs:
            found.append(_defect("label_twice", f"/{index}/label", f"{item.label} is taken"))
        if item.label is not None:
            outputs[item.label] = {} if spec is None else spec.output_schema
    if graph.result is not None:
        found += _unknown(graph.result, outputs, f"/{len(graph.calls)}/arguments")
    return found


def variables(
    value: JsonValue, place: str = ""
) -> Iterator[tuple[str, str, tuple[str | int, ...]]]:
    """Yield `(JSON pointer, label, path)` for each variable in a value."""
    if isinstance(value, str):
        for match in _VARIABLE.finditer(value):
            yield place, match.group(1), _path(match.group(2))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from variables(item, f"{place}/{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from variables(item, f"{place}/{index}")


def _unfit(item: Call, spec: ToolSpec, index: int) -> list[Defect]:
    """Return what a tool would refuse of the arguments; variables are left for the run to tell."""
    return [
        _defect("argument_unfit", f"/{index}/arguments", error.message[:200])
        for error in validator(spec.input_schema).iter_errors(item.arguments)
        if not any(variables(_part(item.arguments, error.absolute_path)))
        or error.validator in ("required", "additionalProperties")
    ]


def _part(value: Any, path: Iterable[str | int]) -> Any:
    for part in path:
        value = value[part]
    return value


def _unknown(value: JsonValue, outputs: Mapping[str, JsonSchema], place: str) -> list[Defect]:
    """Return the variables that lead nowhere: to no earlier call, or to no field of its output."""
    found = []
    for where, label, path in variables(value, place):
        if label not in outputs:
            why = f"nothing is called {label} before this call"
            found.append(_defect("variable_unknown", where, why))
            continue
        look = lookup(outputs[label], path)
        if isinstance(look, Missing):
            why = f"the output of {label} has no {path[look.at]!r}"
            found.append(_defect("field_unknown", where, why))
    return found


def _defect(code: str, place: str, message: str) -> Defect:
    return Defect(code=code, place=place, message=message)


def _filled(value: JsonValue, values: Mapping[str, JsonValue], place: str) -> JsonValue:
    if isinstance(value, dict):
        return {key: _filled(item, values, f"{place}/{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, values, f"{place}/{index}") for index, item in enumerate(value)]
    if not isinstance(value, str):
        return value
    whole = _VARIABLE.fullmatch(value)
    if whole is not None:
        return _value_of(whole, values, place)
    return _VARIABLE.sub(lambda match: _written(_value_of(match, values, place)), value)


def _value_of(match: re.Match[str], values: Mapping[str, JsonValue], place: str) -> JsonValue:
    label = match.group(1)
    if label not in values:
        raise _nowhere(match.group(), f"nothing is called {label}", place)
    value = values[label]
    for part in _path(match.group(2)):
        if isinstance(value, dict) and part in value:
            value = value[str(part)]
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            raise _nowhere(match.group(), f"there is no {part!r}", place)
    return value


def _nowhere(text: str, why: str, place: str) -> InvalidValue:
    return InvalidValue(f"{text} leads nowhere: {why}", pointer=place, code="variable_unknown")


def _path(text: str) -> tuple[str | int, ...]:
    return tuple(name or int(number) for name, number in _PART.findall(text))


def _written(value: JsonValue) -> str:
    return (
        value
        if isinstance(value, str)
        else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    )
