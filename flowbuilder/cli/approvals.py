"""What people are asked for: the list, one approval whole, and arguments changed in an editor."""

from __future__ import annotations

import json
from typing import cast

from rich.markup import escape

from flowbuilder.approving import changes, destinations, shown, visible
from flowbuilder.cli.failures import OK, UsageProblem
from flowbuilder.cli.options import Options
from flowbuilder.cli.output import Printer, row_json
from flowbuilder.executor.approval_records import ActRow, ApprovalRow
from flowbuilder.types import JsonObject

COLUMNS = {
    "id": "approval",
    "flow": "flow",
    "step_id": "step",
    "tool": "tool",
    "risk": "risk",
    "status": "status",
    "asked_of": "asked of",
    "args": "arguments",
}


async def listed(
    options: Options, run: str | None, *, every: bool, mine: bool, by: str | None, limit: int
) -> int:
    """List approvals: those to be decided, those that one may decide, or all."""
    if mine and every:
        raise UsageProblem("--mine is about what is to be decided; leave --all out")
    if by is not None and not mine:
        raise UsageProblem("--by goes with --mine: whose approvals are listed")
    printer = options.printer()
    async with options.connect() as builder:
        if run is not None:
            await builder.get_run(run)
        if mine:
            found = await builder.approvals_of(by, run_id=run, limit=limit)
        else:
            status = None if every else "pending"
            found = await builder.approvals(status=status, run_id=run, limit=limit)
    records = [row_json(row) for row in found]
    if not printer.as_json:
        for record, row in zip(records, found, strict=True):
            record["asked_of"] = ", ".join(row.by) or "anyone"
    printer.rows(records, COLUMNS, "Nobody is asked for anything.")
    return OK


async def show(options: Options, approval_id: str) -> int:
    """Show an approval with exactly what it is about, and what was said of it."""
    printer = options.printer()
    async with options.connect() as builder:
        row = await builder.get_approval(approval_id)
        history = await builder.approval_history(approval_id)
    if printer.as_json:
        lines = [row_json(line) for line in shown(row.args)]
        told = {"shown": lines, "destinations": destinations(row.args)}
        acts = [row_json(act) for act in history]
        printer.line({**row_json(row), **cast(JsonObject, told), "history": list(acts)})
        return OK
    _facts(printer, row)
    _arguments(printer, row)
    _history(printer, history)
    return OK


def edited(row: ApprovalRow) -> str | None:
    """Let the person change the arguments in their editor.

    Returns the changed ones as JSON text, None where nothing was changed.

    Raises:
        UsageProblem: There is nothing to edit, or no editor.
    """
    import click

    if row.kind != "gate":
        raise UsageProblem("there are no arguments to edit: this is a question")
    # ASCII: what would not be seen stands as an escape
    before = json.dumps(row.args, indent=2, ensure_ascii=True) + "\n"
    try:
        after = click.edit(before, extension=".json", require_save=False)
    except click.ClickException as error:
        raise UsageProblem(f"--edit: {error.format_message()}") from None
    return None if after is None or after.strip() == before.strip() else after


def _facts(printer: Printer, row: ApprovalRow) -> None:
    outside = [str(item.get("step")) for item in row.taint]
    facts = {
        "approval": row.id,
        "status": row.status.value,
        "flow": row.flow,
        "step": row.step_id,
        "tool": row.tool,
        "message": row.message,
        "risk": row.risk,
        "why": " ".join(str(item.get("text")) for item in row.reasons),
        "from outside": ", ".join(outside),
        "started by": row.requested_by,
        "asked of": ", ".join(row.by) or "anyone",
        "agreed": f"{len(row.votes)} of {row.quorum}",
        "not by": ", ".join(row.excluded),
        "not to be edited": ", ".join(row.locked),
        "deadline": f"{row.deadline_at.isoformat(timespec='seconds')}, then {row.on_deadline}",
        "decided by": row.decided_by,
        "comment": row.comment,
        "hash": row.args_hash,
    }
    for name, fact in facts.items():
        if fact:
            printer.out.print(f"[dim]{name:17}[/]{escape(visible(fact))}", soft_wrap=True)


def _arguments(printer: Printer, row: ApprovalRow) -> None:
    printer.out.print("\n[bold]exactly this[/]")
    for line in shown(row.args):
        value = line.text if line.type not in ("object", "array") else f"({line.type})"
        printer.out.print(
            f"  [cyan]{escape(line.pointer or '/')}[/] {escape(value)} [dim]({line.length})[/]",
            soft_wrap=True,
        )
        for mark in line.marks:
            printer.out.print(f"    [bold red]{escape(mark)}[/]", soft_wrap=True)
    for address in destinations(row.args):
        printer.out.print(f"  [dim]address[/] {escape(address)}", soft_wrap=True)
    for change in changes(row.args, row.value) if row.kind == "gate" and row.value else ():
        said = f"{change.kind}: {json.dumps(change.before)} -> {json.dumps(change.after)}"
        printer.out.print(
            f"  [yellow]{escape(visible(change.pointer))} {escape(said)}[/]", soft_wrap=True
        )


def _history(printer: Printer, history: list[ActRow]) -> None:
    for act in history:
        said = f": {act.comment}" if act.comment else ""
        text = f"{act.at.isoformat(timespec='seconds')} {act.act} by {act.by or 'the system'}{said}"
        printer.out.print(f"[dim]{escape(visible(text))}[/]", soft_wrap=True)
