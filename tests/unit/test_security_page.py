"""The page about security names every requirement and attack, and tests that are there."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "security.md"
#: Files that come with what they attack, and the groups that are tried there.
APART = {
    "attacks/test_webhooks.py": set(range(33, 39)),
    "attacks/test_approvals.py": set(range(56, 59)),
    "attacks/test_schedules.py": {64},
}
#: A group that is tried, as it stands in a test's name or as the key of a table of cases.
_NAMED = re.compile(r"def test_((?:a\d+_(?:to_)?)+)|\"A(\d+)(?:\"|-)")


def rows(letter: str) -> dict[str, str]:
    """Return the rows of a table by their first cell, with the cell of the tests."""
    found: dict[str, str] = {}
    for line in PAGE.read_text("utf-8").splitlines():
        if re.match(rf"\| {letter}\d", line):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            assert cells[0] not in found, cells[0]
            found[cells[0]] = cells[2]
    return found


def numbers(text: str) -> set[int]:
    """Return the numbers that `A1 to A3, A5` or `a1_to_a3_a5_` stands for."""
    found: set[int] = set()
    for first, last in re.findall(r"[aA](\d+)(?:[ _]to[ _][aA](\d+))?", text):
        found |= set(range(int(first), int(last or first) + 1))
    return found


def assert_there(cell: str) -> None:
    """Every test that a cell names exists."""
    for name in re.findall(r"`([^`]+)`", cell):
        file, _, function = name.partition("::")
        if file in APART:
            continue
        text = (TESTS / file).read_text("utf-8")
        assert not function or f"def {function}(" in text, name


def test_every_requirement_has_its_tests() -> None:
    found = rows("S")
    assert set(found) == {f"S{number}" for number in range(1, 33)}
    for cell in found.values():
        assert_there(cell)
    assert [name for name, cell in found.items() if "`" not in cell] == ["S29"]


def test_every_attack_is_tried_where_the_page_says() -> None:
    page: dict[int, set[str]] = defaultdict(set)
    for groups, cell in rows("A").items():
        assert_there(cell)
        for number in numbers(groups):
            page[number] |= set(re.findall(r"`([^`]+)`", cell))
    assert set(page) == set(range(1, 66))
    tried: dict[int, set[str]] = defaultdict(set)
    for path in (TESTS / "attacks").glob("test_*.py"):
        for named, key in _NAMED.findall(path.read_text("utf-8")):
            for number in numbers(named) if named else {int(key)}:
                tried[number].add(f"attacks/{path.name}")
    apart = set().union(*APART.values())
    assert set(page) - set(tried) <= apart
    for number in set(tried) - apart:
        assert tried[number] <= page[number], f"A{number}: {tried[number] - page[number]}"
