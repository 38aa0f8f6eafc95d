"""Suite files: found by name or path, read, and checked with every problem at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from flowbuilder.errors import DefinitionError, InvalidValue, NotFound, Problem
from flowbuilder.evals.dataset import Case, Dataset
from flowbuilder.flow import Flow
from flowbuilder.strictjson import escape, load_document
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonValue

SUFFIXES = frozenset({".yaml", ".yml", ".json"})
#: What only a plan can fulfil.
_OF_PLANS = (
    "tools", "alternatives", "edges", "literals", "approvals", "result", "files", "flow",
)  # fmt: skip


def find_suites() -> list[Dataset]:
    """Return the suites that come with flowbuilder, by name."""
    folder = files("flowbuilder.evals").joinpath("suites")
    found = [
        parse_suite(entry.read_bytes(), entry.name, folder)
        for entry in folder.iterdir()
        if entry.name.endswith(".yaml")
    ]
    return sorted(found, key=lambda dataset: dataset.suite)


def load_suite(name: str) -> Dataset:
    """Load a suite by its name, or from a YAML or JSON file.

    Raises:
        NotFound: There is neither such a suite nor such a file (suite_not_found).
        InvalidValue: The file is no YAML or JSON.
        DefinitionError: The file is no suite; every problem with its pointer (suite_invalid).
    """
    path = Path(name)
    if path.suffix.lower() in SUFFIXES or "/" in name:
        try:
            text = path.read_bytes()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise NotFound(f"{name} cannot be read: {reason}", code="suite_not_found") from None
        return parse_suite(text, name, path.parent)
    known = find_suites()
    for dataset in known:
        if dataset.suite == name:
            return dataset
    names = ", ".join(dataset.suite for dataset in known)
    raise NotFound(
        f"there is no suite {name!r}",
        code="suite_not_found",
        hint=f"Known suites: {names}; a suite of your own is named by its .yaml or .json file.",
    )


def parse_suite(text: bytes | str, name: str, folder: Traversable) -> Dataset:
    """Read a suite; files that it names are looked for in `folder` and taken in.

    Raises:
        InvalidValue: The text is no YAML or JSON.
        DefinitionError: It is no suite, with every problem.
    """
    document = _document(text, name)
    if not isinstance(document, dict):
        raise _broken(name, [Problem(code="suite_invalid", pointer="", message="is no object")])
    try:
        dataset = Dataset.model_validate(document)
    except ValidationError as error:
        raise _broken(name, [problem_of(dict(item)) for item in error.errors()]) from None
    problems = list(_contradictions(dataset))
    cases = [
        _with_files(case, f"/cases/{index}", folder, problems)
        for index, case in enumerate(dataset.cases)
    ]
    if problems:
        raise _broken(name, problems)
    return dataset.model_copy(update={"cases": cases})


def require_tools(dataset: Dataset, registry: ToolRegistry) -> None:
    """Refuse a suite that expects tools which do not exist: no planner could be right.

    Raises:
        DefinitionError: With a problem for each (unknown_tool).
    """
    problems = []
    for index, case in enumerate(dataset.cases):
        for where, names in _tools_named(case):
            problems += [
                Problem(
                    code="unknown_tool",
                    pointer=f"/cases/{index}/expect/{where}/{position}",
                    message=f"there is no tool {tool!r}",
                )
                for position, tool in enumerate(names)
                if registry.get(tool) is None
            ]
    if problems:
        raise _broken(dataset.suite, problems)


def _tools_named(case: Case) -> Iterator[tuple[str, list[str] | tuple[str, str]]]:
    yield "tools", case.expect.tools or []
    for index, sequence in enumerate(case.expect.alternatives):
        yield f"alternatives/{index}", sequence
    for index, edge in enumerate(case.expect.edges or []):
        yield f"edges/{index}", edge


def _broken(name: str, problems: list[Problem]) -> DefinitionError:
    return DefinitionError(
        f"{name} is no suite: {len(problems)} problem{'s' if len(problems) > 1 else ''}",
        problems=problems,
        code="suite_invalid",
    )


def problem_of(item: Mapping[str, Any]) -> Problem:
    """Return pydantic's finding as a problem of the document."""
    parts = [escape(str(part)) for part in item["loc"] if part != "[key]"]
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        message = "there is no such key"
    elif item["type"] == "missing":
        message = "is missing"
    elif item["type"] == "model_type":  # its message names the class
        message = "is no object"
    return Problem(
        code="suite_invalid", pointer="".join(f"/{part}" for part in parts), message=message
    )


def _useless(dataset: Dataset) -> Iterator[Problem]:
    """Yield what a suite says to no purpose."""
    if dataset.only_tools and not dataset.tools:
        yield Problem(
            code="suite_invalid", pointer="/only_tools", message="but `tools` names no module"
        )
    described = bool(dataset.catalogue) or any(case.catalogue for case in dataset.cases)
    if dataset.world is not None and not described:
        yield Problem(code="suite_invalid", pointer="/world", message="but no tool is described")


def _contradictions(dataset: Dataset) -> Iterator[Problem]:
    yield from _useless(dataset)
    seen: dict[str, int] = {}
    for index, case in enumerate(dataset.cases):
        first = seen.setdefault(case.name, index)
        if first != index:
            yield Problem(
                code="case_exists",
                pointer=f"/cases/{index}/name",
                message=f"case {first + 1} is called {case.name!r} already",
            )
        for path in case.files.keys() & case.copies.keys():
            yield Problem(
                code="file_exists",
                pointer=f"/cases/{index}/copies/{escape(path)}",
                message="stands among `files` already",
            )
        if case.expect.flow is not None:
            yield from _shape_problems(case.expect.flow, f"/cases/{index}/expect/flow")
        if case.recorded is not None:
            yield from _shape_problems(case.recorded, f"/cases/{index}/recorded")
        if case.expect.outcome != "plan":
            for field in _OF_PLANS:
                if field in case.expect.model_fields_set:
                    yield Problem(
                        code="expectation_unused",
                        pointer=f"/cases/{index}/expect/{field}",
                        message=f"a {case.expect.outcome} leaves no plan to judge by this",
                    )


def _shape_problems(document: dict[str, Any], pointer: str) -> Iterator[Problem]:
    try:
        Flow.model_validate(document)
    except ValidationError as error:
        for found in (problem_of(dict(item)) for item in error.errors()):
            yield Problem(code=found.code, pointer=pointer + found.pointer, message=found.message)


def _with_files(case: Case, pointer: str, folder: Traversable, problems: list[Problem]) -> Case:
    """Return a case that holds what it names: the texts of its copies, its flows' documents."""
    texts = dict(case.files)
    for path, source in case.copies.items():
        try:
            texts[path] = folder.joinpath(source).read_bytes().decode()
        except (OSError, ValueError) as error:
            problems.append(_unreadable(f"{pointer}/copies/{escape(path)}", source, error))
    flows = []
    for index, given in enumerate(case.flows):
        at = f"{pointer}/flows/{index}"
        try:
            flows.append(_flow_document(given, folder))
        except (OSError, UnicodeError) as error:
            problems.append(_unreadable(at, str(given), error))
        except InvalidValue as error:
            problems.append(Problem(code=error.code, pointer=at, message=error.message))
        except ValidationError as error:
            problems += [
                Problem(code=found.code, pointer=at + found.pointer, message=found.message)
                for found in (problem_of(dict(item)) for item in error.errors())
            ]
    return case.model_copy(update={"files": texts, "copies": {}, "flows": flows})


def _document(text: bytes | str, name: str) -> JsonValue:
    """Return what a file says. Raises: InvalidValue, with the file's name in front."""
    try:
        return load_document(text, name=name)
    except InvalidValue as error:
        told = error.message
        if not told.startswith(name):  # what is no YAML names its file itself
            told = f"{name}: {told}"
        raise InvalidValue(told, pointer=error.pointer, code=error.code, hint=error.hint) from None


def _flow_document(given: Any, folder: Traversable) -> dict[str, Any]:
    document = given
    if isinstance(given, str):
        document = _document(folder.joinpath(given).read_bytes(), given)
    if not isinstance(document, dict):
        raise InvalidValue("is neither a flow document nor the path of one", code="flow_invalid")
    return Flow.model_validate(document).document()


def _unreadable(pointer: str, source: str, error: Exception) -> Problem:
    reason = getattr(error, "strerror", None) or (
        "is no text in UTF-8" if isinstance(error, UnicodeError) else str(error)
    )
    return Problem(code="file_missing", pointer=pointer, message=f"{source}: {reason}")
