"""Functions given in place: what people read of them names the step, not the made-up tool."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import pytest

from flowbuilder import FlowBuilder, Settings
from flowbuilder.errors import DefinitionError, RunFailed, error_json

MADE_UP = "function.w"


@pytest.fixture
async def fb(dsn: str) -> AsyncIterator[FlowBuilder]:
    async with FlowBuilder.connect(dsn, settings=Settings(), worker=True) as opened:
        yield opened


def bad_value() -> Callable[..., Any]:
    def rate() -> Any:
        return float("nan")

    return rate


def bad_type() -> Callable[..., Any]:
    def rate() -> int:
        return "text"  # type: ignore[return-value]

    return rate


def fails() -> Callable[..., Any]:
    def rate() -> int:
        raise ValueError("no luck")

    return rate


@pytest.mark.parametrize("make", [bad_value, bad_type, fails])
async def test_a_run_that_fails_tells_of_the_step(
    fb: FlowBuilder, make: Callable[[], Callable[..., Any]]
) -> None:
    document = {"flow": "f", "steps": [{"id": "rate", "retry": {"max_attempts": 1}}]}
    for _ in range(2):  # the second time it is another function of the same step
        run = await fb.execute_dynamic(document, functions={"rate": make()})
        with pytest.raises(RunFailed) as failed:
            await run.result(60)
        events = [event async for event in run.events()]
        said = orjson.dumps([event.data for event in events]).decode()
        assert MADE_UP not in said + str(error_json(failed.value)) + str(failed.value)
        assert "rate" in str(failed.value)


async def test_arguments_that_do_not_fit_are_said_of_the_step(fb: FlowBuilder) -> None:
    def rate(n: int) -> int:
        return n

    for args in ({"n": "many"}, {}, {"n": 1, "m": 2}, {"n": "${{ input.text }}"}):
        document = {
            "flow": "f",
            "input": {"type": "object", "properties": {"text": {"type": "string"}}},
            "steps": [{"id": "rate", "args": args}],
        }
        with pytest.raises(DefinitionError) as refused:
            await fb.execute_dynamic(document, {"text": "x"}, functions={"rate": rate})
        said = orjson.dumps(error_json(refused.value)).decode() + str(refused.value)
        assert MADE_UP not in said
        assert "step rate" in said


async def test_what_is_wrong_with_a_function_is_said_of_the_step(fb: FlowBuilder) -> None:
    def many() -> Any:
        yield 1

    with pytest.raises(DefinitionError, match="step") as refused:
        await fb.execute_dynamic({"flow": "f", "steps": [{"id": "rate"}]}, functions={"rate": many})
    assert MADE_UP not in str(refused.value)
