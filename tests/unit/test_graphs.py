"""What the database is given to execute a flow."""

from __future__ import annotations

from typing import Any

import pytest

from flowbuilder.errors import DefinitionError
from flowbuilder.executor.graphs import compile_output, compile_steps, pinned
from flowbuilder.flow import Flow, Step
from flowbuilder.tools import Tool, ToolRegistry
from flowbuilder.types import JsonObject


def named(name: str, version: int = 1) -> Tool:
    return Tool(
        name=name,
        summary="x",
        handler=lambda: None,
        input_schema={"type": "object"},
        output_schema={},
        version=version,
    )


REGISTRY = ToolRegistry([named("work"), named("work", 2), named("function.w1.local")])


def rows(*steps: JsonObject) -> dict[str, JsonObject]:
    flow = Flow.model_validate({"flow": "f", "steps": [{"tool": "work", **step} for step in steps]})
    return {str(row["step_id"]): row for row in compile_steps(flow, REGISTRY)}


def test_edges_come_from_order_arguments_loops_and_conditions() -> None:
    found = rows(
        {"id": "a"},
        {"id": "b", "args": {"x": ["${{ steps.a.y }}", {"z": "n=${{ input.n }}"}]}},
        {"id": "c", "for_each": "${{ steps.b.items[0].list }}", "args": {"x": "${{ item }}"}},
        {"id": "d", "when": "size(steps.c) > 0 && input.go", "depends_on": ["a"]},
    )
    assert [row["position"] for row in found.values()] == [0, 1, 2, 3]
    assert [row["depends_on"] for row in found.values()] == [[], [0], [1], [0, 2]]
    assert [row["dependents"] for row in found.values()] == [[1, 3], [2], [3], []]
    assert [row["refs"] for row in found.values()] == [[], [0], [], [2]]
    assert [row["needs_input"] for row in found.values()] == [False, True, False, True]
    assert [row["has_when"] for row in found.values()] == [False, False, False, True]


@pytest.mark.parametrize(
    ("for_each", "compiled"),
    [
        (None, None),
        ([], {"literal": []}),
        ([0, None, "${{ kept }}"], {"literal": [0, None, "${{ kept }}"]}),
        ("${{ input }}", {"root": "input", "position": None, "path": []}),
        ("${{ input.rows[2].x }}", {"root": "input", "position": None, "path": ["rows", "2", "x"]}),
        ("${{ steps.a }}", {"root": "steps", "position": 0, "path": []}),
        ("${{ steps.a[1] }}", {"root": "steps", "position": 0, "path": ["1"]}),
    ],
)
def test_what_a_map_goes_over_is_a_list_or_a_plain_path(for_each: Any, compiled: Any) -> None:
    assert rows({"id": "a"}, {"id": "b", "for_each": for_each})["b"]["for_each"] == compiled


@pytest.mark.parametrize("for_each", ["text", "a ${{ input.x }}", "${{ run.flow }}", "${{ item }}"])
def test_a_map_over_anything_else_is_refused(for_each: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        rows({"id": "b", "for_each": for_each})
    assert refused.value.code == "for_each_invalid"


def test_tools_are_pinned_and_functions_belong_to_their_worker() -> None:
    found = rows(
        {"id": "a"}, {"id": "b", "tool": "work@1"}, {"id": "c", "tool": "function.w1.local"}
    )
    assert [row["tool"] for row in found.values()] == ["work@2", "work@1", "function.w1.local@1"]
    assert [row["owner"] for row in found.values()] == [False, False, True]
    assert all(
        isinstance(row["definition"], dict) and row["definition"]["tool"] == row["tool"]
        for row in found.values()
    )
    with pytest.raises(DefinitionError) as refused:
        pinned("work@3", REGISTRY)
    assert refused.value.code == "unknown_tool"


def test_the_definition_carries_every_policy_and_reads_back_the_same() -> None:
    step: JsonObject = {
        "id": "a",
        "args": {"zero": 0, "no": False, "empty": "", "none": None, "list": []},
        "retry": {"max_attempts": 7, "backoff": "linear", "base_delay": "250ms"},
        "timeout": "90s",
        "on_error": "continue",
        "trigger_rule": "all_done",
        "concurrency": 3,
        "for_each": [1],
        "approval": {"by": ["role:x"], "deadline": "1h"},
    }
    row = rows(step)["a"]
    policies = ("max_attempts", "on_error", "trigger_rule", "concurrency")
    assert [row[name] for name in policies] == [7, "continue", "all_done", 3]
    read = Step.model_validate(row["definition"])
    assert read == Step.model_validate({"tool": "work@2", **step})
    assert read.args == step["args"]


def test_the_output_names_what_it_reads() -> None:
    def output_of(value: Any) -> JsonObject | None:
        steps = [{"id": name, "tool": "work"} for name in ("a", "b", "c")]
        return compile_output(Flow.model_validate({"flow": "f", "steps": steps, "output": value}))

    assert output_of(None) is None
    assert output_of(0) == {"definition": {"output": 0}, "refs": [], "needs_input": False}
    value = {"x": "${{ steps.c }}", "y": ["${{ steps.a.b }}", "${{ steps.c.d }}", "${{ input }}"]}
    compiled = output_of(value)
    assert compiled == {"definition": {"output": value}, "refs": [2, 0], "needs_input": True}
