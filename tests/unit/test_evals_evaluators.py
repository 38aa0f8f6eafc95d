"""Evaluators: each judges its side, and degenerate observations are judged too."""

from __future__ import annotations

from typing import Any

import pytest

from flowbuilder.evals.dataset import Expectation, FileExpectation
from flowbuilder.evals.evaluators import Finding, judge, leaves, same_json
from flowbuilder.evals.runner import Observation
from flowbuilder.flow import Flow

STEPS: list[dict[str, Any]] = [
    {"id": "read", "tool": "file.read", "args": {"path": "notes.txt"}},
    {
        "id": "top",
        "tool": "data.sort@1",
        "args": {"records": "${{ steps.read.amount }}", "by": "age", "limit": 3, "keep": True},
    },
    {
        "id": "save",
        "tool": "file.write",
        "when": "size(steps.top.records) > 7",
        "args": {"path": "out-1.csv", "content": "${{ steps.top.records }}"},
        "approval": {},
    },
]
TOOLS = ["file.read", "data.sort", "file.write"]
EDGES = [("file.read", "data.sort"), ("data.sort", "file.write")]


def seen(**changes: Any) -> Observation:
    flow = Flow.model_validate({"flow": "f", "steps": STEPS})
    given: dict[str, Any] = {"outcome": "plan", "flow": flow, "certain": True, **changes}
    return Observation(**given)


def found(expect: dict[str, Any], observed: Observation) -> dict[str, Finding]:
    return {item.evaluator: item for item in judge(Expectation.model_validate(expect), observed)}


def test_a_plan_as_expected_passes_everything() -> None:
    expect = {
        "tools": TOOLS, "edges": EDGES, "approvals": 1, "result": {"n": 3},
        "literals": ["notes.txt", "age", 3, "7", "out-1.csv", "true"],
        "files": {"out-1.csv": {"contains": ["b"]}, "other.csv": None},
    }  # fmt: skip
    observed = seen(ran=True, output={"n": 3.0}, files={"out-1.csv": "a,b\n"})
    findings = found(expect, observed)
    assert list(findings) == [
        "outcome", "honest", "tools", "edges", "literals", "approvals", "result", "files",
    ]  # fmt: skip
    assert [item for item in findings.values() if not item.passed] == []


def test_what_is_not_expected_is_not_judged() -> None:
    assert list(found({}, seen())) == ["outcome", "honest"]
    assert list(found({"outcome": "refusal"}, Observation(outcome="refusal"))) == ["outcome"]


@pytest.mark.parametrize("outcome", ["refusal", "question", "failure"])
def test_another_outcome_fails_with_the_planners_words(outcome: str) -> None:
    findings = found({"tools": TOOLS}, Observation(outcome=outcome, reason="no tool fits"))
    assert findings["outcome"].reason == f"{outcome}: no tool fits"
    assert findings["tools"].reason == "planned nothing"
    assert "honest" not in findings


def test_nothing_planned_fails_even_where_nothing_was_expected() -> None:
    findings = found(
        {"tools": [], "literals": ["x"], "edges": EDGES, "approvals": 1, "result": None,
         "files": {"a.txt": None}},
        Observation(outcome="failure"),
    )  # fmt: skip
    assert [name for name, item in findings.items() if item.passed] == []
    assert findings["edges"].value == 0.0
    assert findings["literals"].value == 0.0
    assert findings["files"].reason == "the plan was not run"


def test_alternatives_are_as_good_and_their_edges_are_not_judged() -> None:
    other = {"tools": ["http.get"], "alternatives": [TOOLS], "edges": [("http.get", "x")]}
    findings = found(other, seen())
    assert findings["tools"].passed
    assert "edges" not in findings


@pytest.mark.parametrize(
    ("edges", "value", "reason"),
    [
        (EDGES, 1.0, ""),
        ([EDGES[0]], 2 / 3, "extra data.sort → file.write"),
        ([*EDGES, EDGES[0]], 0.8, "missing file.read → data.sort"),
        ([], 0.0, "extra file.read → data.sort, data.sort → file.write"),
    ],
)
def test_edges_are_counted_as_multisets(
    edges: list[tuple[str, str]], value: float, reason: str
) -> None:
    finding = found({"edges": edges}, seen())["edges"]
    assert finding.value == pytest.approx(value)
    assert finding.reason == reason
    assert finding.passed is (value == 1.0)


def test_no_edges_expected_and_none_planned_is_right() -> None:
    flow = Flow.model_validate({"flow": "f", "steps": STEPS[:1]})
    assert found({"edges": []}, seen(flow=flow))["edges"].value == 1.0


@pytest.mark.parametrize(
    "literal", ["amount", "otes.txt", "out", 1, "ag", "false", 30, "top.rec", "null"]
)
def test_a_literal_is_a_whole_word_outside_of_references(literal: str | int) -> None:
    finding = found({"literals": [literal]}, seen())["literals"]
    assert finding.passed is (literal in ("out", 1))  # words of out-1.csv
    if not finding.passed:
        assert finding.reason == f"nowhere in the arguments: {literal}"


def test_literals_score_by_share_and_zero_is_one() -> None:
    steps = [{"id": "a", "tool": "time.sleep", "args": {"seconds": 0, "note": "", "x": None}}]
    flow = Flow.model_validate({"flow": "f", "steps": steps})
    finding = found({"literals": [0, "0.0", "null", "absent"]}, seen(flow=flow))["literals"]
    assert finding.value == pytest.approx(0.75)


@pytest.mark.parametrize(("certain", "honest"), [(True, False), (False, True)])
def test_a_wrong_plan_must_not_be_called_certain(certain: bool, honest: bool) -> None:
    findings = found({"literals": ["absent"]}, seen(certain=certain))
    assert findings["honest"].value is honest
    assert found({"outcome": "refusal"}, seen(certain=certain))["honest"].value is honest


def test_people_asked_are_counted_by_steps() -> None:
    assert found({"approvals": 0}, seen())["approvals"].reason == "1 steps ask a person, not 0"
    steps = [{"id": "a", "tool": "human.input", "args": {"message": "?"}}]
    flow = Flow.model_validate({"flow": "f", "steps": steps})
    assert found({"approvals": 1}, seen(flow=flow))["approvals"].passed


@pytest.mark.parametrize("wanted", [None, 0, False, "", [], {}])
def test_an_empty_result_is_judged_as_every_other(wanted: object) -> None:
    assert found({"result": wanted}, seen(ran=True, output=wanted))["result"].passed
    other = found({"result": wanted}, seen(ran=True, output="x"))["result"]
    assert other.reason == 'got "x"'


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (3, 3.0, True),
        (0.1 + 0.2, 0.3, True),
        (1, True, False),
        (0, False, False),
        (None, 0, False),
        ("1", 1, False),
        ({"a": 1, "b": [1, 2]}, {"b": [1, 2], "a": 1}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ([1, 2], [2, 1], False),
        ([1], [1, 1], False),
        ({}, [], False),
        (10**18, 10**18 + 1, True),
    ],
)
def test_values_are_compared_as_json(one: object, other: object, same: bool) -> None:
    assert same_json(one, other) is same
    assert same_json(other, one) is same


@pytest.mark.parametrize(
    ("expectation", "text", "reason"),
    [
        ({"equals": "a\n"}, "a\n", ""),
        ({"equals": ""}, "", ""),
        ({"equals": "a"}, "b", "f.txt holds something else: 'b'"),
        ({"contains": ["b", "a"]}, "ab", ""),
        ({"contains": ["a", "c"]}, "ab", "f.txt lacks 'c'"),
        ({"in_order": ["a", "b", "a"]}, "a b a", ""),
        ({"in_order": ["a", "a"]}, "ba", "f.txt lacks 'a' in its place"),
        ({"in_order": ["b", "a"]}, "ab", "f.txt lacks 'a' in its place"),
        ({"lacks": ["c"]}, "ab", ""),
        ({"lacks": ["b"]}, "ab", "f.txt holds 'b'"),
        (None, None, ""),
        (None, "", "f.txt is there"),
        ({}, None, "f.txt is not there"),
    ],
)
def test_files_are_judged_by_their_text(
    expectation: dict[str, Any] | None, text: str | None, reason: str
) -> None:
    files = {} if text is None else {"f.txt": text}
    finding = found({"files": {"f.txt": expectation}}, seen(ran=True, files=files))["files"]
    assert finding.reason == reason
    assert finding.passed is (reason == "")


def test_a_run_that_failed_tells_why() -> None:
    findings = found(
        {"result": 1, "files": {"a": FileExpectation()}}, seen(reason="the run ended with x")
    )
    assert {findings["result"].reason, findings["files"].reason} == {"the run ended with x"}


def test_labels_pass_and_scores_pass_when_full() -> None:
    assert Finding(evaluator="e", value="a label").passed
    assert Finding(evaluator="e", value=1.0).passed
    assert not Finding(evaluator="e", value=0.99).passed
    assert Finding(evaluator="e", value=False).as_json() == {
        "evaluator": "e", "value": False, "reason": "",
    }  # fmt: skip


def test_leaves_are_keys_and_values_without_references() -> None:
    value = {"a": [1, None, {"b": "x ${{ steps.s.secret }} y"}], "c": False}
    assert [item for item in leaves(value) if item != "x \n y"] == ["a", 1, None, "b", "c", False]
    assert list(leaves("${{ item }}")) == ["\n"]
