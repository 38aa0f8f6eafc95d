"""Parity: published figures from files of records and files of answers.

Answers stand in lines with the `id` of their record. What is no JSON, or lacks its answer, is an
answer that could not be read; what that costs, each evaluation decides for itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from flowbuilder.errors import InvalidValue
from flowbuilder.evals.importers.records import ImportProblem, Record, read_records, read_value
from flowbuilder.evals.metrics import bfcl, sealtools, taskbench, worfeval
from flowbuilder.types import JsonObject

Lines = dict[str, dict[str, Any]]


def published_figures(
    format: str, gold: Path, answers: Path, *, catalogue: Path | None = None
) -> JsonObject:
    """Return the figures that a published evaluation would give.

    Args:
        format: One of `FORMATS`.
        gold: File of records.
        answers: File of answers: TaskBench `{"id", "result": {"task_nodes", "task_links"}}`,
            Seal-Tools `{"id", "calling"}`, BFCL `{"id", "result": [{function: arguments}]}`,
            WorFBench `{"id", "workflow"}`, a text or nodes and edges.
        catalogue: TaskBench's `tool_desc.json`, by default the one beside the gold.

    Raises:
        InvalidValue: There is no such format (format_unknown), or records, answers or catalogue
            have another shape (parity_invalid).
        NotFound: A file cannot be read (import_not_found).
    """
    compute = FORMATS.get(format)
    if compute is None:
        raise InvalidValue(
            f"there are no published figures for {format[:60]!r}",
            code="format_unknown",
            hint=f"Formats: {', '.join(FORMATS)}.",
        )
    try:
        return compute(gold, _answers(answers), catalogue)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        why = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        told = f"{gold.name} has another shape: {why}"
        raise InvalidValue(told, code="parity_invalid") from None


def _taskbench(gold: Path, answers: Lines, catalogue: Path | None) -> JsonObject:
    described: Any = read_value(catalogue or gold.with_name("tool_desc.json"))
    tools = described["nodes"]
    temporal = not any("input-type" in tool for tool in tools)
    figures = taskbench.taskbench_figures(
        _gold(gold).values(), answers.values(), tools, temporal=temporal
    )
    return dataclasses.asdict(figures)


def _sealtools(gold: Path, answers: Lines, _: Path | None) -> JsonObject:
    pairs = []
    for own, record in _gold(gold).items():
        calls = answers.get(own, {}).get("calling")
        readable = isinstance(calls, list) and all(isinstance(call, dict) for call in calls)
        pairs.append((record["calling"], calls if readable else None))
    return dataclasses.asdict(sealtools.sealtools_figures(pairs))


def _bfcl(gold: Path, answers: Lines, _: Path | None) -> JsonObject:
    path = gold.parent / "possible_answer" / gold.name
    right = _gold(path) if path.is_file() else {}
    verdicts = []
    for own, record in _gold(gold).items():
        calls = answers.get(own, {}).get("result")
        if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
            verdicts.append(bfcl.Verdict(False, "could not be read"))
            continue
        accepted = right.get(own, {}).get("ground_truth", [])
        verdicts.append(bfcl.judge_calls(gold.name, record["function"], calls, accepted))
    return {"accuracy": bfcl.accuracy(verdicts), "counted": len(verdicts)}


def _worfbench(gold: Path, answers: Lines, _: Path | None) -> JsonObject:
    pairs = []
    for own, record in _gold(gold).items():
        wanted = _workflow(record["workflow"])
        if wanted is None:
            raise ValueError(f"the workflow of {own} cannot be read")
        pairs.append((_workflow(answers.get(own, {}).get("workflow")), wanted))
    chain = worfeval.mean_figures(pairs, worfeval.chain_figures)
    graph = worfeval.mean_figures(pairs, worfeval.graph_figures)
    figures = {"f1_chain": chain.f1, "f1_graph": graph.f1}
    return {**figures, "likeness": "words", "counted": len(pairs)}


FORMATS: Mapping[str, Callable[[Path, Lines, Path | None], JsonObject]] = {
    "bfcl": _bfcl,
    "seal-tools": _sealtools,
    "taskbench": _taskbench,
    "worfbench": _worfbench,
}


def _gold(path: Path) -> Lines:
    """Return the records of a file by their ids. Raises: InvalidValue."""
    records, problems = _lines(path)
    if problems:
        raise InvalidValue(f"{problems[0].place}: {problems[0].message}", code="parity_invalid")
    if not records:
        raise InvalidValue(f"{path.name} has no record with an id", code="parity_invalid")
    return records


def _answers(path: Path) -> Lines:
    """Return the answers of a file by their ids. Raises: InvalidValue."""
    answers, problems = _lines(path)
    if problems and not answers:
        raise InvalidValue(f"{path.name} has no answer with an id", code="parity_invalid")
    return answers


def _lines(path: Path) -> tuple[Lines, list[ImportProblem]]:
    """Return the records of a file by their ids, and what is none."""
    problems: list[ImportProblem] = []
    records: list[Record] = read_records(path, problems)
    found: Lines = {}
    for record in records:
        if isinstance(record.value, dict) and "id" in record.value:
            found[str(record.value["id"])] = record.value
        else:
            problems.append(
                ImportProblem(place=record.place, code="record_invalid", message="this has no id")
            )
    return found, problems


def _workflow(given: Any) -> worfeval.Workflow | None:
    if isinstance(given, str):
        return worfeval.read_workflow(given)
    try:
        nodes = tuple(str(node) for node in given["nodes"])
        edges = tuple((int(first), int(second)) for first, second in given["edges"])
    except (KeyError, TypeError, ValueError):
        return None
    return worfeval.Workflow(nodes=nodes, edges=edges)
