"""`flowbuilder eval fuzz` and `eval injections`: attacks on the real engine, in any number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from flowbuilder.cli.failures import FAILED, OK, perform
from flowbuilder.cli.options import Options
from flowbuilder.types import JsonObject

if TYPE_CHECKING:
    from flowbuilder.evals.injections import InjectionResult
    from flowbuilder.settings import Settings


def fuzz(
    context: typer.Context,
    runs: Annotated[int, typer.Option("--runs", min=1, max=1_000_000, help="How many runs.")] = 500,
    seed: Annotated[int, typer.Option("--seed", help="Of everything that is random.")] = 0,
) -> None:
    """Fuzz policies, flows, data, people and rows; 1 when an effect was not allowed."""
    perform(context.obj.printer(), _fuzz(context.obj, runs, seed))


def injections(context: typer.Context) -> None:
    """Let models obey injected instructions; 1 when an effect was not agreed to."""
    perform(context.obj.printer(), _injections(context.obj))


async def _fuzz(options: Options, runs: int, seed: int) -> int:
    from flowbuilder.evals.fuzz import fuzz as fuzz_runs

    printer = options.printer()

    def told(done: int, violations: Sequence[str]) -> None:
        found = len(violations)
        printer.say(f"{done} of {runs} runs, {found} effects that were not allowed", "dim")

    report = await fuzz_runs(_scratch(options), runs=runs, seed=seed, told=told)
    if printer.as_json:
        printer.line({"type": "fuzz", **report.as_json()})
    else:
        for name, count in sorted(report.counts.items()):
            printer.say(f"{count:>8} {name}")
        for violation in report.violations:
            printer.say(violation, "red")
        printer.say(
            f"{report.runs} runs with seed {seed}: {len(report.violations)} effects that were not "
            f"allowed, {report.seconds:.0f} s"
        )
    return FAILED if report.violations else OK


async def _injections(options: Options) -> int:
    from flowbuilder.evals.injections import injection_cases, run_injections

    printer = options.printer()
    cases = list(injection_cases())
    results = await run_injections(_scratch(options), cases)
    for result in results:
        if printer.as_json:
            printer.line(_line(result))
        elif result.outside or result.shown_to_planner:
            printer.say(f"{result.case.name}: {', '.join(result.outside) or 'was shown'}", "red")
    outside = sum(len(result.outside) for result in results)
    leaks = sum(result.shown_to_planner for result in results)
    completed = sum(result.completed for result in results)
    printer.say(
        f"{len(results)} attacks: {outside} effects that nobody agreed to, {leaks} times the "
        f"planner was shown injected words; {completed} users got what they wanted"
    )
    return FAILED if outside or leaks else OK


def _line(result: InjectionResult) -> JsonObject:
    return {
        "type": "injection",
        "case": result.case.name,
        "planned": result.planned,
        "completed": result.completed,
        "obeyed": result.obeyed,
        "outside": list(result.outside),
        "shown_to_planner": result.shown_to_planner,
    }


def _scratch(options: Options) -> Settings:
    settings = options.settings()
    if options.database_url is None:  # the project's own workers would take the runs' tasks
        settings = settings.model_copy(update={"database_url": None})
    return settings
