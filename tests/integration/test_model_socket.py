"""The model client against a server on a real socket: streams, failures, time limits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, cast

import pytest

from flowbuilder.errors import ModelError, ModelOutputError, ModelTimeout
from flowbuilder.models import Message, ModelClient
from flowbuilder.settings import Settings
from tests.support.fake_openai import (
    Answer,
    Cut,
    Endless,
    Entry,
    Failure,
    Hang,
    NotJson,
    fake_openai,
)

KEY = "sk-very-secret-4711"
ASK = [Message(role="user", content="plan it")]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"tasks": {"type": "array", "items": {"type": "object"}}},
    "required": ["tasks"],
    "additionalProperties": False,
}
STEPS = [
    {"id": "s1", "tool": "a.b", "args": {"x": 'tricky }] "quoted" {['}},
    {"id": "s2", "tool": "c.d", "args": {"zero": 0, "no": False, "empty": "", "nothing": None}},
]
GOOD = Answer(json.dumps({"tasks": STEPS}))


def client(url: str, **settings: Any) -> ModelClient:
    given = {"model": "local", "model_api_key": KEY, "model_timeout": 30, "model_retries": 0}
    return ModelClient(Settings.load(**{**given, "model_api_base": url, **settings}))


async def collect(model: ModelClient) -> tuple[list[dict[str, Any]], Any]:
    stream = model.stream_steps(ASK, SCHEMA)
    found: list[dict[str, Any]] = []
    async for position, step in stream:
        found[position:] = [step]
    return found, stream.reply


async def test_steps_arrive_as_they_are_written_and_keep_their_values() -> None:
    with fake_openai(GOOD) as server:
        found, reply = await collect(client(server.url))
    assert found == STEPS
    assert json.loads(reply.text) == {"tasks": STEPS}
    assert (reply.usage.calls, reply.usage.prompt_tokens, reply.usage.completion_tokens) == (
        1,
        100,
        20,
    )
    assert reply.usage.cost_usd is None


async def test_the_first_step_is_seen_before_the_answer_has_ended() -> None:
    first = json.dumps({"tasks": STEPS[:1]})[:-2] + ", "
    with fake_openai(Hang(first)) as server:
        steps = aiter(client(server.url, model_timeout=600).stream_steps(ASK, SCHEMA))
        async with aclosing(cast("AsyncGenerator[tuple[int, Any]]", steps)) as stream:
            assert await anext(stream) == (0, STEPS[0])


async def test_the_request_names_model_schema_and_key_and_asks_for_usage() -> None:
    with fake_openai(GOOD) as server:
        await collect(client(server.url))
    sent = server.requests[0]
    assert sent["model"] == "local"
    assert sent["stream"] is True
    assert sent["stream_options"] == {"include_usage": True}
    assert sent["temperature"] == 0
    assert sent["response_format"]["json_schema"]["schema"] == SCHEMA
    assert server.keys == [f"Bearer {KEY}"]


async def test_an_endpoint_needs_no_key() -> None:
    with fake_openai(Answer("hello")) as server:
        reply = await client(server.url, model_api_key="").generate(ASK)
    assert reply.text == "hello"


@pytest.mark.parametrize(
    ("entry", "code", "kind"),
    [
        (Failure(429, f"slow down, {KEY}"), "model_rate_limited", ModelError),
        (Failure(500, "boom"), "model_unavailable", ModelError),
        (Failure(503, "later"), "model_unavailable", ModelError),
        (Failure(401, f"Incorrect API key provided: {KEY}"), "model_unauthorized", ModelError),
        (Failure(400, "no such parameter"), "model_refused", ModelError),
        (Hang(), "model_timeout", ModelTimeout),
        (NotJson(), "model_output_invalid", ModelOutputError),
    ],
    ids=["429", "500", "503", "401", "400", "hang", "not json"],
)
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
async def test_a_failing_provider_gives_a_typed_error_within_the_limit(
    entry: Entry, code: str, kind: type[ModelError], streamed: bool
) -> None:
    # only who never answers is waited for; the others have all the time of a busy machine
    limit = 3 if isinstance(entry, Hang) else 60
    with fake_openai(entry) as server:
        model = client(server.url, model_timeout=limit)
        with pytest.raises(ModelError) as caught:
            async with asyncio.timeout(300):
                await (collect(model) if streamed else model.complete_steps(ASK, SCHEMA))
    assert (caught.value.code, type(caught.value)) == (code, kind)
    assert KEY not in str(caught.value) + repr(caught.value) + str(caught.value.hint)


async def test_a_cut_stream_is_an_error() -> None:
    with (
        fake_openai(Cut('{"tasks": [{"id": "s1", ')) as server,
        pytest.raises(ModelError) as caught,
    ):
        await collect(client(server.url))
    assert caught.value.code == "model_unavailable"


async def test_a_stream_that_never_ends_is_stopped_by_its_length() -> None:
    with fake_openai(Endless("word " * 200)) as server, pytest.raises(ModelOutputError) as caught:
        await collect(client(server.url, model_max_tokens=64))
    assert caught.value.code == "model_output_truncated"


async def test_a_stream_that_only_drips_is_stopped_by_the_clock() -> None:
    with fake_openai(Endless("")) as server, pytest.raises(ModelTimeout):
        await collect(client(server.url, model_timeout=1))


@pytest.mark.parametrize("entry", [Failure(500), Failure(429), Cut('{"tasks": [')])
async def test_what_may_pass_is_tried_again_as_often_as_set(entry: Entry) -> None:
    with fake_openai(entry, entry, GOOD) as server:
        found, reply = await collect(client(server.url, model_retries=2))
    assert found == STEPS
    assert len(server.requests) == 3
    assert reply.usage.completion_tokens == 20


async def test_tries_do_not_multiply() -> None:
    with fake_openai(Failure(500)) as server, pytest.raises(ModelError):
        await client(server.url, model_retries=1).generate(ASK)
    assert len(server.requests) == 2


async def test_retry_after_beyond_the_limit_ends_the_call_at_once() -> None:
    with (
        fake_openai(Failure(429, headers={"retry-after": "600"})) as server,
        pytest.raises(ModelError) as caught,
    ):
        await client(server.url, model_retries=3).generate(ASK)
    assert caught.value.code == "model_rate_limited"
    assert len(server.requests) == 1


async def test_an_answer_cut_at_the_length_limit_is_marked() -> None:
    with fake_openai(Answer('{"tasks": [{"id"', finish="length")) as server:
        _, reply = await collect(client(server.url))
    assert reply.truncated


async def test_extract_asks_again_with_the_errors() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    with fake_openai(Answer('{"n": "many"}'), Answer('{"n": 0}')) as server:
        value, usage = await client(server.url).extract(ASK, schema)
    assert value == {"n": 0}
    assert usage.calls == 2
    assert "'many' is not of type 'integer'" in json.dumps(server.requests[1]["messages"])


@pytest.mark.parametrize("value", [0, False, "", None, [], [1, "two"]])
async def test_extract_takes_any_json_value(value: Any) -> None:
    with fake_openai(Answer(json.dumps({"value": value}))) as server:
        found, _ = await client(server.url).extract(ASK, {"description": "anything"})
    assert found == value and type(found) is type(value)


async def test_extract_gives_up_without_quoting_the_answer() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    with (
        fake_openai(Answer("my grandmother says hello")) as server,
        pytest.raises(ModelOutputError) as caught,
    ):
        await client(server.url).extract(ASK, schema)
    assert "grandmother" not in str(caught.value)


async def test_nobody_listening_is_an_error() -> None:
    with pytest.raises(ModelError) as caught:
        await client("http://127.0.0.1:9/v1").generate(ASK)
    assert caught.value.code == "model_unavailable"
