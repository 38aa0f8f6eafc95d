"""The steps of a stream: each named and judged once, and no more of them than anybody may write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from flowbuilder.errors import InvalidValue, ModelOutputError, ModelTimeout, Problem
from flowbuilder.models import StepStream
from flowbuilder.planner.asking import answers_later
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.coercion import coerce
from flowbuilder.planner.inputs import input_schema_of
from flowbuilder.planner.schema import NO_TOOL
from flowbuilder.planner.shapes import as_written, fully_written
from flowbuilder.planner.wire import StepReader, head, take_questions
from flowbuilder.planner.wording import output_of, write_out_in
from flowbuilder.settings import Settings
from flowbuilder.strictjson import check
from flowbuilder.types import JsonObject, JsonSchema
from flowbuilder.validation import Checker
from flowbuilder.validation.catalogue import without_advice

#: How often an answer may begin anew; there are no more tries of a call.
_MOST_BEGINNINGS = 10


class StreamedSteps:
    """Takes in the steps of an answer one by one; a thousand take a thousand times what one does.

    A step is named, and judged with those before it, when it comes, and never again. What it says
    of a step that is still to come is judged at the end, with the whole answer.
    """

    def __init__(self, request: PlanRequest) -> None:
        self._request = request
        self._raw: list[JsonObject] = []
        self._begin()

    def _begin(self) -> None:
        request = self._request
        self._reader = StepReader([tool.name for tool in request.registry])
        self._outputs: dict[str, JsonSchema] = {}
        self._checker = Checker(
            request.registry,
            head=head(request.goal, input_schema_of(request)),
            flows=request.flows,
        )
        self._written: list[JsonObject] = []

    def __len__(self) -> int:
        return len(self._raw)

    @property
    def raw(self) -> tuple[JsonObject, ...]:
        """The steps as they came."""
        return tuple(self._raw)

    @property
    def written(self) -> tuple[JsonObject, ...]:
        """The steps as a plan has them, without those that are no JSON."""
        return tuple(self._written)

    def put(self, position: int, raw: JsonObject) -> tuple[JsonObject, list[Problem]] | None:
        """Take in the step of a position; an earlier one than before: the answer begins anew there.

        Return it under its final name with what is wrong with it so far, None if it is no JSON that
        can be stored: that is judged with the whole answer.
        """
        if position < len(self._raw):
            kept, self._raw = self._raw[:position], []
            self._begin()
            for step in kept:
                self._put(step)
        return self._put(raw)

    def _put(self, raw: JsonObject) -> tuple[JsonObject, list[Problem]] | None:
        self._raw.append(raw)
        try:
            check(raw)
        except InvalidValue:
            return None
        step = self._reader.read(raw)
        if step["tool"] == NO_TOOL:
            return dict(raw), []
        return self._judged(step)

    def _judged(self, step: JsonObject) -> tuple[JsonObject, list[Problem]]:
        registry, place = self._request.registry, len(self._written)
        asked = {question.pointer for question in take_questions(place, step)}
        coerce({"steps": [step]}, registry)
        self._outputs[str(step.get("id"))] = output_of(step, registry)
        write_out_in(step, registry, self._outputs)
        self._written.append(step)
        pointer = f"/steps/{place}"
        found = [
            item
            for item in without_advice(self._checker.add(fully_written(step)))
            if (item.pointer == pointer or item.pointer.startswith(f"{pointer}/"))
            and not answers_later(item, asked)
        ]
        return as_written(step), found


async def bounded(stream: StepStream, settings: Settings) -> AsyncIterator[tuple[int, JsonObject]]:
    """Yield the steps of a stream as long as it keeps within what the settings allow.

    Only the time in which the model is waited for counts.

    Raises:
        ModelOutputError: It writes more steps (plan_too_many_steps) or more text (plan_too_large),
            or begins anew without end (plan_restarted).
        ModelTimeout: It takes longer (plan_too_slow).
        ModelError: What the stream raises.
    """
    left = settings.plan_timeout.total_seconds()
    clock = asyncio.get_running_loop().time
    steps = aiter(stream)
    next_position, beginnings = 0, 0
    while True:
        began = clock()
        try:
            async with asyncio.timeout(left):
                position, step = await anext(steps)
        except StopAsyncIteration:
            break
        except TimeoutError:
            raise _too_slow(settings) from None
        left -= clock() - began
        beginnings += position < next_position
        next_position = position + 1
        require_size(stream.reply.text, settings)
        _require_few(next_position, beginnings, settings)
        yield position, step
    require_size(stream.reply.text, settings)


def _require_few(steps: int, beginnings: int, settings: Settings) -> None:
    if steps > settings.max_steps:
        raise ModelOutputError(
            f"the model writes more than {settings.max_steps} steps",
            code="plan_too_many_steps",
            hint="FLOWBUILDER_MAX_STEPS sets the limit.",
        )
    if beginnings > _MOST_BEGINNINGS:
        raise ModelOutputError("the model begins its answer again and again", code="plan_restarted")


def require_size(text: str, settings: Settings) -> None:
    """Check the length of an answer. Raises: ModelOutputError (plan_too_large)."""
    if len(text) > settings.plan_max_bytes:
        raise ModelOutputError(
            f"the model's answer is longer than {settings.plan_max_bytes} bytes",
            code="plan_too_large",
            hint="FLOWBUILDER_PLAN_MAX_BYTES sets the limit.",
        )


def _too_slow(settings: Settings) -> ModelTimeout:
    return ModelTimeout(
        f"the model has not ended its plan within {settings.plan_timeout.total_seconds():g} s",
        code="plan_too_slow",
        hint="FLOWBUILDER_PLAN_TIMEOUT sets the limit.",
    )
