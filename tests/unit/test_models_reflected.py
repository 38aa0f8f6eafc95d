"""A model's server that gives back the key it was sent."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
import respx

from flowbuilder.models import ModelClient
from flowbuilder.models.reflected import Reflected
from flowbuilder.settings import Settings
from tests.unit.test_models_withheld import ASK, BASE, SCHEMA, URL, streamed, whole

KEY = "sk-canary-4711-0815-aabbccdd"
STEP = {"id": "a", "tool": "x", "args": {"said": f"Bearer {KEY}!"}}
CLEAN = {"id": "a", "tool": "x", "args": {"said": "Bearer ***!"}}


def client(**given: Any) -> ModelClient:
    given = {"model_api_key": KEY, **given}
    return ModelClient(Settings.load(model="openai/local", model_api_base=BASE, **given))


@respx.mock
async def test_whole_answers_are_without_it() -> None:
    route = respx.post(URL).mock(return_value=whole({"content": f"You sent Bearer {KEY}."}))
    assert (await client().generate(ASK)).text == "You sent Bearer ***."
    assert KEY in route.calls[0].request.headers["authorization"]
    route.mock(return_value=whole({"content": json.dumps({"tasks": [STEP]})}))
    reply = await client().complete_steps(ASK, SCHEMA)
    assert json.loads(reply.text) == {"tasks": [CLEAN]}
    value, _ = await client().extract(ASK, {"type": "object"})
    assert value == {"tasks": [CLEAN]}


@respx.mock
async def test_what_is_asked_again_does_not_carry_it() -> None:
    route = respx.post(URL).mock(return_value=whole({"content": json.dumps({"n": KEY})}))
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    with pytest.raises(Exception) as caught:
        await client().extract(ASK, schema)
    assert KEY not in str(caught.value)
    assert len(route.calls) == 2
    assert KEY not in route.calls[1].request.content.decode()


@respx.mock
@pytest.mark.parametrize("size", [1, 3, 7, 1000])
async def test_streamed_answers_are_without_it(size: int) -> None:
    text = json.dumps({"tasks": [STEP, {**STEP, "id": "s", "args": {"said": KEY[:-1]}}]})
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    respx.post(URL).mock(
        return_value=streamed(*[({"content": piece}, None) for piece in pieces], ({}, "stop"))
    )
    steps = client().stream_steps(ASK, SCHEMA)
    found = [step async for _, step in steps]
    assert found[0] == CLEAN
    assert found[1]["args"] == {"said": KEY[:-1]}
    assert KEY not in steps.reply.text
    assert json.loads(steps.reply.text)["tasks"] == found


def piece(text: str, *, call: bool = False) -> Any:
    tool_call = SimpleNamespace(index=0, function=SimpleNamespace(arguments=text))
    delta = SimpleNamespace(content=None if call else text, tool_calls=[tool_call] if call else [])
    return SimpleNamespace(choices=[SimpleNamespace(index=0, delta=delta)])


def said(chunk: Any) -> str:
    delta = chunk.choices[0].delta
    text: str = delta.tool_calls[0].function.arguments if delta.tool_calls else delta.content
    return text


@pytest.mark.parametrize("call", [True, False])
@pytest.mark.parametrize("text", ["", "s", KEY[:-1], KEY, KEY * 3, f"sk-s{KEY}sk-", "nothing"])
@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_pieces_are_what_the_whole_would_be(text: str, size: int, call: bool) -> None:
    reflected = Reflected(KEY)
    shown = ""
    for at in range(0, len(text), size):
        chunk = piece(text[at : at + size], call=call)
        reflected.clean_piece(chunk)
        shown += said(chunk)
    shown += "".join(said(chunk) for chunk in reflected.rest())
    assert shown == text.replace(KEY, "***")


@respx.mock
async def test_an_answer_without_a_key_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no key is set, and where a word stands for one."""
    respx.post(URL).mock(return_value=whole({"content": "none of these"}))
    for key in (None, "none"):
        assert (await client(model_api_key=key).generate(ASK)).text == "none of these"
