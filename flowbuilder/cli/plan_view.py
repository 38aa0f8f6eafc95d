"""A plan as a person reads it: steps, tools, arguments, effects, approvals."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from flowbuilder.cli.answering import tell_question
from flowbuilder.cli.failures import show_problems
from flowbuilder.cli.output import Printer, shorten
from flowbuilder.cli.tree_view import tell_parts
from flowbuilder.cli.visible import escape
from flowbuilder.client import FlowBuilder
from flowbuilder.flow import Flow, Step
from flowbuilder.plan import Plan
from flowbuilder.review import Review
from flowbuilder.tools import ToolRegistry


async def show_plan(builder: FlowBuilder, printer: Printer, plan: Plan) -> None:
    """Print a plan: as a line in JSON mode, otherwise as a table with what there is to know."""
    if printer.as_json:
        printer.line({"type": "plan", "plan": plan.as_json()})
    else:
        await tell_plan(builder, printer, plan)


async def show_review(builder: FlowBuilder, printer: Printer, plan: Plan) -> None:
    """Print the review of a plan: a line in JSON mode, otherwise the plan as people read it."""
    if printer.as_json:
        found = await builder.review(plan)
        printer.line({"type": "review", "review": found.as_json()})
    else:
        await tell_plan(builder, printer, plan)


async def tell_plan(builder: FlowBuilder, printer: Printer, plan: Plan) -> None:
    """Print a plan for a person, with whom its runs will wait for as policy is now."""
    _tell_review(printer, plan, await builder.review(plan), builder.tools)


def _tell_review(printer: Printer, plan: Plan, found: Review, registry: ToolRegistry) -> None:
    talk = printer.talk
    talk.print(f"[bold]goal:[/] {escape(plan.goal)}")
    talk.print(f"[bold]planner:[/] {escape(plan.planner)}" + _planner_note(plan))
    talk.print(f"[bold]summary:[/] {escape(found.summary)}")
    if plan.flow is not None:
        tell_flow(talk, plan.flow, registry, {step.id: step.asks for step in found.steps})
        talk.print(f"[bold]graph:[/]\n{escape(found.tree)}")
    for step in found.steps:
        if step.why is not None:
            talk.print(f"[bold]{escape(step.id)}[/] {escape(step.means)}: {escape(step.why)}")
    tell_parts(talk, plan, registry)
    if plan.input not in (None, {}):
        talk.print(f"[bold]input:[/] {escape(shorten(plan.input, 400))}")
    for note in plan.notes:
        talk.print(f"[bold]note:[/] {escape(note)}")
    if not plan.certain:
        talk.print("[bold yellow]This plan is uncertain: read it before you run it.[/]")
    for question in plan.questions:
        tell_question(printer, question)
    show_problems(printer, found.problems)
    if found.diff is not None:
        talk.print(f"[bold]against the version before:[/]\n{escape(found.diff.as_text())}")
    talk.print(f"[dim]{escape(_estimate(plan))}[/]")


def tell_flow(
    talk: Console,
    flow: Flow,
    registry: ToolRegistry,
    asks: Mapping[str, tuple[str, ...] | None] | None = None,
) -> None:
    """Print the steps of a flow as a table; `asks`: whom steps wait for, where that is known."""
    made = Table(box=None, header_style="bold", pad_edge=False, title=f"flow {flow.slug}")
    made.title_justify = "left"
    made.title_style = "bold"
    for heading in ("#", "step", "tool", "arguments", "effects", "approval"):
        made.add_column(heading, overflow="fold")
    for number, step in enumerate(flow.steps, 1):
        made.add_row(
            str(number),
            escape(step.id),
            escape(step.tool),
            escape(_arguments(step)),
            effects_of(step, registry),
            escape(_approval(step, _asked(step) if asks is None else asks.get(step.id))),
        )
    talk.print(made)


def effects_of(step: Step, registry: ToolRegistry) -> str:
    """Return what a step does to the world, `?` when its tool is not loaded."""
    tool = registry.get(step.tool)
    return tool.effects.value if tool else "?"


def _arguments(step: Step) -> str:
    lines = [f"{key}: {shorten(value, 120)}" for key, value in step.args.items()]
    if step.for_each is not None:
        lines.insert(0, f"for each of {shorten(step.for_each, 100)}")
    if step.when:
        lines.insert(0, f"only when {step.when}")
    if step.depends_on:
        lines.append(f"after {', '.join(step.depends_on)}")
    return "\n".join(lines) or "-"


def _asked(step: Step) -> tuple[str, ...] | None:
    return None if step.approval is None else tuple(step.approval.by)


def _approval(step: Step, asks: tuple[str, ...] | None) -> str:
    if step.tool.startswith("human.") and step.approval is None:
        return "asks a person"
    return "-" if asks is None else "yes: " + (", ".join(asks) or "anyone")


def _planner_note(plan: Plan) -> str:
    if plan.planner == "rules":
        return " [dim](no model is configured: the goal's words were matched to tools by rules)[/]"
    return f" [dim]({escape(plan.model)})[/]" if plan.model else ""


def _estimate(plan: Plan) -> str:
    parts = [] if plan.estimate is None else plan.estimate.lines()
    usage = plan.usage
    if usage.calls:
        parts.append(f"planned with {usage.prompt_tokens + usage.completion_tokens} tokens")
    if usage.cost_usd is not None:
        parts.append(f"${usage.cost_usd:.4f}")
    return ", ".join(parts)
