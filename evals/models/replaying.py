"""A model that answers from a cassette; see `flowbuilder.evals.cassettes`."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

from flowbuilder.evals.cassettes import (
    Cassette,
    CassetteMiss,
    asked,
    error_from,
    key_of,
    lines_of,
    reply_from,
    usage_from,
)
from flowbuilder.models import Message, Reply
from flowbuilder.plan import Usage
from flowbuilder.secrecy import REDACTOR
from flowbuilder.types import JsonObject, JsonSchema

_DIFFERENCE_LINES = 30


class ReplayingModel:
    """A `LanguageModel` that answers from a cassette and from nothing else.

    A request that was recorded several times gets its answers in their order, and then the last.
    """

    def __init__(self, cassette: Cassette) -> None:
        self.name = cassette.model
        self._answers: dict[str, list[JsonObject]] = {}
        for item in cassette.recorded:
            self._answers.setdefault(item.key, []).append(item.answer)
        self._cassette = cassette
        self._played: Counter[str] = Counter()

    @property
    def unplayed(self) -> int:
        """How many recorded requests were not asked."""
        return len(self._answers.keys() - self._played.keys())

    async def generate(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
    ) -> Reply:
        """Return the recorded text. Raises: CassetteMiss."""
        return reply_from(self._answer(asked("generate", messages, None, max_tokens, temperature)))

    async def extract(
        self,
        messages: Sequence[Message],
        schema: Any,
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
    ) -> tuple[Any, Usage]:
        """Return the recorded value. Raises: CassetteMiss."""
        answer = self._answer(asked("extract", messages, schema, max_tokens, temperature))
        value = answer["value"]
        usage = usage_from(answer)
        return (schema.model_validate(value) if hasattr(schema, "model_validate") else value), usage

    def stream_steps(
        self, messages: Sequence[Message], schema: JsonSchema, *, max_tokens: int | None = None
    ) -> ReplayedSteps:
        """Return the recorded stream; iterating it raises CassetteMiss."""
        return ReplayedSteps(self, asked("stream_steps", messages, schema, max_tokens, None))

    async def complete_steps(
        self, messages: Sequence[Message], schema: JsonSchema, *, max_tokens: int | None = None
    ) -> Reply:
        """Return the recorded answer. Raises: CassetteMiss."""
        return reply_from(self._answer(asked("complete_steps", messages, schema, max_tokens, None)))

    def _answer(self, request: JsonObject) -> JsonObject:
        """Return the next answer to a request. Raises: CassetteMiss, ModelError as recorded."""
        answer = self.next_answer(request)
        if "error" in answer:
            raise error_from(answer)
        return answer

    def next_answer(self, request: JsonObject) -> JsonObject:
        """Return the next answer to a request, a failure included. Raises: CassetteMiss."""
        key = key_of(cast(JsonObject, REDACTOR.json(request)))  # as it was recorded
        answers = self._answers.get(key)
        if answers is None:
            raise self._miss(request)
        number = min(self._played[key], len(answers) - 1)
        self._played[key] += 1
        return answers[number]

    def _miss(self, request: JsonObject) -> CassetteMiss:
        wanted = lines_of(request)
        known = [lines_of(item.request) for item in self._cassette.recorded]
        if not known:
            return CassetteMiss("the cassette is empty", difference="")
        matcher = difflib.SequenceMatcher(autojunk=False)
        matcher.set_seq2(wanted)
        ratios = []
        for lines in known:
            matcher.set_seq1(lines)
            ratios.append(matcher.ratio())
        nearest = known[ratios.index(max(ratios))]
        found = difflib.unified_diff(nearest, wanted, "recorded", "asked", lineterm="", n=1)
        difference = "\n".join(list(found)[:_DIFFERENCE_LINES])
        return CassetteMiss(
            f"this request was never recorded; the nearest one differs by\n{difference}",
            difference=difference,
        )


class ReplayedSteps:
    """A recorded stream."""

    def __init__(self, model: ReplayingModel, request: JsonObject) -> None:
        self._model, self._request = model, request
        self._reply = Reply(text="")

    @property
    def reply(self) -> Reply:
        """The answer, once iteration has begun."""
        return self._reply

    async def __aiter__(self) -> AsyncIterator[tuple[int, JsonObject]]:
        answer = self._model.next_answer(self._request)
        if "error" not in answer:
            self._reply = reply_from(answer)
        steps: Any = answer["steps"]
        for position, step in steps:
            yield position, step
        if "error" in answer:
            raise error_from(answer)
