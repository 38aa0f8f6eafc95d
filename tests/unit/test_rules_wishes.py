"""Files that are to be made, names that are values themselves, values that are the same."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

import pytest

from flowbuilder.errors import PlanningError
from flowbuilder.plan import Plan
from flowbuilder.tools import ToolRegistry, tool
from tests.unit.data.rules_measure import plan_goal


class Boat(TypedDict):
    name: str
    berth: str
    registration_number: str


class Skipper(TypedDict):
    name: str
    licence_number: str


class Trip(TypedDict):
    day: str
    page_url: str


@tool("boats.find", effects="read")
def boats_find(name: str) -> Boat:
    """Find a boat's record, with its berth and its registration number."""
    return {"name": name, "berth": "", "registration_number": ""}


@tool("skippers.find", effects="read")
def skippers_find(name: str) -> Skipper:
    """Find a skipper's record, with the licence number."""
    return {"name": name, "licence_number": ""}


@tool("licences.check", effects="read")
def licences_check(licence_number: str) -> str:
    """Check what a licence allows."""
    return licence_number


@tool("paint.order", effects="write")
def paint_order(boat: str, paint: str, litres: int) -> str:
    """Order paint for a boat and return the order number."""
    return f"{boat}{paint}{litres}"


@tool("inspections.note", effects="write")
def inspections_note(tag: str, coating: str, date: str) -> bool:
    """Note the inspection of a hull with a coating."""
    return bool(tag and coating and date)


@tool("trips.plan", effects="write")
def trips_plan(boat: str, date: str, time: str) -> Trip:
    """Plan a trip with a boat and return it with the link to its page."""
    return {"day": date + time + boat, "page_url": ""}


@tool("slips.book", effects="write")
def slips_book(slip: str, date: str, time: str) -> str:
    """Book a slip and return the booking number."""
    return f"{slip}{date}{time}"


@tool("letters.send", effects="external")
def letters_send(to: str, text: str) -> bool:
    """Send a mail to an email address."""
    return bool(to and text)


@tool("sheets.read", effects="read")
def sheets_read(path: str) -> str:
    """Read a text file and return its content."""
    return path


@tool("rows.query", effects="read")
def rows_query(table: str) -> list[dict[str, Any]]:
    """Query all rows of a table."""
    return [{"table": table}]


@tool("rows.keep", effects="read")
def rows_keep(
    rows: list[dict[str, Any]], field: str, op: Literal["==", "!=", "<", ">"], value: str
) -> list[dict[str, Any]]:
    """Filter rows by a condition on one field."""
    return [row for row in rows if row.get(field) == value and op]


@tool("rows.save", effects="write")
def rows_save(rows: list[dict[str, Any]], path: str) -> str:
    """Write rows to a CSV file and return its path."""
    return f"{path}{len(rows)}"


@tool("plate.photograph", effects="read")
def plate_photograph(url: str) -> str:
    """Take a screenshot of a web page and return the path of the image."""
    return url


@tool("plate.shrink", effects="write")
def plate_shrink(path: str, width: int) -> str:
    """Resize an image to a width in pixels and return the path of the new image."""
    return f"{path}{width}"


@tool("web.load", effects="read")
def web_load(url: str) -> str:
    """Fetch a URL and return the response body."""
    return url


@tool("tree.extract", effects="read")
def tree_extract(data: str, path: str) -> Any:
    """Extract a field from a JSON document by its dotted path."""
    return data + path


@tool("sums.calculate", effects="read")
def sums_calculate(expression: str) -> float:
    """Calculate the value of an arithmetic expression."""
    return float(len(expression))


HARBOUR = [
    boats_find, skippers_find, licences_check, paint_order, inspections_note, trips_plan,
    slips_book, letters_send,
]  # fmt: skip
TABLES = [
    rows_query, rows_keep, rows_save, plate_photograph, plate_shrink, letters_send, web_load,
    tree_extract, sums_calculate,
]  # fmt: skip


def _registry(tools: list[Any]) -> ToolRegistry:
    registry = ToolRegistry()
    for one in tools:
        registry.add(one)
    return registry


def _steps(plan: Plan) -> list[tuple[str, dict[str, Any]]]:
    assert plan.flow is not None
    return [(step.tool, dict(step.args)) for step in plan.flow.steps]


def _harbour(goal: str) -> Plan:
    return plan_goal(goal, _registry(HARBOUR))


def _tables(goal: str) -> Plan:
    return plan_goal(goal, _registry(TABLES))


def test_a_name_after_its_parameters_noun_is_the_value_and_not_looked_up() -> None:
    plan = _harbour('Order 5 litres of the paint "Navy" for the boat Albatros.')
    assert [name for name, _ in _steps(plan)] == ["paint.order"]
    assert _steps(plan)[0][1]["boat"] == "Albatros"


def test_a_name_of_several_words_is_taken_whole() -> None:
    plan = _harbour('Order 5 litres of the paint "Navy" for the boat Sea Eagle.')
    assert _steps(plan)[0][1]["boat"] == "Sea Eagle"


def test_the_noun_of_a_thing_is_no_part_of_its_name() -> None:
    plan = _harbour("Find the boat Sea Eagle.")
    assert _steps(plan) == [("boats.find", {"name": "Sea Eagle"})]


def test_prepositions_of_a_tools_own_words_tell_two_texts_apart() -> None:
    plan = _harbour('Note the inspection of the hull HU-2093 with "Copper" on 2027-03-02.')
    assert _steps(plan) == [
        ("inspections.note", {"tag": "HU-2093", "coating": "Copper", "date": "2027-03-02"})
    ]


def test_what_is_called_the_same_is_taken_over() -> None:
    plan = _harbour(
        'Book the slip "North 4" on 2027-09-21 at 18:00 and plan a trip with the boat Albatros '
        "for the same date and time."
    )
    assert _steps(plan)[1] == (
        "trips.plan", {"boat": "Albatros", "date": "2027-09-21", "time": "18:00"}
    )  # fmt: skip
    assert not plan.questions


def test_a_number_that_only_a_name_is_given_for_is_looked_up() -> None:
    plan = _harbour("Check the licence of Jane Doyle.")
    assert _steps(plan) == [
        ("skippers.find", {"name": "Jane Doyle"}),
        ("licences.check", {"licence_number": "${{ steps.find.licence_number }}"}),
    ]


def test_a_name_where_a_number_is_wanted_is_never_certain() -> None:
    plan = plan_goal("Check the licence of Jane Doyle.", _registry([licences_check, letters_send]))
    assert not plan.certain


def test_the_link_is_the_field_that_holds_it() -> None:
    plan = _harbour(
        "Plan a trip with the boat Albatros on 2027-09-21 at 18:00 and mail the link to "
        "crew@example.com."
    )
    assert _steps(plan)[-1][1]["text"] == "${{ steps.plan.page_url }}"


@pytest.mark.parametrize(
    "goal",
    [
        "open.csv should contain the rows of the table boats.",
        "I want to have in open.csv all rows of the table boats.",
        "I would like the rows of all boats to be in open.csv.",
    ],
)
def test_a_file_that_is_wanted_is_not_read(goal: str) -> None:
    try:
        plan = _tables(goal)
    except PlanningError:
        return
    reading = [name for name, args in _steps(plan) if "open.csv" in str(args)]
    assert reading in ([], ["rows.save"])
    assert reading or not plan.certain


@pytest.mark.parametrize(
    "goal",
    [
        "I'd like to have the pump running at the quay in mode 2.",
        'Mail "Hi" to a@example.com. Its text should be what the table boats says of "Albatros".',
    ],
)
def test_what_says_how_something_is_to_be_is_never_certain(goal: str) -> None:
    try:
        plan = _tables(goal)
    except PlanningError:
        return
    assert not plan.certain


def test_a_column_and_its_value_may_stand_side_by_side() -> None:
    plan = _tables("Query the table boats and filter those with country NO.")
    assert _steps(plan) == [
        ("rows.query", {"table": "boats"}),
        ("rows.keep", {"field": "country", "op": "==", "value": "NO",
                       "rows": "${{ steps.query }}"}),
    ]  # fmt: skip


@pytest.mark.parametrize("said", ["those with missing values", "the rows with highest price"])
def test_other_words_after_with_are_no_column(said: str) -> None:
    try:
        plan = _tables(f"Query the table boats and filter {said}.")
    except PlanningError:
        return
    assert not plan.certain


def test_a_table_may_be_named_for_what_it_holds() -> None:
    plan = _tables("Query the table invoices and write them to all.csv.")
    assert _steps(plan)[0] == ("rows.query", {"table": "invoices"})


def test_an_image_made_of_another_is_what_is_sent_on() -> None:
    plan = _tables(
        "Take a screenshot of https://a.example.com/x, resize it to a width of 640 pixels and "
        "mail it to a@example.com."
    )
    assert _steps(plan)[1][1] == {"path": "${{ steps.photograph }}", "width": 640}
    assert _steps(plan)[2][1]["text"] == "${{ steps.shrink }}"


def test_a_sum_takes_one_side_from_the_step_before() -> None:
    plan = _tables(
        "Fetch https://a.example.com/x, extract rates.USD and calculate 250 times that rate."
    )
    assert _steps(plan)[2] == ("sums.calculate", {"expression": "250 * ${{ steps.extract }}"})


def test_a_member_of_a_document_may_be_a_plain_word() -> None:
    plan = _tables("Fetch https://a.example.com/x and extract products.")
    assert _steps(plan)[1] == (
        "tree.extract", {"data": "${{ steps.load }}", "path": "products"}
    )  # fmt: skip


@pytest.mark.parametrize("said", ["the day after", "the day before"])
def test_a_day_beside_the_one_that_is_said_is_never_certain(said: str) -> None:
    plan = _harbour(f'Book the slip "North 4" at 18:00 on {said} 2027-03-01.')
    assert not plan.certain


def test_what_is_described_by_what_somebody_did_is_never_certain() -> None:
    plan = _harbour(
        "Note the inspection of the hull HU-1 with the coating that HU-2 got on 2027-03-01."
    )
    assert not plan.certain


def test_all_who_are_listed_get_what_has_to_be_got_first() -> None:
    plan = _harbour("Mail a@example.com and b@example.com the berth of the boat Albatros.")
    assert [name for name, _ in _steps(plan)] == ["boats.find", "letters.send", "letters.send"]
    assert [args["to"] for _, args in _steps(plan)[1:]] == ["a@example.com", "b@example.com"]


def test_a_file_that_is_read_for_nothing_is_doubted() -> None:
    plan = plan_goal(
        "Mail the contents of a.txt and b.txt to a@example.com.",
        _registry([sheets_read, letters_send]),
    )
    assert not plan.certain
