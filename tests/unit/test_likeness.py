"""What is taken for a misspelling, and what never is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowbuilder.likeness import is_alike, like


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("page.gett", "page.get"),
        ("page.gte", "page.get"),
        ("PageGet", "page.get"),
        ("page-get", "page.get"),
        ("pagge.get", "page.get"),
        ("start_dat", "start_date"),
        ("modelling", "modeling"),
        ("sendmail", "send_mail"),
        ("depend_on", "depends_on"),
    ],
)
def test_misspellings(name: str, meant: str) -> None:
    assert like(name, [meant, "something.else"]) == meant


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("start_date", "end_date"),
        ("get_user", "set_user"),
        ("page.get", "page.set"),
        ("step_1", "step_2"),
        ("s1", "s11"),
        ("city_from", "city_to"),
        ("increase", "decrease"),
        ("import_rows", "export_rows"),
        ("from", "to"),
        ("a", "b"),
        ("", "a"),
        ("x" * 300, "x" * 301),
    ],
)
def test_other_names(name: str, other: str) -> None:
    assert like(name, [other]) is None


def test_of_two_that_are_alike_neither_is_meant() -> None:
    assert like("colour1", ["colour2", "colour3"]) is None
    assert like("titel", ["title", "titles"]) == "title"
    assert like("rates", ["rate", "dates"]) == "rate"
    assert like("note", ["notes", "noted"]) is None


@given(st.text(max_size=12), st.text(max_size=12))
def test_any_two_names_can_be_compared(name: str, other: str) -> None:
    assert is_alike(name, other) in (True, False)
    assert like(name, [name]) in (name, None)
