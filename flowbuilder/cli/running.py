"""`flowbuilder run` and `plan`: from what was typed to a finished run."""

from __future__ import annotations

from collections.abc import AsyncIterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowbuilder.budget import Budget
from flowbuilder.cli.answering import answer_hint, split_answers, with_answers
from flowbuilder.cli.failures import FAILED, WAITING
from flowbuilder.cli.model_need import require_model
from flowbuilder.cli.options import Options
from flowbuilder.cli.output import Printer, shorten
from flowbuilder.cli.plan_view import show_plan, tell_flow, tell_plan
from flowbuilder.cli.questions import confirm, is_interactive
from flowbuilder.cli.sources import (
    SUFFIXES,
    Source,
    example_input,
    find_source,
    read_document,
    read_input,
)
from flowbuilder.cli.watching import Watch, has_worker
from flowbuilder.client.checking import called_flows, parse_document
from flowbuilder.plan import Plan
from flowbuilder.planner.base import PlanEvent, PlanEventType
from flowbuilder.types import JsonObject, JsonValue

if TYPE_CHECKING:
    from flowbuilder.client import FlowBuilder, Run
    from flowbuilder.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRequest:
    """What `flowbuilder run` was asked to do."""

    target: str
    input: str | None = None
    yes: bool = False
    worker: bool | None = None
    """None: exactly when there is no other worker."""
    key: str | None = None
    priority: str = "normal"
    replan: bool | None = None
    """Whether the rest may be planned anew; None: as the settings say."""
    answers: tuple[str, ...] = ()
    """`id=value` for the questions of a plan."""
    local_model: bool = False
    budget: str | None = None


async def run(options: Options, request: RunRequest) -> int:
    """Run a goal, a file, a stored flow or a plan, and watch it to its end."""
    printer = options.printer()
    given = read_input(request.input)
    Budget.read(request.budget)  # refused before anything is planned
    split_answers(request.answers)  # what is none is refused before anything is planned
    async with (
        options.connect(local_model=request.local_model) as builder,
        AsyncExitStack() as working,
    ):
        source = await find_source(builder, request.target)
        worker = request.worker
        early = _starts_early(builder, source, request)
        if early and await _needs_worker(
            builder, worker
        ):  # on what starts before the plan is whole
            await working.enter_async_context(builder.worker())
            worker = False
        if builder.settings.replan if request.replan is None else request.replan:
            await working.enter_async_context(builder.replanner())
        started = (
            await _begin_early(builder, printer, str(source.goal), given, request)
            if early
            else await _begin(builder, printer, source, given, request)
        )
        if isinstance(started, int):
            return started
        return await watch_here(builder, printer, started, yes=request.yes, worker=worker)


async def watch_here(
    builder: FlowBuilder,
    printer: Printer,
    run: Run,
    *,
    yes: bool = False,
    worker: bool | None = None,
    after: int = 0,
) -> int:
    """Watch a run to its end, working on it in this process when nobody else does."""
    watch = Watch(builder, printer, run, yes=yes, after=after)
    if not await _needs_worker(builder, worker):
        return await watch.to_end()
    async with builder.worker():
        return await watch.to_end()


async def make_plan(
    builder: FlowBuilder,
    printer: Printer,
    goal: str,
    given: JsonValue,
    *,
    pinned: Sequence[str] = (),
) -> Plan:
    """Plan a goal; a model's steps are told as they come."""
    events = builder.plan_stream(goal, input=given, pinned=pinned)
    return await tell_planning(builder, printer, events)


async def tell_planning(
    builder: FlowBuilder, printer: Printer, events: AsyncIterable[PlanEvent]
) -> Plan:
    """Tell of the steps of a plan as they come, and return it."""
    found: Plan | None = None
    announced = False
    async for event in events:
        if printer.as_json and event.plan is None:
            printer.line({"type": event.type.value, "data": event.data})
        elif event.type is PlanEventType.STEP_ADDED and builder.planner.name != "rules":
            if not announced:
                printer.say("planning …", "dim")
                announced = True
            step: Any = event.data.get("step")
            if isinstance(step, dict):
                printer.say(f"  + {step.get('id')}  {step.get('tool')}", "dim")
        found = event.plan or found
    if found is None:
        raise AssertionError("a planner ends with a plan or an error")
    return found


async def _begin(
    builder: FlowBuilder, printer: Printer, source: Source, given: JsonValue, request: RunRequest
) -> Run | int:
    """Start the run of what was given; an exit code when it is not to be started."""
    if source.goal is not None:
        made = await make_plan(builder, printer, source.goal, given)
        return await _begin_plan(builder, printer, made, given, request)
    if source.plan_id is not None:
        made = await builder.get_plan(source.plan_id)
        return await _begin_plan(builder, printer, made, given, request)
    slug = source.slug
    if source.file is not None:
        slug = await _save_file(builder, printer, source.file)
    assert slug is not None
    flow = (await builder.get_flow(slug)).draft
    if not printer.as_json:
        tell_flow(printer.out, flow, builder.tools)
    if request.worker is not False:
        await require_model(builder, [flow])
    value = given
    if request.input is None:
        has_example, example = example_input(flow)
        if has_example:
            value = example
            printer.say(f"input: the example of the flow, {shorten(example, 200)}", "dim")
    return await builder.execute(
        slug,
        value,
        idempotency_key=request.key,
        priority=request.priority,
        budget=request.budget,
        replan=request.replan,
    )


def _starts_early(builder: FlowBuilder, source: Source, request: RunRequest) -> bool:
    """Whether steps may run while the plan is still written: it was agreed to unseen."""
    agreed = request.yes and request.key is None and source.goal is not None
    return agreed and builder.planner.name != "rules"


async def _begin_early(
    builder: FlowBuilder, printer: Printer, goal: str, given: JsonValue, request: RunRequest
) -> Run | int:
    """Plan a goal; steps that change nothing start meanwhile."""
    async with builder.start_early(
        goal,
        input=given,
        priority=request.priority,
        budget=request.budget,
        replan=request.replan,
    ) as early:
        made = await tell_planning(builder, printer, early)
        await show_plan(builder, printer, made)
        if made.valid:
            return await early.accept()
    if made.questions:  # what is asked for now would have come too late for what had begun
        return await _begin_plan(builder, printer, made, given, request, shown=True)
    printer.err.print("[bold red]This plan cannot run as it is; what had begun is cancelled.[/]")
    return FAILED


async def _needs_worker(builder: FlowBuilder, wanted: bool | None) -> bool:
    """Whether this process has to run tasks itself; asked for, or because nobody else does."""
    if wanted is not None:
        return wanted
    return builder.settings.database_url is None or not await has_worker(builder)


async def _begin_plan(
    builder: FlowBuilder,
    printer: Printer,
    made: Plan,
    given: JsonValue,
    request: RunRequest,
    *,
    shown: bool = False,
) -> Run | int:
    answered = await with_answers(builder, printer, made, split_answers(request.answers))
    if not shown or answered is not made:
        made = answered
        await show_plan(builder, printer, made)
    if made.questions:
        printer.err.print(
            f"The plan asks, and nobody is there to answer; nothing was started.\n"
            f"Answer with: {answer_hint(made)}",
            markup=False,
            style="yellow",
        )
        return WAITING
    if not made.valid:
        printer.err.print("[bold red]This plan cannot run as it is; nothing was started.[/]")
        return FAILED
    if request.worker is not False:
        await require_model(builder, [one.flow for one in made.tree() if one.flow is not None])
    agreed = await _agreed(builder, printer, made, yes=request.yes)
    if agreed is None:
        printer.err.print(
            "[yellow]Nobody is there to agree to the plan; nothing was started.[/]\n"
            f"Read it, then: flowbuilder run {made.id}"
        )
        return WAITING
    if not agreed:
        printer.err.print("Not started.")
        return FAILED
    if request.key is not None or request.input is not None:
        return await builder.execute(
            made,
            given,
            idempotency_key=request.key,
            priority=request.priority,
            budget=request.budget,
            replan=request.replan,
        )
    return await builder.accept_plan(
        made, priority=request.priority, budget=request.budget, replan=request.replan
    )


async def _agreed(builder: FlowBuilder, printer: Printer, made: Plan, *, yes: bool) -> bool | None:
    """Whether to run a plan: with --yes unasked, and a certain one where nobody sits.

    What is risky in it asks for its own approval when its time has come, with the arguments as
    they are then. None: the plan is uncertain and nobody answers.
    """
    if yes or (made.certain and not is_interactive()):
        return True
    if printer.as_json:
        await tell_plan(builder, printer, made)
    question = "Run this plan?" if made.certain else "This plan is uncertain. Run it all the same?"
    return await confirm(printer, question, default=True if made.certain else None)


async def _save_file(builder: FlowBuilder, printer: Printer, path: Path) -> str:
    """Save the flow of a file, with the flows beside it that it calls, and return its name."""
    slug = ""
    for file, document in with_children(path, builder.settings):
        saved = await builder.save_flow(document)
        slug = saved.slug
        if file != path:
            await builder.publish(slug)
            printer.say(f"child flow {slug} saved from {file}", "dim")
    return slug


def with_children(path: Path, settings: Settings) -> list[tuple[Path, JsonObject]]:
    """Return a flow document after the documents beside it that its `flow.run` steps name.

    Raises:
        DefinitionError, InvalidValue: A file is no document.
    """
    found: dict[Path, tuple[Path, JsonObject]] = {}
    open_files: set[Path] = set()

    def add(file: Path) -> None:
        place = file.resolve()
        if place in found or place in open_files:
            return
        open_files.add(place)
        document = parse_document(read_document(file), settings, name=str(file))
        for slug in called_flows(document):
            beside = (file.with_name(slug + suffix) for suffix in sorted(SUFFIXES))
            child = next((item for item in beside if item.is_file()), None)
            if child is not None:
                add(child)
        found[place] = (file, document)

    add(path)
    return list(found.values())
