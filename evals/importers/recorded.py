"""Recorded plans: what models have really answered, over the catalogues of TaskBench.

Files `<domain>-<model>.jsonl` hold the shape of TaskBench without its care: tools that do not
exist, references to nowhere, links that contradict them. The plan is taken as it is into `recorded`
of a case, and nothing is expected of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from flowbuilder.evals.catalogue import ToolSpec
from flowbuilder.evals.dataset import Case
from flowbuilder.evals.importers import taskbench
from flowbuilder.evals.importers.contract import Desk, flow_document, shaped
from flowbuilder.evals.importers.records import Record, data_files, read_records
from flowbuilder.types import JsonObject, JsonValue

NAME = "recorded-plans"


def read(path: Path, catalogue: Path | None, desk: Desk) -> None:
    """Put the plans of a file or folder on the desk.

    The catalogue is the folder of TaskBench, by default the one called `taskbench` beside that of
    the plans; each domain's tools are in a folder of its name. It may also be the folder, or the
    file, of one domain's tools.
    """
    for file in data_files(path, r".*\.jsonl"):
        domain, _, model = file.stem.partition("-")
        folder = catalogue or file.parent.parent / taskbench.NAME
        known = taskbench.known_tools(_tools_of(folder, domain), desk)
        desk.add_all(
            read_records(file, desk.problems),
            partial(_case, known=known, desk=desk, tags=(domain, model)),
        )


def _tools_of(catalogue: Path, domain: str) -> Path:
    """Return the file of a domain's tools."""
    if catalogue.is_file():
        return catalogue
    own = catalogue / taskbench.TOOLS
    return own if own.is_file() else catalogue / domain / taskbench.TOOLS


def export(case: Case, tools: Mapping[str, ToolSpec]) -> JsonObject:
    """Return the record that says what the case says."""
    return taskbench.plan_record(case, case.recorded or {}, tools)


def meaning(record: JsonObject) -> JsonValue:
    """Return the record as one of TaskBench means it."""
    return taskbench.meaning(record)


def _case(record: Record, known: Mapping[str, ToolSpec], desk: Desk, tags: tuple[str, str]) -> Case:
    request = shaped(taskbench.Request, record.value)
    steps, left = taskbench.plan_steps(request, known, desk, ordered=True)
    name = desk.case_name(f"{tags[0]}-{tags[1]}-{request.id}")
    source = {"format": NAME, "id": request.id, "place": record.place, **left}
    if request.rest():
        source["rest"] = request.rest()
    return Case(
        name=name,
        goal=request.user_request,
        tags=[NAME, *(tag for tag in tags if tag)],
        recorded=flow_document(name, steps),
        catalogue=desk.own_tools(known.values()),
        source=source,
    )
