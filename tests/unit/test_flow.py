"""The models of `flow.v1`: round trips, hashes, and the exported JSON Schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from flowbuilder.flow import ApprovalPolicy, Flow, Step, flow_json_schema
from flowbuilder.strictjson import load_document

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
SCHEMA = Draft202012Validator(flow_json_schema())
FULL: dict[str, Any] = {
    "format": "flow.v1",
    "flow": "full",
    "description": "Everything there is.",
    "input": {"type": "object", "properties": {"n": {"type": "integer"}}},
    "steps": [
        {
            "id": "a",
            "tool": "x.y@2",
            "description": "",
            "args": {"zero": 0, "off": False, "empty": "", "none": None, "list": [], "map": {}},
            "for_each": [],
            "concurrency": 8,
            "when": "input.n > 0",
            "retry": {
                "max_attempts": 5,
                "backoff": "linear",
                "base_delay": "250ms",
                "max_delay": "1h",
                "jitter": False,
            },
            "timeout": "90s",
            "on_error": "continue",
            "approval": {
                "by": ["role:approver"],
                "deadline": "2d",
                "on_deadline": "approve",
                "message": "Look.",
            },
        },
        {"id": "b", "tool": "x.y", "depends_on": ["a"], "trigger_rule": "all_done"},
    ],
    "output": {"zero": 0, "a": "${{ steps.a }}"},
    "timeout": "1d",
}


def _example(path: Path) -> Any:
    return load_document(path.read_text("utf-8"), name=path.name)


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 6


def test_a_document_survives_reading_and_writing() -> None:
    flow = Flow.model_validate(FULL)
    assert flow.document() == FULL
    assert Flow.model_validate(flow.document()) == flow


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_survive_reading_and_writing(path: Path) -> None:
    flow = Flow.model_validate(_example(path))
    assert Flow.model_validate(flow.document()) == flow


@pytest.mark.parametrize("value", [0, False, "", [], {}, None, 0.0])
def test_empty_outputs_are_not_defaults(value: Any) -> None:
    document = Flow(flow="x", output=value).document()
    assert document.get("output") == value
    assert type(document.get("output")) is type(value)


def test_short_time_limits_are_not_lost() -> None:
    flow = Flow.model_validate(
        {"flow": "x", "steps": [{"id": "a", "tool": "t", "timeout": 0.0005}]}
    )
    assert Flow.model_validate(flow.document()) == flow


def test_the_hash_is_of_the_content() -> None:
    flow = Flow.model_validate(FULL)
    turned = Flow.model_validate(dict(reversed(FULL.items())))
    assert flow.content_hash() == turned.content_hash()
    assert len(flow.content_hash()) == 64
    other = Flow.model_validate({**FULL, "steps": FULL["steps"][::-1]})
    assert other.content_hash() != flow.content_hash()
    defaults = Flow.model_validate({"flow": "x", "steps": [{"id": "a", "tool": "t"}]})
    written = Flow.model_validate(
        {"flow": "x", "steps": [{"id": "a", "tool": "t", "args": {}, "on_error": "fail"}]}
    )
    assert defaults.content_hash() == written.content_hash()


def test_steps_are_found_by_id() -> None:
    flow = Flow.model_validate(FULL)
    assert flow.step("b") == flow.steps[1]
    assert flow.step("c") is None
    assert flow.slug == "full"


def test_flows_do_not_change() -> None:
    step = Step(id="a", tool="t")
    with pytest.raises(ValidationError):
        step.tool = "u"  # type: ignore[misc]


def test_the_exported_schema_is_one() -> None:
    schema = flow_json_schema()
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_exported_schema_takes_the_examples(path: Path) -> None:
    assert [error.message for error in SCHEMA.iter_errors(_example(path))] == []


def test_the_exported_schema_takes_what_is_written() -> None:
    assert [error.message for error in SCHEMA.iter_errors(FULL)] == []


def _with_step(**more: Any) -> dict[str, Any]:
    return {"flow": "x", "steps": [{"id": "a", "tool": "t", **more}]}


@pytest.mark.parametrize(
    "document",
    [
        {"flow": "x", "steps": [], "more": 1},
        {"steps": []},
        {"flow": "a b"},
        {"flow": "x", "format": "flow.v2"},
        {"flow": "x", "input": []},
        {"flow": "x", "steps": [{"id": "a"}]},
        _with_step(args=[]),
        _with_step(arg={}),
        _with_step(id="1"),
        _with_step(tool="a b"),
        _with_step(for_each=5),
        _with_step(concurrency=0),
        _with_step(concurrency="8"),
        _with_step(timeout="soon"),
        _with_step(timeout=-1),
        _with_step(when=""),
        _with_step(retry={"max_attempts": "3"}),
        _with_step(retry={"max_attempts": True}),
        _with_step(retry={"jitter": 1}),
        _with_step(retry={"attempts": 3}),
        _with_step(retry=None),
        _with_step(on_error="ignore"),
        _with_step(approval={"by": "ada"}),
        _with_step(approval={"on_deadline": "wait"}),
    ],
)
def test_schema_and_model_refuse_the_same(document: dict[str, Any]) -> None:
    assert not SCHEMA.is_valid(document)
    with pytest.raises(ValidationError):
        Flow.model_validate(document)


@pytest.mark.parametrize(
    "document",
    [
        {"flow": "x"},
        _with_step(timeout=1),
        _with_step(timeout=" 1h 30m "),
        _with_step(timeout=None),
        _with_step(concurrency=None),
        _with_step(retry={"max_attempts": 3.0}),
        _with_step(retry={"base_delay": 0}),
        _with_step(for_each=[0, None, ""]),
        _with_step(approval=None),
    ],
)
def test_schema_and_model_take_the_same(document: dict[str, Any]) -> None:
    assert SCHEMA.is_valid(document)
    assert Flow.model_validate(document).slug == "x"


@pytest.mark.parametrize(
    "name", ["role:", "user:", "role: ", "user: ada", " ada", "a\nb", "role:user:"]
)
def test_an_approval_is_asked_of_somebody(name: str) -> None:
    with pytest.raises(ValidationError):
        ApprovalPolicy.model_validate({"by": [name]})


@pytest.mark.parametrize(
    "name", ["role:approver", "user:ada", "ada", "user:Ada Lovelace", "a@x.org"]
)
def test_an_approver_is_a_role_or_a_person(name: str) -> None:
    assert ApprovalPolicy.model_validate({"by": [name]}).by == [name]
