"""What is mended of small models' plans: sources, values, options, days, gists."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest

from flowbuilder.models import ScriptedModel
from flowbuilder.planner import prompting
from flowbuilder.planner.addresses import trim_addresses
from flowbuilder.planner.eligibility import eligible
from flowbuilder.planner.judging import judge
from flowbuilder.planner.literals import lost_literals
from flowbuilder.planner.model import ModelPlanner
from flowbuilder.planner.options import spoken_options
from flowbuilder.planner.schema import answer_schema, framed_schema, inserted_schema
from flowbuilder.settings import Settings
from flowbuilder.tools import ToolRegistry, tool
from tests.support.archive import (
    OWN,
    PAGE,
    REGISTRY,
    TOOLS,
    answer,
    names,
    pick,
    pin,
    post_mail,
    put_shelf,
    read_shelf,
    request,
    run,
    step,
    tools_of,
)


async def test_a_file_that_was_handed_on_unread_is_read_first() -> None:
    wrong = {"tasks": [step(1, "lines.sort", lines="crew.txt", column="age")]}
    plan, model = await run("In which order is crew.txt by age?", wrong, wrong)
    assert plan.valid and not plan.certain
    assert tools_of(plan) == ["shelf.read", "lines.sort"]
    assert plan.flow is not None
    assert plan.flow.steps[1].args["lines"] == "${{ steps.shelf_read }}"
    told = model.requests[1][-1]["content"]
    assert "crew.txt" in told and "shelf.read" in told


async def test_a_right_repair_is_taken_before_a_supposed_step() -> None:
    wrong = {"tasks": [step(1, "lines.sort", lines="crew.txt", column="age")]}
    right: list[Any] = [
        step(1, "shelf.read", path="crew.txt"),
        step(2, "lines.sort", lines="${{ steps.s1 }}", column="age"),
    ]
    plan, _ = await run("In which order is crew.txt by age?", wrong, {"tasks": right})
    assert plan.valid and tools_of(plan) == ["shelf.read", "lines.sort"]


def test_a_file_that_an_earlier_step_wrote_may_be_named_in_a_message() -> None:
    goal = 'Put "x" into crew.txt and pin crew.txt to #deck.'
    steps = [
        step(1, "shelf.put", path="crew.txt", content="x"),
        step(2, "wall.pin", channel="#deck", message="crew.txt"),
    ]
    judged = judge(answer(*steps), request(goal), strict=True)
    assert "source_unread" not in {item.code for item in judged.problems}


def test_a_page_is_read_into_its_one_text() -> None:
    goal = f"Mail {PAGE} to eve@example.org."
    steps = [step(1, "post.mail", to="eve@example.org", subject="Tides", body=PAGE)]
    judged = judge(answer(*steps), request(goal))
    assert judged.tools == ("archive.open", "post.mail")
    assert judged.document is not None
    assert "${{ steps.archive_open.words }}" in json.dumps(judged.document)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (f"{PAGE}.high", PAGE),
        (f"{PAGE}-high.water", PAGE),
        (f"{PAGE}/high", f"{PAGE}/high"),
        (f"{PAGE}2", f"{PAGE}2"),
        (f"{PAGE}.html", f"{PAGE}.html"),
        (f"{PAGE}?at=high", f"{PAGE}?at=high"),
        (f"{PAGE}.", f"{PAGE}."),
    ],
)
def test_what_hangs_on_an_address_is_cut_off(written: str, kept: str) -> None:
    document: dict[str, Any] = {"steps": [step(1, "archive.open", url=written)]}
    notes = trim_addresses(document, f"What is high.water at {PAGE}?")
    assert document["steps"][0]["args"]["url"] == kept
    assert bool(notes) is (written != kept)


def test_a_message_that_names_a_path_does_not_find_the_value() -> None:
    goal = "Tell eve@example.org the value of tides.high in crew.json."
    reading = step(1, "shelf.read", path="crew.json")
    mail = {"to": "eve@example.org", "subject": "Tides"}
    said = step(2, "post.mail", **mail, body="tides.high is ${{ steps.s1 }}")
    found = step(2, "tree.pick", document="${{ steps.s1 }}", path="tides.high")
    told = step(3, "post.mail", **mail, body="${{ steps.s2 }}")

    def lost(*steps: dict[str, Any]) -> list[str]:
        return [item.message for item in lost_literals(goal, {"steps": list(steps)}, REGISTRY)]

    assert any("tides.high" in message for message in lost(reading, said))
    assert lost(reading, found, told) == []


async def test_a_lost_value_is_asked_for_by_one_step_in_between() -> None:
    goal = "eve@example.org needs to hear about tides.high in crew.json."
    mail = {"to": "eve@example.org", "subject": "Tides"}
    first: list[Any] = [
        step(1, "shelf.read", path="crew.json"),
        step(2, "post.mail", **mail, body="${{ steps.s1 }}"),
    ]
    second: list[Any] = [
        first[0],
        step(2, "tree.pick", document="${{ steps.s1 }}", path="tides.high"),
        step(3, "post.mail", **mail, body="${{ steps.s2 }}"),
    ]
    plan, model = await run(goal, {"tasks": first}, {"tasks": second})
    assert plan.valid and tools_of(plan) == ["shelf.read", "tree.pick", "post.mail"]
    assert len(model.requests) == 2


def test_a_step_may_be_inserted_wherever_its_result_can_be_used() -> None:
    schema = inserted_schema([pick], [read_shelf, post_mail], longest_text=99)
    plans = schema["properties"]["tasks"]["anyOf"]
    assert [len(plan["prefixItems"]) for plan in plans] == [3]
    schema = inserted_schema([pick], [post_mail, read_shelf], longest_text=99)
    assert len(schema["properties"]["tasks"]["anyOf"]) == 2
    assert all("anyOf" not in plan["prefixItems"][0] for plan in plans)
    (alone,) = inserted_schema([pick], [post_mail], longest_text=99)["properties"]["tasks"]["anyOf"]
    assert ["anyOf" in item for item in alone["prefixItems"]] == [True, False]


def test_a_small_model_may_refuse_only_once() -> None:
    small = answer_schema(TOOLS, max_steps=9, longest_text=99)["properties"]["tasks"]
    assert [item.get("maxItems") for item in small["anyOf"]] == [9, 1, 2]
    large = answer_schema(TOOLS, max_steps=9, longest_text=None)["properties"]["tasks"]
    assert len(large["items"]["anyOf"]) == len(TOOLS) + 1


async def test_a_source_that_was_lost_is_read_before_the_steps_that_there_are() -> None:
    goal = "eve@example.org would be glad of crew.txt."
    mail = {"to": "eve@example.org", "subject": "Crew"}
    first = {"tasks": [step(1, "post.mail", **mail, body="Be glad.")]}
    second: list[Any] = [
        step(1, "shelf.read", path="crew.txt"),
        step(2, "post.mail", **mail, body="${{ steps.s1 }}"),
    ]
    plan, model = await run(goal, first, {"tasks": second})
    assert plan.valid and tools_of(plan) == ["shelf.read", "post.mail"]
    assert len(model.requests) == 2


def test_a_step_more_comes_first_or_last() -> None:
    schema = framed_schema([read_shelf], [post_mail, pin], [put_shelf], longest_text=99)
    plans = [item["prefixItems"] for item in schema["properties"]["tasks"]["anyOf"]]
    assert ["anyOf" in item for plan in plans for item in (plan[0], plan[-1])] == [
        True,
        False,
        False,
        True,
    ]
    only = framed_schema([read_shelf], [pin], [], longest_text=99)
    assert len(only["properties"]["tasks"]["anyOf"]) == 1


async def test_a_change_that_no_word_asks_for_makes_a_plan_uncertain() -> None:
    goal = f"#deck would know the height at {PAGE}."
    steps = [
        step(1, "archive.open", url=PAGE),
        step(2, "lines.sort", lines="${{ steps.s1.words }}", column="${{ steps.s1.words }}"),
        step(3, "wall.pin", channel="#deck", message="${{ steps.s2 }}"),
    ]
    plan, _ = await run(goal, {"tasks": steps})
    assert plan.valid and not plan.certain
    assert any("lines.sort" in note for note in plan.notes)
    plan, _ = await run(f"{goal} Sort it.", {"tasks": steps})
    assert plan.certain


@tool("path.find", effects="read")
def find_path(start: str, mode: Literal["car", "bike", "walk"] = "car") -> str:
    """Find a path."""
    return start + mode


@pytest.mark.parametrize(
    ("goal", "mode"),
    [
        ("How far must I cycle from Brest?", "bike"),
        ("How far is it from Brest on foot?", "walk"),
        ("Shall I walk from Brest or cycle?", None),
        ('Find "by bike" from Brest.', None),
        ("How far is it from Brest?", None),
    ],
)
def test_an_option_is_chosen_by_what_the_goal_says_for_it(goal: str, mode: str | None) -> None:
    document: dict[str, Any] = {"steps": [step(1, "path.find", start="Brest")]}
    notes = spoken_options(document, ToolRegistry([find_path]), goal)
    assert document["steps"][0]["args"].get("mode") == mode
    assert bool(notes) is (mode is not None)


def test_an_option_that_the_model_chose_stays() -> None:
    document: dict[str, Any] = {"steps": [step(1, "path.find", start="Brest", mode="walk")]}
    assert spoken_options(document, ToolRegistry([find_path]), "Cycle from Brest.") == []
    assert document["steps"][0]["args"]["mode"] == "walk"


def test_tools_of_some_goals_alone_come_behind_the_examples() -> None:
    @tool("time.sleep")
    def sleep(seconds: int) -> None:
        """Wait."""

    registry = ToolRegistry([*TOOLS, sleep])
    first, second = (
        prompting.plan_messages(asked, prompting.select_tools(asked), shown=True)
        for asked in (
            request("Pin it.", registry=registry),
            request("Wait.", registry=registry),
        )
    )
    assert first[:-1] == second[:-1]
    assert "time.sleep" in second[-1]["content"] and "time.sleep" not in str(first)


def test_a_day_that_is_only_searched_for_is_lost() -> None:
    @tool("days.mark", effects="write")
    def mark(title: str, date: str) -> bool:
        """Mark a day."""
        return bool(title and date)

    @tool("notes.search", effects="read")
    def search(query: str, date: str = "") -> str:
        """Search the notes."""
        return query + date

    registry = ToolRegistry([mark, search])
    goal = 'Mark "Regatta" on 2031-06-01.'

    def lost(name: str, **arguments: str) -> list[str]:
        document: dict[str, Any] = {"steps": [step(1, name, **arguments)]}
        return [item.message for item in lost_literals(goal, document, registry)]

    assert any("2031-06-01" in item for item in lost("notes.search", query="Regatta 2031-06-01"))
    assert lost("notes.search", query="Regatta", date="2031-06-01") == []
    assert lost("days.mark", title="Regatta", date="2031-06-01") == []


def test_a_writing_model_is_no_answer_to_everything() -> None:
    @tool("llm.generate", effects="read")
    def generate(prompt: str) -> str:
        """Write a text."""
        return prompt

    registry = ToolRegistry([*TOOLS, generate])
    assert "llm.generate" not in names("Is crew.txt long?", registry=registry)
    asked = request("Turn crew.txt into a poem.", registry=registry)
    assert generate in eligible(asked, list(registry))
    alone = request("Is crew.txt long?", registry=ToolRegistry([generate]))
    assert eligible(alone, [generate]) == [generate]


@pytest.mark.parametrize(
    ("goal", "asks"),
    [
        ("#deck is asking whether crew.txt is long.", False),
        ("Ask for a title and pin it to #deck.", True),
    ],
)
def test_who_runs_the_plan_is_asked_only_where_the_goal_says_so(goal: str, asks: bool) -> None:
    @tool("human.input", effects="read")
    def ask_person(message: str) -> str:
        """Ask a person."""
        return message

    registry = ToolRegistry([*TOOLS, ask_person])
    assert ("human.input" in names(goal, registry=registry)) is asks


def test_a_name_behind_a_step_that_nobody_uses_is_where_the_end_goes() -> None:
    goal = "Put crew.txt in the order of age, and keep that as sorted.txt."
    steps = [
        step(1, "shelf.read", path="crew.txt"),
        step(2, "lines.sort", lines="sorted.txt", column="age"),
    ]
    judged = judge(answer(*steps), request(goal))
    assert judged.tools == ("shelf.read", "lines.sort")
    assert judged.document is not None
    assert "${{ steps.shelf_read }}" in json.dumps(judged.document)
    assert any("sorted.txt" in item.message for item in judged.errors)


@tool("words.cut", effects="read")
def cut(text: str, sentences: int = 3) -> str:
    """Summarize a text."""
    return text[:sentences]


@pytest.mark.parametrize(
    ("wish", "forgotten"),
    [
        ("needs the gist of crew.txt", True),
        ("wants crew.txt boiled down", True),
        ("gets crew.txt", False),
        ('gets "the gist" and crew.txt', False),
    ],
)
def test_a_gist_is_not_the_whole_text(wish: str, forgotten: bool) -> None:
    registry = ToolRegistry([*TOOLS, cut])
    told = step(2, "wall.pin", channel="#deck", message="${{ steps.s1 }}")
    whole = [step(1, "shelf.read", path="crew.txt"), told]
    asked = request(f"#deck {wish}.", registry=registry)
    codes = {item.code for item in judge(answer(*whole), asked).problems}
    assert ("change_forgotten" in codes) is forgotten
    short = [
        whole[0],
        step(2, "words.cut", text="${{ steps.s1 }}"),
        {**step(3, "wall.pin", channel="#deck", message="${{ steps.s2 }}")},
    ]
    assert "change_forgotten" not in {item.code for item in judge(answer(*short), asked).problems}


async def test_a_forgotten_gist_is_made_by_one_step_in_between() -> None:
    registry = ToolRegistry([*TOOLS, cut])
    reading = step(1, "shelf.read", path="crew.txt")
    whole = [reading, step(2, "wall.pin", channel="#deck", message="${{ steps.s1 }}")]
    short = [
        reading,
        step(2, "words.cut", text="${{ steps.s1 }}"),
        step(3, "wall.pin", channel="#deck", message="${{ steps.s2 }}"),
    ]
    answers: list[Any] = [{"tasks": whole}, {"tasks": short}]
    model = ScriptedModel(answers)
    planner = ModelPlanner(Settings.load(model="scripted", **OWN), model)
    asked = request("The gist of crew.txt is enough for #deck.", registry=registry)
    found = [event async for event in planner.stream(asked)]
    plan = found[-1].plan
    assert plan is not None and plan.certain
    assert tools_of(plan) == ["shelf.read", "words.cut", "wall.pin"]


async def test_a_lost_language_is_brought_back_by_one_step_in_between() -> None:
    goal = "Only Welsh is understood on #deck, where crew.txt is due."
    reading = step(1, "shelf.read", path="crew.txt")
    whole = [reading, step(2, "wall.pin", channel="#deck", message="${{ steps.s1 }}")]
    welsh = [
        reading,
        step(2, "tongue.render", text="${{ steps.s1 }}", language="Welsh"),
        step(3, "wall.pin", channel="#deck", message="${{ steps.s2 }}"),
    ]
    plan, model = await run(goal, {"tasks": whole}, {"tasks": welsh})
    assert plan.valid and tools_of(plan) == ["shelf.read", "tongue.render", "wall.pin"]
    assert len(model.requests) == 2
