"""A language or a field that a plan lost is brought back by the one step that can."""

from __future__ import annotations

from flowbuilder.plan import Question
from flowbuilder.planner.inserting import insert_lost_steps
from flowbuilder.planner.literals import Literal, literals
from flowbuilder.planner.passing import hand_on
from flowbuilder.planner.rerouting import read_files, read_instead
from flowbuilder.tools import ToolRegistry, tool
from tests.support.drafts import document, fetch_page, open_file, tools


@tool("field.take", effects="read")
def take_field(data: str, path: str) -> str:
    """Take a field out of a JSON document by its dotted path."""
    return data + path


@tool("text.gist", effects="read")
def gist(text: str) -> str:
    """Summarize a text."""
    return text


@tool("text.translate", effects="read")
def translate(text: str, language: str) -> str:
    """Translate a text into a language."""
    return text + language


@tool("file.keep", effects="write")
def keep(path: str, content: str) -> str:
    """Write a text to a file."""
    return path + content


@tool("mail.send", effects="external")
def send_mail(to: str, body: str) -> bool:
    """Send a mail."""
    return bool(to + body)


REGISTRY = ToolRegistry([fetch_page, open_file, take_field, gist, translate, keep, send_mail])
PAGE = "https://example.org/now"


def test_a_lost_language_is_put_in_before_the_text_is_told() -> None:
    made = document(
        ("a", "file.open", {"path": "report.txt"}),
        ("b", "text.gist", {"text": "${{ steps.a }}"}),
        ("c", "file.keep", {"path": "short.txt", "content": "${{ steps.b }}"}),
        ("d", "mail.send", {"to": "kim@example.org", "body": "Here: ${{ steps.b }}"}),
    )
    goal = "Put the gist of report.txt in Korean; short.txt and kim@example.org get it."
    [doubt] = insert_lost_steps(made, REGISTRY, goal)
    assert (doubt.code, doubt.pointer) == ("step_supposed", "/steps/2")
    assert [step["tool"] for step in made["steps"]] == [
        "file.open", "text.gist", "text.translate", "file.keep", "mail.send",
    ]  # fmt: skip
    assert made["steps"][2]["args"] == {"text": "${{ steps.b }}", "language": "Korean"}
    assert made["steps"][3]["args"]["content"] == "${{ steps.text_translate }}"
    assert made["steps"][4]["args"]["body"] == "Here: ${{ steps.text_translate }}"
    assert insert_lost_steps(made, REGISTRY, goal) == []


def test_nothing_is_put_in_where_two_texts_are_told() -> None:
    made = document(
        ("a", "file.open", {"path": "report.txt"}),
        ("b", "text.gist", {"text": "${{ steps.a }}"}),
        ("c", "file.keep", {"path": "short.txt", "content": "${{ steps.b }}"}),
        ("d", "mail.send", {"to": "kim@example.org", "body": "${{ steps.a }}"}),
    )
    goal = "The gist of report.txt goes to short.txt, and all of it to kim@example.org in Korean."
    assert insert_lost_steps(made, REGISTRY, goal) == []
    assert len(made["steps"]) == 4


def test_a_lost_field_is_taken_out_in_the_place_of_what_nobody_asked_for() -> None:
    made = document(
        ("a", "page.fetch", {"url": PAGE}),
        ("b", "text.gist", {"text": "${{ steps.a }}"}),
        ("c", "mail.send", {"to": "bo@example.org", "body": "It is ${{ steps.b }}."}),
    )
    goal = f"bo@example.org wants to know what main.humidity is according to {PAGE}"
    [doubt] = insert_lost_steps(made, REGISTRY, goal)
    assert "main.humidity" in doubt.message
    assert made["steps"] == [
        {"id": "a", "tool": "page.fetch", "args": {"url": PAGE}},
        {
            "id": "field_take",
            "tool": "field.take",
            "args": {"data": "${{ steps.a }}", "path": "main.humidity"},
        },
        {
            "id": "c",
            "tool": "mail.send",
            "args": {"to": "bo@example.org", "body": "It is ${{ steps.field_take }}."},
        },
    ]


def test_what_the_goal_asks_to_be_made_of_a_field_stays() -> None:
    made = document(
        ("a", "page.fetch", {"url": PAGE}),
        ("b", "text.gist", {"text": "${{ steps.a }}"}),
    )
    insert_lost_steps(made, REGISTRY, f"Summarize main.story of {PAGE}")
    assert [step["tool"] for step in made["steps"]] == ["page.fetch", "field.take", "text.gist"]
    assert made["steps"][2]["args"] == {"text": "${{ steps.field_take }}"}


def test_the_file_is_read_where_the_page_is_asked_for() -> None:
    made = document(
        ("a", "page.fetch", {}),
        ("b", "field.take", {"data": "${{ steps.a }}", "path": "server.port"}),
    )
    asked = Question(id="q", text="Which url?", pointer="/steps/0/args/url")
    goal = "What is server.port set to in config/app.json?"
    left, notes = read_instead(made, (asked,), REGISTRY, goal)
    assert left == () and len(notes) == 1
    assert made["steps"][0] == {
        "id": "a", "tool": "file.open", "args": {"path": "config/app.json"},
    }  # fmt: skip
    again = document(("a", "page.fetch", {}), ("b", "file.open", {"path": "config/app.json"}))
    assert read_instead(again, (asked,), REGISTRY, goal) == ((asked,), [])


def test_a_path_within_a_document_is_a_literal_however_long() -> None:
    for goal, path in (
        ("What is main.humidity there?", "main.humidity"),
        ("Take data.orders out of it.", "data.orders"),
        ("server.port, please", "server.port"),
    ):
        assert [(item.kind, item.text) for item in literals(goal)] == [("name", path)]
    assert literals("Mail it.Afterwards rest. See a@example.museum") == [
        Literal(kind="e-mail address", text="a@example.museum")
    ]


def test_a_text_is_handed_on_as_a_list_where_texts_are_taken() -> None:
    @tool("parcel.send", effects="external")
    def send_parcel(to: str, files: list[str] | None = None) -> bool:
        """Send files."""
        return bool(to and files)

    registry = ToolRegistry([keep, send_parcel])
    made = document(
        ("a", "file.keep", {"path": "x.txt", "content": "x"}),
        ("b", "parcel.send", {"to": "kim@example.org", "files": "${{ steps.a }}"}),
    )
    assert len(hand_on(made, registry, "Send x.txt to kim@example.org")) == 1
    assert made["steps"][1]["args"]["files"] == ["${{ steps.a }}"]


def test_a_file_is_not_fetched_from_a_made_up_host() -> None:
    made = document(("a", "page.fetch", {"url": "http://localhost:3000/config/app.json"}))
    assert len(read_files(made, REGISTRY, "What is server.port in config/app.json?")) == 1
    assert (made["steps"][0]["tool"], made["steps"][0]["args"]) == (
        "file.open", {"path": "config/app.json"},
    )  # fmt: skip
    page = document(("a", "page.fetch", {"url": "https://example.org/app.json"}))
    assert read_files(page, REGISTRY, "What is on https://example.org/app.json?") == []
    assert tools(page) == ["page.fetch"]
