"""Large goals divided by a model: parts with interfaces, planned side by side, put together."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from flowbuilder.errors import PlanningError
from flowbuilder.evals.models.base import Request, SimulatedModel
from flowbuilder.models import ScriptedModel
from flowbuilder.plan import Plan
from flowbuilder.planner.base import PlanEvent, PlanEventType, PlanRequest
from flowbuilder.planner.hierarchy.model import in_parts_by_model
from flowbuilder.settings import Settings
from flowbuilder.tools import Effects, Tool, ToolRegistry
from flowbuilder.types import JsonSchema

GOAL = (
    "Fetch the page https://example.com/prices. Take the lowest price from it. "
    "Look up the customer Ann. Mail her the price at ann@example.com."
)
PRICE_GOAL = "Fetch the page https://example.com/prices and take the lowest price from it."
MAIL_GOAL = "Look up the customer Ann and mail her the price at ann@example.com."


def _tool(
    name: str,
    takes: Mapping[str, JsonSchema],
    gives: JsonSchema,
    effects: Effects = Effects.READ,
    *,
    untrusted: bool = False,
) -> Tool:
    return Tool(
        name=name,
        summary=f"{name.replace('.', ' ')}.",
        handler=lambda **_: None,
        input_schema={
            "type": "object",
            "properties": dict(takes),
            "required": [*takes],
            "additionalProperties": False,
        },
        output_schema=gives,
        effects=effects,
        untrusted_output=untrusted,
    )


def _object(**members: str) -> JsonSchema:
    properties = {name: {"type": kind} for name, kind in members.items()}
    return {"type": "object", "properties": properties, "required": [*members]}


TEXT: JsonSchema = {"type": "string"}
TOOLS = [
    _tool("page.fetch", {"url": TEXT}, _object(text="string"), untrusted=True),
    _tool("price.lowest", {"text": TEXT}, _object(amount="number", currency="string")),
    _tool("customer.find", {"name": TEXT}, _object(id="string", phone="string")),
    _tool("mail.send", {"to": TEXT, "body": TEXT}, _object(id="string"), Effects.EXTERNAL),
    _tool("person.ask", {"text": TEXT}, _object(said="string")),
]
PRICE = {
    "tasks": [
        {"id": "page", "tool": "page.fetch", "args": {"url": "https://example.com/prices"}},
        {"id": "low", "tool": "price.lowest", "args": {"text": "${{ steps.page.text }}"}},
    ]
}
MAIL = {
    "tasks": [
        {"id": "who", "tool": "customer.find", "args": {"name": "Ann"}},
        {
            "id": "send",
            "tool": "mail.send",
            "args": {"to": "ann@example.com", "body": "The price is ${{ input.price }}"},
        },
    ]
}
PARTS: dict[str, Any] = {
    "subgoals": [
        {
            "id": "price",
            "goal": PRICE_GOAL,
            "gives": [{"name": "amount", "type": "number", "about": "the lowest price"}],
        },
        {
            "id": "tell",
            "goal": MAIL_GOAL,
            "takes": [{"name": "price", "from": "price.amount"}],
        },
    ]
}


class Routed(SimulatedModel):
    """A model that answers by what the goal before it is; divisions come from a list."""

    name = "routed"

    def __init__(self, divisions: list[Any], plans: Mapping[str, Any], choice: Any = None) -> None:
        super().__init__()
        self._divisions, self._plans, self._choice = list(divisions), dict(plans), choice
        self.open = self.most_open = 0

    async def answer(self, request: Request) -> str:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        await asyncio.sleep(0)
        self.open -= 1
        return orjson.dumps(self._found(request)).decode()

    def _found(self, request: Request) -> Any:
        if request.kind == "value":
            asks_parts = "subgoals" in (request.schema or {}).get("properties", {})
            return self._divisions.pop(0) if asks_parts else self._choice
        told = request.messages[-1]["content"].rpartition("Goal: ")[2]
        return next(plan for goal, plan in self._plans.items() if goal in told)


PLANS = {PRICE_GOAL: PRICE, MAIL_GOAL: MAIL}


def settings(**changes: Any) -> Settings:
    return Settings.model_validate({"model": "routed", "plan_split": 2, **changes})


async def events_of(model: Routed, goal: str = GOAL, **changes: Any) -> list[PlanEvent]:
    extra = {name: changes.pop(name) for name in ("input", "input_schema") if name in changes}
    request = PlanRequest(id=str(uuid.uuid4()), goal=goal, registry=ToolRegistry(TOOLS), **extra)
    planner = in_parts_by_model(settings(**changes), model)
    return [event async for event in planner.stream(request)]


async def plan_of(model: Routed, goal: str = GOAL, **changes: Any) -> Plan:
    plan = (await events_of(model, goal, **changes))[-1].plan
    assert plan is not None
    return plan


async def test_parts_are_planned_apart_and_called_by_one_flow() -> None:
    model = Routed([PARTS], PLANS)
    plan = await plan_of(model)
    assert plan.flow is not None
    assert [(step.id, step.tool) for step in plan.flow.steps] == [
        ("price", "flow.run"),
        ("tell", "flow.run"),
    ]
    assert plan.flow.steps[1].args["input"] == {"price": "${{ steps.price.amount }}"}
    price, tell = plan.children
    assert price.plan.flow is not None
    assert price.plan.flow.output == {"amount": "${{ steps.low.amount }}"}
    assert tell.input_schema["properties"]["price"]["type"] == "number"
    assert plan.usage.calls == 3 and model.most_open == 2  # side by side
    shown = [request.text for request in model.requests if request.kind == "steps"]
    assert not any(PRICE_GOAL in text and MAIL_GOAL in text for text in shown)


async def test_what_a_part_gets_from_outside_asks_a_person_inside_the_next() -> None:
    plan = await plan_of(Routed([PARTS], PLANS))
    tell = plan.children[1].plan.flow
    assert tell is not None
    asked = {step.id: step.approval for step in tell.steps}
    assert asked["who"] is None
    assert asked["send"] is not None and asked["send"].on_deadline == "reject"


async def test_an_approval_that_did_not_show_the_outside_data_is_not_enough() -> None:
    """A gate in the part stands for nothing that the gate did not show."""
    from flowbuilder.flow import Flow
    from flowbuilder.planner.hierarchy.taint import with_distrust
    from flowbuilder.toolkit.human import human_approve

    registry = ToolRegistry([*TOOLS, human_approve])
    document = {
        "flow": "part",
        "steps": [
            {"id": "ok", "tool": "human.approve", "args": {"message": "Send?"}},
            {
                "id": "send",
                "tool": "mail.send",
                "args": {"to": "a@b.example", "body": "${{ input.text }}"},
                "depends_on": ["ok"],
            },
        ],
    }
    flow = Flow.model_validate(document)
    trusting, _ = with_distrust(flow, [], registry)
    assert trusting == flow
    careful, notes = with_distrust(flow, ["text"], registry)
    assert careful.steps[1].approval is not None and len(notes) == 1
    assert careful.steps[1].args == flow.steps[1].args
    _, notes = with_distrust(flow, ["another"], registry)
    assert not any("outside" in note for note in notes)  # what the user gives is trusted beside it


async def test_parts_with_faults_are_asked_for_again_with_all_of_them() -> None:
    wrong: dict[str, Any] = orjson.loads(orjson.dumps(PARTS))
    wrong["subgoals"][1]["takes"][0]["from"] = "price.total"
    wrong["subgoals"][1]["goal"] = "Mail her the price at eve@example.com."
    model = Routed([wrong, PARTS], PLANS)
    events = await events_of(model)
    told = [event.data for event in events if event.type is PlanEventType.REPAIRED]
    assert len(told) == 1
    problems: Any = told[0]["problems"]
    codes = {item["code"] for item in problems}
    assert codes == {"subgoal_source", "subgoal_lost", "subgoal_invented"}
    assert "eve@example.com" in model.requests[1].text
    assert events[-1].plan is not None and events[-1].plan.valid


async def test_a_division_that_stays_wrong_is_given_up_for_one_flow() -> None:
    wrong: dict[str, Any] = orjson.loads(orjson.dumps(PARTS))
    wrong["subgoals"][1]["takes"][0]["from"] = "nobody.knows"
    whole = {"tasks": [*PRICE["tasks"], *MAIL["tasks"]]}
    whole = orjson.loads(orjson.dumps(whole).replace(b"input.price", b"steps.low.amount"))
    plan = await plan_of(Routed([wrong, wrong], {GOAL: whole}))
    assert plan.children == () and plan.flow is not None
    assert [step.tool for step in plan.flow.steps][-1] == "mail.send"
    assert plan.usage.calls == 3


async def test_one_part_is_no_division() -> None:
    one = {"subgoals": [{"id": "all", "goal": GOAL}]}
    whole = orjson.loads(
        orjson.dumps({"tasks": [*PRICE["tasks"], *MAIL["tasks"]]}).replace(
            b"input.price", b"steps.low.amount"
        )
    )
    assert (await plan_of(Routed([one], {GOAL: whole}))).children == ()


async def test_a_small_goal_is_planned_as_ever() -> None:
    model = Routed([], {PRICE_GOAL: PRICE})
    plan = await plan_of(model, PRICE_GOAL, plan_split=20)
    assert plan.children == () and len(model.requests) == 1


async def test_too_many_parts_are_refused() -> None:
    many = {
        "subgoals": [
            {"id": f"p{number}", "goal": f"{PRICE_GOAL} {MAIL_GOAL}"} for number in range(3)
        ]
    }
    with pytest.raises(PlanningError) as caught:
        await plan_of(Routed([many] * 3, PLANS), plan_subgoals=2)
    assert caught.value.code == "too_many_subgoals"


async def test_what_nobody_gives_is_asked_and_handed_on() -> None:
    asking: dict[str, Any] = orjson.loads(orjson.dumps(PARTS))
    asking["subgoals"][1]["takes"].append({"name": "tone", "from": "ask: Which tone?"})
    mail = orjson.loads(orjson.dumps(MAIL).replace(b"The price is", b"${{ input.tone }}"))
    plan = await plan_of(Routed([asking], {**PLANS, MAIL_GOAL: mail}))
    assert [(item.id, item.text, item.pointer) for item in plan.questions] == [
        ("tell.tone", "Which tone?", "/steps/1/args/input/tone")
    ]
    assert plan.status.value == "needs_answers" and not plan.valid


async def test_a_value_that_a_part_does_not_find_becomes_a_question() -> None:
    parts: dict[str, Any] = orjson.loads(orjson.dumps(PARTS))
    parts["subgoals"][0]["gives"].append({"name": "discount", "type": "number", "about": "share"})
    parts["subgoals"][1]["takes"].append({"name": "share", "from": "price.discount"})
    plan = await plan_of(Routed([parts], PLANS, {"discount": "none"}))
    assert [item.pointer for item in plan.questions] == ["/steps/1/args/input/share"]
    assert [*plan.children[0].output_schema["properties"]] == ["amount"]


async def test_the_model_chooses_where_names_do_not_tell() -> None:
    parts: dict[str, Any] = orjson.loads(orjson.dumps(PARTS))
    parts["subgoals"][0]["gives"] = [
        {"name": "tag", "type": "text", "about": "money"},
        {"name": "amount", "type": "number", "about": "price"},
    ]
    parts["subgoals"][1]["takes"].append({"name": "tag", "from": "price.tag"})
    model = Routed([parts], PLANS, {"tag": "steps.low.currency"})
    plan = await plan_of(model)
    flow = plan.children[0].plan.flow
    assert flow is not None and flow.output == {
        "tag": "${{ steps.low.currency }}",
        "amount": "${{ steps.low.amount }}",
    }
    offered = model.requests[-1].schema or {}
    assert "steps.low.currency" in offered["properties"]["tag"]["enum"]
    assert "steps.low.amount" not in offered["properties"]["tag"]["enum"]  # a number is no text


async def test_a_question_inside_a_part_is_asked_by_the_whole() -> None:
    mail = orjson.loads(
        orjson.dumps(MAIL).replace(b'"name":"Ann"', b'"name":"${{ ask: Which customer? }}"')
    )
    plan = await plan_of(Routed([PARTS], {**PLANS, MAIL_GOAL: mail}))
    assert [item.pointer for item in plan.questions] == ["/steps/1/args/input/who_name"]
    tell = plan.children[1]
    assert tell.input_schema["properties"]["who_name"] == TEXT
    assert tell.plan.flow is not None and tell.plan.questions == ()
    assert tell.plan.flow.steps[0].args == {"name": "${{ input.who_name }}"}


async def test_a_part_that_is_too_large_itself_is_divided_once_more() -> None:
    first = {"subgoals": [{"id": "all", "goal": f"{PRICE_GOAL} {MAIL_GOAL}"},
                          {"id": "then", "goal": "Ask a person.", "after": ["all"]}]}  # fmt: skip
    ask = {"tasks": [{"id": "a", "tool": "person.ask", "args": {"text": "Done?"}}]}
    goal = f"{PRICE_GOAL} {MAIL_GOAL} Ask a person."
    plan = await plan_of(
        Routed([first, PARTS], {**PLANS, "Ask a person.": ask}), goal, plan_depth=3
    )
    assert [child.step for child in plan.children] == ["all", "then"]
    assert [child.step for child in plan.children[0].plan.children] == ["price", "tell"]
    assert plan.flow is not None and plan.flow.steps[1].depends_on == ["all"]


async def test_values_of_the_input_are_handed_to_the_part_that_takes_them() -> None:
    parts: dict[str, Any] = orjson.loads(orjson.dumps(PARTS))
    parts["subgoals"][1]["takes"].append({"name": "name", "from": "input.who"})
    mail = orjson.loads(orjson.dumps(MAIL).replace(b'"Ann"', b'"${{ input.name }}"'))
    plan = await plan_of(Routed([parts], {**PLANS, MAIL_GOAL: mail}), input={"who": "Ann"})
    assert plan.flow is not None
    assert plan.flow.steps[1].args["input"]["name"] == "${{ input.who }}"
    assert plan.input == {"who": "Ann"}


async def test_an_error_inside_a_part_names_the_part() -> None:
    refusing = {"tasks": [{"id": "n", "tool": "none", "args": {"reason": "no printer"}}]}
    with pytest.raises(PlanningError) as caught:
        await plan_of(Routed([PARTS], {**PLANS, MAIL_GOAL: refusing}))
    assert "the part tell" in caught.value.message


async def test_a_shape_that_refers_to_itself_is_whole_in_the_part() -> None:
    parts: dict[str, Any] = orjson.loads(orjson.dumps(PARTS))
    parts["subgoals"][1]["takes"].append({"name": "who", "from": "input.who"})
    mail = orjson.loads(orjson.dumps(MAIL).replace(b'"Ann"', b'"${{ input.who.name }}"'))
    shape = {
        "type": "object",
        "properties": {"who": {"$ref": "#/$defs/Person"}},
        "required": ["who"],
        "$defs": {"Person": _object(name="string")},
    }
    plan = await plan_of(Routed([parts], {**PLANS, MAIL_GOAL: mail}), input_schema=shape)
    declared = plan.children[1].input_schema
    assert declared["properties"]["who"] == {"$ref": "#/$defs/who"}
    assert declared["$defs"]["who"]["$ref"] == "#/$defs/who/$defs/Person"
    assert declared["$defs"]["who"]["$defs"]["Person"] == _object(name="string")
    assert plan.valid


async def test_the_numbers_of_points_are_no_values() -> None:
    goal = f"7. {PRICE_GOAL}\n8. {MAIL_GOAL}\n9. Be quick."
    events = await events_of(Routed([PARTS], PLANS), goal)
    assert not [event for event in events if event.type is PlanEventType.REPAIRED]
    assert events[-1].plan is not None and len(events[-1].plan.children) == 2


def test_who_divides_goals_also_edits_and_plans_anew_by_its_model() -> None:
    from flowbuilder.client.editing import editor_of
    from flowbuilder.client.repairing import replanner_of

    session: Any = SimpleNamespace(settings=Settings())
    planner = in_parts_by_model(Settings(), ScriptedModel([]))
    assert editor_of(planner, session) is planner
    assert replanner_of(planner, session).name == "model"
