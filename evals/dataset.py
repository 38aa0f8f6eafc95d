"""Suites as files: cases with a goal, the tools and files it may use, and what is expected."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flowbuilder.errors import DefinitionError, NotFound, Problem
from flowbuilder.strictjson import load_document
from flowbuilder.types import JsonSchema


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class FileExpectation(_Model):
    """What a file of the workspace must hold after the run."""

    equals: str | None = None
    contains: list[str] = Field(default_factory=list)


class Expectation(_Model):
    """What a good planner does with a goal. What is left out is not judged."""

    outcome: Literal["plan", "refusal", "question"] = "plan"
    """A valid plan; a refusal because no tool fits; or a question about what is missing."""
    tools: list[str] | None = None
    """Tools in the order of the plan's steps, without versions."""
    edges: list[tuple[str, str]] | None = None
    """Data or order between steps, as pairs of tools: `[file.read, csv.parse]`."""
    literals: list[str] = Field(default_factory=list)
    """Texts that must stand in the arguments of some step, as they stand in the goal."""
    approvals: int | None = None
    """How many people's decisions the plan asks for."""
    result: Any = None
    """The run's output, compared as JSON; only judged when it is given."""
    files: dict[str, FileExpectation] = Field(default_factory=dict)
    """Files that really running the plan must leave in the workspace."""

    @property
    def runs(self) -> bool:
        """Whether the plan has to be executed to judge it."""
        return "result" in self.model_fields_set or bool(self.files)


class Case(_Model):
    """One goal and what is expected of it."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,79}$")
    goal: str
    input: Any = None
    files: dict[str, str] = Field(default_factory=dict)
    """Files of the case's own workspace: path → text."""
    tags: list[str] = Field(default_factory=list)
    expect: Expectation = Expectation()


class Dataset(_Model):
    """A suite of cases over the same tools."""

    suite: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,79}$")
    description: str = ""
    tools: list[str] = Field(default_factory=list)
    """Modules with further tools, beside the starter tools."""
    only_tools: bool = False
    """Plan with the tools of `tools` alone, without the starter tools."""
    cases: list[Case] = Field(min_length=1)


def dataset_json_schema() -> JsonSchema:
    """Return the JSON Schema of a suite file."""
    schema: JsonSchema = Dataset.model_json_schema()
    return schema


def find_suites() -> list[Dataset]:
    """Return the suites that come with flowbuilder, by name."""
    folder = files("flowbuilder.evals").joinpath("suites")
    found = [
        _parse(entry.read_text(encoding="utf-8"), entry.name)
        for entry in folder.iterdir()
        if entry.name.endswith(".yaml")
    ]
    return sorted(found, key=lambda dataset: dataset.suite)


def load_suite(name: str) -> Dataset:
    """Load a suite by its name, or from a YAML or JSON file.

    Raises:
        NotFound: There is neither such a suite nor such a file (suite_not_found).
        DefinitionError: The file is no suite; every problem with its pointer.
    """
    path = Path(name)
    if path.suffix in {".yaml", ".yml", ".json"}:
        try:
            return _parse(path.read_text(encoding="utf-8"), path.name)
        except (OSError, UnicodeDecodeError) as error:
            raise NotFound(f"cannot read {name}: {error}", code="suite_not_found") from None
    known = find_suites()
    for dataset in known:
        if dataset.suite == name:
            return dataset
    names = ", ".join(dataset.suite for dataset in known)
    raise NotFound(
        f"there is no suite {name!r}", code="suite_not_found", hint=f"Known suites: {names}"
    )


def _parse(text: str, name: str) -> Dataset:
    document = load_document(text, name=name)
    try:
        dataset = Dataset.model_validate(document)
    except ValidationError as error:
        problems = [
            Problem(
                code="suite_invalid",
                pointer="".join(f"/{part}" for part in item["loc"]),
                message=item["msg"],
            )
            for item in error.errors(include_url=False, include_input=False)
        ]
        raise DefinitionError(
            f"{name} is no suite", problems=problems, code="suite_invalid"
        ) from None
    names = [case.name for case in dataset.cases]
    doubled = sorted({case for case in names if names.count(case) > 1})
    if doubled:
        raise DefinitionError(
            f"{name}: case names must differ: {', '.join(doubled)}", code="suite_invalid"
        )
    return dataset
