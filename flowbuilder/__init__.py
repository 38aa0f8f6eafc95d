"""From a goal in plain language to a validated flow that runs durably on PostgreSQL.

    from flowbuilder import FlowBuilder

    async with FlowBuilder.connect() as fb:
        plan = await fb.plan("read data.csv and count its rows per city")
        run = await fb.accept_plan(plan)
        print(await run.result())

Names are loaded when they are first asked for, so that importing the package costs next to
nothing: no database driver, web framework or language model library comes with it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowbuilder.budget import Budget, BudgetUse
    from flowbuilder.client import FlowBuilder, FlowHandle, RetriedRun, Run
    from flowbuilder.costs import Estimate, Interval
    from flowbuilder.errors import (
        Conflict,
        DatabaseError,
        DatabaseUnavailable,
        DefinitionError,
        EmbeddedServerError,
        ExecutionError,
        FlowBuilderError,
        InvalidTransition,
        InvalidValue,
        MigrationError,
        ModelError,
        ModelOutputError,
        ModelTimeout,
        NoFittingTool,
        NotFound,
        PlanningError,
        Problem,
        RunCancelled,
        RunFailed,
        SettingsError,
        StaleTask,
        WaitTimeout,
    )
    from flowbuilder.executor.diagnosis import Reason, Why
    from flowbuilder.executor.store.retention import Pruned
    from flowbuilder.flow import (
        ApprovalPolicy,
        Backoff,
        Compensation,
        Flow,
        LimitPolicy,
        OnError,
        RetryPolicy,
        Step,
        TriggerRule,
        flow_json_schema,
    )
    from flowbuilder.limits import Priority, Quotas, Rate
    from flowbuilder.plan import Plan
    from flowbuilder.planner.base import PlanEvent, Planner
    from flowbuilder.settings import Settings
    from flowbuilder.tools import Context, Effects, Fail, Retry, Tool, ToolRegistry, Wait, tool

    __version__: str

#: Which module each public name lives in.
_HOMES = {
    "flowbuilder.budget": ("Budget", "BudgetUse"),
    "flowbuilder.costs": ("Estimate", "Interval"),
    "flowbuilder.client": ("FlowBuilder", "FlowHandle", "RetriedRun", "Run"),
    "flowbuilder.errors": (
        "Conflict",
        "DatabaseError",
        "DatabaseUnavailable",
        "DefinitionError",
        "EmbeddedServerError",
        "ExecutionError",
        "FlowBuilderError",
        "InvalidTransition",
        "InvalidValue",
        "MigrationError",
        "ModelError",
        "ModelOutputError",
        "ModelTimeout",
        "NoFittingTool",
        "NotFound",
        "PlanningError",
        "Problem",
        "RunCancelled",
        "RunFailed",
        "SettingsError",
        "StaleTask",
        "WaitTimeout",
    ),
    "flowbuilder.executor.diagnosis": ("Reason", "Why"),
    "flowbuilder.executor.store.retention": ("Pruned",),
    "flowbuilder.flow": (
        "ApprovalPolicy",
        "Backoff",
        "Compensation",
        "Flow",
        "LimitPolicy",
        "OnError",
        "RetryPolicy",
        "Step",
        "TriggerRule",
        "flow_json_schema",
    ),
    "flowbuilder.limits": ("Priority", "Quotas", "Rate"),
    "flowbuilder.plan": ("Plan",),
    "flowbuilder.planner.base": ("PlanEvent", "Planner"),
    "flowbuilder.settings": ("Settings",),
    "flowbuilder.tools": (
        "Context",
        "Effects",
        "Fail",
        "Retry",
        "Tool",
        "ToolRegistry",
        "Wait",
        "tool",
    ),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "ApprovalPolicy",
    "Backoff",
    "Budget",
    "BudgetUse",
    "Compensation",
    "Conflict",
    "Context",
    "DatabaseError",
    "DatabaseUnavailable",
    "DefinitionError",
    "Effects",
    "EmbeddedServerError",
    "Estimate",
    "ExecutionError",
    "Fail",
    "Flow",
    "FlowBuilder",
    "FlowBuilderError",
    "FlowHandle",
    "Interval",
    "InvalidTransition",
    "InvalidValue",
    "LimitPolicy",
    "MigrationError",
    "ModelError",
    "ModelOutputError",
    "ModelTimeout",
    "NoFittingTool",
    "NotFound",
    "OnError",
    "Plan",
    "PlanEvent",
    "Planner",
    "PlanningError",
    "Priority",
    "Problem",
    "Pruned",
    "Quotas",
    "Rate",
    "Reason",
    "RetriedRun",
    "Retry",
    "RetryPolicy",
    "Run",
    "RunCancelled",
    "RunFailed",
    "Settings",
    "SettingsError",
    "StaleTask",
    "Step",
    "Tool",
    "ToolRegistry",
    "TriggerRule",
    "Wait",
    "WaitTimeout",
    "Why",
    "__version__",
    "flow_json_schema",
    "tool",
]


def __getattr__(name: str) -> object:
    """Load a public name from its module and keep it."""
    if name == "__version__":
        value: object = _version()
    elif name in _HOME_OF:
        value = getattr(import_module(_HOME_OF[name]), name)
    else:
        raise AttributeError(f"module 'flowbuilder' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("flowbuilder")
    except PackageNotFoundError:  # a source tree that was not installed
        return "0+unknown"
