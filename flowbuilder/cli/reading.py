"""Commands that read: documents, flows, runs, events, tools."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flowbuilder.cli.budgeting import budget_text
from flowbuilder.cli.failures import FAILED, OK, UsageProblem, show_problems
from flowbuilder.cli.options import Options
from flowbuilder.cli.output import Printer, row_json, table, to_text
from flowbuilder.cli.sources import read_document
from flowbuilder.errors import InvalidValue, NotFound, Severity
from flowbuilder.executor.states import RunStatus
from flowbuilder.types import JsonObject

if TYPE_CHECKING:
    from flowbuilder.client import FlowBuilder, Run
    from flowbuilder.tools import Tool, ToolRegistry

FLOW_COLUMNS = {
    "slug": "flow",
    "version": "version",
    "steps": "steps",
    "description": "description",
    "updated_at": "changed",
}
RUN_COLUMNS = {
    "id": "run",
    "flow": "flow",
    "version": "version",
    "status": "status",
    "created_at": "started",
    "finished_at": "ended",
}
STEP_COLUMNS = {
    "step_id": "step",
    "tool": "tool",
    "status": "status",
    "task_count": "tasks",
    "output": "output",
    "error": "error",
}
TOOL_COLUMNS = {"name": "tool", "effects": "effects", "summary": "summary"}


def validate(options: Options, file: Path) -> int:
    """Check a document without a database; 1 when it has errors."""
    from flowbuilder.client.checking import check_text

    printer = options.printer()
    if not file.is_file():
        raise UsageProblem(f"there is no file {file}")
    registry, settings = options.registry(), options.settings()
    try:
        flow, problems = check_text(read_document(file), str(file), registry, settings)
    except InvalidValue as error:  # no text at all
        flow, problems = None, [error.as_problem()]
    errors = [problem for problem in problems if problem.severity is Severity.ERROR]
    if printer.as_json:
        for problem in problems:
            printer.line({"type": "problem", "file": str(file), **problem.as_json()})
        printer.line(
            {
                "type": "validation",
                "file": str(file),
                "valid": not errors,
                "flow": flow.slug if flow else None,
                "steps": len(flow.steps) if flow else None,
                "problems": len(problems),
            }
        )
    else:
        show_problems(printer, problems)
        printer.say(
            f"{file}: {len(errors)} errors, {len(problems) - len(errors)} warnings"
            if problems
            else f"{file}: valid, {len(flow.steps) if flow else 0} steps"
        )
    return FAILED if errors else OK


async def flows(options: Options) -> int:
    """List the stored flows."""
    printer = options.printer()
    async with options.connect() as builder:
        found = await builder.list_flows()
    records: list[JsonObject] = [
        {**flow.as_json(), "steps": len(flow.draft.steps)} for flow in found
    ]
    printer.rows(records, FLOW_COLUMNS, "There are no flows yet.")
    return OK


async def runs(options: Options, flow: str | None, status: str | None, limit: int) -> int:
    """List runs, newest first."""
    printer = options.printer()
    if status is not None and status not in set(RunStatus):
        raise UsageProblem(f"{status!r} is no state of a run", hint=", ".join(RunStatus))
    async with options.connect() as builder:
        found = await builder.runs(flow=flow, status=status, limit=limit)
    printer.rows([row_json(run.row) for run in found], RUN_COLUMNS, "There are no runs yet.")
    return OK


async def show(options: Options, run_id: str) -> int:
    """Show one run; in JSON mode one line `{run, steps, approvals, budget, trigger}`."""
    printer = options.printer()
    async with options.connect() as builder:
        run = await builder.get_run(run_id)
        steps = [row_json(step) for step in await run.steps()]
        asked = [row_json(row) for row in await run.approvals()]
        use, trigger = await run.budget(), await run.trigger()
    record = row_json(run.row)
    if printer.as_json:
        budget = None if use is None else use.as_json()
        shown: JsonObject = {"run": record, "steps": list(steps), "approvals": list(asked)}
        started = None if trigger is None else trigger.as_json()
        printer.line({**shown, "budget": budget, "trigger": started})
        return OK
    for key in (
        "id",
        "flow",
        "version",
        "status",
        "retry_of",
        "created_at",
        "finished_at",
        "deadline_at",
    ):
        if record[key] is not None:
            printer.say(f"{key:12} {record[key]}")
    if trigger is not None:
        printer.say(
            f"{'started by':12} {trigger.kind} {trigger.name} {trigger.detail or ''}".rstrip()
        )
    if use is not None:
        printer.say(f"{'budget':12} {budget_text(use)}")
    printer.say(f"{'input':12} {to_text(record['input'])}")
    printer.out.print(table(steps, STEP_COLUMNS))
    if record["error"] is not None:
        printer.say(f"error: {to_text(record['error'])}", "red")
    elif run.row.status is RunStatus.COMPLETED:
        printer.say("result:")
        printer.value(record["output"])
    return OK


async def events(options: Options, run_id: str, *, follow: bool, after: int) -> int:
    """Print the events of a run or plan; with `follow` up to the terminal one."""
    from flowbuilder.cli.running import watch_here

    printer = options.printer()
    async with options.connect() as builder:
        run = await _find_run(builder, run_id)
        if follow and run is not None:
            return await watch_here(builder, printer, run, after=after)
        while page := await builder.events(run_id, after=after):
            for event in page:
                _print_event(printer, event.as_json())
                after = event.seq
    return OK


async def _find_run(builder: FlowBuilder, id: str) -> Run | None:
    """Return the run of an id, None for a plan's id. Raises: NotFound (run_not_found)."""
    try:
        return await builder.get_run(id)
    except NotFound:
        try:
            await builder.get_plan(id)
        except NotFound:
            raise NotFound(f"there is no run {id}", code="run_not_found") from None
    return None


def tools(options: Options, words: str | None) -> int:
    """List tools, or show the one whose whole name is given."""
    printer, registry = options.printer(), options.registry()
    one = registry.get(words) if words else None
    if one is not None:
        _show_tool(printer, one)
        return OK
    found = _matching(registry, words)
    printer.rows(
        [item.describe() for item in found],
        TOOL_COLUMNS,
        f"No tool fits {words!r}." if words else "There are no tools.",
    )
    return OK


def _matching(registry: ToolRegistry, words: str | None) -> list[Tool]:
    return list(registry) if words is None else registry.search(words, 20)


def _show_tool(printer: Printer, tool: Tool) -> None:
    if printer.as_json:
        printer.line(tool.describe())
        return
    printer.say(tool.ref, "bold")
    printer.say(tool.summary)
    printer.say(f"effects: {tool.effects.value}")
    printer.say(f"arguments: {to_text(tool.input_schema)}")
    printer.say(f"result: {to_text(tool.output_schema)}")


def _print_event(printer: Printer, event: JsonObject) -> None:
    if printer.as_json:
        printer.line(event)
    else:
        step = f" {event['step_name']}" if event["step_name"] else ""
        printer.say(f"{event['seq']:>5}  {event['at']}  {event['type']}{step}")
