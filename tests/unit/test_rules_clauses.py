"""Goals are cut into clauses, literals and table words where a reader would cut them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from flowbuilder.planner.rules import clauses as rules_clauses
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.clauses import split_goal
from flowbuilder.planner.rules.lexicon import lexicon, stem
from flowbuilder.planner.rules.literals import Kind, find_literals
from flowbuilder.planner.rules.tables import TableWords


def clauses(goal: str) -> list[str]:
    return [clause.text for clause in split_goal(goal, frozenset())]


def only(goal: str) -> Clause:
    (clause,) = split_goal(goal, frozenset())
    return clause


@pytest.mark.parametrize(
    ("goal", "expected"),
    [
        ("Read a.txt, then email it to a@b.org", ["Read a.txt", "email it to a@b.org"]),
        ("select name and email, sort by total and save it",
         ["select name and email", "sort by total", "save it"]),
        ("Translate 'stop, and then go' to French", ["Translate 'stop, and then go' to French"]),
        ("get https://a.org/x,y?and=then and save it to b.txt",
         ["get https://a.org/x,y?and=then", "save it to b.txt"]),
        ("Pay 3,000 dollars; wait 5 minutes", ["Pay 3,000 dollars", "wait 5 minutes"]),
        ("1. Read a.txt\n2. Save it as b.txt", ["Read a.txt", "Save it as b.txt"]),
        ("What is the weather for the next 3 days?", ["What is the weather for the next 3 days"]),
        ("Could you please fetch a.json and after that parse it",
         ["fetch a.json", "parse it"]),
    ],
)  # fmt: skip
def test_a_goal_is_cut_where_another_verb_begins(goal: str, expected: list[str]) -> None:
    assert clauses(goal) == expected


@pytest.mark.parametrize(
    "goal",
    [
        "save it to x.md once I approve",
        "after I approve, save it to x.md",
        "once approved, save it to x.md",
        "save it to x.md, but only after my manager signs off",
        "with my permission, save it to x.md",
        "save it to x.md if I say yes",
        "save it to x.md subject to approval",
    ],
)
def test_agreement_in_a_subordinate_clause_is_an_approval(goal: str) -> None:
    clause = only(goal)
    assert clause.approval
    assert "x.md" in clause.text


def test_asking_for_agreement_is_a_clause_of_its_own() -> None:
    asking, saving = split_goal("wait for my ok before you save it to x.md", frozenset())
    assert asking.asks_approval
    assert not saving.asks_approval


def test_a_column_called_approved_is_no_approval() -> None:
    assert not only("keep the rows where approved is true").approval


def test_conditions_belong_to_what_follows_or_precedes_them() -> None:
    leading = only("If there are more than 3 rows, save them to x.csv")
    trailing = only("save them to x.csv unless there are no rows")
    assert [item.negated for item in leading.conditions] == [False]
    assert [item.negated for item in trailing.conditions] == [True]
    assert leading.text == trailing.text == "save them to x.csv"


@pytest.mark.parametrize("goal", ["read a.txt but do not send it", "read a.txt without sending it"])
def test_negated_clauses_are_marked(goal: str) -> None:
    assert [clause.negated for clause in split_goal(goal, frozenset())] == [False, True]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("see https://a.org/x_(1).", Kind.URL, "https://a.org/x_(1)"),
        ("mail a.b+c@d-e.org!", Kind.EMAIL, "a.b+c@d-e.org"),
        ("read examples/data/x.csv,", Kind.PATH, "examples/data/x.csv"),
        ("say “don't, and go”", Kind.QUOTED, "don't, and go"),
        ("wait half an hour", Kind.DURATION, 1800),
        ("wait five minutes", Kind.DURATION, 300),
        ("pay $1,250.50", Kind.MONEY, 1250.5),
        ("above 0", Kind.NUMBER, 0),
        ("below -2.5", Kind.NUMBER, -2.5),
        ("call +49 151 2345678", Kind.PHONE, "+49 151 2345678"),
        ("take main.temp", Kind.DOTTED, "main.temp"),
        ("into Swiss francs", Kind.CURRENCY, "CHF"),
        ("on 2026-03-04", Kind.DATE, "2026-03-04"),
        ("to #team-a", Kind.CHANNEL, "#team-a"),
        ("work out (1 + 2) * 3", Kind.EXPRESSION, "(1 + 2) * 3"),
    ],
)
def test_literals_are_found_with_their_type(text: str, kind: Kind, value: Any) -> None:
    (found,) = find_literals(text)
    assert (found.kind, found.value) == (kind, value)
    assert text[found.start : found.end] == found.text


def test_literals_never_overlap() -> None:
    found = find_literals('mail "a@b.org, 5 EUR" to c@d.org on 2026-01-02 at 10:30 for 20 EUR')
    assert [item.kind for item in found] == [
        Kind.QUOTED, Kind.EMAIL, Kind.DATE, Kind.TIME, Kind.MONEY,
    ]  # fmt: skip
    assert all(first.end <= second.start for first, second in pairwise(found))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("keep rows where amount is above 0", [("amount", "gt", 0)]),
        ("leave out rows where sex is empty", [("sex", "ne", None)]),
        ("keep those with price >= 20 and status is open",
         [("price", "gte", 20), ("status", "eq", "open")]),
        ("keep rows where country is Norway or Sweden",
         [("country", "in", ["Norway", "Sweden"])]),
        ("keep rows with a price between 10 and 20", [("price", "gte", 10), ("price", "lte", 20)]),
        ("drop everything except items with stock below 5", [("stock", "lt", 5)]),
        ("keep rows where total is 3,000 or more", [("total", "gte", 3000)]),
        ("keep rows where active is false", [("active", "eq", False)]),
        ("keep only those with more than 5 points", [("points", "gt", 5)]),
        ("remove the rows where age is under 18", [("age", "gte", 18)]),
    ],
)  # fmt: skip
def test_comparisons_are_read(text: str, expected: list[tuple[str, str, Any]]) -> None:
    found = TableWords(only(text)).comparisons()
    assert [(item.field, item.operator, item.value) for item in found] == expected


def test_a_comparison_without_a_column_is_noticed() -> None:
    assert TableWords(only("find people older than 30")).unresolved()
    assert not TableWords(only("find people where age is over 30")).unresolved()


@pytest.mark.parametrize(
    ("first", "second"),
    [("translating", "translated"), ("summarise", "summarizes"), ("entries", "entry"),
     ("stopped", "stop"), ("calculation", "calculate"), ("sent", "send")],
)  # fmt: skip
def test_forms_of_a_word_share_a_stem(first: str, second: str) -> None:
    assert stem(first) == stem(second)


def test_near_synonyms_are_near_and_others_are_not() -> None:
    near = lexicon().nearness
    assert near(stem("save"), stem("store")) > 0.5
    assert near(stem("fetch"), stem("get")) > 0.5
    assert near(stem("sort"), stem("email")) == 0


@pytest.mark.parametrize("blanks", [" " * 5000, "\n" * 5000, "\t \r\n" * 1250])
def test_no_pattern_meets_a_long_run_of_blanks(blanks: str) -> None:
    """Patterns that look for blanks would look at all of them from each of them."""
    found = split_goal(f'Write "a{" " * 500}b" to x.txt.{blanks}Read y.txt', frozenset())
    assert not [one for one in found if " " * 100 in one.text or "\n" * 100 in one.text]
    values = [item.value for one in found for item in one.literals]
    assert values == [f"a{' ' * 500}b", "x.txt", "y.txt"]


def test_what_follows_a_negation_is_looked_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Counting:
        searches = 0

        def search(self, text: str, start: int, end: int) -> object:
            self.searches += 1
            return connector.search(text, start, end)

    connector, counting = rules_clauses._CONNECTOR, Counting()
    monkeypatch.setattr(rules_clauses, "_CONNECTOR", counting)
    split_goal(f"Read a.csv where x {'is not ' * 200}5, then save it to b.csv", frozenset())
    assert counting.searches < 10
