"""Graphs of flows drawn as text, for people and for mermaid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from flowbuilder.flow import Flow
from flowbuilder.graph import dependencies


class Drawn(Protocol):
    """What is drawn of a step."""

    @property
    def id(self) -> str: ...

    @property
    def tool(self) -> str: ...

    @property
    def after(self) -> tuple[str, ...]:
        """The steps that it waits for."""
        ...

    @property
    def asks(self) -> tuple[str, ...] | None:
        """Who is asked before it; None: nobody."""
        ...


def tree(flow: Flow, steps: Sequence[Drawn]) -> str:
    """Return a flow's graph as a tree of text; each step stands under the last that it waits for.

    Further steps that it waits for are named beside it.
    """
    above = _parents(flow)
    below: dict[str | None, list[str]] = {}
    for name, parent in above.items():
        below.setdefault(parent, []).append(name)
    by_id = {step.id: step for step in steps}
    lines: list[str] = []
    waiting = [(name, "", "") for name in reversed(below.get(None, []))]
    while waiting:
        name, lead, branch = waiting.pop()
        lines.append(f"{lead}{branch}{_node(by_id[name], above[name])}")
        inner = lead + _INNER[branch]
        children = below.get(name, [])
        branches = ["├─ "] * (len(children) - 1) + ["└─ "]
        further = [(child, inner, sign) for child, sign in zip(children, branches, strict=False)]
        waiting += reversed(further)
    return "\n".join(lines)


#: What stands before the lines below a branch.
_INNER = {"": "", "├─ ": "│  ", "└─ ": "   "}


def mermaid(flow: Flow, steps: Sequence[Drawn]) -> str:
    """Return a flow's graph as a mermaid flowchart; steps that ask a person have six corners."""
    names = {step.id: f"s{number}" for number, step in enumerate(steps)}
    lines = ["flowchart TD"]
    for step in steps:
        label = _quoted(f"{step.id}: {step.tool}")
        shape = f'{{{{"{label}"}}}}' if step.asks is not None else f'["{label}"]'
        lines.append(f"    {names[step.id]}{shape}")
    for step in steps:
        condition = flow.step(step.id)
        when = condition.when if condition is not None else None
        arrow = f'-- "{_quoted(cut(when, 40))}" -->' if when else "-->"
        lines += [f"    {names[name]} {arrow} {names[step.id]}" for name in step.after]
    return "\n".join(lines)


def _parents(flow: Flow) -> dict[str, str | None]:
    """Return for each step the one that it stands under: the deepest that it waits for."""
    graph = dependencies(flow)
    depth: dict[str, int] = {}
    above: dict[str, str | None] = {}
    left = [step.id for step in flow.steps]
    while left:
        ready = [name for name in left if all(one in depth for one in graph[name] if one in graph)]
        for name in ready or left[:1]:  # a cycle has no first step: any will do
            known = [one for one in graph[name] if one in depth]
            deepest = max(known, key=lambda one: (depth[one], one), default=None)
            depth[name] = 0 if deepest is None else depth[deepest] + 1
            above[name] = deepest
            left.remove(name)
    return above


def _node(step: Drawn, parent: str | None) -> str:
    others = [name for name in step.after if name != parent]
    also = f" (also after {', '.join(others)})" if others else ""
    asks = "  [asks a person]" if step.asks is not None else ""
    return f"{step.id}: {step.tool}{also}{asks}"


def _quoted(text: str) -> str:
    """Return a text as it may stand in a quoted label of mermaid."""
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace("`", "'")


def cut(text: str, length: int) -> str:
    """Return a text as one line of at most so many characters."""
    text = " ".join(text.split())
    return text if len(text) <= length else f"{text[: length - 1]}…"
