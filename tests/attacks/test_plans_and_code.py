"""Groups A15 to A19: expressions, templates, graphs and plans that are to be more than data."""

from __future__ import annotations

from typing import Any

import pytest

from flowbuilder.errors import FlowBuilderError, InvalidValue
from flowbuilder.expressions import compile_expression
from flowbuilder.flow import Flow
from flowbuilder.policy import apply_policy
from flowbuilder.references import Scope, resolve
from flowbuilder.schemas import value_problems
from flowbuilder.settings import Settings
from flowbuilder.strictjson import load_document, loads
from flowbuilder.toolkit import load_registry
from flowbuilder.tools import Fail
from flowbuilder.validation import validate
from tests.support.toolbox import call

REGISTRY = load_registry(Settings())
CODE = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ values.__class__ }}",
    "{{ n.__init__.__globals__ }}",
    "${7*7}",
    "#{7*7}",
    "<%= 7*7 %>",
    "constructor.constructor('return process')()",
    "__import__('os').system('id')",
    "{0.__class__}",
    "%(n)s",
]


@pytest.mark.parametrize(
    "text",
    [
        "input.a.map(i, input.a.map(j, input.a.map(k, i + j + k))).size() > 0",
        "input.a.all(i, input.a.all(j, input.a.all(k, input.a.all(l, i == j && k == l))))",
        f"'{'x' * 1_000_000}' == ''",
        "(" * 5000 + "true" + ")" * 5000,
        "[1, 2].map(a, 'x' + 'x').map(b, b + b).map(c, c + c)" + ".map(d, d + d)" * 60 + " == []",
        "!" * 5000 + "true",
    ],
)
def test_a15_expressions_are_bounded(text: str) -> None:
    scope: dict[str, Any] = {"input": {"a": list(range(200))}, "steps": {}, "run": {}}
    with pytest.raises(FlowBuilderError):
        compile_expression(text).condition(scope)


def test_a15_a_pattern_takes_linear_time() -> None:
    scope: dict[str, Any] = {"input": {"a": "a" * 50_000 + "!"}, "steps": {}, "run": {}}
    assert compile_expression("input.a.matches('(a+)+$')").condition(scope) is False
    schema = {"type": "string", "pattern": "^(a+)+$"}
    assert value_problems(schema, "a" * 50_000 + "!", code="x", pointer="")


@pytest.mark.parametrize("text", CODE)
def test_a16_code_in_texts_stays_text(text: str) -> None:
    assert resolve({"value": text}, Scope(input={}, steps={}, run={})) == {"value": text}
    try:
        made = call(REGISTRY.require("text.template"), {"template": text, "values": {"n": 1}})
    except (FlowBuilderError, Fail) as error:
        made = str(error)
    for sign in ("49", "<class", "uid=", "<function", "object at"):
        assert sign not in str(made)


@pytest.mark.parametrize("text", ["${{ ''.__class__ }}", "${{ input.__class__ }}", "${{ 7*7 }}"])
def test_a16_references_are_paths_and_no_code(text: str) -> None:
    with pytest.raises(FlowBuilderError):
        resolve(text, Scope(input={}, steps={}, run={}))


def step(name: str, **rest: Any) -> dict[str, Any]:
    return {"id": name, "tool": "file.read", "args": {"path": "x"}, **rest}


@pytest.mark.parametrize(
    "steps",
    [
        [step("a", depends_on=["b"]), step("b", depends_on=["a"])],
        [step("a", depends_on=["a"])],
        [step(f"s{number}") for number in range(10_000)],
        [step("a"), step("a")],
        [step("../x")],
        [step("а")],
        [step("a\u200b")],
        [step("a b")],
        [step("a", depends_on=["later"])],
        [step("a", args={"path": "${{ steps.b.text }}"}), step("b", depends_on=["a"])],
        [step("a", args={"path": "${{ secrets.token }}"})],
        [step("a", args={"path": "${{ env.HOME }}"})],
        [step("a", args={"path": "${{ runs.other.output }}"})],
        [step("a", workspace_id="other")],
        [step("a", approval="none")],
        [step("a", tool="os.system")],
        [step("a", tool="subprocess:run")],
        [step("a", tool="file.read\u200b")],
    ],
    ids=lambda steps: f"{len(steps)}-{str(steps[0])[:60]}",
)  # fmt: skip
def test_a17_a18_graphs_that_cannot_be(steps: list[dict[str, Any]]) -> None:
    found = validate({"flow": "x", "steps": steps}, REGISTRY)
    assert any(problem.severity.value == "error" for problem in found.problems)
    assert "Traceback" not in str(found.problems)


def test_a17_names_of_other_languages_are_names_like_any() -> None:
    for name in ("health", "constructor", "toString"):
        found = validate({"flow": name, "steps": [step(name)]}, REGISTRY)
        assert [p for p in found.problems if p.severity.value == "error" and "id" in p.code] == []


@pytest.mark.parametrize(
    "approval",
    [None, {"by": ["role:nobody"], "on_deadline": "approve", "deadline": "1s"}, {"message": "x"}],
)
def test_a18_a_plan_cannot_lower_its_approvals(approval: Any) -> None:
    changing: dict[str, Any] = {
        "id": "out",
        "tool": "http.request",
        "args": {"method": "POST", "url": "https://example.org"},
    }
    document = {
        "flow": "x",
        "steps": [{**changing, **({} if approval is None else {"approval": approval})}],
    }
    flow, _ = apply_policy(Flow.model_validate(document), REGISTRY)
    assert flow.steps[0].approval is not None
    assert flow.steps[0].approval.on_deadline == "reject"


@pytest.mark.parametrize(
    "text",
    [
        '{"a": NaN}',
        '{"a": 1e999}',
        '{"a": -Infinity}',
        '{"a": 1, "a": 2}',
        '{"a": "\\u0000"}',
        '{"a": "\\ud800"}',
        "[" * 100_000 + "]" * 100_000,
        '{"a": ' + "9" * 5000 + "}",
        '"' + "x" * 3_000_000 + '"',
        "```json\n{}\n```",
    ],
    ids=range(10),
)
def test_a19_answers_pass_the_strict_gate_or_none(text: str) -> None:
    with pytest.raises(InvalidValue):
        loads(text)


@pytest.mark.parametrize(
    "text",
    [
        "a: &x [1]\nb: *x",
        "a: !!python/object/apply:os.system ['id']",
        "a: !!binary aGk=",
        "&a [" + "*a, " * 10 + "]",
        "- " * 5000,
        '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>',
    ],
    ids=range(6),
)
def test_a46_documents_are_data(text: str) -> None:
    try:
        found = load_document(text, name="x.yaml")
    except InvalidValue as error:
        assert "root:" not in error.message
    else:
        assert found == text  # XML is a text like any other


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "https://evil.example/schema.json"},
        {"$ref": "file:///etc/passwd"},
        {"allOf": [{"$ref": "#"}]},
        {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
        {"type": "object", "properties": {"a": {"$dynamicRef": "http://evil.example/#x"}}},
    ],
)
def test_a46_schemas_fetch_nothing(schema: dict[str, Any]) -> None:
    document = {"flow": "x", "input": schema, "steps": [step("a")]}
    found = validate(document, REGISTRY)
    assert any(problem.code == "input_schema_invalid" for problem in found.problems)
