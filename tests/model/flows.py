"""Small flows for the state machine, as hypothesis shrinks them best."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from flowbuilder.flow import Flow
from flowbuilder.types import JsonObject, JsonValue
from tests.model.mirror import Plan
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
        return flow_of(*(_step(plan) for plan in self.plans), slug=slug, **rest)

    def __repr__(self) -> str:
        return f"{[_step(plan) for plan in self.plans]} -> {self.output}"


def _step(plan: Plan) -> JsonObject:
    source = plan.elements
    step: JsonObject = {
        "id": plan.name,
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
    return step


@st.composite
def sketches(draw: st.DrawFn) -> Sketch:
    """Draw a flow of one to four steps."""
    plans: list[Plan] = []
    for number in range(draw(st.integers(1, 4))):
        names = [plan.name for plan in plans]
        before = draw(st.sets(st.sampled_from(names))) if names else set()
        sources: list[list[JsonValue] | str | None] = [None, None, [], [0], [1, None, "x"]]
        elements = draw(st.sampled_from([*sources, *names]))
        if isinstance(elements, str):
            before.add(elements)
        mapped = elements is not None
        plans.append(Plan(
            name=f"s{number}",
            before=tuple(sorted(before)),
            rule=draw(st.sampled_from(RULES)),
            on_error=draw(st.sampled_from(POLICIES)),
            max_attempts=draw(st.integers(1, 2)),
            when=draw(st.booleans()),
            elements=elements,
            window=draw(st.sampled_from([None, 1, 2])) if mapped else None,
        ))  # fmt: skip
    output = draw(st.sampled_from([None, *(plan.name for plan in plans)]))
    return Sketch(plans=plans, output=output)
