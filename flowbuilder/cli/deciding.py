"""Approvals, and the verbs on runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flowbuilder.cli.failures import OK, UsageProblem
from flowbuilder.cli.options import Options
from flowbuilder.cli.output import row_json
from flowbuilder.cli.questions import show_approval
from flowbuilder.cli.sources import read_input
from flowbuilder.cli.watching import has_worker
from flowbuilder.executor.states import StepStatus
from flowbuilder.types import JsonValue


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """A decision as it was typed."""

    approval_id: str
    approve: bool
    by: str | None = None
    comment: str | None = None
    edits: str | None = None
    value: str | None = None
    edit: bool = False
    """Change the arguments in an editor first."""


async def decide(options: Options, decision: Decision) -> int:
    """Give a decision and show what it was about."""
    from flowbuilder.cli.approvals import edited
    from flowbuilder.client.approvals import local_user
    from flowbuilder.executor.approval_records import Voter

    printer = options.printer()
    if decision.edit and decision.edits is not None:
        raise UsageProblem("give --edit or --edits")
    by = Voter(name=decision.by or local_user(), channel="cli")
    edits = read_input(decision.edits)
    _check_edits(decision.edits, edits)
    value = read_input(decision.value)
    async with options.connect() as builder:
        asked = await builder.get_approval(decision.approval_id)
        if not printer.as_json:
            show_approval(printer, asked)
        if decision.edit:
            text = edited(asked)
            edits = read_input(text, name="--edit")
            _check_edits(text, edits)
        if decision.approve:
            row = await builder.approve(
                decision.approval_id,
                by=by,
                comment=decision.comment,
                edits=edits if isinstance(edits, dict) else None,
                value=value,
            )
        else:
            row = await builder.reject(decision.approval_id, by=by, comment=decision.comment)
        working = await has_worker(builder)
    if printer.as_json:
        printer.line(row_json(row))
    printer.say(f"{row.status.value} by {row.decided_by}")
    if not working:
        printer.say(
            f"no worker is running; go on with: flowbuilder events {row.run_id} --follow", "dim"
        )
    return OK


def _check_edits(text: str | None, edits: JsonValue) -> None:
    if text is not None and not isinstance(edits, dict):
        raise UsageProblem("the edits are the whole arguments object")


async def change_run(
    options: Options,
    run_id: str,
    verb: Literal["cancel", "pause", "resume"],
    reason: str | None = None,
) -> int:
    """Cancel, pause or resume a run."""
    from flowbuilder.client.approvals import local_user

    printer, user = options.printer(), local_user()
    async with options.connect() as builder:
        run = await builder.get_run(run_id)
        if verb == "cancel":
            row = await run.cancel(by=user, reason=reason)
        elif verb == "pause":
            row = await run.pause(by=user)
        else:
            row = await run.resume(by=user)
    if printer.as_json:
        printer.line(row_json(row))
    printer.say(f"run {row.id} is {row.status.value}")
    return OK


async def why(options: Options, run_id: str) -> int:
    """Say why a run does not move; in JSON mode one line."""
    printer = options.printer()
    async with options.connect() as builder:
        found = await builder.why(run_id)
    if printer.as_json:
        printer.line(found.as_json())
        return OK
    printer.say(f"run {found.run_id} of {found.flow} is {found.status.value}")
    for place, reason in enumerate(found.reasons):
        printer.say(f"  {reason.message} ({reason.code.value})", "bold" if place == 0 else None)
        inner = reason.details.get("reasons")
        for item in inner[1:] if isinstance(inner, list) else ():
            if isinstance(item, dict):
                printer.say(f"    {item['message']} ({item['code']})", "dim")
    return OK


async def retry(
    options: Options, run_id: str, step: str | None, *, key: str | None, dry_run: bool
) -> int:
    """Retry a run, or only say what that would do; in JSON mode one line."""
    from flowbuilder.client.approvals import local_user

    printer = options.printer()
    async with options.connect() as builder:
        run = await builder.get_run(run_id)
        if dry_run:
            said, row = await run.what_retry_does(step), None
        else:
            new = await run.retry(step, by=local_user(), idempotency_key=key)
            said, row = new.retrying, new.row
        working = await has_worker(builder)
    if printer.as_json:
        printer.line({**(row_json(row) if row else {}), **said.as_json()})
        return OK
    printer.say(f"taken over: {', '.join(said.reused) or 'nothing'}")
    printer.say(f"runs again: {', '.join(said.again) or 'nothing'}")
    for repeat in said.repeats:
        effects = repeat.effects.value if repeat.effects else "unknown effects"
        printer.say(
            f"may happen twice: step {repeat.step} ({repeat.tool}, {effects}) had "
            f"{'completed' if repeat.status is StepStatus.COMPLETED else 'begun'}",
            "yellow",
        )
    if row is not None:
        printer.say(f"run {row.id} is {row.status.value}")
        if not working:
            printer.say(
                f"no worker is running; go on with: flowbuilder events {row.id} --follow", "dim"
            )
    return OK
