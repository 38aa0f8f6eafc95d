"""Suites that are written are read again as they were, and editors find their schema."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from flowbuilder.cli.app import app
from flowbuilder.errors import DefinitionError, InvalidValue
from flowbuilder.evals import Case, Dataset, load_suite
from flowbuilder.evals.catalogue import ToolSpec, described_tools
from flowbuilder.evals.importers import FORMATS, import_cases
from flowbuilder.evals.loading import parse_suite
from flowbuilder.evals.suitefile import SCHEMA_LINE, schema_text, to_yaml, write_suite
from flowbuilder.schemas import validator
from flowbuilder.strictjson import load_document
from flowbuilder.tools import Fail
from flowbuilder.types import JsonValue
from tests.support import benchmark_records as made

SUITES = Path(__file__).parents[2] / "evals" / "suites"
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30)
VALUES: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["yes", "010", "1:30", "2020-01-02", "null", "~", "1e5", "0x1f", "- a"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(VALUES)
def test_yaml_says_the_same_to_our_reader_and_to_others(value: JsonValue) -> None:
    text = to_yaml({"value": value})
    assert load_document(text, name="x.yaml") == {"value": value}
    assert yaml.safe_load(text) == {"value": value}


def test_the_shipped_schema_is_that_of_the_models() -> None:
    assert (SUITES / "suite.schema.json").read_text("utf-8") == schema_text()
    schema = json.loads(schema_text())
    validator(schema).check_schema(schema)
    for path in SUITES.glob("*.yaml"):
        assert path.read_text("utf-8").startswith(SCHEMA_LINE)
        assert (path.parent / SCHEMA_LINE.rpartition("=")[2].strip()).is_file()


@pytest.mark.parametrize("name", sorted(FORMATS))
@pytest.mark.parametrize("suffix", [".yaml", ".json"])
def test_an_imported_suite_is_read_as_it_was_written(
    name: str, suffix: str, tmp_path: Path
) -> None:
    imported = import_cases(made.write_all(tmp_path)[name], format=name)
    suite = imported.dataset("mine", "made by hand")
    path = tmp_path / f"mine{suffix}"
    write_suite(suite, path)
    assert load_suite(str(path)) == suite
    checker = validator(json.loads(schema_text()))
    document = load_document(path.read_bytes(), name=path.name)
    assert list(checker.iter_errors(document)) == []
    if suffix == ".yaml":
        assert path.read_text("utf-8").startswith(SCHEMA_LINE)
        assert (tmp_path / "suite.schema.json").read_text("utf-8") == schema_text()


def test_only_yaml_and_json_are_written(tmp_path: Path) -> None:
    suite = Dataset(suite="s", cases=[Case(name="c", goal="g")])
    with pytest.raises(InvalidValue) as refused:
        write_suite(suite, tmp_path / "suite.toml")
    assert refused.value.code == "suite_suffix"


def test_an_import_of_nothing_is_no_suite(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("[]\n5\n")
    imported = import_cases(tmp_path, format="asynchow")
    assert len(imported.problems) == 2
    with pytest.raises(DefinitionError) as empty:
        imported.dataset("mine")
    assert empty.value.code == "import_empty"


def test_described_tools_can_be_planned_with_and_not_run() -> None:
    registry = described_tools([ToolSpec(name="a.b", summary="Do it")])
    tool = registry.require("a.b")
    assert tool.summary == "Do it"
    with pytest.raises(Fail, match="only described"):
        tool.handler(x=1)


def test_a_case_has_its_own_tools_before_those_of_the_suite() -> None:
    shared = [ToolSpec(name="a", summary="1"), ToolSpec(name="b")]
    case = Case(name="c", goal="g", catalogue=[ToolSpec(name="a", summary="2")])
    suite = Dataset(suite="s", catalogue=shared, cases=[case, Case(name="d", goal="g")])
    assert [spec.summary for spec in suite.tools_for(case)] == ["2", ""]
    assert suite.tools_for(suite.cases[1]) == shared


def test_a_gold_flow_that_is_no_flow_is_refused() -> None:
    case = {"name": "c", "goal": "g", "expect": {"flow": {"flow": "f", "steps": [{"id": 1}]}}}
    with pytest.raises(DefinitionError) as refused:
        parse_suite(json.dumps({"suite": "s", "cases": [case]}), "s.json", Path())
    pointers = {problem.pointer for problem in refused.value.problems}
    assert "/cases/0/expect/flow/steps/0/id" in pointers


def run(*arguments: str) -> tuple[int, list[dict[str, JsonValue]], str]:
    done = CliRunner().invoke(app, ["--json", "eval", *arguments])
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return done.exit_code, lines, done.output


def test_the_command_imports_writes_and_tells(tmp_path: Path) -> None:
    folders = made.write_all(tmp_path)
    out = tmp_path / "seal.yaml"
    code, lines, _ = run("import", "seal-tools", str(folders["seal-tools"]), "--out", str(out))
    assert code == 0
    assert lines[-1] == {
        "type": "imported", "format": "seal-tools", "cases": 2, "tools": 2, "left_out": 0,
        "exported_equal": 2, "with_gold_defects": 1, "out": str(out),
    }  # fmt: skip
    codes = {line["code"] for line in lines[:-1]}
    assert codes == {"gold_unknown_tool", "gold_unknown_field", "gold_unknown_step"}
    assert load_suite(str(out)).suite == "seal"
    (folders["seal-tools"] / "dev.jsonl").write_text("{}\n")
    code, lines, _ = run("import", "seal-tools", str(folders["seal-tools"]))
    assert code == 1
    assert lines[-1]["left_out"] == 1


def test_the_command_refuses_what_cannot_be_meant(tmp_path: Path) -> None:
    folder = str(made.write_all(tmp_path)["asynchow"])
    assert run("import", "nothing", folder)[0] == 2
    assert run("import", "asynchow", str(tmp_path / "none"))[0] == 2
    assert run("import", "asynchow", folder, "--out", str(tmp_path / "x.txt"))[0] == 2
    assert run("import", "asynchow", folder, "--out", str(tmp_path / "no" / "x.json"))[0] == 2


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "{} holds no records"),
        ("[]", "{} holds no records"),
        ("{}", "no record of {} could be imported"),
        ("[{}, 5]", "no record of {} could be imported"),
    ],
)
@pytest.mark.parametrize("format", ["asynchow", "bfcl", "taskbench"])
def test_the_command_says_that_it_has_imported_nothing(
    format: str, content: str, told: str, tmp_path: Path
) -> None:
    path, out = tmp_path / "data.json", tmp_path / "out.yaml"
    path.write_text(content)
    for more in ([], ["--out", str(out)]):
        done = CliRunner().invoke(app, ["--json", "eval", "import", format, str(path), *more])
        *problems, error, imported = map(json.loads, done.stdout.splitlines())
        assert done.exit_code == 1
        assert {line["type"] for line in problems} <= {"problem"}
        assert (error["type"], error["error"]["code"]) == ("error", "import_empty")
        assert error["error"]["message"] == told.format(path)
        assert f"error: {told.format(path)}" in done.stderr.replace("\n", " ")
        assert (imported["type"], imported["cases"], imported["out"]) == ("imported", 0, None)
        assert not out.exists()


def test_the_command_prints_the_schema() -> None:
    done = CliRunner().invoke(app, ["eval", "schema"])
    assert done.exit_code == 0
    assert done.stdout == schema_text()
