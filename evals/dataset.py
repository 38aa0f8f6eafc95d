"""What a suite consists of: cases with a goal, the files they may use, and what is expected."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from flowbuilder.evals.catalogue import ToolSpec
from flowbuilder.types import JsonSchema

#: The file beside a suite that tells editors what may stand in it.
SCHEMA_NAME = "suite.schema.json"
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


class Accepted(_Model):
    """What else is right for one argument of a gold step."""

    values: list[Any] = Field(default_factory=list)
    """Every value that is right, the one in the flow among them."""
    optional: bool = False
    """Whether the argument may be left out."""


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
    flow: dict[str, Any] | None = None
    """The gold flow, a `flow.v1` document: the plan is compared with it as a graph."""
    accepted: dict[str, dict[str, Accepted]] = Field(default_factory=dict)
    """Of the gold flow's arguments, by step and name, those with several right values."""
    durations: dict[str, tuple[int | float, int | float]] = Field(default_factory=dict)
    """How long steps of the gold flow take: least and most seconds, by step."""
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
    catalogue: list[ToolSpec] = Field(default_factory=list)
    """Tools of this case alone; they stand before tools of the same name of the suite."""
    recorded: dict[str, Any] | None = None
    """A `flow.v1` document that a model has once answered with; nobody says that it is right."""
    source: dict[str, Any] = Field(default_factory=dict)
    """Of an imported case: what its format says beyond the other fields."""
    expect: Expectation = Expectation()


class WorldFault(_Model):
    """What goes wrong in a simulated world."""

    tool: str
    """Name of a tool, or a pattern such as `mail.*`."""
    kind: Literal["fail", "fail_after", "give_up", "time_out", "wrong_shape"]
    times: int | None = Field(default=1, ge=1)
    """How many calls of one task go wrong, retries counted; null for every one."""


class SimulatedWorld(_Model):
    """A world in which described tools can be run."""

    seed: int = 0
    """Of all that its tools answer: the same arguments, the same answer."""
    faults: list[WorldFault] = Field(default_factory=list)


class Dataset(_Model):
    """A suite of cases over the same tools."""

    suite: str = Field(pattern=NAME_PATTERN)
    description: str = ""
    tools: list[str] = Field(default_factory=list)
    """Modules with further tools, beside the starter tools."""
    only_tools: bool = False
    """Plan with the tools of `tools` alone, without the starter tools."""
    catalogue: list[ToolSpec] = Field(default_factory=list)
    """Tools that are described here and run in `world` alone. With any, here or at a case, starter
    tools are left out."""
    world: SimulatedWorld | None = None
    """Makes the described tools run: each plan is carried out in a simulated world. Where its case
    has a gold flow, that is carried out too, and what both leave behind is compared."""
    cases: list[Case] = Field(min_length=1)

    def tools_for(self, case: Case) -> list[ToolSpec]:
        """Return what a case may plan with of the described tools, in order."""
        found = {spec.name: spec for spec in self.catalogue}
        return list((found | {spec.name: spec for spec in case.catalogue}).values())


def dataset_json_schema() -> JsonSchema:
    """Return the JSON Schema (2020-12) of a suite file; editors may say `$schema` in it."""
    schema: JsonSchema = Dataset.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "flowbuilder evaluation suite",
    }
