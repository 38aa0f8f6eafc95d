"""Runs a suite: every goal is planned for real and, where a result is expected, executed for real.

All cases share one database, each has a workspace folder of its own. Approvals that a plan asks
for are given by the suite itself: the workspace is the only thing that a plan can touch, unless
its case says otherwise.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

from flowbuilder.client.builder import FlowBuilder
from flowbuilder.client.runs import Run
from flowbuilder.errors import ExecutionError, FlowBuilderError, NoFittingTool
from flowbuilder.evals.catalogue import described_tools
from flowbuilder.evals.dataset import Case, Dataset
from flowbuilder.evals.evaluators import Finding, judge, tools_of
from flowbuilder.evals.loading import require_tools
from flowbuilder.evals.report import CaseReport, Report
from flowbuilder.evals.scratch import open_scratch
from flowbuilder.evals.simulated import played, world_of
from flowbuilder.evals.world import Stage, World
from flowbuilder.flow import Flow
from flowbuilder.plan import Plan, Usage
from flowbuilder.planner.base import Planner
from flowbuilder.settings import Settings
from flowbuilder.toolkit import load_registry
from flowbuilder.tools import Effects, ToolRegistry
from flowbuilder.types import JsonValue

#: Seconds that one plan may take to run; a suite's flows are small.
RUN_TIMEOUT = 120.0
#: Who decides when a step asks anybody.
DECIDER = "user:eval"


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """What was seen of one case; the evaluators look at nothing else."""

    outcome: str
    """`plan`, `refusal`, `question`, or `failure` (an invalid plan, or an error)."""
    reason: str = ""
    flow: Flow | None = None
    certain: bool = False
    usage: Usage = field(default_factory=Usage)
    ran: bool = False
    """Whether the plan ran to a completed end."""
    output: JsonValue = None
    files: dict[str, str] = field(default_factory=dict)
    """Of the files that the case expects, those that are there after the run: path → text."""
    executed: tuple[Finding, ...] = ()
    """How the run compares with that of the gold flow, in a simulated world."""


async def run_suite(
    dataset: Dataset,
    settings: Settings,
    *,
    registry: ToolRegistry | None = None,
    planner: Planner | None = None,
    search_path: Path | None = None,
    trials: int = 1,
    on_start: Callable[[Case], None] | None = None,
    on_case: Callable[[CaseReport], None] | None = None,
) -> Report:
    """Run every case and return the report.

    Args:
        dataset: The suite.
        settings: Model and limits. The database, when one is set, should be nobody else's: its
            workers would take the cases' tasks. Without one a server is started for the suite.
        registry: All the tools there are; by default the starter tools and the suite's modules.
        planner: By default the one that the settings ask for.
        search_path: Where the suite's modules are looked for first.
        trials: How often each case is tried, for planners that do not always answer the same.
        on_start: Told of each case before it is tried.
        on_case: Told of each case as it is done.

    Raises:
        SettingsError: A module of the suite cannot be loaded.
        DefinitionError: The suite expects a tool that does not exist.
        DatabaseError: No usable database.
    """
    tools = registry or _registry(dataset, settings, search_path)
    require_tools(dataset, tools)
    reports = []
    async with open_scratch(settings) as scratch:
        for case, trial in product(dataset.cases, range(1, trials + 1)):
            if on_start is not None:
                on_start(case)
            workspace = scratch.folder / "cases" / case.name / str(trial)
            world = world_of(dataset, case)
            own = _tools_of(case, tools, world)
            bench = _Bench(case, scratch.settings, workspace, own, planner, world)
            report = replace(await _try_case(bench), trial=trial)
            reports.append(report)
            if on_case is not None:
                on_case(report)
    name = planner.name if planner is not None else ("model" if settings.model else "rules")
    model = settings.model if planner is None else None
    return Report(suite=dataset.suite, planner=name, model=model, cases=tuple(reports))


@dataclass(frozen=True, slots=True)
class _Bench:
    """One case and what it is tried with."""

    case: Case
    settings: Settings
    workspace: Path
    registry: ToolRegistry
    planner: Planner | None
    world: World | None

    @property
    def runs(self) -> bool:
        """Whether the plan is carried out."""
        return self.case.expect.runs or self.world is not None


def _registry(dataset: Dataset, settings: Settings, search_path: Path | None) -> ToolRegistry:
    described = bool(dataset.catalogue) or any(case.catalogue for case in dataset.cases)
    if dataset.only_tools or described:
        brought = ToolRegistry.from_modules(dataset.tools, search_path=search_path)
        return brought.merged(described_tools(dataset.catalogue)) if described else brought
    return load_registry(settings, dataset.tools, search_path=search_path)


def _tools_of(case: Case, tools: ToolRegistry, world: World | None) -> ToolRegistry:
    """Return the tools of one case: its own described ones stand before others of their name."""
    if not case.catalogue and world is None:
        return tools
    own = described_tools(case.catalogue) if world is None else world.registry()
    return tools.without(lambda tool: own.get(tool.name) is not None).merged(own)


async def _try_case(bench: _Bench) -> CaseReport:
    started = time.monotonic()
    seen = await _observe(bench)
    return CaseReport(
        name=bench.case.name,
        goal=bench.case.goal,
        findings=judge(bench.case.expect, seen),
        planned=tuple(tools_of(seen.flow)) if seen.flow else (),
        certain=seen.certain,
        usage=seen.usage,
        seconds=time.monotonic() - started,
    )


async def _observe(bench: _Bench) -> Observation:
    case, expect = bench.case, bench.case.expect
    await asyncio.to_thread(_write_texts, bench.workspace, case.files)
    builder = FlowBuilder.connect(
        # no case learns from another one: the same suite twice is the same
        settings=bench.settings.model_copy(
            update={"workspace_dir": bench.workspace, "memory": False}
        ),
        registry=bench.registry,
        planner=bench.planner,
        worker=bench.runs,
    )
    async with builder as fb:
        stored = [await fb.save_flow(document) for document in case.flows]
        try:
            plan, seen = await _plan(fb, case)
            if bench.runs and plan is not None and seen.outcome == "plan":
                if bench.world is None:
                    seen = await _run(fb, case, plan, seen)
                else:
                    seen = await played(Stage(bench.world, fb), case, plan, seen)
        finally:
            for flow in stored:  # the next case does not know it
                await fb.delete_flow(flow.slug)
    texts = await asyncio.to_thread(_read_texts, bench.workspace, expect.files)
    return replace(seen, files=texts)


async def _plan(fb: FlowBuilder, case: Case) -> tuple[Plan | None, Observation]:
    try:
        plan = await fb.plan(case.goal, input=case.input)
    except NoFittingTool as error:
        return None, Observation(outcome="refusal", reason=error.message)
    except FlowBuilderError as error:
        return None, Observation(outcome="failure", reason=f"{error.code}: {error.message}")
    except Exception as error:  # a planner that breaks at one goal does not end the suite
        return None, Observation(outcome="failure", reason=f"{type(error).__name__}: {error}")
    told = [question.text for question in plan.questions]
    told += [f"{problem.code}: {problem.message}" for problem in plan.problems]
    return plan, Observation(
        outcome=_outcome(plan),
        reason="; ".join(told),
        flow=plan.flow,
        certain=plan.certain,
        usage=plan.usage,
    )


def _outcome(plan: Plan) -> str:
    if plan.questions:
        return "question"
    return "plan" if plan.valid else "failure"


async def _run(fb: FlowBuilder, case: Case, plan: Plan, seen: Observation) -> Observation:
    """Execute a plan, deciding what it asks; the reason tells why there is no output."""
    acting = _acts_outside(plan, fb.tools)
    if acting and not case.external:
        return replace(seen, reason=f"not run: {acting} acts outside of the workspace")
    try:
        run = await fb.execute(plan, case.input, timeout=RUN_TIMEOUT)
    except FlowBuilderError as error:
        return replace(seen, reason=f"the run did not start: {error.code}: {error.message}")
    try:
        async with asyncio.timeout(RUN_TIMEOUT):
            await _decide(fb, case, run)
            return replace(seen, ran=True, output=await run.result())
    except TimeoutError:
        return replace(seen, reason=f"the run had not ended after {RUN_TIMEOUT:g} seconds")
    except FlowBuilderError as error:
        return replace(seen, reason=f"the run ended with {error.code}: {error.message}")
    finally:
        with suppress(FlowBuilderError):  # it has ended, as a rule
            await run.cancel(by=DECIDER, reason="the case is over")


def _acts_outside(plan: Plan, registry: ToolRegistry) -> str | None:
    """Return the first tool of a plan that changes something nobody can throw away afterwards."""
    for step in plan.flow.steps if plan.flow else []:
        tool = registry.get(step.tool)
        if tool is not None and tool.effects in (Effects.EXTERNAL, Effects.IRREVERSIBLE):
            return tool.name
    return None


async def _decide(fb: FlowBuilder, case: Case, run: Run) -> None:
    """Follow a run to its end, approving what it asks and answering with the case's values.

    Raises:
        ExecutionError: It asks for more values than the case has (answer_missing).
    """
    answers = iter(case.answers)
    async for event in run.events():
        if event.type != "approval_requested":
            continue
        asked = await fb.get_approval(str(event.data["approval_id"]))
        value: JsonValue = None
        if asked.kind == "input":
            try:
                value = next(answers)
            except StopIteration:
                raise ExecutionError(
                    f"step {asked.step_id} asks for a value and the case has no answer",
                    code="answer_missing",
                ) from None
        await fb.approve(asked.id, by=asked.by[0] if asked.by else DECIDER, value=value)


def _write_texts(workspace: Path, texts: dict[str, str]) -> None:
    workspace.mkdir(parents=True)
    for name, text in texts.items():
        path = workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())


def _read_texts(workspace: Path, names: Iterable[str]) -> dict[str, str]:
    return {
        name: (workspace / name).read_bytes().decode(errors="replace")
        for name in names
        if (workspace / name).is_file()
    }
