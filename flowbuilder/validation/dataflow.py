"""What flows into a step: its tool, arguments, references, condition and elements."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from flowbuilder.errors import Fix, InvalidValue, Problem
from flowbuilder.expressions import Expression, compile_expression, root_paths, step_paths
from flowbuilder.flow import Step
from flowbuilder.references import OPEN, Found, Reference, find, texts
from flowbuilder.schemapaths import listed
from flowbuilder.schemas import Hit, Missing, type_names
from flowbuilder.strictjson import escape
from flowbuilder.types import JsonValue
from flowbuilder.validation.arguments import argument_problems
from flowbuilder.validation.scope import DataScope

#: What the database itself can follow to a limit's key.
_KEY_ROOTS = frozenset({"input", "item", "steps"})
_CONDITION_ROOTS = frozenset({"input", "steps", "run"})
_ASKS = re.compile(r"\bhas\s*\(")


def step_problems(
    position: int, step: Step, scope: DataScope, flows: Collection[str] | None
) -> list[Problem]:
    """Return everything that is wrong with one step, given the others."""
    pointer = f"/steps/{position}"
    problems, references = references_in(step.args, f"{pointer}/args", step, scope)
    problems += _elements(step, pointer, scope)
    problems += _condition(step, pointer, scope)
    problems += _limit(step, f"{pointer}/limit", scope)
    tool = scope.tool(step)
    if tool is None:
        problems.append(unknown_tool(step, pointer, scope))
        return problems
    bad = {problem.pointer for problem in problems}
    problems += argument_problems(step, tool, references, scope, f"{pointer}/args", bad)
    if tool.name == "flow.run" and flows is not None:
        problems += _child(step, pointer, flows)
    return problems


def output_problems(output: JsonValue, scope: DataScope) -> list[Problem]:
    """Return the problems of the references in a flow's `output`."""
    return references_in(output, "/output", None, scope)[0]


def references_in(
    value: JsonValue, pointer: str, step: Step | None, scope: DataScope
) -> tuple[list[Problem], list[Found]]:
    """Return what is wrong with the references in a value, and the references."""
    problems: list[Problem] = []
    found: list[Found] = []
    for where, text in texts(value, pointer):
        try:
            found += find(text, where)
        except InvalidValue as error:
            problems.append(_of_error(error, where))
    problems += [
        Problem(
            code="reference_in_key",
            pointer=where,
            message="a reference stands for a value, never for a key",
            fix=Fix.MODEL,
        )
        for where in _keys_with_references(value, pointer)
    ]
    for item in found:
        problem = scope.reference_problem(item, step)
        if problem is not None:
            problems.append(problem)
    return problems, found


def _keys_with_references(value: JsonValue, pointer: str) -> Iterator[str]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _keys_with_references(item, f"{pointer}/{index}")
    elif isinstance(value, dict):
        for key, item in value.items():
            where = f"{pointer}/{escape(key)}"
            if OPEN in key:
                yield where
            yield from _keys_with_references(item, where)


def _elements(step: Step, pointer: str, scope: DataScope) -> list[Problem]:
    where = f"{pointer}/for_each"
    if step.for_each is None or isinstance(step.for_each, list):
        if step.for_each and list(texts(step.for_each)):
            return [_bad_elements(where, "the elements of a literal list are plain values")]
        return []
    problems, found = references_in(step.for_each, where, None, scope)
    if problems:
        return problems
    if len(found) != 1 or not found[0].exact:
        return [_bad_elements(where, "for_each is a list, or one reference to an array")]
    look = scope.look(found[0].reference, None)
    kinds = type_names(look.schema, look.root) if isinstance(look, Hit) else None
    if kinds is not None and "array" not in kinds:
        return [
            Problem(
                code="for_each_not_array",
                pointer=where,
                message=f"{found[0].reference} is {listed(kinds)}, not an array",
                fix=Fix.MODEL,
            )
        ]
    return []


def _limit(step: Step, pointer: str, scope: DataScope) -> list[Problem]:
    if step.limit is None:
        return []
    problems, found = references_in(step.limit.key, f"{pointer}/key", step, scope)
    if step.limit.concurrency is None and step.limit.rate is None:
        problems.append(
            Problem(
                code="limit_empty",
                pointer=pointer,
                message="a limit says a concurrency, a rate, or both",
                fix=Fix.MODEL,
            )
        )
    plain = all(item.exact and item.reference.root in _KEY_ROOTS for item in found)
    if not problems and not (plain and len(found) <= 1):
        problems.append(
            Problem(
                code="limit_key_invalid",
                pointer=f"{pointer}/key",
                message="a limit's key is plain text, or one reference into input, item or steps",
                fix=Fix.MODEL,
            )
        )
    return problems


def _of_error(error: InvalidValue, pointer: str) -> Problem:
    return Problem(
        code=error.code, pointer=pointer, message=error.message, hint=error.hint, fix=Fix.MODEL
    )


def _bad_elements(pointer: str, message: str) -> Problem:
    return Problem(code="for_each_invalid", pointer=pointer, message=message, fix=Fix.MODEL)


def _condition(step: Step, pointer: str, scope: DataScope) -> list[Problem]:
    if step.when is None:
        return []
    where = f"{pointer}/when"
    if OPEN in step.when:
        return [
            Problem(
                code="reference_in_when",
                pointer=where,
                message="a condition is CEL: write steps.fetch.count > 0, without ${{ }}",
                fix=Fix.AUTO,
            )
        ]
    try:
        expression = compile_expression(step.when)
    except InvalidValue as error:
        return [_of_error(error, where)]
    problems = [
        Problem(
            code="cel_unknown_name",
            pointer=where,
            message=f"a condition knows input, steps and run, not {name!r}",
            fix=Fix.MODEL,
        )
        for name in sorted(expression.roots - _CONDITION_ROOTS)
    ]
    if not expression.roots:
        problems += _constant_condition(expression, where)
    unknown = sorted(expression.steps - scope.names)
    problems += [scope.unknown_step(name, where) for name in unknown]
    return problems + _condition_paths(step.when, where, scope, set(unknown))


def _constant_condition(expression: Expression, where: str) -> list[Problem]:
    """Return why a condition that reads nothing would fail each time it is asked."""
    try:
        expression.condition({})
    except InvalidValue as error:
        return [_of_error(error, where)]
    return []


def _condition_paths(text: str, where: str, scope: DataScope, unknown: set[str]) -> list[Problem]:
    # has(steps.a.b) asks whether the field is there: that may well be in doubt.
    if _ASKS.search(text):
        return []
    problems = []
    for reference in _plain_references(text):
        if reference.step in unknown:
            continue
        if isinstance(scope.look(reference, None), Missing):
            problem = scope.reference_problem(Found(reference, where, False), None)
            if problem is not None:
                problems.append(problem)
    return problems


def _plain_references(text: str) -> Iterator[Reference]:
    for name, path in step_paths(text):
        yield Reference("steps", path, ".".join(["steps", name, *path]), name)
    for root, path in root_paths(text):
        yield Reference(root, path, ".".join([root, *path]))


def unknown_tool(step: Step, pointer: str, scope: DataScope) -> Problem:
    """Return the problem of a step whose tool nobody knows."""
    return Problem(
        code="unknown_tool",
        pointer=f"{pointer}/tool",
        message=f"there is no tool {step.tool!r}",
        hint=scope.shape.hints.tool(step.tool, scope.registry),
        fix=Fix.MODEL,
    )


def _child(step: Step, pointer: str, flows: Collection[str]) -> list[Problem]:
    slug = step.args.get("flow")
    if not isinstance(slug, str) or OPEN in slug or slug in flows:
        return []
    return [
        Problem(
            code="unknown_flow",
            pointer=f"{pointer}/args/flow",
            message=f"there is no flow {slug!r}",
            hint=f"There is {', '.join(sorted(flows)[:10])}." if flows else "Save it first.",
        )
    ]
