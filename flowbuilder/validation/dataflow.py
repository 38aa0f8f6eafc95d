"""What flows into a step: its tool, arguments, references, condition and elements."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import lru_cache

from flowbuilder.errors import Fix, InvalidValue, Problem, Severity
from flowbuilder.expression_text import root_paths, step_paths
from flowbuilder.expressions import Expression, compile_expression
from flowbuilder.flow import LimitPolicy, Step, TriggerRule
from flowbuilder.references import OPEN, Reference
from flowbuilder.schemapaths import listed
from flowbuilder.tools import HARMLESS
from flowbuilder.types import JsonValue
from flowbuilder.validation.arguments import literal_problems, misfit, refused_problems
from flowbuilder.validation.doubts import doubts_about, element_doubts
from flowbuilder.validation.effects import effect_problems
from flowbuilder.validation.facts import ToolFacts
from flowbuilder.validation.hints import shorten
from flowbuilder.validation.lineage import Lineage
from flowbuilder.validation.reading import (
    NOTHING,
    Hole,
    Reading,
    StepReading,
    problem_of,
    read_value,
)
from flowbuilder.validation.running import setting_problems
from flowbuilder.validation.scope import DataScope

#: What the database itself can follow to a limit's key.
_KEY_ROOTS = frozenset({"input", "item", "steps"})
_CONDITION_ROOTS = frozenset({"input", "steps", "run"})
_ASKS = re.compile(r"\bhas\s*\(")


def step_problems(
    reading: StepReading,
    scope: DataScope,
    known: Mapping[str, Lineage],
    flows: Collection[str] | None,
) -> list[Problem]:
    """Return everything that is wrong with one step, given the others."""
    step, pointer = reading.step, reading.pointer
    facts = scope.facts(step.tool)
    problems = _arguments(reading, facts, scope, known)
    if step.for_each is not None:
        problems += _elements(reading, scope, known)
    if step.when is not None:
        problems += _condition(step, pointer, scope)
    if step.limit is not None:
        problems += _limit(step.limit, reading.key, f"{pointer}/limit", step, scope)
    if step.for_each is not None or step.when is not None or step.concurrency is not None:
        problems += setting_problems(reading)
    if facts is None:
        problems.append(unknown_tool(step, pointer, scope))
        return problems
    if facts.tool.effects not in HARMLESS:
        problems += effect_problems(reading, facts, scope, known)
    problems += refused_problems(step, facts, pointer)
    return problems + child_problems(step, pointer, facts, flows)


def _arguments(
    reading: StepReading, facts: ToolFacts | None, scope: DataScope, known: Mapping[str, Lineage]
) -> list[Problem]:
    """Return the problems of a step's arguments: literals, references, and what these bring."""
    step, holes = reading.step, reading.args.holes
    if facts is not None:
        holes = _unclear(holes, step, facts, scope)
    problems: list[Problem] = []
    if reading.args is not NOTHING:
        problems = reference_problems(reading.args, step, scope, holes)
    if facts is None:
        return problems
    bad = pointers_of_errors(problems)
    problems += literal_problems(step, reading.args, facts, scope, reading.pointer)
    for hole in holes:
        if hole.pointer not in bad:
            problem = misfit(hole, step, facts, scope)
            if problem is not None:
                problems.append(problem)
            else:
                problems += doubts_about(hole, step, facts, scope, known)
    return problems


def _unclear(holes: list[Hole], step: Step, facts: ToolFacts, scope: DataScope) -> list[Hole]:
    """Return the texts of whose references there may be something to say: hardly any."""
    if step.trigger_rule is not TriggerRule.ALL_SUCCESS:
        return holes
    return [
        hole
        for hole in holes
        if not hole.text.exact
        or (source := scope.output(hole.text.references[0])) is None
        or not source.is_sure
        or not facts.fit(source, hole.path).is_clean
    ]


def pointers_of_errors(problems: Collection[Problem]) -> Collection[str]:
    """Return where something is wrong for certain, so that nothing more is said of it."""
    return {item.pointer for item in problems if item.severity is Severity.ERROR}


def output_problems(output: JsonValue, scope: DataScope) -> list[Problem]:
    """Return the problems of the references in a flow's `output`."""
    return reference_problems(read_value(output, "/output"), None, scope)


def reference_problems(
    reading: Reading,
    step: Step | None,
    scope: DataScope,
    holes: Collection[Hole] | None = None,
) -> list[Problem]:
    """Return what is wrong with a value's references, or with those in the given texts of it."""
    problems = list(reading.problems)
    told: set[str | int] = set()
    for hole in reading.holes if holes is None else holes:
        for reference in hole.text.references:
            if scope.leads(reference, step):
                continue
            problem = scope.reference_problem(reference, hole.pointer, step)
            if problem is not None and problem.code == "undeclared_input":
                if reference.path[0] in told:
                    continue  # one declaration mends them all
                told.add(reference.path[0])
            if problem is not None:
                problems.append(problem)
    problems += [
        _lookalike(pointer, name, text)
        for pointer, name, text in reading.lookalikes
        if name in scope
    ]
    return problems


def _lookalike(pointer: str, name: str, text: str) -> Problem:
    path = text[text.index("steps.") :].rstrip("} ")
    return Problem(
        code="reference_spelling",
        pointer=pointer,
        message=f"{shorten(text)!r} is plain text, and speaks of the step {name!r}",
        hint=f"Write ${{{{ {path} }}}} for what the step gives.",
        fix=Fix.AUTO,
    )


def _elements(
    reading: StepReading, scope: DataScope, known: Mapping[str, Lineage]
) -> list[Problem]:
    step, where = reading.step, f"{reading.pointer}/for_each"
    if isinstance(step.for_each, list):
        if reading.elements.holes:
            return [_bad_elements(where, "the elements of a literal list are plain values")]
        return []
    problems = reference_problems(reading.elements, None, scope)
    if any(item.severity is Severity.ERROR for item in problems):
        return problems
    found = list(reading.elements.found())
    if len(found) != 1 or not found[0].exact:
        return [*problems, _bad_elements(where, "for_each is a list, or one reference to an array")]
    source = scope.source(found[0].reference, None)
    kinds = source.kinds
    if kinds is not None and "array" not in kinds:
        return [
            *problems,
            Problem(
                code="for_each_not_array",
                pointer=where,
                message=f"{found[0].reference} is {listed(kinds)}, not an array",
                fix=Fix.MODEL,
            ),
        ]
    return problems + element_doubts(found[0].reference, source, step, where, known)


def _limit(
    limit: LimitPolicy, key: Reading, pointer: str, step: Step, scope: DataScope
) -> list[Problem]:
    problems = reference_problems(key, step, scope)
    found = list(key.found())
    if limit.concurrency is None and limit.rate is None:
        problems.append(
            Problem(
                code="limit_empty",
                pointer=pointer,
                message="a limit says a concurrency, a rate, or both",
                fix=Fix.MODEL,
            )
        )
    plain = all(item.exact and item.reference.root in _KEY_ROOTS for item in found)
    wrong = any(item.severity is Severity.ERROR for item in problems)
    if not wrong and not (plain and len(found) <= 1):
        problems.append(
            Problem(
                code="limit_key_invalid",
                pointer=f"{pointer}/key",
                message="a limit's key is plain text, or one reference into input, item or steps",
                fix=Fix.MODEL,
            )
        )
    return problems


def _bad_elements(pointer: str, message: str) -> Problem:
    return Problem(code="for_each_invalid", pointer=pointer, message=message, fix=Fix.MODEL)


def _condition(step: Step, pointer: str, scope: DataScope) -> list[Problem]:
    assert step.when is not None
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
        return [problem_of(error, where)]
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
    unknown = sorted(name for name in expression.steps if name not in scope)
    problems += [scope.unknown_step(name, where) for name in unknown]
    return problems + _condition_paths(step.when, where, scope, set(unknown))


def _constant_condition(expression: Expression, where: str) -> list[Problem]:
    """Return why a condition that reads nothing would fail each time it is asked."""
    try:
        expression.condition({})
    except InvalidValue as error:
        return [problem_of(error, where)]
    return []


def _condition_paths(text: str, where: str, scope: DataScope, unknown: set[str]) -> list[Problem]:
    # has(steps.a.b) asks whether the field is there: that may well be in doubt.
    if _ASKS.search(text):
        return []
    problems = []
    for reference in _plain_references(text):
        if reference.step in unknown:
            continue
        problem = scope.reference_problem(reference, where, None)
        if problem is not None:
            problems.append(problem)
    return problems


@lru_cache(maxsize=4096)
def _plain_references(text: str) -> tuple[Reference, ...]:
    of_steps = [
        Reference("steps", path, ".".join(["steps", name, *path]), name)
        for name, path in step_paths(text)
    ]
    of_roots = [Reference(root, path, ".".join([root, *path])) for root, path in root_paths(text)]
    return (*of_steps, *of_roots)


def unknown_tool(step: Step, pointer: str, scope: DataScope) -> Problem:
    """Return the problem of a step whose tool nobody knows."""
    return Problem(
        code="unknown_tool",
        pointer=f"{pointer}/tool",
        message=f"there is no tool {step.tool!r}",
        hint=scope.shape.hints.tool(step.tool, scope.registry),
        fix=Fix.MODEL,
    )


def child_problems(
    step: Step, pointer: str, facts: ToolFacts, flows: Collection[str] | None
) -> list[Problem]:
    """Return what is wrong with the flow that a step starts, where the known ones are given."""
    if flows is None or facts.tool.name != "flow.run":
        return []
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
