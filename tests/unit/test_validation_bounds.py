"""Documents with more problems than are listed: warnings never hide or make errors."""

from __future__ import annotations

from typing import Any

import pytest

from flowbuilder.errors import Problem, Severity
from flowbuilder.repair import repair
from flowbuilder.validation import Checker, validate
from flowbuilder.validation.checker import MAX_PROBLEMS
from tests.support.sample_tools import sample_registry

REGISTRY = sample_registry()


def _dense(count: int) -> list[dict[str, Any]]:
    """Return steps that each list all before them: sound, and a warning for nearly each entry."""
    names = [f"s{number}" for number in range(count)]
    return [
        {"id": name, "tool": "anything.take", "depends_on": names[:place]}
        for place, name in enumerate(names)
    ]


def _wrong(count: int, first: str = "w") -> list[dict[str, Any]]:
    """Return a step with so many errors."""
    missing = [f"{first}{number}" for number in range(count)]
    return [{"id": "wrong", "tool": "anything.take", "depends_on": missing}]


def _errors(found: tuple[Problem, ...]) -> list[Problem]:
    return [item for item in found if item.severity is Severity.ERROR]


@pytest.mark.parametrize("count", [46, 47, 60, 120])
@pytest.mark.parametrize("is_reversed", [False, True])
def test_a_sound_flow_stays_sound_with_any_number_of_warnings(
    count: int, is_reversed: bool
) -> None:
    steps = _dense(count)
    document: Any = {"flow": "x", "steps": steps[::-1] if is_reversed else steps}
    found = validate(document, REGISTRY)
    assert found.valid
    assert {item.severity for item in found.problems} == {Severity.WARNING}
    assert repair(document, REGISTRY).document is document
    if count == 46:
        assert {item.code for item in found.problems} == {"needless_dependency"}
    else:
        assert len(found.problems) == MAX_PROBLEMS + 1
        assert found.problems[-1].code == "more_problems"


@pytest.mark.parametrize("first", [True, False])
def test_errors_are_found_beside_any_number_of_warnings(first: bool) -> None:
    dense, wrong = _dense(80), _wrong(3)
    found = validate(
        {"flow": "x", "steps": [*wrong, *dense] if first else [*dense, *wrong]}, REGISTRY
    )
    assert not found.valid
    assert [item.code for item in _errors(found.problems)] == ["unknown_dependency"] * 3
    assert len(found.problems) == MAX_PROBLEMS + 1
    assert found.problems[-1].code == "more_problems"
    assert found.problems[-1].severity is Severity.WARNING  # all errors are listed


def test_errors_of_steps_that_wait_for_each_other_are_found_beside_warnings() -> None:
    circle = [
        {"id": "a", "tool": "anything.take", "depends_on": ["b"]},
        {"id": "b", "tool": "no.such", "depends_on": ["a"]},
    ]
    found = validate({"flow": "x", "steps": [*_dense(80), *circle]}, REGISTRY)
    assert {item.code for item in _errors(found.problems)} == {"cycle", "unknown_tool"}


@pytest.mark.parametrize(
    ("errors", "severity", "listed"),
    [
        (MAX_PROBLEMS - 1, Severity.WARNING, MAX_PROBLEMS - 1),
        (MAX_PROBLEMS, Severity.WARNING, MAX_PROBLEMS),
        (MAX_PROBLEMS + 1, Severity.ERROR, MAX_PROBLEMS),
        (MAX_PROBLEMS + 500, Severity.ERROR, MAX_PROBLEMS),
    ],
)
def test_more_problems_is_an_error_where_errors_are_left_out(
    errors: int, severity: Severity, listed: int
) -> None:
    wrong = [*_wrong(errors // 2, "v"), {**_wrong(errors - errors // 2)[0], "id": "other"}]
    found = validate({"flow": "x", "steps": [*_dense(60), *wrong]}, REGISTRY)
    assert not found.valid
    *others, last = found.problems
    assert (last.code, last.severity) == ("more_problems", severity)
    assert len(others) == MAX_PROBLEMS
    assert len(_errors(tuple(others))) == listed


def test_exactly_as_many_problems_as_are_listed_are_all() -> None:
    found = validate({"flow": "x", "steps": _wrong(MAX_PROBLEMS)}, REGISTRY)
    assert [item.code for item in found.problems] == ["unknown_dependency"] * MAX_PROBLEMS


@pytest.mark.parametrize("wrong", [0, 3])
def test_a_stream_with_many_warnings_ends_as_the_whole(wrong: int) -> None:
    steps = [*_dense(70), *_wrong(wrong), *_dense(5)]
    checker = Checker(REGISTRY, head={"flow": "x"})
    told = [problem for step in steps for problem in checker.add(step)]
    whole = validate({"flow": "x", "steps": steps}, REGISTRY)
    assert checker.finish() == whole
    assert len(told) == len(set(told))
    certain = {item for item in _errors(whole.problems) if item.code == "duplicate_step_id"}
    assert certain <= set(told)
