"""`llm.` tools keep to what is left of a budget, and say what they have spent."""

from __future__ import annotations

from typing import Any

import pytest

from flowbuilder.costs import Price
from flowbuilder.errors import ModelError
from flowbuilder.models import Reply, ScriptedModel
from flowbuilder.models.prices import price_of
from flowbuilder.plan import Usage
from flowbuilder.settings import Settings
from flowbuilder.toolkit.llm import llm_extract, llm_generate
from flowbuilder.tools import Fail, Retry
from tests.support.toolbox import TaskContext, acall

ASK = {"prompt": "Say it."}


class Model(ScriptedModel):
    """A model that remembers how long its answers may be, and counts as it is told to."""

    def __init__(self, usage: Usage | None = None) -> None:
        super().__init__([])
        self.usage = usage or Usage()
        self.bounds: list[int | None] = []

    async def generate(
        self, messages: Any, *, max_tokens: int | None = None, temperature: float | None = None
    ) -> Reply:
        self.bounds.append(max_tokens)
        return Reply(text="said", usage=self.usage)

    async def extract(
        self,
        messages: Any,
        schema: Any,
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
    ) -> Any:
        self.bounds.append(max_tokens)
        return {"a": 1}, self.usage


def context(model: object, tokens: int | None = None, usd: float | None = None) -> TaskContext:
    made = TaskContext(Settings(model="gpt-4o-mini"), model)
    made.tokens_left, made.usd_left = tokens, usd
    return made


async def test_without_a_budget_nothing_is_bounded() -> None:
    model = Model(Usage(calls=1, prompt_tokens=3, completion_tokens=4, cost_usd=0.5))
    task = context(model)
    await acall(llm_generate, ASK, task)
    await acall(llm_generate, {**ASK, "max_tokens": 9}, task)
    assert model.bounds == [None, 9]
    assert task.spent == [(7, 0.5), (7, 0.5)]


async def test_an_answer_is_bounded_by_what_is_left_for_it() -> None:
    model = Model()
    await acall(llm_generate, ASK, context(model, tokens=100))
    await acall(llm_generate, {**ASK, "max_tokens": 5}, context(model, tokens=100))
    await acall(llm_generate, ASK, context(model, tokens=10**9))
    await acall(llm_extract, {"text": "x", "schema": {}}, context(model, tokens=200))
    first, asked, usual, extracted = model.bounds
    assert first is not None
    assert 50 < first < 100
    assert (asked, usual) == (5, Settings().model_max_tokens)
    assert extracted is not None
    assert extracted < 200


async def test_money_bounds_an_answer_by_the_models_price() -> None:
    price = await price_of(Settings(model="gpt-4o-mini"))
    assert isinstance(price, Price)
    assert 0 < price.prompt < price.completion
    model = Model()
    await acall(llm_generate, ASK, context(model, usd=price.completion * 100))
    (bound,) = model.bounds
    assert bound is not None
    assert 80 < bound < 100
    with pytest.raises(Fail) as refused:
        await acall(llm_generate, ASK, context(model, usd=0.0))
    assert refused.value.code == "budget_exceeded"
    assert len(model.bounds) == 1


@pytest.mark.parametrize("left", [0, 10])
async def test_what_has_no_room_is_not_asked(left: int) -> None:
    model = Model()
    with pytest.raises(Fail) as refused:
        await acall(llm_generate, {"prompt": "x" * 200}, context(model, tokens=left))
    assert refused.value.code == "budget_exceeded"
    assert model.bounds == []


async def test_tokens_that_a_server_does_not_count_are_estimated() -> None:
    task = context(Model())
    await acall(llm_generate, {"prompt": "x" * 4000}, task)
    ((tokens, usd),) = task.spent
    assert 1000 < tokens < 1100
    assert usd is None


async def test_failed_calls_are_paid_too() -> None:
    failure = ModelError("busy", retryable=True)
    failure.tokens, failure.usd = 12, 0.1
    task = context(ScriptedModel([failure, ModelError("no")]))
    with pytest.raises(Retry):
        await acall(llm_generate, ASK, task)
    with pytest.raises(Fail):
        await acall(llm_generate, ASK, task)
    assert task.spent == [(12, 0.1)]


@pytest.mark.parametrize(
    "settings",
    [{}, {"model": "nobody/knows-this"}, {"model": "ollama_chat/qwen3"},
     {"model": "gpt-4o-mini", "model_api_base": "http://127.0.0.1:1/v1"}],
)  # fmt: skip
async def test_what_has_no_price_has_none(settings: dict[str, Any]) -> None:
    assert await price_of(Settings(**settings)) is None
