"""Plans of several flows, and runs with their child runs, as trees."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.tree import Tree

from flowbuilder.cli.failures import OK
from flowbuilder.cli.options import Options
from flowbuilder.cli.output import shorten, to_text
from flowbuilder.cli.visible import escape
from flowbuilder.plan import Plan, SubPlan
from flowbuilder.tools import ToolRegistry

_COLOURS = {"completed": "green", "failed": "red", "cancelled": "yellow", "running": "cyan"}


async def show_tree(options: Options, run_id: str) -> int:
    """Show a run with its child runs; in JSON mode one line `{run}`, runs inside of steps."""
    printer = options.printer()
    async with options.connect() as builder:
        found = await (await builder.get_run(run_id)).tree()
    if printer.as_json:
        printer.line({"run": found})
        return OK
    root = Tree(_run_line(found))
    _add_steps(root, found)
    printer.out.print(root)
    return OK


def tell_parts(talk: Console, plan: Plan, registry: ToolRegistry) -> None:
    """Print the parts of a plan as a tree; nothing for a plan that is one flow."""
    if not plan.children:
        return
    root = Tree(f"[bold]parts of {escape(plan.flow.flow if plan.flow else '')}[/]")
    for child in plan.children:
        _add_part(root, child, registry)
    talk.print(root)


def _add_part(tree: Tree, child: SubPlan, registry: ToolRegistry) -> None:
    flow = child.plan.flow
    branch = tree.add(f"[bold]{escape(child.step)}[/] {escape(shorten(child.plan.goal, 160))}")
    branch.add(f"[dim]takes[/] {escape(_members(child.input_schema))}")
    own = {item.step: item for item in child.plan.children}
    for step in flow.steps if flow is not None else []:
        if step.id in own:
            _add_part(branch, own[step.id], registry)
            continue
        tool = registry.get(step.tool)
        asks = ", asks a person" if step.approval is not None else ""
        effects = tool.effects.value if tool else "?"
        branch.add(escape(f"{step.id}  {step.tool} ({effects}{asks})"))
    branch.add(f"[dim]gives[/] {escape(_members(child.output_schema))}")


def _members(schema: dict[str, Any]) -> str:
    return ", ".join(schema.get("properties") or {}) or "nothing"


def _run_line(run: dict[str, Any]) -> str:
    colour = _COLOURS.get(str(run["status"]), "dim")
    error = f": {shorten(to_text(run['error']), 160)}" if run["error"] else ""
    said = f"[bold]{escape(str(run['flow']))}[/] [{colour}]{run['status']}[/] [dim]{run['id']}[/]"
    return said + escape(error)


def _add_steps(tree: Tree, run: dict[str, Any]) -> None:
    for step in run["steps"]:
        colour = _COLOURS.get(str(step["status"]), "dim")
        name = escape(f"{step['step_id']}  {step['tool']}")
        branch = tree.add(f"{name} [{colour}]{step['status']}[/]")
        for child in step["runs"]:
            _add_steps(branch.add(_run_line(child)), child)
