"""Runs a suite: every goal is planned for real and, where a result is expected, executed for real.

Each case has a workspace folder of its own. Approvals that the plan asks for are given by the
suite itself: its workspace is the only thing a plan can touch.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from flowbuilder.client.builder import FlowBuilder
from flowbuilder.errors import FlowBuilderError, NoFittingTool
from flowbuilder.evals.dataset import Case, Dataset
from flowbuilder.evals.evaluators import EVALUATORS, tools_of
from flowbuilder.evals.report import CaseReport, Report
from flowbuilder.flow import Flow
from flowbuilder.plan import Plan, Usage
from flowbuilder.planner.base import Planner
from flowbuilder.settings import Settings
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonValue

#: Seconds that one plan may take to run; a suite's flows are small.
RUN_TIMEOUT = 120.0


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
    """Text files in the workspace after the run: path → text."""


async def run_suite(
    dataset: Dataset,
    settings: Settings,
    *,
    registry: ToolRegistry | None = None,
    planner: Planner | None = None,
    on_case: Callable[[CaseReport], None] | None = None,
) -> Report:
    """Run every case and return the report.

    Args:
        dataset: The suite.
        settings: Database, model and limits; the workspace folder is replaced for each case.
        registry: All the tools there are; by default the starter tools and the suite's modules.
        planner: By default the one that the settings ask for.
        on_case: Told of each case as it is done.

    Raises:
        SettingsError: A module of the suite cannot be loaded.
        DatabaseError: No usable database.
    """
    reports = []
    model = settings.model
    for case in dataset.cases:
        started = time.monotonic()
        seen = await _observe(case, dataset, settings, registry, planner)
        found = [evaluator(case.expect, seen) for evaluator in EVALUATORS]
        report = CaseReport(
            name=case.name,
            goal=case.goal,
            findings=tuple(finding for finding in found if finding is not None),
            planned=tuple(tools_of(seen.flow)) if seen.flow else (),
            certain=seen.certain,
            usage=seen.usage,
            seconds=time.monotonic() - started,
        )
        reports.append(report)
        if on_case is not None:
            on_case(report)
    name = planner.name if planner is not None else ("model" if model else "rules")
    return Report(suite=dataset.suite, planner=name, model=model, cases=tuple(reports))


async def _observe(
    case: Case,
    dataset: Dataset,
    settings: Settings,
    registry: ToolRegistry | None,
    planner: Planner | None,
) -> Observation:
    with tempfile.TemporaryDirectory(prefix="flowbuilder-eval-") as folder:
        workspace = Path(folder)
        for name, text in case.files.items():
            path = workspace / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        own = settings.model_copy(
            update={"workspace_dir": workspace, "tools": [*settings.tools, *dataset.tools]}
        )
        builder = FlowBuilder.connect(
            settings=own,
            registry=registry or _only(dataset, own),
            planner=planner,
            worker=case.expect.runs,
        )
        async with builder as fb:
            seen = await _plan(fb, case)
            if case.expect.runs and seen.outcome == "plan" and seen.flow is not None:
                seen = await _run(fb, case, seen, seen.flow)
        return replace(seen, files=_texts(workspace))


def _only(dataset: Dataset, settings: Settings) -> ToolRegistry | None:
    """Return the registry of a suite that plans with its own tools alone."""
    return ToolRegistry.from_modules(settings.tools) if dataset.only_tools else None


async def _plan(fb: FlowBuilder, case: Case) -> Observation:
    try:
        plan = await fb.plan(case.goal, input=case.input)
    except NoFittingTool as error:
        return Observation(outcome="refusal", reason=error.message)
    except FlowBuilderError as error:
        return Observation(outcome="failure", reason=f"{error.code}: {error.message}")
    return Observation(
        outcome=_outcome(plan),
        reason="; ".join(
            [question.text for question in plan.questions]
            + [f"{problem.code}: {problem.message}" for problem in plan.problems]
        ),
        flow=plan.flow,
        certain=plan.certain,
        usage=plan.usage,
    )


def _outcome(plan: Plan) -> str:
    if plan.questions:
        return "question"
    return "plan" if plan.valid else "failure"


async def _run(fb: FlowBuilder, case: Case, seen: Observation, flow: Flow) -> Observation:
    run = await fb.execute(flow, case.input, timeout=RUN_TIMEOUT)
    try:
        async for event in run.events():
            if event.type == "approval_requested":
                await fb.approve(str(event.data["approval_id"]), by="user:eval")
        return replace(seen, ran=True, output=await run.result(timeout=RUN_TIMEOUT))
    except FlowBuilderError as error:
        return replace(seen, reason=f"the run ended with {error.code}: {error.message}")


def _texts(workspace: Path) -> dict[str, str]:
    found = {}
    for path in sorted(workspace.rglob("*")):
        if path.is_file() and path.stat().st_size < 1_000_000:
            found[path.relative_to(workspace).as_posix()] = path.read_text(
                encoding="utf-8", errors="replace"
            )
    return found
