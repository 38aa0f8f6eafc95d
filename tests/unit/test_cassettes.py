"""Cassettes: what is recorded is played back, and what is not is told with the difference."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from flowbuilder.errors import InvalidValue, ModelError, ModelTimeout, NotFound
from flowbuilder.evals.cassettes import Cassette, CassetteMiss, read_cassette
from flowbuilder.evals.models import OracleModel, RecordingModel, ReplayingModel
from flowbuilder.evals.world import World
from flowbuilder.models import Message, ScriptedModel
from flowbuilder.plan import Plan
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.model import ModelPlanner
from flowbuilder.settings import Settings
from tests.support.golds import GOLDS, SPECS, goal

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "null"}}}


def told(text: str) -> list[Message]:
    return [
        Message(role="system", content="be brief\nand exact"),
        Message(role="user", content=text),
    ]


def settings(**known: Any) -> Settings:
    return Settings.load(model="openai/fake", **known)


class Answer(BaseModel):
    zero: int = 0


async def play(model: Any) -> list[Any]:
    """Ask a model everything that can be asked."""
    stream = model.stream_steps(told("stream"), SCHEMA, max_tokens=9)
    steps = [item async for item in stream]
    whole = await model.complete_steps(told("whole"), SCHEMA)
    text = await model.generate(told("text"), temperature=0.5)
    typed, _ = await model.extract(told("typed"), Answer)
    plain, _ = await model.extract(told("plain"), {"type": "array"})
    failures = []
    for _ in range(2):
        with pytest.raises(ModelTimeout) as failed:
            await model.generate(told("fail"))
        failures.append((failed.value.code, failed.value.retryable, failed.value.message))
    return [steps, stream.reply.text, whole.text, text.text, typed, plain, failures]


def script() -> ScriptedModel:
    late = ModelTimeout("too late", retryable=True)
    return ScriptedModel(
        [{"tasks": [{"id": "a"}, {"id": "b", "args": {"v": [0, False, "", None]}}]}, "whole é\n",
         "text", {"zero": 0}, {"value": []}, late, late]
    )  # fmt: skip


async def test_everything_is_played_back_as_it_was_recorded(tmp_path: Path) -> None:
    recording = RecordingModel(script(), settings())
    recorded = await play(recording)
    path = tmp_path / "c.jsonl"
    path.write_bytes(recording.cassette.text())
    cassette = read_cassette(path)
    assert cassette.text() == path.read_bytes()
    again = RecordingModel(ReplayingModel(cassette), settings())
    assert await play(again) == recorded
    assert again.cassette.recorded == cassette.recorded
    replaying = ReplayingModel(cassette)
    assert (replaying.name, replaying.unplayed) == ("scripted", 6)


async def test_a_stream_that_is_left_early_is_recorded_as_far_as_it_was_read() -> None:
    async def first(model: Any) -> Any:
        async with aclosing(aiter(model.stream_steps(told("stream"), SCHEMA))) as steps:
            return await anext(steps)

    recording = RecordingModel(script(), settings())
    read = await first(recording)
    assert read == (0, {"id": "a"})
    assert await first(ReplayingModel(recording.cassette)) == read


async def test_a_plan_comes_out_of_a_cassette_as_out_of_the_model() -> None:
    async def plan(model: Any) -> Plan:
        request = PlanRequest(id="p", goal=goal(1), registry=World(SPECS).registry())
        events = [event async for event in ModelPlanner(settings(), model).stream(request)]
        assert events[-1].plan is not None
        return events[-1].plan

    recording = RecordingModel(OracleModel(GOLDS), settings())
    first = await plan(recording)
    assert await plan(ReplayingModel(recording.cassette)) == first


async def test_a_request_that_comes_again_gets_its_next_answer_and_then_the_last() -> None:
    recording = RecordingModel(ScriptedModel(["one", "two"]), settings())
    for _ in range(2):
        await recording.generate(told("x"))
    model = ReplayingModel(recording.cassette)
    assert [(await model.generate(told("x"))).text for _ in range(3)] == ["one", "two", "two"]


async def test_a_miss_shows_the_difference_from_the_nearest(tmp_path: Path) -> None:
    recording = RecordingModel(ScriptedModel(["a", "b"]), settings())
    await recording.generate(told("something else\nfar away\nfrom it"))
    await recording.generate(told("list the files\nin the folder"))
    model = ReplayingModel(recording.cassette)
    with pytest.raises(CassetteMiss) as missed:
        await model.generate(told("list the files\nin the drawer"))
    assert missed.value.code == "cassette_miss"
    assert "-in the folder\n+in the drawer" in missed.value.difference
    assert "far away" not in missed.value.message
    for changed in ({"temperature": 0.1}, {"max_tokens": 5}):
        with pytest.raises(CassetteMiss):
            await model.generate(told("list the files\nin the folder"), **changed)
    with pytest.raises(CassetteMiss):
        _ = [item async for item in model.stream_steps(told("x"), SCHEMA)]
    empty = Cassette(model="m", settings={}, recorded=())
    with pytest.raises(CassetteMiss, match="empty"):
        await ReplayingModel(empty).generate(told("x"))
    assert not isinstance(missed.value, ModelError)  # no planner may take it for a weak answer


async def test_the_key_of_the_provider_is_not_recorded() -> None:
    secret = "sk-very-secret-1"
    recording = RecordingModel(
        ScriptedModel([f"your key is {secret}"]), settings(model_api_key=SecretStr(secret))
    )
    reply = await recording.generate(told(f"my key is {secret}"))
    assert secret in reply.text
    assert secret.encode() not in recording.cassette.text()
    replayed = ReplayingModel(recording.cassette)
    assert (await replayed.generate(told("my key is ***"))).text == "your key is ***"


async def test_a_planner_is_set_as_when_it_was_recorded() -> None:
    own = settings(model_api_base="http://127.0.0.1:1/v1", plan_repairs=1, model_max_tokens=99)
    cassette = RecordingModel(ScriptedModel([]), own).cassette
    replayed = cassette.replaying(Settings.load())
    assert (replayed.model, replayed.plan_repairs, replayed.model_max_tokens) == ("scripted", 1, 99)
    assert replayed.model_api_base is not None and "127.0.0.1" not in replayed.model_api_base
    hosted = RecordingModel(ScriptedModel([]), settings()).cassette
    assert hosted.replaying(own).model_api_base is None


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", 1),
        (b"{}\n", 1),
        (b"no json\n", 1),
        (b'{"format":"flowbuilder-cassette-1","model":"m","settings":{}}\n[]\n', 2),
        (b'{"format":"flowbuilder-cassette-1","model":"m","settings":{}}\n'
         b'{"key":"0","request":{},"answer":{}}\n', 2),
    ],
)  # fmt: skip
def test_what_is_no_cassette_is_refused(tmp_path: Path, content: bytes, line: int) -> None:
    path = tmp_path / "c.jsonl"
    path.write_bytes(content)
    with pytest.raises(InvalidValue, match=f"line {line}") as refused:
        read_cassette(path)
    assert refused.value.code == "cassette_invalid"
    with pytest.raises(NotFound):
        read_cassette(tmp_path / "none.jsonl")
