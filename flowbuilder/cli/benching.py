"""`flowbuilder bench`: measure the engine beside what its queue can do at best."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flowbuilder.cli.failures import FAILED, OK, UsageProblem, perform
from flowbuilder.cli.options import Options
from flowbuilder.cli.output import Printer

if TYPE_CHECKING:
    from flowbuilder.bench import Measurement, Plan, Report

_FILE = ".json"


def bench(
    context: typer.Context,
    workloads: Annotated[
        list[str] | None,
        typer.Argument(metavar="[WORKLOAD]...", help="W1 W2 W3 W4 M1 L1 L2 E1 I1; default: all."),
    ] = None,
    repeat: Annotated[int, typer.Option("--repeat", min=1, max=100, help="How often.")] = 3,
    fraction: Annotated[
        float, typer.Option("--fraction", min=0.0001, max=10, help="Of each workload's flows.")
    ] = 1.0,
    concurrency: Annotated[
        int, typer.Option("--concurrency", min=1, max=1000, help="The worker's tasks at once.")
    ] = 200,
    json: Annotated[
        str | None, typer.Option("--json", metavar="FILE.json", help="Write the report there.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="1 when a bar is missed; meant for --fraction 1.")
    ] = False,
) -> None:
    """Measure the engine beside raw pgmq, on a server of its own; 1 when a result is wrong."""
    options: Options = context.obj
    printer = options.printer()
    perform(
        printer,
        _bench(
            options,
            printer,
            list(workloads or ()),
            file=json,
            repeat=repeat,
            fraction=fraction,
            concurrency=concurrency,
            check=check,
        ),
    )


async def _bench(
    options: Options,
    printer: Printer,
    words: list[str],
    *,
    file: str | None,
    repeat: int,
    fraction: float,
    concurrency: int,
    check: bool,
) -> int:
    from flowbuilder.bench import Plan, run_bench

    names, path = read_words(words, file)
    if path is not None and not path.parent.is_dir():
        raise UsageProblem(f"there is no folder {path.parent}")
    if path is not None:  # the file is for programs, so the output is for people
        printer = Printer(as_json=False, debug=options.debug)
    plan = Plan(
        workloads=names,
        repeat=repeat,
        fraction=fraction,
        concurrency=concurrency,
        database_url=options.database_url,
        root=options.data_dir,
    )
    progress = _Progress(printer, plan)
    with progress.spinner or nullcontext():
        report = await run_bench(plan, on_start=progress.begin, on_measurement=progress.end)
    if path is not None:
        path.write_text(json.dumps(report.as_json(), indent=1) + "\n", encoding="utf-8")
    _show(printer, report)
    return FAILED if report.errors or (check and report.missed) else OK


def _show(printer: Printer, report: Report) -> None:
    if printer.as_json:
        whole = report.as_json()
        whole.pop("measurements")
        printer.line({"type": "report", **whole})
        return
    printer.say()
    printer.out.print(report.tables())


def read_words(words: list[str], file: str | None) -> tuple[tuple[str, ...], Path | None]:
    """Return the names of the workloads, and the file that the report is to be written to.

    `--json` is understood before and after every command and takes no value, so the file of
    `--json FILE.json` arrives among the words.

    Raises:
        UsageProblem: There is no such workload, or more than one file.
    """
    from flowbuilder.bench import WORKLOADS

    parts = [part for word in words for part in word.split(",") if part]
    files = [part for part in parts if part.endswith(_FILE)] + ([file] if file else [])
    names = [part.upper() for part in parts if not part.endswith(_FILE)]
    if len(files) > 1:
        raise UsageProblem("a report is written to one file", hint="Name one FILE.json only.")
    unknown = [name for name in names if name not in WORKLOADS]
    if unknown:
        raise UsageProblem(
            f"there is no workload {unknown[0]!r}",
            hint=f"There are {', '.join(WORKLOADS)}; a report's file ends with {_FILE}.",
        )
    chosen = tuple(name for name in WORKLOADS if name in names) or tuple(WORKLOADS)
    return chosen, Path(files[0]) if files else None


class _Progress:
    """Tells of each measurement: a JSON line when it is done, or a line of text and a spinner."""

    def __init__(self, printer: Printer, plan: Plan) -> None:
        self._printer = printer
        self._repeat = plan.repeat
        self.spinner = printer.out.status("starting PostgreSQL …") if printer.live else None

    def begin(self, workload: str, contender: str, repeat: int) -> None:
        """Show what is measured now."""
        if self.spinner is not None:
            self.spinner.update(f"{workload} {contender} {repeat + 1}/{self._repeat} …")

    def end(self, measurement: Measurement) -> None:
        """Tell how a measurement went."""
        if self._printer.as_json:
            self._printer.line({"type": "measurement", **measurement.as_json()})
            return
        number = f"{measurement.repeat + 1}/{self._repeat}"
        self._printer.say(
            f"{measurement.workload} {number} {measurement.contender}: {_told(measurement)}",
            "bold red" if measurement.error else "dim",
        )


def _told(measurement: Measurement) -> str:
    if measurement.error is not None:
        return measurement.error
    values = measurement.values
    for name, text in (
        ("steps_per_second", "{:,.0f} steps/s"),
        ("result_p50", "{:.2f} ms to the result"),
        ("step_p50", "{:.3f} ms a step"),
        ("change_p50", "{:.2f} ms to the subscriber"),
        ("cpu_ms", "{:.1f} ms CPU a second"),
    ):
        if name in values:
            return text.format(values[name])
    return "measured"
