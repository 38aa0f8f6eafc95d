"""Every kind of defect is written down once, in code and in the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flowbuilder.errors import Fix, Severity
from flowbuilder.validation import ADVICE, DEFECTS, validate
from flowbuilder.validation.catalogue import without_advice
from tests.support.broken_documents import BROKEN
from tests.support.sample_tools import sample_registry

_PAGE = Path(__file__).parents[2] / "docs" / "validation.md"
_ROW = re.compile(r"\| `(\w+)` \| (.+) \| (error|warning) \| (auto|model|user) \|")


def test_the_page_lists_every_kind() -> None:
    rows = [
        match.groups() for match in map(_ROW.fullmatch, _PAGE.read_text().splitlines()) if match
    ]
    assert rows == [
        (item.code, item.meaning, item.severity.value, item.fix.value) for item in DEFECTS.values()
    ]
    assert len(rows) >= 25


def test_advice_is_never_an_error() -> None:
    assert DEFECTS.keys() >= ADVICE
    assert {DEFECTS[code].severity for code in ADVICE} == {Severity.WARNING}


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_every_finding_is_of_a_known_kind_and_says_what_to_do(name: str) -> None:
    found = validate(BROKEN[name][0], sample_registry()).problems
    assert found
    for item in found:
        assert item.code in DEFECTS
        assert item.severity is DEFECTS[item.code].severity
        assert item.message
        assert item.hint
        assert item.fix in Fix


def test_planners_weigh_no_advice_and_no_usual_hints() -> None:
    step = {"id": "a", "tool": "anything.take", "concurrency": 2, "depends_on": ["a"]}
    found = validate({"flow": "x", "steps": [step]}, sample_registry()).problems
    assert {item.code for item in found} == {"concurrency_unused", "self_dependency"}
    assert [(item.code, item.hint) for item in without_advice(found)] == [("self_dependency", None)]


@pytest.mark.parametrize(
    ("tool", "fix"), [("page.gt", Fix.AUTO), ("page.set", Fix.MODEL), ("nothing.like", Fix.MODEL)]
)
def test_a_misspelt_name_needs_nobody(tool: str, fix: Fix) -> None:
    (found,) = validate(
        {"flow": "x", "steps": [{"id": "a", "tool": tool}]}, sample_registry()
    ).problems
    assert (found.code, found.fix) == ("unknown_tool", fix)
