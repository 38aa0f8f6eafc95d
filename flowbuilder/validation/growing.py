"""A valid document that takes further steps, each judged by itself.

Nothing in a valid document depends on a step that it does not have. So a step at its end makes no
cycle and changes nothing about the others, and there is no need to look at those again.
"""

from __future__ import annotations

import orjson
from pydantic import ValidationError

from flowbuilder.errors import InvalidValue, Severity
from flowbuilder.flow import Flow, Step
from flowbuilder.strictjson import DOCUMENT_LIMITS, Limits, check
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonObject
from flowbuilder.validation.checker import Checker

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
        self._checker = Checker(  # a draft may name flows that are still to come
            registry,
            head={key: value for key, value in document.items() if key != "steps"},
            max_steps=max_steps,
            value_bytes=value_bytes,
        )
        for step in flow.steps:
            self._checker.add(_stored(step))
        self._count, self._most = len(flow.steps), max_steps
        self._limits = Limits(
            depth=min(depth, DOCUMENT_LIMITS.depth) - _ABOVE, bytes=DOCUMENT_LIMITS.bytes
        )
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
        stored = _stored(step)
        self._size += len(orjson.dumps(stored)) + 1
        self._count += 1
        if self._count > self._most or self._size > self._limits.bytes:
            return None
        found = self._checker.add(stored)
        wrong = any(problem.severity is Severity.ERROR for problem in found)
        return None if wrong or not self._checker.is_settled else stored


def _stored(step: Step) -> JsonObject:
    stored: JsonObject = step.model_dump(mode="json", exclude_defaults=True)
    return stored
