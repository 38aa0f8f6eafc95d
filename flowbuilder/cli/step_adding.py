"""`flowbuilder add-step`: one step more in a flow's draft, or in a run that is under way."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowbuilder.cli.failures import OK, UsageProblem, perform
from flowbuilder.cli.options import Options
from flowbuilder.errors import Conflict, FlowBuilderError

if TYPE_CHECKING:
    from flowbuilder.client import FlowBuilder

#: What has an argument or option of its own.
_OWN = frozenset({"step_id", "tool"})


def add_step(
    context: typer.Context,
    target: Annotated[
        str, typer.Argument(metavar="FLOW|RUN", help="A flow's name, or the id of an open run.")
    ],
    step: Annotated[str, typer.Argument(metavar="STEP", help="Id of the new step.")],
    tool: Annotated[str, typer.Option("--tool", metavar="TOOL", help="Its tool.")],
    args: Annotated[
        str | None, typer.Option("--args", help="Its arguments: JSON, @file or @-.")
    ] = None,
    depends_on: Annotated[
        list[str] | None,
        typer.Option("--depends-on", metavar="STEP", help="A step to wait for; repeatable."),
    ] = None,
    when: Annotated[str | None, typer.Option("--when", help="Its condition.")] = None,
    for_each: Annotated[
        str | None, typer.Option("--for-each", help="A reference to a list, or a JSON list.")
    ] = None,
    policies: Annotated[
        str | None,
        typer.Option(
            "--with", help="Further keys of the step, such as retry or approval: JSON, @file or @-."
        ),
    ] = None,
    create: Annotated[
        bool, typer.Option("--create", help="Make the flow's draft when there is none.")
    ] = False,
) -> None:
    """Add a step to the draft of a flow, or to a run that is under way."""
    given = {
        "args": args,
        "depends_on": depends_on,
        "when": when,
        "for_each": for_each,
        "policies": policies,
    }
    perform(context.obj.printer(), _add(context.obj, target, step, tool, given, create=create))


async def _add(
    options: Options, target: str, step: str, tool: str, given: dict[str, Any], *, create: bool
) -> int:
    from flowbuilder.cli.sources import is_id

    said = _said(given)
    if is_id(target):
        if create:
            raise UsageProblem("--create makes drafts of flows, not runs")
        return await _to_run(options, target.lower(), step, tool, said)
    async with options.connect() as builder:
        made = create and await _created(builder, target)
        try:
            handle = await builder.add_step(target, step, tool=tool, **said)
        except FlowBuilderError:
            if made:  # nothing is left of what was refused
                await builder.delete_flow(target)
            raise
    printer = options.printer()
    if printer.as_json:
        printer.line({"type": "step_added", "step": step, "flow": handle.as_json()})
    steps = handle.row.draft.get("steps")
    count = len(steps) if isinstance(steps, list) else 0
    printer.say(f"the draft of {handle.slug} has {count} step{'' if count == 1 else 's'} now")
    return OK


async def _to_run(options: Options, run_id: str, step: str, tool: str, said: dict[str, Any]) -> int:
    from flowbuilder.cli.output import row_json
    from flowbuilder.client.approvals import local_user

    async with options.connect() as builder:
        run = await builder.get_run(run_id)
        version = await run.add_step(step, tool=tool, by=local_user(), **said)
    printer = options.printer()
    if printer.as_json:
        shown = row_json(version)
        printer.line({"type": "step_added", "step": step, "run_id": run_id, "version": shown})
    printer.say(f"run {run_id} has the step {step} now")
    return OK


async def _created(builder: FlowBuilder, slug: str) -> bool:
    """Make a draft without steps; returns whether there was none."""
    try:
        await builder.create_flow(slug)
    except Conflict as error:
        if error.code != "flow_exists":
            raise
        return False
    return True


def _said(given: dict[str, Any]) -> dict[str, Any]:
    """Return the keys of the step as `add_step` takes them. Raises: UsageProblem."""
    from flowbuilder.cli.sources import read_input

    said: dict[str, Any] = {}
    further = read_input(given["policies"], name="--with")
    if further is not None:
        if not isinstance(further, dict):
            raise UsageProblem("--with takes a JSON object")
        _check_keys(further)
        said |= further
    if given["args"] is not None:
        said["args"] = read_input(given["args"], name="--args")
    if given["depends_on"]:
        said["depends_on"] = given["depends_on"]
    if given["when"] is not None:
        said["when"] = given["when"]
    each: str | None = given["for_each"]
    if each is not None:
        listed = each.startswith(("[", "@"))
        said["for_each"] = read_input(each, name="--for-each") if listed else each
    return said


def _check_keys(further: dict[str, Any]) -> None:
    from flowbuilder.client.drafts import step_document

    known = sorted(inspect.signature(step_document).parameters.keys() - _OWN)
    unknown = sorted(further.keys() - set(known))
    if unknown:
        raise UsageProblem(
            f"--with: a step has no {', '.join(key[:40] for key in unknown[:5])}",
            hint=f"Known: {', '.join(known)}.",
        )
