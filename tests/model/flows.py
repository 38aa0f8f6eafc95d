"""Small flows for the state machine, as hypothesis shrinks them best."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from flowbuilder.flow import Flow
from flowbuilder.types import JsonObject, JsonValue
from tests.model.rows import Plan
from tests.model.slots import policy_of
from tests.support.engine import flow_of

RULES = ("all_success", "none_failed", "all_done", "one_success")
POLICIES = ("fail", "skip", "continue")


@dataclass(frozen=True, kw_only=True)
class Sketch:
    """A flow and the same for the mirror."""

    plans: list[Plan]
    output: str | None

    def flow(self, slug: str) -> Flow:
        rest = {} if self.output is None else {"output": f"${{{{ steps.{self.output} }}}}"}
        return flow_of(*(document_of(plan) for plan in self.plans), slug=slug, **rest)

    def __repr__(self) -> str:
        return f"{[document_of(plan) for plan in self.plans]} -> {self.output}"


def document_of(plan: Plan) -> JsonObject:
    source = plan.elements
    step: JsonObject = {
        "id": plan.name,
        "tool": plan.tool,
        "depends_on": list[JsonValue](name for name in plan.before if name != source),
        "trigger_rule": plan.rule,
        "on_error": plan.on_error,
        "retry": {"max_attempts": plan.max_attempts},
    }
    if plan.when:
        step["when"] = "true"
    if source is not None:
        step["for_each"] = f"${{{{ steps.{source} }}}}" if isinstance(source, str) else source
    if plan.window is not None:
        step["concurrency"] = plan.window
    if plan.limited:
        step["limit"] = policy_of(plan)
    if plan.undo is not None:
        step["compensate"] = {"tool": "other", "retry": {"max_attempts": plan.undo}}
    return step


@st.composite
def plans(draw: st.DrawFn, names: list[str], *, limited: bool = True) -> Plan:
    """Draw a step behind steps of these names."""
    before = draw(st.sets(st.sampled_from(names))) if names else set()
    sources: list[list[JsonValue] | str | None] = [None, None, [], [0], [1, None, "x"]]
    elements = draw(st.sampled_from([*sources, *names]))
    if isinstance(elements, str):
        before.add(elements)
    mapped = elements is not None
    return Plan(
        name=f"s{len(names)}",
        before=tuple(sorted(before)),
        rule=draw(st.sampled_from(RULES)),
        on_error=draw(st.sampled_from(POLICIES)),
        max_attempts=draw(st.integers(1, 2)),
        when=draw(st.booleans()),
        elements=elements,
        window=draw(st.sampled_from([None, 1, 2])) if mapped else None,
        tool=draw(st.sampled_from(["work", "work", "other"])),
        limited=limited and draw(st.sampled_from([False, False, True])),
        undo=draw(st.sampled_from([None, None, 1, 2])),
    )


@st.composite
def sketches(draw: st.DrawFn) -> Sketch:
    """Draw a flow of one to four steps; of every other one, some may be limited."""
    found: list[Plan] = []
    limited = draw(st.booleans())
    for _ in range(draw(st.integers(1, 4))):
        found.append(draw(plans([plan.name for plan in found], limited=limited)))
    output = draw(st.sampled_from([None, *(plan.name for plan in found)]))
    return Sketch(plans=found, output=output)
