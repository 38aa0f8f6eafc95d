"""What every importer has: its formats' ways in and out, and the desk on which cases are made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from flowbuilder.errors import DefinitionError, FlowBuilderError
from flowbuilder.evals.catalogue import ToolSpec, described_tools
from flowbuilder.evals.dataset import Case, Dataset
from flowbuilder.evals.importers.naming import ToolNames, case_name
from flowbuilder.evals.importers.records import BadRecord, ImportProblem, Record
from flowbuilder.strictjson import escape
from flowbuilder.types import JsonObject, JsonValue

M = TypeVar("M", bound="Shape")


class Shape(BaseModel):
    """A part of a record of another format: what is known is checked, the rest is kept."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    def rest(self) -> JsonObject:
        """Return the members that the format does not speak of."""
        return dict(self.model_extra or {})


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """What an import has made of a file or a folder."""

    format: str
    cases: tuple[Case, ...]
    catalogue: tuple[ToolSpec, ...]
    """Tools of all cases; a case's own stand before them."""
    problems: tuple[ImportProblem, ...]
    records: Mapping[str, JsonObject] = field(repr=False)
    """The record that each case was made of, by the case's name."""

    def dataset(self, suite: str, description: str = "") -> Dataset:
        """Return the cases as a suite.

        Raises:
            DefinitionError: There is not a single case (import_empty).
        """
        if not self.cases:
            raise DefinitionError("no record could be imported", code="import_empty")
        return Dataset(
            suite=suite,
            description=description,
            catalogue=list(self.catalogue),
            cases=list(self.cases),
        )

    def tools_for(self, case: Case) -> list[ToolSpec]:
        """Return the described tools that a case may plan with."""
        return list(({spec.name: spec for spec in self.catalogue} | own_tools(case)).values())


def own_tools(case: Case) -> dict[str, ToolSpec]:
    """Return the described tools that only this case has, by name."""
    return {spec.name: spec for spec in case.catalogue}


class Format(Protocol):
    """One format of benchmark data: a module of this package."""

    NAME: str

    def read(self, path: Path, catalogue: Path | None, desk: Desk) -> None:
        """Put the cases of a file or folder on the desk. Raises: NotFound."""

    def export(self, case: Case, tools: Mapping[str, ToolSpec]) -> JsonObject:
        """Return the record that says what the case says."""

    def meaning(self, record: JsonObject) -> JsonValue:
        """Return a record with what means nothing (the order of edges, say) brought into order."""


class Desk:
    """Collects cases, tools and problems; whatever goes wrong with one record stays with it."""

    def __init__(self) -> None:
        self.problems: list[ImportProblem] = []
        self.names = ToolNames()
        self.catalogue: dict[str, ToolSpec] = {}
        self.cases: list[Case] = []
        self.records: dict[str, JsonObject] = {}
        self._case_names: set[str] = set()

    def take_tools(self, place: str, specs: Iterable[ToolSpec]) -> dict[str, ToolSpec]:
        """Take described tools in; the first of a name stays. Returns all those given, by name."""
        given: dict[str, ToolSpec] = {}
        for spec in specs:
            try:
                described_tools([spec])
            except FlowBuilderError as error:
                self.tell(f"{place}#{spec.called}", "catalogue_invalid", error.message)
                continue
            given.setdefault(spec.name, spec)
            self.catalogue.setdefault(spec.name, spec)
        return given

    def own_tools(self, specs: Iterable[ToolSpec]) -> list[ToolSpec]:
        """Return those that differ from the shared tool of their name: a case needs them itself."""
        return [spec for spec in specs if self.catalogue.get(spec.name) != spec]

    def add_all(self, records: Iterable[Record], make: Callable[[Record], Case]) -> None:
        """Make a case of every record, or a problem."""
        for record in records:
            try:
                case = make(record)
            except (BadRecord, FlowBuilderError, ValidationError) as error:
                self.problems += list(_refusals(record.place, error))
            except (LookupError, TypeError, ValueError, RecursionError) as error:
                message = f"{type(error).__name__}: {error}"
                self.tell(record.place, "record_invalid", message)
            else:
                self.cases.append(case)
                if isinstance(record.value, dict):
                    self.records[case.name] = record.value

    def case_name(self, wanted: str) -> str:
        """Return a name that no case of this import has."""
        return case_name(wanted, self._case_names)

    def tell(self, place: str, code: str, message: str, case: str | None = None) -> None:
        """Add a problem."""
        self.problems.append(ImportProblem(place=place, code=code, message=message, case=case))


def shaped(model: type[M], value: JsonValue, pointer: str = "") -> M:
    """Return a part of a record in its shape.

    Raises:
        BadRecord: It has another one; the first difference with its pointer.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"/{escape(str(part))}" for part in first["loc"])
        shapeless = first["type"] == "model_type"  # its message names the class
        told = "this is no object" if shapeless else str(first["msg"])
        raise BadRecord(told, pointer + where) from None


def flow_document(
    slug: str, steps: Sequence[Mapping[str, Any]], output: JsonValue = None
) -> JsonObject:
    """Return a `flow.v1` document of steps, without what is empty."""
    listed: list[JsonValue] = [
        {key: part for key, part in step.items() if part not in ([], {})} for step in steps
    ]
    document: JsonObject = {"format": "flow.v1", "flow": slug, "steps": listed}
    return document if output is None else {**document, "output": output}


def _refusals(place: str, error: Exception) -> Iterable[ImportProblem]:
    if isinstance(error, ValidationError):
        for item in error.errors():
            where = "".join(f"/{escape(str(part))}" for part in item["loc"])
            yield ImportProblem(
                place=place, code="record_invalid", message=f"no case: {where}: {item['msg']}"
            )
        return
    pointer = getattr(error, "pointer", "")
    message = getattr(error, "message", str(error))
    yield ImportProblem(place=place + pointer, code="record_invalid", message=message)
