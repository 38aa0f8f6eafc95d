"""References that lead elsewhere once a step stands in another flow than what it refers to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flowbuilder.errors import InvalidValue
from flowbuilder.expression_text import root_paths, step_names
from flowbuilder.expressions import compile_expression
from flowbuilder.flow import Step
from flowbuilder.references import find

#: The place of the whole input, where a part of it is not called by a plain name.
WHOLE_INPUT = ""
_REFERENCE = re.compile(r"(?<!\$)\$\{\{(.*?)\}\}", re.DOTALL)
_STEP = re.compile(r"steps\.([A-Za-z_]\w*)")
_INPUT = re.compile(r"input(?:\.([A-Za-z_]\w*))?(?![\w])")
_CEL_STEP = re.compile(r"(?<![\w.])steps\.([A-Za-z_]\w*)")
_CEL_INPUT = re.compile(r"(?<![\w.])input\.([A-Za-z_]\w*)")
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")


@dataclass(frozen=True, kw_only=True, slots=True)
class Renaming:
    """Where references lead now: paths by what they led to. What is not named stays."""

    steps: Mapping[str, str] = field(default_factory=dict)
    """By step: `input.fetch`, or `steps.part_1.fetch`."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """By member of the input, `WHOLE_INPUT` for all of it."""

    def value(self, given: Any) -> Any:
        """Return a JSON value with its references led elsewhere."""
        if isinstance(given, str):
            return _REFERENCE.sub(lambda found: "${{ " + self._path(found[1]) + " }}", given)
        if isinstance(given, list):
            return [self.value(item) for item in given]
        if isinstance(given, dict):
            return {key: self.value(item) for key, item in given.items()}
        return given

    def condition(self, text: str) -> str:
        """Return a condition with its paths led elsewhere."""
        moved = _CEL_INPUT.sub(lambda found: self.inputs.get(found[1], found[0]), text)
        return _CEL_STEP.sub(lambda found: self.steps.get(found[1], found[0]), moved)

    def _path(self, path: str) -> str:
        path = path.strip()
        if found := _STEP.match(path):
            return self.steps.get(found[1], found[0]) + path[found.end() :]
        if found := _INPUT.match(path):
            name = found[1] or WHOLE_INPUT
            if name in self.inputs:
                return self.inputs[name] + path[found.end() :]
        return path


@dataclass(frozen=True, kw_only=True, slots=True)
class Reads:
    """What a step or value refers to."""

    steps: frozenset[str]
    inputs: frozenset[str]
    """Members of the input; `WHOLE_INPUT` where no plain name is said."""


def reads_of(value: Any) -> Reads:
    """Return what a JSON value refers to. Raises: InvalidValue: It cannot be read."""
    steps, inputs = set(), set()
    for found in find(value):
        reference = found.reference
        if reference.step is not None:
            steps.add(reference.step)
        elif reference.root == "input":
            match = _INPUT.match(reference.raw.strip())
            inputs.add((match[1] if match else None) or WHOLE_INPUT)
    return Reads(steps=frozenset(steps), inputs=frozenset(inputs))


def is_readable(step: Step) -> bool:
    """Whether it is known of all of a step what it refers to."""
    try:
        step_reads(step)
    except InvalidValue:
        return False
    return True


def step_reads(step: Step) -> Reads:
    """Return what a step refers to, its condition and its limit included.

    Raises:
        InvalidValue: Something cannot be read, or the condition says a path in quotes.
    """
    key = step.limit.key if step.limit is not None else None
    data = reads_of([dict(step.args), step.for_each, key])
    if step.when is None:
        return data
    quoted = " ".join(_QUOTED.findall(step.when))
    if "steps" in quoted or "input" in quoted:
        raise InvalidValue("a condition speaks of a path in quotes", code="reference_syntax")
    expression = compile_expression(step.when)
    members = {path[0] if path else WHOLE_INPUT for root, path in _inputs(step.when)}
    plain = set(_CEL_STEP.findall(step.when)) == set(step_names(step.when))
    if not plain or WHOLE_INPUT in members or ("input" in expression.roots and not members):
        raise InvalidValue("a condition reads more than plain paths", code="reference_syntax")
    return Reads(steps=data.steps | expression.steps, inputs=data.inputs | members)


def _inputs(text: str) -> list[tuple[str, tuple[str, ...]]]:
    return [(root, path) for root, path in root_paths(text) if root == "input"]
