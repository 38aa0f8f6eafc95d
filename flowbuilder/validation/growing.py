"""A valid document that takes further steps, each judged by itself.

Nothing in a valid document depends on a step that it does not have. So a step at its end makes no
cycle and changes nothing about the others, and there is no need to look at those again.
"""

from __future__ import annotations

from collections.abc import Collection

import orjson
from pydantic import ValidationError

from flowbuilder.errors import InvalidValue, Problem, Severity
from flowbuilder.flow import Flow, Step
from flowbuilder.strictjson import DOCUMENT_LIMITS, Limits, check
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonObject
from flowbuilder.validation.arguments import size_problems
from flowbuilder.validation.compensation import compensation_problems
from flowbuilder.validation.dataflow import step_problems
from flowbuilder.validation.scope import DataScope
from flowbuilder.validation.shape import Shape
from flowbuilder.validation.structure import dependency_problems

#: A step stands in the list of steps, which stands in the document.
_ABOVE = 2


class GrowingFlow:
    """Takes steps in as long as they are right; of a wrong one, `validate` tells what is wrong.

    Args:
        flow: A valid flow, or one that has neither steps nor an output yet.
        registry: The tools that steps may use.
        max_steps: How many steps there may be.
        depth: How deep the document may be nested.
        value_bytes: How large (bytes of JSON) one step's arguments may be when they are run.
    """

    def __init__(
        self,
        flow: Flow,
        registry: ToolRegistry,
        *,
        max_steps: int,
        depth: int = DOCUMENT_LIMITS.depth,
        value_bytes: int,
    ) -> None:
        document = flow.document()
        self._steps: list[Step | None] = list(flow.steps)
        self._shape = Shape(
            document={key: value for key, value in document.items() if key != "steps"},
            steps=self._steps,
            raw_ids=[step.id for step in flow.steps],
        )
        self._scope = DataScope(self._shape, registry)
        self._most = max_steps
        self._limits = Limits(
            depth=min(depth, DOCUMENT_LIMITS.depth) - _ABOVE, bytes=DOCUMENT_LIMITS.bytes
        )
        self._value_bytes = value_bytes
        self._size = len(orjson.dumps(document))

    def add(self, given: JsonObject) -> JsonObject | None:
        """Take a step in and return it as it is to be stored.

        None: the document with this step at its end would have a problem, or it takes more than a
        look at the step to know. Nothing can be added any more then.
        """
        try:
            step = Step.model_validate(check(given, limits=self._limits))
        except (InvalidValue, ValidationError):
            return None
        stored: JsonObject = step.model_dump(mode="json", exclude_defaults=True)
        self._size += len(orjson.dumps(stored)) + 1
        known = self._shape.raw_ids
        if (
            len(known) >= self._most
            or self._size > self._limits.bytes
            or step.id in self._scope.names
        ):
            return None
        self._shape.raw_ids.append(step.id)
        self._steps.append(step)
        self._scope.add(step)
        wrong = any(problem.severity is Severity.ERROR for problem in self._problems(step))
        return None if wrong else stored

    def _problems(self, step: Step) -> list[Problem]:
        position, scope = len(self._shape.raw_ids) - 1, self._scope
        flows: Collection[str] | None = None  # a draft may name flows that are still to come
        return [
            *dependency_problems(position, step, self._shape, scope.ids, scope.names),
            *size_problems(position, step, self._value_bytes),
            *step_problems(position, step, scope, flows),
            *compensation_problems(position, step, scope),
        ]
