"""The difference of two flow documents."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from flowbuilder.diff import diff_flows
from flowbuilder.flow import Flow

BASE: dict[str, Any] = {
    "flow": "report",
    "steps": [
        {"id": "fetch", "tool": "http.get", "args": {"url": "https://a.example", "timeout": 0}},
        {"id": "count", "tool": "data.count", "args": {"rows": "${{ steps.fetch.body }}"}},
        {
            "id": "mail",
            "tool": "email.send",
            "args": {"to": "a@b.example", "body": "${{ steps.count.n }}, see steps.fetch"},
            "depends_on": ["fetch"],
        },
    ],
    "output": "${{ steps.mail.id }}",
}


def changed(change: Any) -> dict[str, Any]:
    document = copy.deepcopy(BASE)
    change(document)
    return document


def test_equal_documents_do_not_differ() -> None:
    found = diff_flows(BASE, copy.deepcopy(BASE))
    assert found.empty
    assert found.as_text() == "no difference"
    assert found.as_json() == {
        "added": [],
        "removed": [],
        "changed": [],
        "fields": [],
        "reordered": False,
        "empty": True,
    }


def test_steps_are_added_and_removed() -> None:
    extra = {"id": "save", "tool": "file.write", "args": {"path": "x.csv"}}

    def change(document: dict[str, Any]) -> None:
        document["steps"][1] = extra

    found = diff_flows(BASE, changed(change))
    assert [step["id"] for step in found.added] == ["save"]
    assert [step["id"] for step in found.removed] == ["count"]
    assert found.changed == ()
    assert found.touched == {"save"}
    assert found.as_text().splitlines() == [
        "- step count: data.count",
        "+ step save: file.write",
        '    args.path: "x.csv"',
    ]


def test_each_field_of_a_step_is_told_with_its_old_and_new_value() -> None:
    def change(document: dict[str, Any]) -> None:
        document["steps"][0]["args"] = {"url": "https://b.example", "retries": None}
        document["steps"][0]["timeout"] = "30s"

    (step,) = diff_flows(BASE, changed(change)).changed
    assert step.as_json() == {
        "id": "fetch",
        "fields": [
            {"pointer": "/timeout", "new": "30s"},
            {"pointer": "/args/url", "old": "https://a.example", "new": "https://b.example"},
            {"pointer": "/args/timeout", "old": 0},
            {"pointer": "/args/retries", "new": None},
        ],
    }


@pytest.mark.parametrize(("old", "new"), [(0, False), (1, True), (1, 1.0), ("", None), ([], {})])
def test_values_that_only_look_alike_differ(old: Any, new: Any) -> None:
    one, other = ({"steps": [{"id": "a", "tool": "t", "args": {"v": v}}]} for v in (old, new))
    (step,) = diff_flows(one, other).changed
    assert [(item.old, item.new) for item in step.fields] == [(old, new)]
    assert type(step.fields[0].new) is type(new)


def test_a_renamed_step_is_a_change_and_references_follow_it() -> None:
    def change(document: dict[str, Any]) -> None:
        steps = document["steps"]
        steps[0]["id"] = "load"
        steps[1]["args"]["rows"] = "${{ steps.load.body }}"
        steps[2]["depends_on"] = ["load"]

    found = diff_flows(BASE, changed(change))
    assert (found.added, found.removed, found.fields, found.reordered) == ((), (), (), False)
    assert [item.as_json() for item in found.changed] == [
        {"id": "load", "was": "fetch", "fields": []}
    ]
    assert found.as_text() == "~ step load (was fetch)"


def test_text_that_only_looks_like_a_reference_does_not_follow() -> None:
    def change(document: dict[str, Any]) -> None:
        steps = document["steps"]
        steps[0]["id"] = "load"
        steps[1]["args"]["rows"] = "${{ steps.load.body }}"
        steps[2] |= {"depends_on": ["load"]}
        steps[2]["args"]["body"] = "${{ steps.count.n }}, see steps.load"

    changes = diff_flows(BASE, changed(change)).changed
    assert {item.id: [field.pointer for field in item.fields] for item in changes} == {
        "load": [],
        "mail": ["/args/body"],
    }


def test_without_renames_another_id_is_another_step() -> None:
    after = changed(lambda document: document["steps"][2].update(id="post"))
    found = diff_flows(BASE, after, renames=False)
    assert [step["id"] for step in found.added] == ["post"]
    assert [step["id"] for step in found.removed] == ["mail"]
    assert found.changed == ()
    assert [change.was for change in diff_flows(BASE, after).changed] == ["mail"]


def test_another_tool_is_no_renaming() -> None:
    def change(document: dict[str, Any]) -> None:
        document["steps"][0] |= {"id": "load", "tool": "file.read"}

    found = diff_flows(BASE, changed(change))
    assert [step["id"] for step in found.added] == ["load"]
    assert [step["id"] for step in found.removed] == ["fetch"]


def test_order_and_what_is_outside_the_steps_is_told() -> None:
    def change(document: dict[str, Any]) -> None:
        document["steps"].reverse()
        document["output"] = {"n": 0}
        document["description"] = "Counts."

    found = diff_flows(BASE, changed(change))
    assert found.reordered
    assert [item.as_json() for item in found.fields] == [
        {"pointer": "/output", "old": "${{ steps.mail.id }}", "new": {"n": 0}},
        {"pointer": "/description", "new": "Counts."},
    ]
    assert not found.empty


def test_lists_are_compared_place_by_place_where_they_are_of_one_length() -> None:
    one = {"steps": [{"id": "a", "tool": "t", "args": {"v": [1, {"x": 1}], "w": [1]}}]}
    other = {"steps": [{"id": "a", "tool": "t", "args": {"v": [1, {"x": 2}], "w": [1, 2]}}]}
    (step,) = diff_flows(one, other).changed
    assert [(item.pointer, item.old, item.new) for item in step.fields] == [
        ("/args/v/1/x", 1, 2),
        ("/args/w", [1], [1, 2]),
    ]


def test_no_document_is_an_empty_one_and_flows_compare_as_documents() -> None:
    flow = Flow.model_validate(BASE)
    assert diff_flows(flow, flow).empty
    assert [step["id"] for step in diff_flows(None, flow).added] == ["fetch", "count", "mail"]
    assert [step["id"] for step in diff_flows(flow, None).removed] == ["fetch", "count", "mail"]
    assert diff_flows(None, None).empty


@pytest.mark.parametrize("odd", [{}, {"steps": None}, {"steps": [1, {"tool": 3}, {"id": None}]}])
def test_what_is_no_flow_can_be_compared(odd: dict[str, Any]) -> None:
    assert diff_flows(odd, odd).empty
    assert diff_flows(BASE, odd).removed
