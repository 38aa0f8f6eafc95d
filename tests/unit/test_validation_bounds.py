"""Documents with more problems than are listed: warnings never hide or make errors."""

from __future__ import annotations

import copy
import difflib
from typing import Any

import pytest

from flowbuilder.errors import Problem, Severity
from flowbuilder.repair import repair
from flowbuilder.validation import Checker, arguments, validate
from flowbuilder.validation.arguments import _with
from flowbuilder.validation.checker import MAX_PROBLEMS
from flowbuilder.validation.hints import Hints
from flowbuilder.validation.reading import read_value
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


def _deep(count: int) -> dict[str, Any]:
    """Return arguments with so many references in lists, objects and between plain values."""
    refs = [f"${{{{ steps.s{number}.x }}}}" for number in range(count)]
    return {
        "all": [{"a/b": [ref, 1], "c": {"d~": ref, "e": None}} for ref in refs],
        "plain": [*refs, "text"],
    }


def test_what_references_bring_is_written_into_one_copy() -> None:
    args = _deep(50)
    before = copy.deepcopy(args)
    holes = read_value(args, "/args").holes
    given = [(hole.path, number) for number, hole in enumerate(holes)]
    made: Any = _with(args, given)
    assert args == before
    plain = copy.deepcopy(args)
    for path, number in given:
        at: Any = plain
        for part in path[:-1]:
            at = at[part]
        at[path[-1]] = number
    assert made == plain
    assert made["all"][0] is not args["all"][0]


def test_containers_are_copied_once_however_many_references_they_hold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    copied: list[object] = []

    def counted(value: Any) -> Any:
        copied.append(value)
        return copy.copy(value)

    monkeypatch.setattr(arguments, "copy", counted)
    args = _deep(200)
    holes = read_value(args, "/args").holes
    _with(args, [(hole.path, 1) for hole in holes])
    assert len(holes) == 600
    assert len(copied) == 1 + 2 + 3 * 200


def test_problems_of_references_deep_inside_name_their_places() -> None:
    document = {
        "flow": "x",
        "steps": [{"id": "a", "tool": "anything.take", "args": {"x": _deep(2)}}],
    }
    found = validate(document, REGISTRY).problems
    assert [item.pointer for item in found if item.code == "unknown_step_reference"] == [
        "/steps/0/args/x/all/0/a~1b/0",
        "/steps/0/args/x/all/0/c/d~0",
        "/steps/0/args/x/all/1/a~1b/0",
        "/steps/0/args/x/all/1/c/d~0",
        "/steps/0/args/x/plain/0",
        "/steps/0/args/x/plain/1",
    ]


def test_a_judged_step_lets_go_of_its_references() -> None:
    steps = [
        {"id": "a", "tool": "anything.take", "args": {"x": "${{ steps.b.y }}"}},
        {"id": "b", "tool": "anything.take"},
        {"id": "c", "tool": "anything.take", "args": {"x": "${{ steps.later.y }}"}},
    ]
    checker = Checker(REGISTRY, head={"flow": "x"})
    for step in steps:
        checker.add(step)
    assert checker._judge is not None
    kept = [len(reading.args.holes) for reading in checker._judge._readings]
    assert kept == [0, 0, 1]  # the last one is still open
    assert checker.finish() == checker.finish() == validate({"flow": "x", "steps": steps}, REGISTRY)


def test_a_misspelt_name_is_compared_once_however_often_it_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[str] = []
    close = difflib.get_close_matches

    def counted(word: str, *others: Any) -> list[str]:
        compared.append(word)
        return close(word, *others)

    monkeypatch.setattr(difflib, "get_close_matches", counted)
    names = ["fetch_all", *(f"s{number}" for number in range(20))]
    steps = [{"id": name, "tool": "anything.take"} for name in names]
    wrong = [
        {"id": f"w{number}", "tool": "anything.take", "args": {"x": "${{ steps.fetch_al.y }}"}}
        for number in range(30)
    ]
    found = validate({"flow": "x", "steps": [*steps, *wrong]}, REGISTRY).problems
    assert [item.hint for item in found] == ["Did you mean 'fetch_all'?"] * 30
    assert compared == ["fetch_al"]


def test_hints_end_as_soon_whether_names_are_compared_or_known() -> None:
    known = [f"name_{number}" for number in range(10)]
    one, other = Hints(left=55), Hints(left=55)
    told = [one.near("name_x", known) for _ in range(8)]
    assert [item is not None for item in told] == [True] * 5 + [False] * 3
    assert [other.near(f"name_{letter}", known) is not None for letter in "abcdefgh"] == [
        item is not None for item in told
    ]
    assert Hints().near("name_x", ["else"]) is None
    assert Hints().near("name_x", known) == told[0]
