"""How somebody is reached, what was found before, and what only adds to the step before."""

from __future__ import annotations

from typing import TypedDict

import pytest

from flowbuilder.errors import PlanningError
from flowbuilder.plan import Plan
from flowbuilder.planner.rules.literals import Kind, find_literals
from flowbuilder.tools import ToolRegistry, tool
from tests.unit.data.rules_measure import plan_goal


class Patient(TypedDict):
    name: str
    email: str
    phone: str


@tool("patients.find", effects="read")
def patients_find(name: str) -> Patient:
    """Find a patient by name, with email address and phone number."""
    return {"name": name, "email": "", "phone": ""}


@tool("visits.book", effects="write")
def visits_book(ward: str, date: str, start: str) -> str:
    """Book a visit to a ward for a date and a start time and return the booking number."""
    return f"{ward}{date}{start}"


@tool("texting.send", effects="external")
def texting_send(phone: str, message: str) -> bool:
    """Send a text message to a phone number."""
    return bool(phone and message)


@tool("post.send", effects="external")
def post_send(to: str, subject: str = "", body: str = "") -> bool:
    """Send an email to an address."""
    return bool(to and subject and body)


@tool("agenda.add", effects="write")
def agenda_add(title: str, date: str, start: str) -> str:
    """Add an appointment to the calendar."""
    return f"{title}{date}{start}"


@tool("chores.add", effects="write")
def chores_add(title: str, due: str = "") -> str:
    """Add a chore to the list of chores, with a due date if wanted."""
    return f"{title}{due}"


@tool("archive.search", effects="read")
def archive_search(station: str, pattern: str) -> list[str]:
    """Search the archive of a station and return the matching lines."""
    return [station, pattern]


@tool("bugs.create", effects="write")
def bugs_create(title: str, description: str = "", assignee: str | None = None) -> str:
    """Create a bug in the tracker and return its number."""
    return f"{title}{description}{assignee}"


@tool("release.start", effects="external")
def release_start(branch: str) -> str:
    """Start the release of a branch."""
    return branch


CLINIC = ToolRegistry([patients_find, visits_book, texting_send, post_send])
DESK = ToolRegistry([agenda_add, chores_add, archive_search, bugs_create, release_start])


def steps_of(plan: Plan) -> list[tuple[str, dict[str, object]]]:
    """Return the tools of a plan with their arguments."""
    assert plan.flow is not None
    return [(step.tool, dict(step.args)) for step in plan.flow.steps]


@pytest.mark.parametrize("whom", ["her", "Mia Holm"])
def test_who_is_texted_gets_a_text_message(whom: str) -> None:
    plan = plan_goal(f'Find the patient Mia Holm and text {whom} "Your glasses are here."', CLINIC)
    name, args = steps_of(plan)[-1]
    assert name == "texting.send"
    assert args == {"phone": "${{ steps.find.phone }}", "message": "Your glasses are here."}


def test_who_is_emailed_gets_an_email_though_texts_can_be_sent() -> None:
    goal = 'Find the patient Mia Holm and email her "Your glasses are here."'
    assert [name for name, _ in steps_of(plan_goal(goal, CLINIC))] == ["patients.find", "post.send"]


def test_a_text_message_is_never_certain_where_only_mail_can_be_sent() -> None:
    tools = ToolRegistry([patients_find, post_send])
    try:
        plan = plan_goal('Find the patient Mia Holm and text her "Come at noon."', tools)
    except PlanningError as error:
        assert error.code == "no_fitting_tool"
    else:
        assert plan.questions or not plan.certain


def test_what_is_mailed_to_somebody_is_what_the_goal_speaks_of() -> None:
    goal = (
        'Book a visit to the ward "North" for 2027-04-02 at 11:15, find the patient Mia Holm and '
        "email her the booking number."
    )
    booked, found, sent = steps_of(plan_goal(goal, CLINIC))
    assert booked == ("visits.book", {"ward": "North", "date": "2027-04-02", "start": "11:15"})
    assert found[0] == "patients.find"
    assert sent == (
        "post.send",
        {"to": "${{ steps.find.email }}", "body": "${{ steps.book }}"},
    )


def test_nothing_is_mailed_that_the_goal_does_not_speak_of() -> None:
    plan = plan_goal("Find the patient Mia Holm and email her.", CLINIC)
    assert steps_of(plan)[-1] == ("post.send", {"to": "${{ steps.find.email }}"})


@pytest.mark.parametrize("found", ["the lines found", "the matching lines found"])
def test_what_was_found_is_what_the_step_before_gave(found: str) -> None:
    goal = (
        'Search the archive of the station riverside for "flood" and create a bug "Water" with '
        f"{found} as the description."
    )
    searched, created = steps_of(plan_goal(goal, DESK))
    assert searched == ("archive.search", {"station": "riverside", "pattern": "flood"})
    assert created[0] == "bugs.create"
    assert created[1]["title"] == "Water"
    assert "${{ steps.search }}" in str(created[1]["description"])


@pytest.mark.parametrize("verb", ["Put", "Please put"])
def test_what_is_put_in_the_calendar_becomes_an_appointment(verb: str) -> None:
    goal = (
        f'{verb} "Eye test" in my calendar on 2027-03-04 at 09:30 and add the chore "Buy drops" '
        "due on 2027-03-03."
    )
    assert steps_of(plan_goal(goal, DESK)) == [
        ("agenda.add", {"title": "Eye test", "date": "2027-03-04", "start": "09:30"}),
        ("chores.add", {"title": "Buy drops", "due": "2027-03-03"}),
    ]


def test_a_clause_gives_a_plain_name_to_the_step_before_and_is_doubted() -> None:
    plan = plan_goal('Create a bug "Wrong totals" and assign it to leon.', DESK)
    assert steps_of(plan) == [("bugs.create", {"title": "Wrong totals", "assignee": "leon"})]
    assert not plan.certain


@pytest.mark.parametrize("whom", ["him", "someone"])
def test_nobody_is_named_by_a_pronoun(whom: str) -> None:
    try:
        plan = plan_goal(f'Create a bug "Wrong totals" and assign it to {whom}.', DESK)
    except PlanningError as error:
        assert error.code == "no_fitting_tool"
    else:
        assert not plan.certain


@pytest.mark.parametrize("name", ["release-4.2", "hotfix-10", "rc-1.0.3"])
def test_a_name_with_dots_is_kept_whole(name: str) -> None:
    plan = plan_goal(f"Start the release of the branch {name}.", DESK)
    assert steps_of(plan) == [("release.start", {"branch": name})]
    assert [item.value for item in find_literals(name)] == [name]
    assert find_literals(f"{name}.")[0].kind is Kind.IDENTIFIER
