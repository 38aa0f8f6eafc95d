"""Edits by words without a model: what is meant changes, everything else stays as it is."""

from __future__ import annotations

import copy
import random
import uuid
from typing import Any

import orjson
import pytest

from flowbuilder.errors import PlanningError
from flowbuilder.plan import Plan
from flowbuilder.planner.editing import EditRequest, proposal
from flowbuilder.planner.rules import RulePlanner
from flowbuilder.policy import apply_policy
from flowbuilder.settings import Settings
from flowbuilder.toolkit import load_registry
from tests.support.revising import BRIEF, REGISTRY, TOP, request


async def edited(document: dict[str, Any], words: str) -> Plan:
    asked = request(document, words)
    made = await RulePlanner(Settings()).edit(asked)
    return proposal(asked, made, planner="rules")


def steps(made: Plan) -> dict[str, dict[str, Any]]:
    assert made.flow is not None
    document: Any = made.flow.document()
    return {step["id"]: step for step in document["steps"]}


def lines(made: Plan) -> list[str]:
    assert made.diff is not None
    return [line.strip() for line in made.diff.as_text().splitlines()]


def untouched(made: Plan, document: dict[str, Any]) -> bool:
    """Whether every step that the diff does not name has the same bytes as before."""
    assert made.diff is not None
    found = steps(made)
    gone = {step["id"] for step in made.diff.removed}
    return all(
        orjson.dumps(step) == orjson.dumps(found[step["id"]])
        for step in document["steps"]
        if step["id"] not in gone and step["id"] in found and step["id"] not in made.diff.touched
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("change the limit to 10", ["~ step best", "args.limit: 5 -> 10"]),
        ("set the limit to 0", ["~ step best", "args.limit: 5 -> 0"]),
        ("keep only the top 3", ["~ step best", "args.limit: 5 -> 3"]),
        ("Please change 5 to 7.", ["~ step best", "args.limit: 5 -> 7"]),
        ("remove the limit", ["~ step best", "args.limit: 5 (taken out)"]),
        ("sort ascending", ["~ step best", "args.descending: true -> false"]),
        ("put the lowest first", ["~ step best", "args.descending: true -> false"]),
        ("sort it by city instead", ["~ step best", 'args.by: "amount" -> "city"']),
        (
            "sort by 'total amount' in ascending order",
            [
                "~ step best",
                'args.by: "amount" -> "total amount"',
                "args.descending: true -> false",
            ],
        ),
        (
            "use shops.csv instead of sales.csv",
            ["~ step read", 'args.path: "sales.csv" -> "shops.csv"'],
        ),
        (
            "replace sales.csv with data/shops.csv",
            ["~ step read", 'args.path: "sales.csv" -> "data/shops.csv"'],
        ),
        ("read shops.csv instead", ["~ step read", 'args.path: "sales.csv" -> "shops.csv"']),
        ("write it to best.csv instead", ["~ step write", 'args.path: "top.csv" -> "best.csv"']),
        ("save it as json instead", ["~ step write", 'args.format: "json" (new)']),
        ("change the format to json", ["~ step write", 'args.format: "json" (new)']),
        ("set the timeout of read to 30s", ["~ step read", 'timeout: "30s" (new)']),
        ("retry the read step 5 times", ["~ step read", 'retry: {"max_attempts":5} (new)']),
        ("rename best to top5", ["~ step top5 (was best)"]),
        ("ask me before reading", ["~ step read", "approval: {} (new)"]),
    ],
)
async def test_one_thing_changes_and_nothing_else(words: str, expected: list[str]) -> None:
    made = await edited(TOP, words)
    assert lines(made) == expected
    assert made.certain
    assert made.valid
    assert len(steps(made)) == 3
    if "was" not in expected[0]:  # references follow a name
        assert untouched(made, TOP)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            "mail it to bob@y.example instead",
            ["~ step mail", 'args.to: "ann@x.example" -> "bob@y.example"'],
        ),
        (
            "change the recipient to bob@y.example",
            ["~ step mail", 'args.to: "ann@x.example" -> "bob@y.example"'],
        ),
        (
            "send it to bob@y.example rather than ann@x.example",
            ["~ step mail", 'args.to: "ann@x.example" -> "bob@y.example"'],
        ),
        (
            "the subject should be 'Weekly news'",
            ["~ step mail", 'args.subject: "News of 2024" -> "Weekly news"'],
        ),
        (
            "change 2024 to 2025",
            ["~ step mail", 'args.subject: "News of 2024" -> "News of 2025"'],
        ),
        (
            "set the subject of the mail to ''",
            ["~ step mail", 'args.subject: "News of 2024" -> ""'],
        ),
        ("make the summary 200 words", ["~ step sum", "args.max_words: 50 -> 200"]),
        ("summarise it in French instead", ["~ step sum", 'args.language: "French" (new)']),
        (
            "fetch https://b.example instead",
            ["~ step fetch", 'args.url: "https://a.example/news" -> "https://b.example"'],
        ),
    ],
)
async def test_a_value_takes_the_place_of_one_of_its_kind(words: str, expected: list[str]) -> None:
    made = await edited(BRIEF, words)
    assert lines(made) == expected
    assert made.certain
    assert untouched(made, BRIEF)


@pytest.mark.parametrize(
    ("words", "tool", "arguments"),
    [
        (
            "also mail it to bob@y.example",
            "email.send",
            {"to": "bob@y.example", "body": "${{ steps.sum }}"},
        ),
        (
            "Also post the summary to #news",
            "chat.post",
            {"channel": "#news", "text": "${{ steps.sum }}"},
        ),
        (
            "add a step that posts the summary to #news",
            "chat.post",
            {"channel": "#news", "text": "${{ steps.sum }}"},
        ),
    ],
)
async def test_a_step_is_added_fed_by_what_is_there(
    words: str, tool: str, arguments: dict[str, Any]
) -> None:
    made = await edited(BRIEF, words)
    assert made.diff is not None
    (step,) = made.diff.added
    assert (step["tool"], step["args"]) == (tool, arguments)
    assert not made.diff.changed
    assert not made.diff.removed
    assert untouched(made, BRIEF)
    assert "would use data from outside" in str(step["approval"])
    assert made.valid


async def test_somebody_without_an_address_is_asked_for() -> None:
    made = await edited(TOP, "also mail it to the team")
    (question,) = made.questions
    assert question.pointer == "/steps/3/args/to"
    assert question.type["type"] == "string"
    assert "the team" in question.text
    assert not made.valid
    assert untouched(made, TOP)


async def test_several_commands_are_carried_out_in_order() -> None:
    made = await edited(
        TOP, "sort by city, remove the limit and then mail it to bob@y.example and post it to #ops"
    )
    assert made.diff is not None
    assert [step["tool"] for step in made.diff.added] == ["email.send", "chat.post"]
    assert steps(made)["best"]["args"] == {
        "rows": "${{ steps.read }}",
        "by": "city",
        "descending": True,
    }
    assert untouched(made, TOP)


async def test_a_removed_step_is_passed_by() -> None:
    made = await edited(TOP, "remove the sorting")
    assert list(steps(made)) == ["read", "write"]
    assert steps(made)["write"]["args"]["rows"] == "${{ steps.read }}"


@pytest.mark.parametrize(
    "words", ["don't mail it", "drop the last step", "Remove mail", "no more mails"]
)
async def test_a_step_is_removed_by_its_name_its_deed_or_its_place(words: str) -> None:
    made = await edited(BRIEF, words)
    assert list(steps(made)) == ["fetch", "sum"]
    assert untouched(made, BRIEF)


async def test_one_act_takes_the_place_of_another() -> None:
    made = await edited(BRIEF, "post it to #news instead of mailing it")
    assert list(steps(made)) == ["fetch", "sum", "post"]
    assert steps(made)["post"]["args"] == {"channel": "#news", "text": "${{ steps.sum }}"}


async def test_what_others_need_cannot_be_removed() -> None:
    document = copy.deepcopy(TOP)
    document["steps"][2]["args"]["path"] = "${{ steps.read[0].path }}.csv"
    with pytest.raises(PlanningError) as refused:
        await edited(document, "remove the read step")
    assert refused.value.code == "edit_breaks"


async def test_references_follow_a_renamed_step() -> None:
    made = await edited(BRIEF, "rename sum to digest")
    assert steps(made)["mail"]["args"]["body"] == "${{ steps.digest }}"
    assert made.diff is not None
    assert [(item.id, item.was, item.fields) for item in made.diff.changed] == [
        ("digest", "sum", ())
    ]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("make the moon blue", "edit_not_understood"),
        ("use pigeons instead", "edit_not_understood"),
        ("change xyz to abc", "edit_not_understood"),
        ("set the limit to lots", "edit_value"),
        ("set the timeout to 30s", "edit_ambiguous"),
        ("set the timeout of read to never", "edit_value"),
        ("change the limit to 5", "edit_changes_nothing"),
        ("rename best to read", "edit_breaks"),
        ("!!!", "edit_not_understood"),
    ],
)
async def test_what_cannot_be_done_is_said(words: str, code: str) -> None:
    with pytest.raises(PlanningError) as refused:
        await edited(TOP, words)
    assert refused.value.code == code


async def test_no_words_lift_what_policy_asks_for() -> None:
    with pytest.raises(PlanningError) as refused:
        await edited(BRIEF, "skip the approval")
    assert refused.value.code == "edit_changes_nothing"
    assert "policy" in refused.value.message


async def test_a_value_is_never_a_reference() -> None:
    made = await edited(BRIEF, "change ann@x.example to ${{ steps.fetch }}")
    assert steps(made)["mail"]["args"]["to"] == "$${{ steps.fetch }}"


async def test_only_a_riskier_step_gets_an_approval_that_nobody_mentioned() -> None:
    document = copy.deepcopy(BRIEF)
    document["steps"][2].pop("approval")
    assert "approval" not in steps(await edited(document, "make the summary 9 words"))["mail"]
    riskier = copy.deepcopy(TOP)
    riskier["steps"] = [
        riskier["steps"][0],
        {"id": "ask", "tool": "room.book", "args": {"room": "red", "seats": 1, "catered": False},
         "approval": {}},
    ]  # fmt: skip
    made = await edited(riskier, "also mail it to bob@y.example")
    assert "approval" in steps(made)["send"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("set the subject to 'remove the mail, then post it. And change 2 to 3'",
         "remove the mail, then post it. And change 2 to 3"),
        ("change the subject to \"Hello.\"", "Hello."),
        ("the subject should be “a from b to c”", "a from b to c"),
    ],
)  # fmt: skip
async def test_nothing_in_quotes_is_a_command(words: str, expected: str) -> None:
    made = await edited(BRIEF, words)
    assert steps(made)["mail"]["args"]["subject"] == expected
    assert made.diff is not None
    assert made.diff.touched == {"mail"}


async def test_any_words_give_a_sound_flow_or_a_clear_refusal() -> None:
    said = [
        "remove",
        "change",
        "set",
        "the",
        "to",
        "from",
        "instead",
        "of",
        "limit",
        "mail",
        "send",
        "it",
        "also",
        "and",
        "then",
        "by",
        "sort",
        "'x'",
        "#",
        "ann@x.example",
        "5",
        "7",
        "${{",
        "steps.fetch",
        "}}",
        "}}",
        "$",
        "\\",
        "(",
        "[",
        "*",
        "?",
        "top.csv",
        "https://a.example",
        "best",
        "read",
        "sum",
        "fetch",
        '"',
        "“",
        ",",
        ";",
        ".",
        "!",
        "0",
        "null",
        "é",
        "after",
        "before",
        "with",
        "replace",
        "rename",
        "make",
        "subject",
        "json",
        "in",
    ]
    draw = random.Random(7)
    counts = {"changed": 0, "refused": 0}
    for _ in range(60):
        document = draw.choice([TOP, BRIEF])
        words = " ".join(draw.choice(said) for _ in range(draw.randint(1, 8)))
        try:
            made = await edited(document, words)
        except PlanningError as error:
            assert error.code.startswith("edit_")
            counts["refused"] += 1
            continue
        counts["changed"] += 1
        assert untouched(made, document)
        assert made.flow is not None
        assert apply_policy(made.flow, REGISTRY)[1] == ()
    assert min(counts.values()) > 1


@pytest.mark.parametrize("words", ["from to " * 37, "x" * 299, "not " * 74, "to " * 90 + "instead"])
async def test_long_words_are_read_or_refused(words: str) -> None:
    for many in (words, words * 10):
        with pytest.raises(PlanningError) as refused:
            await edited(TOP, f"use {many}")
        assert refused.value.code.startswith("edit_")


async def test_the_tools_of_a_flow_are_known_among_many() -> None:
    from flowbuilder.tools import ToolRegistry, tool

    def act(value: str) -> str:
        """Act upon something odd."""
        return value

    many = ToolRegistry([*REGISTRY, *(tool(f"odd.act{n}")(act) for n in range(300))])
    asked = request(TOP, "change the limit to 10")
    asked = type(asked)(
        id=asked.id, words=asked.words, document=asked.document, registry=many, changes="top"
    )
    made = proposal(asked, await RulePlanner(Settings()).edit(asked), planner="rules")
    assert lines(made) == ["~ step best", "args.limit: 5 -> 10"]


WARM: dict[str, Any] = {
    "flow": "warm",
    "steps": [
        {"id": "read", "tool": "file.read", "args": {"path": "weather.csv"}},
        {"id": "parse", "tool": "csv.parse", "args": {"text": "${{ steps.read.text }}"}},
        {
            "id": "warm",
            "tool": "data.filter",
            "args": {
                "records": "${{ steps.parse.records }}",
                "where": {"temp_max": {"gt": 20}},
            },
        },
        {
            "id": "save",
            "tool": "file.write",
            "args": {"path": "warm.json", "content": "${{ steps.warm.records }}"},
            "approval": {},
        },
    ],
}


async def narrowed_by(document: dict[str, Any], words: str) -> Plan:
    registry = load_registry(Settings(), [])
    asked = EditRequest(
        id=str(uuid.uuid4()), words=words, document=copy.deepcopy(document), registry=registry
    )
    return proposal(asked, await RulePlanner(Settings()).edit(asked), planner="rules")


@pytest.mark.parametrize(
    ("words", "added"),
    [
        ("sort the rows by temp_max before saving, highest first", "sort"),
        ("sort the rows by temp_max, highest first", "sort"),
        ("keep only the rows where wind is above 5", "filter"),
        ("also keep only the first 5 rows", "select"),
    ],
)
async def test_what_orders_or_narrows_is_put_before_what_takes_it(words: str, added: str) -> None:
    made = await narrowed_by(WARM, words)
    assert (made.certain, made.problems) == (True, ())
    found = steps(made)
    assert [*found] == ["read", "parse", "warm", added, "save"]
    assert found[added]["args"]["records"] == "${{ steps.warm.records }}"
    before: dict[str, Any] = WARM["steps"][-1]
    given = {**before["args"], "content": f"${{{{ steps.{added}.records }}}}"}
    assert found["save"]["args"] == given
    assert {key: found["save"][key] for key in before if key != "args"} == {
        key: before[key] for key in before if key != "args"
    }
    assert untouched(made, WARM)
    assert f"save now takes what {added} gives." in made.notes
    assert [line for line in lines(made) if "->" in line] == [
        f'args.content: "${{{{ steps.warm.records }}}}" -> "${{{{ steps.{added}.records }}}}"'
    ]


def _with(*more: dict[str, Any], **besides: Any) -> dict[str, Any]:
    return {**WARM, "steps": [*WARM["steps"], *more], **besides}


@pytest.mark.parametrize(
    "document",
    [
        _with(
            {
                "id": "again",
                "tool": "file.write",
                "args": {"path": "b.json", "content": "${{ steps.warm.records }}"},
                "approval": {},
            }
        ),
        _with(output="${{ steps.warm.records }}"),
        _with(
            {
                "id": "told",
                "tool": "file.write",
                "args": {"path": "n.txt", "content": "${{ steps.warm.count }} rows"},
                "approval": {},
            }
        ),
    ],
)
async def test_an_order_that_nothing_would_come_of_is_no_certain_edit(
    document: dict[str, Any],
) -> None:
    made = await narrowed_by(document, "keep only the rows where wind is above 5")
    assert not made.certain
    assert any("filter" in note and note.startswith("Nothing takes") for note in made.notes)
    assert untouched(made, document)
    assert made.diff is not None and not made.diff.changed


async def test_what_is_made_besides_goes_nowhere_and_needs_to() -> None:
    made = await narrowed_by(WARM, "also count the words of weather.csv")
    assert made.certain
    assert made.diff is not None
    assert "save" not in made.diff.touched
