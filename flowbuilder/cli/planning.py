"""`flowbuilder plan`, `edit` and `diff`: from words to a plan, from a plan to another one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from flowbuilder.cli.failures import FAILED, OK, WAITING, UsageProblem, perform
from flowbuilder.cli.options import Options
from flowbuilder.cli.output import Printer

if TYPE_CHECKING:
    from flowbuilder.client import FlowBuilder
    from flowbuilder.diff import FlowDiff
    from flowbuilder.plan import Plan

Answers = Annotated[
    list[str] | None,
    typer.Option("--answer", help="Answer a question: its id, = and the value; repeatable."),
]
Pins = Annotated[
    list[str] | None,
    typer.Option("--pin", help="A tool that the planner is to look at; repeatable."),
]
LocalModel = Annotated[
    bool, typer.Option("--local-model", help="Fetch a small model and plan with it.")
]


def plan(
    context: typer.Context,
    goal: Annotated[
        str, typer.Argument(metavar="GOAL|PLAN|show", help="What is to be done; or a plan's id.")
    ],
    plan_id: Annotated[
        str | None, typer.Argument(metavar="[PLAN]", help="With show: the plan's id.")
    ] = None,
    input: Annotated[
        str | None,
        typer.Option("--input", "-i", help="The run's input: JSON, @file or @-."),
    ] = None,
    answer: Answers = None,
    pin: Pins = None,
    local_model: LocalModel = False,
) -> None:
    """Turn a goal into a plan, show it and keep it; nothing is run. `plan show ID` shows one."""
    from flowbuilder.cli.sources import is_id

    if plan_id is not None and (goal != "show" or not is_id(plan_id)):
        raise typer.BadParameter(
            "a goal is one argument: put it in quotes; a plan is shown by: plan show ID"
        )
    target = goal if plan_id is None else plan_id
    work = _plan(
        context.obj,
        target,
        input_text=input,
        answers=answer or (),
        pinned=pin or (),
        local_model=local_model,
    )
    perform(context.obj.printer(), work)


def edit(
    context: typer.Context,
    target: Annotated[
        str, typer.Argument(metavar="SLUG|PLAN", help="A stored flow, or a plan's id.")
    ],
    words: Annotated[
        str | None, typer.Argument(metavar="[WORDS]", help="What is to be different.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Make the new version unasked.")] = False,
    answer: Answers = None,
) -> None:
    """Change a flow or a plan by words. Without words, a plan of an earlier edit is accepted."""
    perform(context.obj.printer(), _edit(context.obj, target, words, yes=yes, answers=answer or ()))


def diff(
    context: typer.Context,
    slug: Annotated[str, typer.Argument(metavar="SLUG", help="A stored flow.")],
    version: Annotated[
        int | None, typer.Argument(min=1, help="A version; by default the newest.")
    ] = None,
    other: Annotated[
        int | None, typer.Argument(min=1, help="Another one: from the first to this one.")
    ] = None,
) -> None:
    """Show what a version changed against the one before it, or what lies between two."""
    perform(context.obj.printer(), _diff(context.obj, slug, version, other))


async def _plan(
    options: Options,
    target: str,
    *,
    input_text: str | None,
    answers: Sequence[str],
    pinned: Sequence[str],
    local_model: bool,
) -> int:
    """Plan a goal or take a plan, answer it, show it; 1 when it could not run, 3 when it asks."""
    from flowbuilder.cli.answering import split_answers, with_answers
    from flowbuilder.cli.running import make_plan
    from flowbuilder.cli.sources import is_id, read_input

    printer = options.printer()
    given, said = read_input(input_text), split_answers(answers)
    async with options.connect(local_model=local_model) as builder:
        if is_id(target):
            made = await builder.get_plan(target.lower())
        else:
            made = await make_plan(builder, printer, target, given, pinned=pinned)
        made = await with_answers(builder, printer, made, said)
        return await tell_made(builder, printer, made)


async def tell_made(builder: FlowBuilder, printer: Printer, made: Plan) -> int:
    """Show a plan with how it can go on, and return the exit code."""
    from flowbuilder.cli.answering import answer_hint
    from flowbuilder.cli.plan_view import show_plan, show_review

    await show_plan(builder, printer, made)
    if printer.as_json:
        await show_review(builder, printer, made)
    if made.questions:
        printer.err.print(f"Answer with: {answer_hint(made)}", markup=False, style="yellow")
        return WAITING
    if made.valid:
        how = "edit" if made.changes is not None else "run"
        printer.say(f"{how} it with: flowbuilder {how} {made.id}", "dim")
    return OK if made.valid else FAILED


async def _edit(
    options: Options, target: str, words: str | None, *, yes: bool, answers: Sequence[str]
) -> int:
    from flowbuilder.cli.answering import split_answers, with_answers
    from flowbuilder.cli.running import tell_planning
    from flowbuilder.cli.sources import is_id

    printer, said = options.printer(), split_answers(answers)
    async with options.connect() as builder:
        made = await builder.get_plan(target.lower()) if is_id(target) else None
        if words is not None:
            made = await tell_planning(builder, printer, builder.edit_stream(made or target, words))
        if made is None:
            raise UsageProblem("what is to be different?", hint='flowbuilder edit SLUG "words"')
        made = await with_answers(builder, printer, made, said)
        if made.changes is None or not made.valid:
            return await tell_made(builder, printer, made)
        return await _accept(builder, printer, made, yes=yes)


async def _accept(builder: FlowBuilder, printer: Printer, made: Plan, *, yes: bool) -> int:
    """Make a version of an edit, if somebody agrees to it."""
    from flowbuilder.cli.plan_view import show_plan
    from flowbuilder.cli.questions import confirm, is_interactive

    await show_plan(builder, printer, made)
    if not yes and not is_interactive():
        printer.err.print(
            f"Nobody is there to agree; nothing was changed.\n"
            f"Read it, then: flowbuilder edit {made.id} --yes",
            style="yellow",
        )
        return WAITING
    if not (yes or await confirm(printer, f"Make this a version of {made.changes}?", default=True)):
        printer.err.print("Nothing was changed.")
        return FAILED
    version = await builder.accept_edit(made)
    if printer.as_json:
        printer.line({"type": "version", "slug": version.slug, "version": version.version})
    printer.say(f"{version.slug} has version {version.version} now", "green")
    return OK


async def _diff(options: Options, slug: str, version: int | None, other: int | None) -> int:
    printer = options.printer()
    async with options.connect() as builder:
        found = await builder.get_version(slug, other or version)
        number = found.version or 0
        base = (version if other is not None else None) or number - 1
        difference = await builder.diff_versions(slug, number, base=base)
    show_diff(printer, slug, base, number, difference)
    return OK


def show_diff(printer: Printer, slug: str, base: int, version: int, found: FlowDiff) -> None:
    """Print what lies between two versions."""
    if printer.as_json:
        head = {"type": "diff", "slug": slug, "base": base or None, "version": version}
        printer.line({**head, "diff": found.as_json()})
        return
    printer.say(f"{slug}: {f'version {base}' if base else 'nothing'} -> version {version}", "bold")
    printer.say(found.as_text())
