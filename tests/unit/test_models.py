"""The model client with mocked HTTP: endpoints, modes, cost, errors, lazy loading."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import httpx
import pytest
import respx

from flowbuilder.errors import InvalidValue, ModelError, ModelOutputError
from flowbuilder.models import Message, ModelClient, ScriptedModel
from flowbuilder.models.endpoint import endpoint
from flowbuilder.models.failures import redact, retry_after
from flowbuilder.models.library import load
from flowbuilder.settings import Settings
from tests.support.fake_openai import Answer, completion, events

BASE = "http://model.test/v1"
ASK = [Message(role="user", content="hello")]
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"tasks": {"type": "array"}}}


def settings(**given: Any) -> Settings:
    return Settings.load(**{"model": "local", "model_api_base": BASE, "model_retries": 0, **given})


def reply(text: str) -> httpx.Response:
    return httpx.Response(200, json=completion(Answer(text)))


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("local", "openai/local"),
        ("qwen2.5-coder:1.5b", "openai/qwen2.5-coder:1.5b"),
        ("qwen/qwen3-8b", "openai/qwen/qwen3-8b"),
        ("openai/gpt-5-mini", "openai/gpt-5-mini"),
        ("ollama_chat/qwen3", "ollama_chat/qwen3"),
    ],
)
def test_a_name_without_provider_means_an_openai_compatible_server(name: str, called: str) -> None:
    found = endpoint(settings(model=name), load())
    assert (found.model, found.mode, found.api_key) == (called, "json_schema", "none")


def test_without_an_address_the_name_is_litellms() -> None:
    found = endpoint(Settings.load(model="gpt-4o-mini"), load())
    assert (found.model, found.api_base, found.api_key) == ("gpt-4o-mini", None, None)
    assert found.mode == "json_schema"


def test_a_hosted_model_without_response_schemas_is_called_with_tools() -> None:
    assert endpoint(Settings.load(model="gpt-3.5-turbo"), load()).mode == "tools"


@pytest.mark.parametrize("mode", ["json_schema", "tools", "json"])
def test_a_set_mode_wins(mode: str) -> None:
    assert endpoint(settings(model_mode=mode), load()).mode == mode


def test_the_key_is_not_in_the_endpoints_text() -> None:
    found = endpoint(settings(model_api_key="sk-secret"), load())
    assert "sk-secret" not in repr(found)


def test_a_stream_builds_no_types_and_warns_of_none() -> None:
    """In a process of its own: in this one others may have built them."""
    said = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", _STREAMED],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (said.stdout.strip(), said.stderr) == ("False True", "")


_STREAMED = """
import litellm
from flowbuilder.models.library import load
before = litellm.ModelResponseStream.__pydantic_complete__
load()
print(before, litellm.ModelResponseStream.__pydantic_complete__)
"""


async def test_no_model_is_a_clear_error() -> None:
    with pytest.raises(ModelError) as caught:
        await ModelClient(Settings.load()).generate(ASK)
    assert caught.value.code == "model_not_configured"
    assert "FLOWBUILDER_MODEL" in str(caught.value.hint)


@respx.mock
async def test_generate_sends_the_options_and_returns_text_and_usage() -> None:
    route = respx.post(f"{BASE}/chat/completions").mock(return_value=reply("hi there"))
    answer = await ModelClient(settings()).generate(ASK, max_tokens=77, temperature=0.0)
    sent = json.loads(route.calls[0].request.content)
    assert (answer.text, answer.truncated) == ("hi there", False)
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (100, 20)
    assert (sent["max_tokens"], sent["temperature"], sent["messages"]) == (77, 0, ASK)


@respx.mock
async def test_a_known_price_becomes_a_cost() -> None:
    respx.post(f"{BASE}/chat/completions").mock(return_value=reply("hi"))
    answer = await ModelClient(settings(model="openai/gpt-4o-mini")).generate(ASK)
    assert answer.usage.cost_usd is not None and answer.usage.cost_usd > 0


@respx.mock
async def test_a_streamed_body_becomes_steps() -> None:
    text = json.dumps({"tasks": [{"id": "s1"}, {"id": "s2", "zero": 0}]})
    respx.post(f"{BASE}/chat/completions").mock(
        return_value=httpx.Response(
            200, text=events(Answer(text)), headers={"content-type": "text/event-stream"}
        )
    )
    stream = ModelClient(settings()).stream_steps(ASK, SCHEMA)
    assert [item async for item in stream] == [(0, {"id": "s1"}), (1, {"id": "s2", "zero": 0})]
    assert stream.reply.usage.completion_tokens == 20


@respx.mock
async def test_tools_mode_sends_the_schema_as_a_function() -> None:
    call = {
        "id": "c1",
        "type": "function",
        "function": {"name": "AnySteps", "arguments": '{"tasks": [{"id": "s1"}]}'},
    }
    body = completion(Answer(""))
    body["choices"][0]["message"] = {"role": "assistant", "content": None, "tool_calls": [call]}
    route = respx.post(f"{BASE}/chat/completions").mock(return_value=httpx.Response(200, json=body))
    answer = await ModelClient(settings(model_mode="tools")).complete_steps(ASK, SCHEMA)
    sent = json.loads(route.calls[0].request.content)
    assert sent["tools"][0]["function"]["parameters"] == SCHEMA
    assert json.loads(answer.text) == {"tasks": [{"id": "s1"}]}


@respx.mock
async def test_a_streaming_request_answered_in_one_piece_is_asked_whole() -> None:
    route = respx.post(f"{BASE}/chat/completions").mock(
        side_effect=[
            httpx.Response(200, text="", headers={"content-type": "text/event-stream"}),
            reply('{"tasks": [{"id": "s1"}]}'),
        ]
    )
    stream = ModelClient(settings()).stream_steps(ASK, SCHEMA)
    assert [item async for item in stream] == []
    assert json.loads(stream.reply.text) == {"tasks": [{"id": "s1"}]}
    assert len(route.calls) == 2


@respx.mock
async def test_extract_refuses_a_wrong_schema_before_any_call() -> None:
    route = respx.post(f"{BASE}/chat/completions")
    with pytest.raises(InvalidValue) as caught:
        await ModelClient(settings()).extract(ASK, {"type": "no such type"})
    assert caught.value.code == "schema_invalid"
    assert not route.called


@respx.mock
async def test_extract_keeps_definitions_reachable() -> None:
    respx.post(f"{BASE}/chat/completions").mock(return_value=reply('{"value": [{"n": 0}]}'))
    schema = {
        "type": "array",
        "items": {"$ref": "#/$defs/Item"},
        "$defs": {"Item": {"type": "object", "required": ["n"]}},
    }
    value, _ = await ModelClient(settings()).extract(ASK, schema)
    assert value == [{"n": 0}]


@pytest.mark.parametrize(
    "text",
    [
        "Incorrect API key provided: sk-abc123def456",
        "POST https://host/v1/models?key=AIzaSyA1234567890abc failed",
        "header was Bearer eyJhbGciOi.secret",
        "the key is hunter2-long-secret",
    ],
)
def test_redaction_leaves_no_key(text: str) -> None:
    shown = redact(text, "hunter2-long-secret")
    for secret in ("abc123def456", "AIzaSyA1234567890abc", "eyJhbGciOi", "hunter2-long-secret"):
        assert secret not in shown


def test_redaction_keeps_one_short_line() -> None:
    assert redact("first\nsecond", None) == "first"
    assert len(redact("x" * 5000, None)) <= 300


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), ("0", 0.0), ("soon", None), (None, None)]
)
def test_retry_after_is_read_from_the_response(header: str | None, seconds: float | None) -> None:
    error = RuntimeError("no")
    headers = {} if header is None else {"retry-after": header}
    error.response = httpx.Response(429, headers=headers)  # type: ignore[attr-defined]
    assert retry_after(error) == seconds


def test_litellm_is_loaded_by_the_first_call_only() -> None:
    program = """
import asyncio, sys
from flowbuilder.models import ModelClient, Message
from flowbuilder.settings import Settings
client = ModelClient(Settings.load(model="local", model_api_base="http://127.0.0.1:9/v1",
                                   model_retries=0))
assert client.name == "local"
assert not {"litellm", "instructor", "openai"} & set(sys.modules)
try:
    asyncio.run(client.generate([Message(role="user", content="hi")]))
except Exception as error:
    assert getattr(error, "code", "") == "model_unavailable", repr(error)
assert "litellm" in sys.modules and sys.modules["litellm"].suppress_debug_info
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


async def test_a_scripted_model_answers_in_order_and_remembers() -> None:
    model = ScriptedModel(["text", {"n": 0}, ModelError("down", code="model_unavailable")])
    assert (await model.generate(ASK)).text == "text"
    value, usage = await model.extract(ASK, {"type": "object", "required": ["n"]})
    assert (value, usage.calls) == ({"n": 0}, 1)
    with pytest.raises(ModelError, match="down"):
        await model.generate(ASK)
    with pytest.raises(ModelError, match="no further answer"):
        await model.generate(ASK)
    assert model.requests == [ASK] * 4


async def test_a_scripted_answer_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(ModelOutputError):
        await ScriptedModel([{"n": "x"}]).extract(
            ASK, {"type": "object", "properties": {"n": {"type": "integer"}}}
        )
