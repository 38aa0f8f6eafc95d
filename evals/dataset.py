"""What a suite consists of: cases with a goal, the files they may use, and what is expected."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from flowbuilder.types import JsonSchema

NAME_PATTERN = r"^[a-z0-9][a-z0-9-]{0,79}$"


def _inside(path: str) -> str:
    """Return a path that stays in its folder. Raises: ValueError."""
    parts = PurePosixPath(path)
    if not path or parts.is_absolute() or ".." in parts.parts or not parts.parts:
        raise ValueError("a path of the workspace is relative and leads nowhere else")
    return path


WorkspacePath = Annotated[str, AfterValidator(_inside)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class FileExpectation(_Model):
    """What a file of the workspace must hold after the run."""

    equals: str | None = None
    """The whole text."""
    contains: list[str] = Field(default_factory=list)
    """Texts that stand in it anywhere."""
    in_order: list[str] = Field(default_factory=list)
    """Texts that stand in it one after the other."""
    lacks: list[str] = Field(default_factory=list)
    """Texts that stand nowhere in it."""


class Expectation(_Model):
    """What a good planner does with a goal. What is left out is not judged."""

    outcome: Literal["plan", "refusal", "question"] = "plan"
    """A valid plan; a refusal because no tool fits; or a question about what is missing."""
    tools: list[str] | None = None
    """Tools in the order of the plan's steps, without versions."""
    alternatives: list[list[str]] = Field(default_factory=list)
    """Other sequences of tools that are as good."""
    edges: list[tuple[str, str]] | None = None
    """Data or order between steps, as pairs of tools: `[file.read, csv.parse]`; not judged when
    the plan took one of the alternatives."""
    literals: list[str | int | float] = Field(default_factory=list)
    """Texts and numbers that must stand in an argument or a condition of some step."""
    approvals: int | None = Field(default=None, ge=0)
    """How many steps wait for a person's decision."""
    result: Any = None
    """The run's output, compared as JSON; only judged when it is given, null included."""
    files: dict[WorkspacePath, FileExpectation | None] = Field(default_factory=dict)
    """Files that really running the plan must leave in the workspace; null: must not be there."""

    @property
    def runs(self) -> bool:
        """Whether the plan has to be executed to judge it."""
        return "result" in self.model_fields_set or bool(self.files)

    @property
    def sequences(self) -> list[list[str]]:
        """Every sequence of tools that is right; empty when the tools are not judged."""
        return ([] if self.tools is None else [self.tools]) + self.alternatives


class Case(_Model):
    """One goal and what is expected of it."""

    name: str = Field(pattern=NAME_PATTERN)
    goal: str
    input: Any = None
    files: dict[WorkspacePath, str] = Field(default_factory=dict)
    """Files of the case's own workspace: path → text."""
    copies: dict[WorkspacePath, str] = Field(default_factory=dict)
    """Further files of the workspace: path → path of a text file, seen from the suite's file."""
    flows: list[Any] = Field(default_factory=list)
    """Flows that are stored before the goal is planned: documents, or paths of their files."""
    answers: list[Any] = Field(default_factory=list)
    """What people answer when the run asks for values, in this order."""
    external: bool = False
    """Whether running the plan may act on the world outside of its workspace."""
    tags: list[str] = Field(default_factory=list)
    expect: Expectation = Expectation()


class Dataset(_Model):
    """A suite of cases over the same tools."""

    suite: str = Field(pattern=NAME_PATTERN)
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
