"""The tools that give their slot back, those that ask a model, and the catalogue as a whole."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from flowbuilder.errors import InvalidValue, ModelError, SettingsError
from flowbuilder.models import Message, Reply
from flowbuilder.settings import Settings
from flowbuilder.toolkit import load_registry, starter_tools
from flowbuilder.toolkit.control import flow_run, time_sleep
from flowbuilder.toolkit.human import human_approve, human_input
from flowbuilder.toolkit.llm import llm_extract, llm_generate
from flowbuilder.toolkit.waiting import event_emit, event_wait
from flowbuilder.tools import Effects, Fail, Retry, Tool, Wait, bind
from tests.support.toolbox import TaskContext, acall, context

NAMES = [
    "csv.parse",
    "data.aggregate",
    "data.filter",
    "data.group",
    "data.join",
    "data.select",
    "data.sort",
    "event.emit",
    "event.wait",
    "file.read",
    "file.write",
    "flow.run",
    "http.get",
    "http.request",
    "human.approve",
    "human.input",
    "json.parse",
    "llm.extract",
    "llm.generate",
    "text.stats",
    "text.template",
    "time.sleep",
]


def wait(tool: Tool, **args: Any) -> Wait:
    result = bind(tool, args, context())()
    assert isinstance(result, Wait)
    return result


def test_approval() -> None:
    asked = wait(human_approve, message="Send?", data={"n": 0}, by=["role:x"], deadline="2h")
    assert asked == Wait.for_approval(
        "Send?", data={"n": 0}, by=("role:x",), deadline=timedelta(hours=2)
    )
    assert wait(human_approve, message="ok").schema is None
    with pytest.raises(Fail):
        wait(human_approve, message="ok", deadline="0s")


def test_input() -> None:
    assert wait(human_input, message="Name?").schema == {"type": "string"}
    assert wait(human_input, message="?", schema={}).schema == {}
    for schema in ({"type": "x"}, {"$ref": "https://example.org/s"}):
        with pytest.raises(Fail) as caught:
            wait(human_input, message="?", schema=schema)
        assert caught.value.code == "schema_invalid"


def test_sleep() -> None:
    assert wait(time_sleep, seconds=0) == Wait.for_time(0)
    assert wait(time_sleep, until="2001-01-01T00:00:00Z").seconds == 0
    later = wait(time_sleep, until="2030-01-01T00:00:00+02:00").seconds
    assert later is not None
    assert later >= 0
    no_time: list[dict[str, Any]] = [
        {"seconds": None},
        {"seconds": 1, "until": "2001-01-01T00:00:00Z"},
    ]
    for args in no_time:
        with pytest.raises(Fail):
            wait(time_sleep, **args)
    wrong: list[dict[str, Any]] = [{}, {"seconds": -1}, {"seconds": "1"}, {"until": "2001-01-01"}]
    for args in wrong:
        with pytest.raises(InvalidValue):
            wait(time_sleep, **args)


def test_event() -> None:
    assert wait(event_wait, name="order.paid") == Wait.for_event("order.paid")
    assert wait(event_wait, name="n", key="", timeout=0).timeout == timedelta(0)
    given = wait(event_wait, name="a/b", key="7", timeout="2h", on_timeout="null")
    assert given == Wait.for_event("a/b", "7", timeout=timedelta(hours=2), on_timeout="null")
    wrong: list[dict[str, Any]] = [
        {},
        {"name": ""},
        {"name": "a b"},
        {"name": "n" * 101},
        {"name": "n", "key": 0},
        {"name": "n", "key": "k" * 501},
        {"name": "n", "timeout": "soon"},
        {"name": "n", "on_timeout": "skip"},
    ]
    for args in wrong:
        with pytest.raises(InvalidValue):
            wait(event_wait, **args)


@pytest.mark.parametrize("given", [0, False, "", None, [], {"a": 1}])
def test_child_run(given: Any) -> None:
    assert wait(flow_run, flow="child-1", input=given) == Wait.for_run("child-1", given)


def test_child_run_without_input() -> None:
    assert wait(flow_run, flow="child", version=3) == Wait.for_run("child", {}, version=3)
    with pytest.raises(InvalidValue):
        wait(flow_run, flow="../x")


class Model:
    """Answers with what it was given."""

    name = "scripted"

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[list[Message]] = []

    async def generate(self, messages: list[Message], **options: Any) -> Reply:
        self.asked.append(messages)
        if isinstance(self.answer, Exception):
            raise self.answer
        return Reply(text=self.answer)

    async def extract(self, messages: list[Message], schema: Any, **options: Any) -> Any:
        self.asked.append(messages)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer, None


async def test_generate() -> None:
    model = Model("hello")
    args: dict[str, Any] = {"prompt": "hi", "system": "be brief"}
    result = await acall(llm_generate, args, context(model=model))
    assert result == {"text": "hello", "model": "scripted", "truncated": False}
    assert [message["role"] for message in model.asked[0]] == ["system", "user"]


@pytest.mark.parametrize("value", [0, False, "", None, [], {"score": 0}])
async def test_extract_returns_the_bare_value(value: Any) -> None:
    task = context(model=Model(value))
    assert await acall(llm_extract, {"text": "t", "schema": {}}, task) == value


async def test_extract_is_bound_to_the_schema() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    with pytest.raises(Retry, match="does not fit"):
        await acall(llm_extract, {"text": "", "schema": schema}, context(model=Model({"n": "1"})))
    with pytest.raises(Fail) as caught:
        await acall(llm_extract, {"text": "", "schema": {"type": "x"}}, context(model=Model(1)))
    assert caught.value.code == "schema_invalid"


async def test_model_failures() -> None:
    down = context(model=Model(ModelError("busy", retryable=True)))
    with pytest.raises(Retry):
        await acall(llm_generate, {"prompt": "x"}, down)
    wrong = context(model=Model(ModelError("no such model", code="model_unknown")))
    with pytest.raises(Fail) as caught:
        await acall(llm_extract, {"text": "x", "schema": {}}, wrong)
    assert caught.value.code == "model_unknown"
    with pytest.raises(Fail) as caught:
        await acall(llm_generate, {"prompt": "x"}, context())
    assert caught.value.code == "model_not_configured"


# -- the catalogue -------------------------------------------------------------------------


def test_names_are_the_agreed_ones() -> None:
    assert [item.name for item in starter_tools()] == NAMES


@pytest.mark.parametrize("item", starter_tools(), ids=lambda item: item.name)
def test_every_tool_describes_itself(item: Tool) -> None:
    Draft202012Validator.check_schema(item.input_schema)
    Draft202012Validator.check_schema(item.output_schema)
    assert item.input_schema["additionalProperties"] is False
    assert item.keywords
    assert item.examples
    assert item.output_schema
    assert 20 < len(item.summary) < 120
    for name, schema in item.input_schema["properties"].items():
        assert schema.get("description"), f"{item.name}: {name}"
    for name, schema in item.output_schema.get("properties", {}).items():
        assert schema.get("description") or "$ref" in schema, f"{item.name}: {name}"


async def test_an_event_is_emitted_as_it_is_given() -> None:
    task = TaskContext(Settings())
    args = {"name": "order.paid", "key": "7", "payload": [0], "keep": "2h"}
    assert await acall(event_emit, args, task) == {"name": "order.paid", "key": "7"}
    assert await acall(event_emit, {"name": "x"}, task) == {"name": "x", "key": ""}
    assert task.emitted == [
        ("order.paid", "7", [0], timedelta(hours=2)),
        ("x", "", None, None),
    ]


def test_effects() -> None:
    by_effect = {item.name: item.effects for item in starter_tools()}
    assert by_effect["http.request"] is Effects.EXTERNAL
    assert by_effect["http.get"] is Effects.READ
    assert by_effect["file.write"] is Effects.WRITE
    assert by_effect["file.read"] is Effects.READ
    assert by_effect["data.join"] is Effects.PURE
    untrusted = [item.name for item in starter_tools() if item.untrusted_output]
    assert untrusted == ["event.wait", "http.get", "http.request", "llm.extract", "llm.generate"]
    assert [item.name for item in starter_tools() if item.needs_model] == [
        "llm.extract",
        "llm.generate",
    ]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("download the page at example.org", "http.get"),
        ("what is the average price per category", "data.aggregate"),
        ("put the result into a file called out.csv", "file.write"),
        ("the ten most expensive products", "data.sort"),
        ("summarise the article", "llm.generate"),
        ("wait for five minutes", "time.sleep"),
        ("ask my manager for approval", "human.approve"),
        ("count the words", "text.stats"),
    ],
)
def test_search_finds_what_people_say(words: str, name: str) -> None:
    found = [item.name for item in load_registry(Settings()).search(words, 3)]
    assert name in found


def test_registry_with_a_users_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    source = "from flowbuilder import tool\n@tool('{}')\ndef f(id: int) -> int:\n    return id\n"
    (tmp_path / "users_extra.py").write_text(source.format("shop.order"))
    (tmp_path / "users_again.py").write_text(source.format("shop.order"))
    registry = load_registry(Settings(tools=["users_extra"]), ["users_extra"])
    assert registry.require("shop.order").input_schema["required"] == ["id"]
    assert len(registry) == len(NAMES) + 1
    with pytest.raises(SettingsError, match=r"users_again.*shop\.order@1") as caught:
        load_registry(Settings(), ["users_extra", "users_again"], search_path=tmp_path)
    assert caught.value.code == "tool_exists"


def test_a_users_tool_takes_the_place_of_a_starter_tool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    source = (
        "from flowbuilder import tool\n@tool('http.get')\ndef f(id: int) -> int:\n    return id\n"
    )
    (tmp_path / "users_get.py").write_text(source)
    registry = load_registry(Settings(), ["users_get"], search_path=tmp_path)
    assert registry.require("http.get").input_schema["required"] == ["id"]
    assert registry.require("http.get@1") is registry.require("http.get")
    assert len(registry) == len(NAMES)
