"""`flowbuilder memory`: what finished runs of plans have taught."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowbuilder.cli.failures import FAILED, OK, UsageProblem, perform
from flowbuilder.cli.options import Options
from flowbuilder.cli.output import row_json, shorten

if TYPE_CHECKING:
    from flowbuilder.planner.base import Planner
    from flowbuilder.settings import Settings

MEMORY_COLUMNS = {
    "id": "memory",
    "goal": "goal",
    "tools": "tools",
    "outcome": "ended",
    "seconds": "seconds",
    "learned_at": "learnt",
}
PATTERN_COLUMNS = {
    "tools": "tools",
    "runs": "runs",
    "success_rate": "succeeded",
    "rejected": "rejected",
    "mean_seconds": "seconds",
}
LESSON_COLUMNS = {
    "id": "lesson",
    "kind": "what",
    "tool": "tool",
    "code": "code",
    "runs": "runs",
    "uses": "of",
    "status": "status",
    "rule": "rule",
}
MemoryId = Annotated[str, typer.Argument(metavar="MEMORY", help="Id of a memory.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many at most.")]

memory_app = typer.Typer(
    help="What finished runs of plans have taught; FLOWBUILDER_MEMORY=off turns it off.",
    no_args_is_help=True,
)


@memory_app.command("list")
def list_memories(context: typer.Context, limit: Limit = 50) -> None:
    """List what runs have taught, newest first."""
    perform(context.obj.printer(), _list(context.obj, limit))


@memory_app.command("show")
def show_memory(context: typer.Context, memory: MemoryId) -> None:
    """Show one memory, with the plan as it is kept: without values."""
    perform(context.obj.printer(), _show(context.obj, memory))


@memory_app.command("forget")
def forget(
    context: typer.Context,
    memory: Annotated[str | None, typer.Argument(metavar="MEMORY", help="Its id.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Everything, rules included.")] = False,
) -> None:
    """Delete a memory for good, or all of them."""
    perform(context.obj.printer(), _forget(context.obj, memory, every=every))


@memory_app.command("patterns")
def patterns(context: typer.Context, limit: Limit = 50) -> None:
    """List chains of tools with how often they succeed."""
    perform(context.obj.printer(), _patterns(context.obj, limit))


@memory_app.command("lessons")
def lessons(context: typer.Context, limit: Limit = 50) -> None:
    """List what failed or was rejected, and the rules that would follow."""
    perform(context.obj.printer(), _lessons(context.obj, limit))


@memory_app.command("adopt")
def adopt(
    context: typer.Context,
    lesson: Annotated[str, typer.Argument(metavar="LESSON", help="Id of a lesson.")],
    suite: Annotated[str, typer.Option("--suite", help="Name of a suite, or its file.")],
    trials: Annotated[
        int, typer.Option("--trials", min=1, max=100, help="How often each case is tried.")
    ] = 1,
) -> None:
    """Run a suite without and with a lesson's rule; adopt it if nothing gets worse, else 1."""
    perform(context.obj.printer(), _adopt(context.obj, lesson, suite, trials))


async def _list(options: Options, limit: int) -> int:
    async with options.connect() as builder:
        found = await builder.memory.list(limit=limit)
    printer = options.printer()
    records = [row_json(row) for row in found]
    if not printer.as_json:
        records = [{**item, "goal": shorten(item["goal"], 80)} for item in records]
    printer.rows(records, MEMORY_COLUMNS, "Nothing is remembered.")
    return OK


async def _show(options: Options, memory_id: str) -> int:
    async with options.connect() as builder:
        row = row_json(await builder.memory.get(memory_id))
    printer = options.printer()
    if printer.as_json:
        printer.line(row)
        return OK
    for key in ("id", "run_id", "plan_id", "goal", "planner", "outcome", "seconds", "learned_at"):
        if row[key] is not None:
            printer.say(f"{key:12} {row[key]}")
    printer.value(row["plan"])
    return OK


async def _forget(options: Options, memory_id: str | None, *, every: bool) -> int:
    if (memory_id is None) is not every:
        raise UsageProblem("name one memory, or write --all")
    async with options.connect() as builder:
        if memory_id is None:
            count = await builder.memory.forget_all()
        else:
            await builder.memory.forget(memory_id)
            count = 1
    printer = options.printer()
    if printer.as_json:
        printer.line({"type": "forgotten", "memories": count})
    else:
        printer.say(f"{count} memories forgotten", "dim")
    return OK


async def _patterns(options: Options, limit: int) -> int:
    async with options.connect() as builder:
        found = await builder.memory.patterns(limit=limit)
    records = [row_json(row) for row in found]
    options.printer().rows(records, PATTERN_COLUMNS, "Nothing is remembered.")
    return OK


async def _lessons(options: Options, limit: int) -> int:
    from flowbuilder.client.memory import rule_of

    async with options.connect() as builder:
        found = await builder.memory.lessons(limit=limit)
    records = [{**row_json(row), "rule": rule_of(row)} for row in found]
    options.printer().rows(records, LESSON_COLUMNS, "Nothing went wrong so far.")
    return OK


async def _adopt(options: Options, lesson_id: str, suite: str, trials: int) -> int:
    from flowbuilder.cli.measuring import named_suite
    from flowbuilder.client.approvals import local_user
    from flowbuilder.client.memory import rule_of
    from flowbuilder.evals.adoption import try_rules

    printer, settings = options.printer(), options.settings()
    dataset = named_suite(suite)
    async with options.connect() as builder:
        lesson = await builder.memory.lesson(lesson_id)
        others = [row for row in await builder.memory.lessons(limit=1000) if row.id != lesson_id]
        found = await try_rules(
            dataset,
            # the cases have a database of their own: nothing of theirs comes into the project's
            settings.model_copy(update={"database_url": None, "database_direct_url": None}),
            lambda: _planner(settings),
            (rule_of(lesson),),
            known=tuple(rule_of(row) for row in others if row.status == "adopted"),
            trials=trials,
        )
        settled = await builder.memory.settle(
            lesson_id, suite=dataset.suite, comparison=found.as_json(), by=local_user()
        )
    record: dict[str, Any] = {**row_json(settled), "rule": rule_of(settled)}
    if printer.as_json:
        printer.line({"type": "lesson", **record})
    else:
        printer.out.print(found.table())
        printer.say(f"{settled.status}: {record['rule']}")
    return OK if found.passed else FAILED


def _planner(settings: Settings) -> Planner:
    from flowbuilder.client.planning import planner_of

    return planner_of(settings)
