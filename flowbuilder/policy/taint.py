"""Where data comes from: which steps give something that somebody outside had a part in.

Two degrees. `TEXT` may hold words, and so instructions, addresses, anything. `VALUES` are what is
left when a quarantined extraction has filled a closed schema: numbers, truth values, dates and
given choices. Outsiders have chosen these too, but they can say nothing with them.

What a step gives is as much from outside as anything that it waits for, however it came by it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from enum import IntEnum

from flowbuilder.errors import InvalidValue
from flowbuilder.flow import Step
from flowbuilder.graph import Graph, descendants, needs
from flowbuilder.policy.closed import is_closed
from flowbuilder.references import Reference, find
from flowbuilder.tools import Tool, ToolRegistry

#: The quarantined extraction: a call without tools, whose answer has to fit a schema.
EXTRACTION = "llm.extract"
#: The mark of a run whose input came from outside.
INPUT_MARK = "input"
#: Begins the mark of a step whose output turned out to be from outside.
STEP_MARK = "steps."


class Taint(IntEnum):
    """How much somebody outside could have said."""

    NONE = 0
    VALUES = 1
    TEXT = 2


class Taints:
    """What is known of one flow's data; asked about one step at a time.

    Args:
        step_of: Returns a step by its id, None for one that there is not.
        registry: Tools, for what they declare. One that is not there may give anything, unless
            `declared` says what the version's own tools did.
        declared: The steps whose tools gave untrusted output where the version was made.
        marks: What became known while the run went on: `input`, `steps.<id>`.
    """

    def __init__(
        self,
        step_of: Callable[[str], Step | None],
        registry: ToolRegistry,
        *,
        declared: Collection[str] | None = None,
        marks: Collection[str] = (),
    ) -> None:
        self._step_of, self._registry = step_of, registry
        self._declared, self._marks = declared, frozenset(marks)
        self._known: dict[str, Taint] = {}

    def of_arguments(self, step: Step) -> tuple[Taint, tuple[str, ...]]:
        """Return how much of a step's arguments is from outside, and through which steps."""
        worst, through = Taint.NONE, set()
        for reference in _read(step):
            found = self._of(reference)
            worst = max(worst, found)
            if found and reference.step is not None:
                through.add(reference.step)
        return worst, tuple(sorted(through))

    def of_step(self, name: str) -> Taint:
        """Return how much of a step's output is from outside."""
        waiting, begun = [name], set[str]()
        while waiting:
            current = waiting[-1]
            if current in self._known:
                waiting.pop()
                continue
            step = self._step_of(current)
            before = needs(step) if step is not None else set()
            # what has begun and is not known waits for this one: a circle, which validation refuses
            missing = [item for item in before if item not in self._known and item not in begun]
            begun.add(current)
            if missing:
                waiting += missing
                continue
            self._known[current] = self._judged(current, step, before)
            waiting.pop()
        return self._known[name]

    def _judged(self, name: str, step: Step | None, before: Collection[str]) -> Taint:
        own = self._own(name, step)
        if step is None or own is Taint.TEXT or _is_quarantined(step):
            return own
        reads_input = INPUT_MARK in self._marks and _reads_input(step)
        inherited = max((self._known.get(item, Taint.TEXT) for item in before), default=own)
        return max(own, inherited, Taint.TEXT if reads_input else Taint.NONE)

    def _own(self, name: str, step: Step | None) -> Taint:
        if step is None or f"{STEP_MARK}{name}" in self._marks:
            return Taint.TEXT
        tool = self._registry.get(step.tool)
        unknown = tool is None and self._declared is None
        says = tool is not None and tool.untrusted_output
        if not (unknown or says or name in (self._declared or ())):
            return Taint.NONE
        return Taint.VALUES if _is_quarantined(step) else Taint.TEXT

    def _of(self, reference: Reference) -> Taint:
        if reference.step is not None:
            return self.of_step(reference.step)
        marked = reference.root == "input" and INPUT_MARK in self._marks
        return Taint.TEXT if marked else Taint.NONE


def tainted_steps(graph: Graph, tools: Mapping[str, Tool | None]) -> set[str]:
    """Return the steps whose output somebody outside had a part in, whatever their arguments."""
    sources = {name for name, tool in tools.items() if tool is None or tool.untrusted_output}
    return sources | descendants(graph, sources)


def _is_quarantined(step: Step) -> bool:
    return step.tool.partition("@")[0] == EXTRACTION and is_closed(step.args.get("schema"))


def _read(step: Step) -> list[Reference]:
    found: list[Reference] = []
    for part in (step.args, step.for_each):
        try:
            found += [item.reference for item in find(part)]
        except InvalidValue:
            continue  # validation reports it, and nothing is called with it
    return found


def _reads_input(step: Step) -> bool:
    return any(reference.root == "input" for reference in _read(step))
