"""Answers re-enter the plan that asked, and nothing else of it changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from flowbuilder.errors import (
    DefinitionError,
    InvalidTransition,
    InvalidValue,
    PlanningError,
    Problem,
    Severity,
)
from flowbuilder.flow import Flow
from flowbuilder.plan import Plan, PlanStatus, Question
from flowbuilder.planner.answering import answered, read_text
from flowbuilder.planner.question_types import with_types
from flowbuilder.strictjson import Limits
from tests.support.revising import REGISTRY

LIMITS = Limits(depth=8, bytes=1000)
DOCUMENT: dict[str, Any] = {
    "flow": "meeting",
    "steps": [
        {"id": "book", "tool": "room.book", "args": {"guests": ["ada"]}},
        {
            "id": "mail",
            "tool": "email.send",
            "args": {"body": "${{ steps.book.room }}"},
            "approval": {"message": "Send it?", "by": ["user:ada"]},
        },
    ],
}
QUESTIONS = tuple(
    Question(id=f"{step}.{name}", text=f"Which {name}?", pointer=f"/steps/{index}/args/{name}")
    for index, step, name in (
        (0, "book", "room"),
        (0, "book", "seats"),
        (0, "book", "catered"),
        (1, "mail", "to"),
    )
)


def plan(**changes: Any) -> Plan:
    made = Plan(
        id="p1",
        goal="book a room and mail it",
        planner="rules",
        flow=Flow.model_validate(DOCUMENT),
        questions=QUESTIONS,
        status=PlanStatus.NEEDS_ANSWERS,
        **changes,
    )
    return with_types(made, REGISTRY)


def reply(given: Plan, answers: dict[str, Any], id: str = "p2") -> Plan:
    return answered(given, answers, REGISTRY, id=id, limits=LIMITS)


ALL: dict[str, Any] = {
    "book.room": "blue",
    "book.seats": 0,
    "book.catered": False,
    "mail.to": "ada@example.org",
}


def step(made: Plan, name: str) -> dict[str, Any]:
    assert made.flow is not None
    document: Any = made.flow.document()
    return next(item for item in document["steps"] if item["id"] == name)


def test_questions_tell_type_options_reason_and_default() -> None:
    room, seats, catered, to = plan().questions
    assert (room.options, room.type["enum"]) == (("red", "blue"), ["red", "blue"])
    assert seats.type["type"] == "integer"
    assert catered.options == (True, False)
    assert (to.type["type"], to.options, to.default) == ("string", (), None)
    assert to.reason == "email.send needs to, and nobody has said what it is."
    assert set(room.as_json()) == {
        "id", "text", "pointer", "type", "options", "reason", "default"
    }  # fmt: skip


def test_a_default_of_the_tool_is_told() -> None:
    asked = Question(id="q", text="?", pointer="/steps/1/args/subject")
    (question,) = with_types(replace(plan(), questions=(asked,)), REGISTRY).questions
    assert question.default == ""


def test_what_an_answer_will_mend_is_no_problem_and_one_place_is_asked_once() -> None:
    missing = Problem(
        code="missing_argument", pointer="/steps/1/args", message="email.send needs 'to'"
    )
    other = Problem(code="doubt", pointer="", message="?", severity=Severity.WARNING)
    twice = Question(id="again", text="Whom?", pointer="/steps/1/args/to")
    made = with_types(
        replace(plan(), problems=(missing, other), questions=(*QUESTIONS, twice)), REGISTRY
    )
    assert made.problems == (other,)
    assert [item.id for item in made.questions] == [item.id for item in QUESTIONS]


def test_all_answers_make_the_plan_ready_and_keep_their_types() -> None:
    made = reply(plan(), ALL)
    assert made.valid
    assert made.status is PlanStatus.READY
    assert (made.id, made.parent, made.revision, made.goal) == ("p2", "p1", 2, plan().goal)
    assert made.answers == ALL
    book = step(made, "book")["args"]
    assert (book["room"], book["seats"], book["catered"]) == ("blue", 0, False)
    assert type(book["seats"]) is int
    assert 'mail.to is "ada@example.org", as you said.' in made.notes


def test_steps_that_nobody_asked_about_stay_byte_for_byte() -> None:
    before = plan()
    made = reply(before, {"book.room": "red"})
    assert orjson.dumps(step(made, "mail")) == orjson.dumps(step(before, "mail"))
    assert made.diff is not None
    assert made.diff.touched == {"book"}
    assert not made.diff.added
    assert not made.diff.removed


def test_what_is_left_out_stays_open_and_is_answered_later() -> None:
    first = reply(plan(), {"book.room": "red"})
    assert [item.id for item in first.questions] == ["book.seats", "book.catered", "mail.to"]
    assert first.status is PlanStatus.NEEDS_ANSWERS
    assert not first.valid
    rest = {name: value for name, value in ALL.items() if name != "book.room"}
    second = reply(first, rest, "p3")
    assert second.valid
    assert (second.parent, second.revision) == ("p2", 3)
    assert second.answers == {**ALL, "book.room": "red"}


def test_policy_still_has_its_word() -> None:
    made = reply(plan(), ALL)
    assert step(made, "book")["approval"]["message"] == "room.book has effects: write."
    assert step(made, "mail")["approval"]["by"] == ["user:ada"]


@pytest.mark.parametrize(
    ("answers", "pointers"),
    [
        ({"book.room": "green"}, ["/answers/book.room"]),
        ({"book.room": None}, ["/answers/book.room"]),
        ({"book.seats": "4"}, ["/answers/book.seats"]),
        ({"book.seats": 1.5}, ["/answers/book.seats"]),
        ({"book.seats": True}, ["/answers/book.seats"]),
        ({"book.catered": 0}, ["/answers/book.catered"]),
        ({"mail.to": ["a"], "book.seats": {}}, ["/answers/book.seats", "/answers/mail.to"]),
        ({"book.seats": float("nan")}, ["/answers/book.seats"]),
        ({"mail.to": "x" * 2000}, ["/answers/mail.to"]),
    ],
)
def test_answers_that_do_not_fit_are_refused_one_by_one(
    answers: dict[str, Any], pointers: list[str]
) -> None:
    with pytest.raises(DefinitionError) as refused:
        reply(plan(), answers)
    assert refused.value.code == "answer_invalid"
    assert list(dict.fromkeys(item.pointer for item in refused.value.problems)) == pointers


def test_options_are_named_to_who_misses_them() -> None:
    with pytest.raises(DefinitionError) as refused:
        reply(plan(), {"book.room": "green"})
    assert refused.value.problems[0].hint == 'One of "red", "blue".'


def test_unknown_questions_are_refused_with_the_likely_one() -> None:
    with pytest.raises(DefinitionError) as refused:
        reply(plan(), {"book.rooms": "red", "x/y": 1})
    assert refused.value.code == "question_unknown"
    first, second = refused.value.problems
    assert (first.pointer, first.hint) == ("/answers/book.rooms", "Did you mean book.room?")
    assert second.pointer == "/answers/x~1y"


@pytest.mark.parametrize("answers", [{}, [], None, "red"])
def test_no_answers_are_refused(answers: Any) -> None:
    with pytest.raises((PlanningError, InvalidValue)) as refused:
        reply(plan(), answers)
    assert refused.value.code in ("answers_missing", "answers_invalid")


def test_a_plan_that_asks_nothing_takes_no_answers() -> None:
    with pytest.raises(PlanningError) as refused:
        reply(replace(plan(), questions=()), {"book.room": "red"})
    assert refused.value.code == "no_questions"


def test_an_answer_is_a_value_and_never_a_reference() -> None:
    made = reply(plan(), {**ALL, "mail.to": "${{ steps.book.room }}"})
    assert step(made, "mail")["args"]["to"] == "$${{ steps.book.room }}"
    assert made.answers["mail.to"] == "${{ steps.book.room }}"


def test_a_condition_that_is_asked_for_is_checked() -> None:
    asked = Question(id="mail.when", text="When?", pointer="/steps/1/when")
    given = with_types(replace(plan(), questions=(*QUESTIONS, asked)), REGISTRY)
    assert given.questions[-1].reason == "The goal has a condition that could not be read."
    good = reply(given, {**ALL, "mail.when": "size(steps.book.room) > 0"})
    assert step(good, "mail")["when"] == "size(steps.book.room) > 0"
    with pytest.raises(DefinitionError) as refused:
        reply(given, {"mail.when": "steps.book.room >"})
    assert refused.value.problems[0].pointer == "/answers/mail.when"


def test_what_the_planner_doubted_stays_doubted() -> None:
    doubt = Problem(code="field_guessed", pointer="/steps/1/args/body", message="?",
                    severity=Severity.WARNING)  # fmt: skip
    about = Problem(code="literal_lost", pointer="/steps/0/args/room", message="?",
                    severity=Severity.WARNING)  # fmt: skip
    made = reply(plan(problems=(doubt, about), certain=False), ALL)
    assert made.problems == (doubt,)
    assert not made.certain


@pytest.mark.parametrize("doubted", [True, False])
def test_a_plan_is_certain_once_all_that_was_open_is_answered(doubted: bool) -> None:
    given = plan(certain=False, certain_once_answered=not doubted)
    assert not reply(given, {"book.room": "red"}).certain
    assert reply(given, ALL).certain is not doubted


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("blue", "book.room", "blue"),
        (" BLUE ", "book.room", "blue"),
        ("0", "book.seats", 0),
        ("yes", "book.catered", True),
        ("No", "book.catered", False),
        ("false", "book.catered", False),
        ("12", "mail.to", "12"),
        ('"quoted"', "mail.to", '"quoted"'),
        ("four", "book.seats", "four"),
        ("", "mail.to", ""),
    ],
)
def test_text_is_read_by_the_questions_type(text: str, name: str, value: Any) -> None:
    question = next(item for item in plan().questions if item.id == name)
    found = read_text(text, question)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"price": {"lt": 30}}', {"price": {"lt": 30}}),
        (' ["a", 1] ', ["a", 1]),
        ("item.price < 30", "item.price < 30"),
        ("{price: 30}", "{price: 30}"),
        ("007", "007"),
        ("12", "12"),
        ("null", "null"),
        ("yes", "yes"),
    ],
)
def test_only_objects_and_lists_are_read_where_a_text_would_do(text: str, value: Any) -> None:
    question = Question(id="a.b", text="?", pointer="/steps/0/args/b", type={})
    assert read_text(text, question) == value
    either: Any = {"type": ["string", "object", "array", "null", "boolean"]}
    assert read_text(text, replace(question, type=either)) == value


async def test_a_plan_of_nobody_cannot_go_on() -> None:
    with pytest.raises(InvalidTransition) as refused:
        await plan().answer(ALL)
    assert refused.value.code == "plan_detached"
    with pytest.raises(InvalidTransition):
        await plan().edit("also mail it")
