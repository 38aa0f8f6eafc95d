"""Flows cut into a parent and its children: what may be parted, and what crosses the cut."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from flowbuilder.errors import PlanningError
from flowbuilder.flow import Flow
from flowbuilder.plan import Plan, PlanStatus, Question
from flowbuilder.planner.hierarchy import in_parts
from flowbuilder.planner.hierarchy.grouping import safe_cuts
from flowbuilder.planner.hierarchy.judging import found_problems
from flowbuilder.planner.hierarchy.rewriting import Renaming
from flowbuilder.planner.hierarchy.sections import sections
from flowbuilder.settings import Settings
from flowbuilder.tools import Tool, ToolRegistry
from flowbuilder.types import JsonSchema

TEXT: JsonSchema = {"type": "string"}
GIVEN: JsonSchema = {
    "type": "object",
    "properties": {"text": TEXT, "items": {"type": "array", "items": {"$ref": "#/$defs/Item"}}},
    "required": ["text", "items"],
    "$defs": {"Item": {"type": "object", "properties": {"id": {"type": "integer"}}}},
}
REGISTRY = ToolRegistry(
    [
        Tool(
            name="make",
            summary="Make.",
            handler=lambda **_: None,
            input_schema={
                "type": "object",
                "properties": {"text": TEXT, "list": {"type": "array"}, "number": {}},
                "required": ["text"],
                "additionalProperties": False,
            },
            output_schema=GIVEN,
        )
    ]
)


def step(name: str, text: str = "x", **more: Any) -> dict[str, Any]:
    args = {"text": text, **more.pop("args", {})}
    return {"id": name, "tool": "make", "args": args, **more}


def ref(name: str, path: str = "text") -> str:
    return f"${{{{ steps.{name}.{path} }}}}"


def plan_of(*steps: dict[str, Any], questions: tuple[Question, ...] = (), **more: Any) -> Plan:
    flow = Flow.model_validate({"flow": "whole", "steps": [*steps], **more})
    return Plan(
        id=str(uuid.uuid4()),
        goal="\n\n".join(f"Part {number}." for number in range(len(steps))),
        planner="rules",
        flow=flow,
        questions=questions,
        status=PlanStatus.NEEDS_ANSWERS if questions else PlanStatus.READY,
    )


def divided(plan: Plan, **changes: Any) -> Plan:
    settings = Settings.model_validate({"plan_split": 3, **changes})
    assert plan.flow is not None
    starts = [0] * len(plan.flow.steps)
    found = in_parts(plan, starts, REGISTRY, settings)
    if not plan.questions:
        assert [item for item in found_problems(found, REGISTRY) if item.severity == "error"] == []
    return found


def parts(plan: Plan) -> list[list[str]]:
    return [
        [step.id for step in child.plan.flow.steps] for child in plan.children if child.plan.flow
    ]


CHAIN = [step("a"), *(step(b, ref(a)) for a, b in zip("abcdef", "bcdefg", strict=True))]


def test_a_chain_is_cut_into_pieces_with_interfaces() -> None:
    plan = divided(plan_of(*CHAIN))
    assert parts(plan) == [["a", "b", "c"], ["d", "e", "f", "g"]]
    first, second = plan.children
    assert first.plan.flow is not None and second.plan.flow is not None
    assert first.plan.flow.output == {"c": "${{ steps.c }}"}
    assert second.plan.flow.steps[0].args == {"text": "${{ input.c.text }}"}
    # a schema that refers to itself is still whole where it stands now
    assert second.input_schema["properties"]["c"] == {"$ref": "#/$defs/c"}
    items = second.input_schema["$defs"]["c"]["properties"]["items"]["items"]
    assert items == {"$ref": "#/$defs/c/$defs/Item"}
    assert plan.flow is not None
    assert plan.flow.output == {"g": "${{ steps.part_2.g }}"}  # as the whole flow gave


def test_short_plans_and_plans_that_undo_stay_whole() -> None:
    short = plan_of(*CHAIN[:3])
    assert divided(short) is short
    undone = plan_of(*CHAIN[:6], step("h", compensate={"tool": "make", "args": {"text": "x"}}))
    assert divided(undone) is undone
    flat = plan_of(*CHAIN)
    assert divided(flat, plan_depth=1) is flat


def test_nothing_is_parted_from_what_may_be_absent() -> None:
    steps = [*CHAIN[:2], step("c", ref("b"), when="steps.a.text == 'x'"), *CHAIN[3:]]
    flow = plan_of(*steps).flow
    assert flow is not None
    assert safe_cuts(flow) == [1, 2]
    assert parts(divided(plan_of(*steps))) == [["a", "b"], ["c", "d", "e", "f", "g"]]
    steps[0] = step("a", on_error="continue")
    plan = plan_of(*steps)
    assert divided(plan) is plan
    apart = [*CHAIN[:4], *(step(name, "y") for name in "pqrs")]
    apart[1] = step("b", ref("a"), on_error="skip")
    assert parts(divided(plan_of(*apart))) == [["b", "c", "d"], ["p", "q", "r", "s"]]


def test_conditions_go_along_with_what_they_read() -> None:
    steps = [*CHAIN[:3], step("d", "y"), step("e", "z", when='steps.c.text == "steps"'), step("f")]
    plan = plan_of(*steps)
    assert divided(plan) is plan  # a path in quotes is left alone
    steps[4] = step("e", "z", when="steps.c.text == input.wanted && size(steps.b.items) > 0")
    inputs = {"type": "object", "properties": {"wanted": TEXT}, "required": ["wanted"]}
    found = divided(plan_of(*steps, input=inputs))
    assert parts(found) == [["a", "b", "c"], ["d", "e", "f"]]
    second = found.children[1]
    assert second.plan.flow is not None and found.flow is not None
    when = second.plan.flow.steps[1].when
    assert when == "input.c.text == input.wanted && size(input.b.items) > 0"
    assert found.flow.steps[1].args["input"] == {
        "wanted": "${{ input.wanted }}",
        "b": "${{ steps.part_1.b }}",
        "c": "${{ steps.part_1.c }}",
    }


def test_maps_limits_and_the_whole_input_are_led_elsewhere() -> None:
    steps = [
        *CHAIN[:3],
        step("d", "${{ item.id }} of ${{ input }}", for_each=ref("c", "items")),
        step("e", "x", args={"list": "${{ steps.d }}"}, limit={"key": ref("b"), "concurrency": 1}),
        step("f", "x", args={"list": "${{ steps.d }}"}),
    ]
    found = divided(plan_of(*steps))
    second = found.children[1].plan.flow
    assert second is not None and found.flow is not None
    assert second.steps[0].for_each == "${{ input.c.items }}"
    assert second.steps[0].args == {"text": "${{ item.id }} of ${{ input.whole_input }}"}
    limit = second.steps[1].limit
    assert limit is not None and limit.key == "${{ input.b.text }}"
    assert found.flow.steps[1].args["input"]["whole_input"] == "${{ input }}"


def test_a_step_named_as_a_member_of_the_input_gets_another_name() -> None:
    steps = [*CHAIN[:3], step("d", "${{ input.c }} ${{ steps.c.text }}"), step("e"), step("f")]
    inputs = {"type": "object", "properties": {"c": TEXT}, "required": ["c"]}
    found = divided(plan_of(*steps, input=inputs))
    second = found.children[1].plan.flow
    assert second is not None
    assert second.steps[0].args == {"text": "${{ input.c }} ${{ input.c_2.text }}"}


def test_order_alone_stays_order() -> None:
    steps = [*CHAIN[:3], step("d", depends_on=["a"]), step("e"), step("f")]
    found = divided(plan_of(*steps))
    assert found.flow is not None
    assert found.flow.steps[1].depends_on == ["part_1"]
    second = found.children[1].plan.flow
    assert second is not None and second.steps[0].depends_on == []


def test_questions_of_parts_are_asked_where_the_parent_calls_them() -> None:
    asked = {"id": "e", "tool": "make", "args": {}}
    question = Question(id="e.text", text="Which text?", pointer="/steps/4/args/text")
    found = divided(plan_of(*CHAIN[:4], asked, step("f"), questions=(question,)))
    assert [item.pointer for item in found.questions] == ["/steps/1/args/input/e_text"]
    second = found.children[1]
    assert second.plan.flow is not None and second.plan.valid
    assert second.plan.flow.steps[1].args == {"text": "${{ input.e_text }}"}
    assert second.input_schema["properties"]["e_text"] == TEXT
    assert found.status is PlanStatus.NEEDS_ANSWERS


def test_too_many_parts_are_refused_and_deeper_plans_nest() -> None:
    steps = [step(f"s{number}", f"text {number}") for number in range(12)]
    with pytest.raises(PlanningError) as caught:
        divided(plan_of(*steps), plan_subgoals=2)
    assert caught.value.code == "too_many_subgoals"
    found = divided(plan_of(*steps), plan_subgoals=2, plan_depth=3)
    assert [len(child.plan.children) for child in found.children] == [2, 2]
    every = [
        item.id for part in found.tree() if part.flow for item in part.flow.steps
        if item.tool != "flow.run"
    ]  # fmt: skip
    assert sorted(every) == sorted(item["id"] for item in steps)


def test_children_are_named_by_their_content() -> None:
    names = [child.plan.flow.flow for child in divided(plan_of(*CHAIN)).children if child.plan.flow]
    again = [child.plan.flow.flow for child in divided(plan_of(*CHAIN)).children if child.plan.flow]
    other = [*CHAIN[:6], step("g", "other")]
    changed = [
        child.plan.flow.flow for child in divided(plan_of(*other)).children if child.plan.flow
    ]
    assert names == again and names[0] == changed[0] and names[1] != changed[1]


@pytest.mark.parametrize(
    ("goal", "found"),
    [
        ("One. Two.", ["One.", "Two."]),
        ("1. One. Two.\n2) Three", ["One. Two.", "Three"]),
        ("Do:\n- one\n- two", ["Do:", "one", "two"]),
        ("One\nstill one.\n\nTwo", ["One still one.", "Two"]),
        ("  ", []),
    ],
)
def test_goals_have_the_parts_that_they_are_written_in(goal: str, found: list[str]) -> None:
    assert [item.text for item in sections(goal)] == found


def test_escaped_references_are_texts() -> None:
    renaming = Renaming(steps={"a": "input.a"})
    assert (
        renaming.value("$${{ steps.a.x }} ${{steps.a.x}}") == "$${{ steps.a.x }} ${{ input.a.x }}"
    )
    assert renaming.value({"k": ["${{ steps.ab.x }}", 0, None]}) == {
        "k": ["${{ steps.ab.x }}", 0, None]
    }
