"""Suite files: the shipped ones are sound, broken ones list every problem."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flowbuilder.errors import DefinitionError, InvalidValue, NotFound
from flowbuilder.evals import Dataset, find_suites, load_suite
from flowbuilder.evals.dataset import dataset_json_schema
from flowbuilder.evals.loading import parse_suite, require_tools
from flowbuilder.schemas import validator
from flowbuilder.settings import Settings
from flowbuilder.strictjson import load_document
from flowbuilder.toolkit import load_registry

EXAMPLES = Path(__file__).parents[2] / "examples"


def parse(document: Any, folder: Path = Path("missing")) -> Dataset:
    return parse_suite(json.dumps(document), "mine.json", folder)


def problems(document: Any, folder: Path = Path("missing")) -> dict[str, str]:
    with pytest.raises(DefinitionError) as caught:
        parse(document, folder)
    assert caught.value.code == "suite_invalid"
    assert "mine.json" in caught.value.message
    return {item.pointer: item.message for item in caught.value.problems}


def suite(*cases: dict[str, Any], **more: Any) -> dict[str, Any]:
    named = [{"name": f"c{index}", "goal": "g", **case} for index, case in enumerate(cases)]
    return {"suite": "mine", "cases": named, **more}


def test_shipped_suites_load_and_name_only_tools_that_exist() -> None:
    found = find_suites()
    assert [item.suite for item in found] == ["examples", "starter"]
    registry = load_registry(Settings())
    for dataset in found:
        require_tools(dataset, registry)
        assert load_suite(dataset.suite) == dataset
        assert dataset.description


@pytest.mark.parametrize(
    ("name", "content", "told", "pointer"),
    [
        ("mine.json", b"", "this is no JSON: Expecting value at line 1, column 1", ""),
        ("mine.json", b'{"suite": "mine",', "at line 1, column 18", ""),
        ("mine.json", b"\xff\x00", "byte 0", ""),
        ("mine.yaml", b"\xff\x00", "byte 0", ""),
        ("mine.json", b'{"cases": [{"goal": NaN}]}', "NaN", "/cases/0/goal"),
        ("mine.yaml", b"cases: [\n", "is no YAML", ""),
        ("mine.yaml", b"[" * 40, "at line 1", ""),
    ],
)
def test_what_cannot_be_read_is_told_by_file_and_place(
    tmp_path: Path, name: str, content: bytes, told: str, pointer: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InvalidValue) as refused:
        load_suite(str(path))
    assert refused.value.message.startswith(str(path))
    assert refused.value.message.count(str(path)) == 1
    assert told in refused.value.message
    assert refused.value.pointer == pointer


def test_what_is_no_case_is_told_without_the_names_of_classes() -> None:
    assert problems({"suite": "mine", "cases": [1]}) == {"/cases/0": "is no object"}


def test_the_examples_suite_asks_the_examples_goals() -> None:
    goals = {path.stem: " ".join(path.read_text().split()) for path in EXAMPLES.glob("goals/*.txt")}
    asked = {case.name: case.goal for case in load_suite("examples").cases}
    assert {name: asked.get(name) for name in goals} == goals
    flows = {path.stem for path in EXAMPLES.glob("*.yaml")} - {"species-summary"}
    assert flows <= set(goals)


def test_the_json_schema_describes_the_shipped_suites() -> None:
    checker = validator(dataset_json_schema())
    for path in (EXAMPLES.parent / "evals" / "suites").glob("*.yaml"):
        assert list(checker.iter_errors(load_document(path.read_bytes(), name=path.name))) == []


def test_files_named_by_a_suite_are_taken_in(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_bytes("x\r\nä\r\n".encode())
    flow = {"flow": "child", "steps": [{"id": "s", "tool": "time.sleep", "args": {"seconds": 0}}]}
    (tmp_path / "child.json").write_text(json.dumps(flow))
    document = suite(
        {
            "files": {"b.txt": ""},
            "copies": {"in/a.csv": "data/a.csv"},
            "flows": ["child.json", flow],
        }
    )
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(document))
    (case,) = load_suite(str(path)).cases
    assert case.files == {"b.txt": "", "in/a.csv": "x\r\nä\r\n"}
    assert case.copies == {}
    assert [found["flow"] for found in case.flows] == ["child", "child"]


def test_every_problem_is_told_with_its_pointer(tmp_path: Path) -> None:
    found = problems(
        suite(
            {"name": "Not A Name", "files": {"../up.txt": ""}, "expcet": {}},
            {"expect": {"files": {"a/b~c.txt": {"holds": "x"}, "/etc/x": None}, "approvals": -1}},
            {"goal": 7, "expect": {"edges": [["one"]], "outcome": "miracle", "literals": [None]}},
            only_tools="maybe",
        )
    )
    assert set(found) >= {
        "/only_tools",
        "/cases/0/name",
        "/cases/0/files/..~1up.txt",
        "/cases/0/expcet",
        "/cases/1/expect/files/a~1b~0c.txt/holds",
        "/cases/1/expect/files/~1etc~1x",
        "/cases/1/expect/approvals",
        "/cases/2/goal",
        "/cases/2/expect/edges/0/1",
        "/cases/2/expect/outcome",
    }
    assert found["/cases/0/expcet"] == "there is no such key"
    assert found["/cases/2/expect/edges/0/1"] == "is missing"


def test_contradictions_are_problems_too(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes(b"\xff")
    (tmp_path / "flow.yaml").write_text("flow: x\nsteps: [{id: a}]\nextra: 1\n")
    found = problems(
        suite(
            {"name": "same"},
            {"name": "same", "files": {"a.txt": ""}, "copies": {"a.txt": "latin.txt"}},
            {"expect": {"outcome": "refusal", "tools": [], "result": None}},
            {"copies": {"b.txt": "absent.txt"}, "flows": ["absent.yaml", 7, "flow.yaml"]},
            only_tools=True,
        ),
        tmp_path,
    )
    assert found["/cases/1/name"] == "case 1 is called 'same' already"
    assert set(found) >= {
        "/only_tools",
        "/cases/1/copies/a.txt",
        "/cases/2/expect/tools",
        "/cases/2/expect/result",
        "/cases/3/copies/b.txt",
        "/cases/3/flows/0",
        "/cases/3/flows/1",
        "/cases/3/flows/2/extra",
    }
    assert "absent.txt" in found["/cases/3/copies/b.txt"]


@pytest.mark.parametrize("document", [[], "text", 7, None])
def test_a_document_that_is_no_object_is_no_suite(document: object) -> None:
    assert problems(document) == {"": "is no object"}


def test_an_empty_suite_is_no_suite() -> None:
    assert set(problems({})) == {"/suite", "/cases"}
    assert set(problems({"suite": "s", "cases": []})) == {"/cases"}


@pytest.mark.parametrize("text", ["suite: [", "{", "a: 1\na: 2", "x: \x00"])
def test_what_cannot_be_read_is_told_as_such(text: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(InvalidValue):
        load_suite(str(path))


@pytest.mark.parametrize("name", ["no-such-suite", "missing.yaml", "no/where", "", "\x00.yaml"])
def test_a_suite_that_is_not_there(name: str) -> None:
    with pytest.raises(NotFound) as caught:
        load_suite(name)
    assert caught.value.code == "suite_not_found"


def test_a_folder_is_no_suite(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="directory"):
        load_suite(str(tmp_path))


def test_expected_tools_must_exist() -> None:
    document = suite(
        {"expect": {"tools": ["file.read", "file.raed"], "alternatives": [["x.y"]]}},
        {"expect": {"edges": [["file.read", "no.tool"]]}},
    )
    with pytest.raises(DefinitionError) as caught:
        require_tools(parse(document), load_registry(Settings()))
    assert [item.pointer for item in caught.value.problems] == [
        "/cases/0/expect/tools/1",
        "/cases/0/expect/alternatives/0/0",
        "/cases/1/expect/edges/0/1",
    ]
