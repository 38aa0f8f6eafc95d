"""Importers: public benchmark data as suites, and back.

`import_cases` reads a file or a folder of one of `FORMATS`. Goals become `Case`s with described
tools and a gold flow; what cannot be imported, and what is wrong with the gold of what can, is
told with its place. `export_case` gives the record back.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from flowbuilder.errors import InvalidValue
from flowbuilder.evals.dataset import Case
from flowbuilder.evals.evaluators import same_json
from flowbuilder.evals.importers import asynchow, bfcl, nestful, recorded, sealtools, taskbench
from flowbuilder.evals.importers.contract import Desk, Format, Imported, own_tools
from flowbuilder.evals.importers.defects import gold_defects
from flowbuilder.evals.importers.records import ImportProblem
from flowbuilder.types import JsonObject

__all__ = [
    "FORMATS",
    "ImportProblem",
    "Imported",
    "export_case",
    "import_cases",
    "round_trip",
]

#: The modules of the formats, by name.
FORMATS: Mapping[str, Format] = {
    module.NAME: cast(Format, module)
    for module in (asynchow, bfcl, nestful, recorded, sealtools, taskbench)
}


def import_cases(path: str | Path, *, format: str, catalogue: str | Path | None = None) -> Imported:
    """Read benchmark data; a broken record never stops the others.

    Args:
        path: A file of records, or a folder with files of them.
        format: One of `FORMATS`.
        catalogue: Where the tools are described, when that is not the usual place beside the
            records.

    Raises:
        InvalidValue: There is no such format (format_unknown).
        NotFound: There are no records there, or no catalogue (import_not_found).
    """
    module = _format(format)
    desk = Desk()
    module.read(Path(path), None if catalogue is None else Path(catalogue), desk)
    imported = Imported(
        format=format,
        cases=tuple(desk.cases),
        catalogue=tuple(desk.catalogue.values()),
        problems=tuple(desk.problems),
        records=desk.records,
    )
    shared = {spec.name: spec for spec in imported.catalogue}
    defects = [
        ImportProblem(
            place=str(case.source.get("place", "")) + problem.pointer,
            code=problem.code,
            message=problem.message,
            case=case.name,
        )
        for case in imported.cases
        for problem in gold_defects(case, ChainMap(own_tools(case), shared))
    ]
    return Imported(
        format=format,
        cases=imported.cases,
        catalogue=imported.catalogue,
        problems=(*imported.problems, *defects),
        records=imported.records,
    )


def export_case(case: Case, imported: Imported) -> JsonObject:
    """Return an imported case as a record of its format. Raises: InvalidValue."""
    shared = {spec.name: spec for spec in imported.catalogue}
    return _format(imported.format).export(case, ChainMap(own_tools(case), shared))


def round_trip(imported: Imported) -> list[ImportProblem]:
    """Return a problem for each case whose export means something else than its record."""
    module = _format(imported.format)
    shared = {spec.name: spec for spec in imported.catalogue}
    changed = []
    for case in imported.cases:
        record = imported.records[case.name]
        exported = module.export(case, ChainMap(own_tools(case), shared))
        if not same_json(module.meaning(exported), module.meaning(record)):
            place = str(case.source.get("place", ""))
            changed.append(
                ImportProblem(
                    place=place,
                    code="export_differs",
                    message="the exported record means something else",
                    case=case.name,
                )
            )
    return changed


def _format(name: str) -> Format:
    module = FORMATS.get(name)
    if module is None:
        raise InvalidValue(
            f"there is no format {name[:60]!r}",
            code="format_unknown",
            hint=f"Formats: {', '.join(FORMATS)}.",
        )
    return module
