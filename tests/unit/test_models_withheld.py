"""Answers that are withheld, never end, or are to be waited for: what they are called."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import respx

from flowbuilder.errors import ModelError
from flowbuilder.models import Message, ModelClient
from flowbuilder.settings import Settings

BASE = "http://model.test/v1"
URL = f"{BASE}/chat/completions"
ASK: list[Message] = [{"role": "user", "content": "hello"}]
SCHEMA = {"type": "object", "properties": {"tasks": {"type": "array"}}, "required": ["tasks"]}


def client(**given: Any) -> ModelClient:
    return ModelClient(Settings.load(model="openai/local", model_api_base=BASE, **given))


def whole(message: dict[str, Any], reason: str = "stop") -> httpx.Response:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}
    body = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    return httpx.Response(200, json=body)


Piece = tuple[dict[str, Any], str | None]


def streamed(*pieces: Piece) -> httpx.Response:
    lines = []
    for delta, reason in pieces:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        lines.append(f"data: {json.dumps({**chunk, 'choices': [choice]})}\n\n")
    text = "".join(lines) + "data: [DONE]\n\n"
    return httpx.Response(200, text=text, headers={"content-type": "text/event-stream"})


async def failure_of(model: ModelClient, *, stream: bool) -> ModelError:
    with pytest.raises(ModelError) as caught:
        if stream:
            async for _ in model.stream_steps(ASK, SCHEMA):
                pass
        else:
            await model.complete_steps(ASK, SCHEMA)
    return caught.value


@respx.mock
@pytest.mark.parametrize("stream", [True, False])
async def test_a_refusal_is_told_in_the_models_words(stream: bool) -> None:
    parts: tuple[Piece, ...] = ({"role": "assistant", "refusal": "I will not"}, None), ({}, "stop")
    answer = streamed(*parts) if stream else whole({"content": None, "refusal": "I will not"})
    route = respx.post(URL).mock(return_value=answer)
    failure = await failure_of(client(), stream=stream)
    assert failure.code == "model_refused" and "declined to answer: I will not" in failure.message
    assert not failure.retryable and len(route.calls) == 1


@respx.mock
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("text", ["", '{"tasks": [{"id'])
async def test_a_content_filter_is_named(stream: bool, text: str) -> None:
    parts: tuple[Piece, ...] = (
        ({"role": "assistant", "content": text}, None),
        ({}, "content_filter"),
    )
    answer = streamed(*parts) if stream else whole({"content": text}, "content_filter")
    route = respx.post(URL).mock(return_value=answer)
    failure = await failure_of(client(), stream=stream)
    assert failure.code == "model_refused" and "content filter" in failure.message
    assert len(route.calls) == 1


@respx.mock
@pytest.mark.parametrize("piece", [" ", "\n", "ha ha ha "])
async def test_an_answer_that_repeats_itself_is_not_called_cut(piece: str) -> None:
    respx.post(URL).mock(return_value=streamed(*[({"content": piece}, None)] * 3000))
    failure = await failure_of(client(), stream=True)
    assert failure.code == "model_output_truncated" and "without end" in failure.message


@respx.mock
@pytest.mark.parametrize("status", [408, 504])
async def test_a_server_that_gave_up_is_asked_again(status: int) -> None:
    answer = whole({"content": '{"tasks": []}'})
    route = respx.post(URL).mock(side_effect=[httpx.Response(status), answer])
    reply = await client(model_retries=1).complete_steps(ASK, SCHEMA)
    assert reply.text == '{"tasks": []}' and len(route.calls) == 2


@respx.mock
async def test_a_wait_beyond_the_time_limit_is_not_begun() -> None:
    busy = httpx.Response(429, headers={"retry-after": "3600"}, json={"error": {"message": "no"}})
    route = respx.post(URL).mock(return_value=busy)
    failure = await failure_of(client(model_retries=3), stream=True)
    assert failure.code == "model_rate_limited" and len(route.calls) == 1
