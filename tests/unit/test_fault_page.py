"""The page about faults names what is tried, and where."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "faults.md"
_NUMBER = re.compile(r"\bF(\d+)\b")


def listed() -> dict[int, set[str]]:
    """Return the files that the page names for each number."""
    found: dict[int, set[str]] = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        for number in _NUMBER.findall(cells[0]) if line.startswith("| F") else ():
            assert int(number) not in found, f"F{number} is there twice"
            found[int(number)] = set(re.findall(r"`([\w./]+)`", cells[3]))
    return found


def tried() -> dict[int, set[str]]:
    """Return the files with tests of each number."""
    found: dict[int, set[str]] = defaultdict(set)
    for path in (TESTS / "faults").glob("test_*.py"):
        for name in re.findall(
            r"^async def test_((?:f\d+_)+)", path.read_text(encoding="utf-8"), re.M
        ):
            for number in re.findall(r"\d+", name):
                found[int(number)].add(path.name)
    return found


def test_every_fault_that_is_tried_is_on_the_page_with_its_files() -> None:
    page, tests = listed(), tried()
    assert len(tests) > 50
    for number, files in sorted(tests.items()):
        assert files <= page.get(number, set()), f"F{number}: {sorted(files)}"


def test_every_file_on_the_page_tries_what_the_page_says() -> None:
    tests = tried()
    for number, files in sorted(listed().items()):
        for name in files - tests.get(number, set()):
            elsewhere = [*TESTS.glob(f"*/{name}"), *TESTS.glob(f"{Path(name).name}/__init__.py")]
            assert elsewhere, f"F{number}: there is no {name}"
            assert not name.startswith("test_") or (TESTS / "integration" / name).exists(), (
                f"F{number} is not in {name}"
            )


def test_the_page_explains_in_words_and_names_no_number_that_nobody_tries() -> None:
    text = PAGE.read_text(encoding="utf-8")
    known = tried().keys() | {50}  # hypothesis, tests/model
    assert {int(number) for number in _NUMBER.findall(text)} <= known
