"""What is kept of goals and plans says how, and nothing of what."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flowbuilder.flow import Flow
from flowbuilder.plan import Plan, SubPlan
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.memory.abstraction import abstract_goal, abstract_plan, tools_of
from flowbuilder.planner.memory.likeness import goal_stems
from flowbuilder.planner.memory.recollection import Example, Recollection, rule_text
from flowbuilder.planner.prompting import plan_messages, select_tools
from flowbuilder.planner.retrieval import CoUse
from flowbuilder.tools import Tool, ToolRegistry

TOOLS = ToolRegistry(
    [
        Tool(
            name="table.read",
            summary="Read a table.",
            handler=lambda **_: None,
            input_schema={
                "type": "object",
                "properties": {
                    "path": {"type": "string"},
                    "mode": {"enum": ["fast", "exact"]},
                    "limit": {"type": "integer", "default": 10},
                    "filter": {
                        "type": "object",
                        "properties": {"column": {"type": "string"}, "deep": {"type": "object"}},
                    },
                    "tags": {"type": "array"},
                },
                "additionalProperties": False,
            },
            output_schema={
                "type": "object",
                "properties": {"rows": {"type": "array"}, "info": {"type": "object"}},
            },
        ),
        Tool(
            name="mail.send",
            summary="Mail a text.",
            handler=lambda **_: None,
            input_schema={
                "type": "object",
                "properties": {"to": {"type": "string"}, "body": {"type": "string"}},
                "additionalProperties": False,
            },
            output_schema={},
        ),
    ]
)


def plan_of(*steps: dict[str, Any], children: tuple[SubPlan, ...] = ()) -> Plan:
    flow = Flow.model_validate({"flow": "f", "steps": [*steps]})
    return Plan(id="p", goal="g", planner="model", flow=flow, children=children)


def test_values_are_replaced_and_what_tools_declare_stays() -> None:
    args = {
        "path": "hidden.csv",
        "mode": "exact",
        "limit": 10,
        "filter": {"column": "hidden", "deep": {"hidden": "hidden"}, "hidden": 1},
        "tags": ["hidden", 4711],
        "hidden": "not an argument",
    }
    body = "Dear hidden, ${{ steps.hidden.rows }} and ${{ input.hidden }}"
    plan = plan_of(
        {"id": "hidden", "tool": "table.read@1", "args": args, "when": "input.hidden == 4711"},
        {
            "id": "b",
            "tool": "mail.send",
            "args": {"to": "secret://hidden", "body": body},
            "for_each": "${{ steps.hidden.rows }}",
            "depends_on": ["hidden"],
        },
    )
    kept = abstract_plan(plan, TOOLS)
    assert kept == {
        "tasks": [
            {
                "id": "s1",
                "tool": "table.read",
                "args": {
                    "path": "<text>",
                    "mode": "exact",
                    "limit": 10,
                    "filter": {"column": "<text>", "deep": "<object>"},
                    "tags": "<list>",
                },
            },
            {
                "id": "s2",
                "tool": "mail.send",
                "args": {"to": "<text>", "body": "<text> ${{ steps.s1.rows }} <value>"},
                "for_each": "${{ steps.s1.rows }}",
                "after": ["s1"],
            },
        ]
    }
    assert "hidden" not in json.dumps(kept) and "4711" not in json.dumps(kept)


def test_names_inside_of_free_outputs_are_cut_off() -> None:
    reads = {"id": "a", "tool": "table.read", "args": {"path": "x"}}
    uses = {"id": "b", "tool": "mail.send", "args": {"body": "${{ steps.a.info.salary[0].ann }}"}}
    kept: Any = abstract_plan(plan_of(reads, uses), TOOLS)
    assert kept["tasks"][1]["args"] == {"body": "${{ steps.s1.info }}"}


@pytest.mark.parametrize("value", [0, False, "", None, []])
def test_falsy_values_are_values(value: Any) -> None:
    kept: Any = abstract_plan(
        plan_of({"id": "a", "tool": "mail.send", "args": {"body": value}}), TOOLS
    )
    assert set(kept["tasks"][0]["args"]) == {"body"}


def test_parts_of_a_plan_are_kept_in_order() -> None:
    child = plan_of({"id": "a", "tool": "table.read", "args": {}})
    inside = SubPlan(step="part", plan=child, input_schema={}, output_schema={})
    whole = plan_of(
        {"id": "part", "tool": "flow.run", "args": {"flow": "x", "input": {}}},
        {"id": "m", "tool": "mail.send", "args": {}},
        children=(inside,),
    )
    assert tools_of(whole) == ["mail.send", "table.read"]
    kept: Any = abstract_plan(whole, TOOLS)
    assert [task["id"] for task in kept["tasks"]] == ["s1", "s2"]


@pytest.mark.parametrize(
    ("goal", "kept"),
    [
        (
            "Mail report.csv to ann@example.com by 2031-02-03",
            "Mail <file> to <address> by <date>",
        ),
        ('Post "Hello a" to #ops and tell Ann', 'Post "<text>" to <channel> and tell <name>'),
        ("Ann Miller wants the report", "<name> wants the report"),
        ("Keep rows over 100.5 and page https://x.example/a?b=1",
         "Keep rows over <number> and page <url>"),
        ("Call +43 660 123456 about order A-4711", "Call <phone> about order <name>"),
    ],
)  # fmt: skip
def test_goals_are_kept_without_values(goal: str, kept: str) -> None:
    found = abstract_goal(goal)
    assert found.replace("<name> <name>", "<name>") == kept


def test_goals_that_differ_in_values_only_are_the_same() -> None:
    first = goal_stems("Read a.csv and mail it to ann@example.com")
    second = goal_stems("Read other.csv and mail it to bob@example.org")
    assert first == second != goal_stems("Tell the weather in Graz")


def test_prompts_are_the_same_without_memories_and_longer_with() -> None:
    bare = PlanRequest(id="p", goal="Mail it", registry=TOOLS)
    shown = plan_messages(bare, select_tools(bare))
    memory = Recollection(
        examples=(Example(goal="Mail <file>", plan={"tasks": []}),),
        rules=(rule_text("rejected", "mail.send"),),
    )
    told = PlanRequest(id="p", goal="Mail it", registry=TOOLS, memory=memory)
    more = plan_messages(told, select_tools(told))
    assert shown[:-1] == more[:-1] and not Recollection() and memory
    last = more[-1]["content"]
    assert "Goal: Mail <file>\n" in last and "People have refused mail.send" in last
    assert last.endswith(shown[-1]["content"].rpartition("\n\n")[2])


def test_uses_of_tools_together_add_up() -> None:
    one, two = CoUse.learn([["a", "b"]]), CoUse.learn([["a", "b", "c"]])
    both = one.joined(two)
    assert both.uses == {"a": 2, "b": 2, "c": 1}
    assert both.pairs["a"] == {"b": 2, "c": 1}
    assert CoUse().joined(CoUse()) == CoUse()
