"""A plan as a person judges it: what it does in plain words, what that touches, what is open.

Everything is derived from the plan and the tools; nothing here is a model's opinion of itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from flowbuilder.costs import Estimate
from flowbuilder.diff import FlowDiff
from flowbuilder.drawing import cut, mermaid, tree
from flowbuilder.errors import Problem, Severity
from flowbuilder.flow import Flow, Step
from flowbuilder.graph import Graph, dependencies
from flowbuilder.plan import Plan, Question
from flowbuilder.policy import DEFAULT_POLICY, Policies, policy_problems
from flowbuilder.policy.plans import asking_flow
from flowbuilder.tools import Effects, Tool, ToolRegistry
from flowbuilder.types import JsonObject

#: What an effect means for who has to answer for it.
EFFECT_WORDS: Mapping[Effects, str] = {
    Effects.PURE: "only computes",
    Effects.READ: "only reads",
    Effects.WRITE: "changes something of yours",
    Effects.EXTERNAL: "reaches somebody or something outside",
    Effects.IRREVERSIBLE: "cannot be undone",
}
UNKNOWN_EFFECT = "is not known here: its tool is not loaded"
_ASKING = ("human.approve", "human.input")
#: Characters of a value in a sentence.
_LONGEST_VALUE = 60
#: Steps that the summary names one by one.
_MOST_TOLD = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class StepReview:
    """One step for who judges it."""

    id: str
    tool: str
    does: str
    """What it does, in a few words, with its plain arguments."""
    effects: str
    """`pure`, `read`, `write`, `external`, `irreversible`, or `unknown`."""
    means: str
    """What that means, in words."""
    after: tuple[str, ...]
    """The steps that it waits for."""
    asks: tuple[str, ...] | None
    """Who is asked before it runs, () for anyone; None: nobody."""
    why: str | None
    """Why somebody is asked, or why nobody has to be although it has effects."""

    def as_json(self) -> JsonObject:
        """Return the step as JSON."""
        return {
            "id": self.id,
            "tool": self.tool,
            "does": self.does,
            "effects": self.effects,
            "means": self.means,
            "after": [*self.after],
            "approval": None if self.asks is None else {"by": [*self.asks], "why": self.why},
            "why": self.why,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Review:
    """Everything that a person needs to say yes or no to a plan."""

    plan_id: str
    goal: str
    status: str
    certain: bool
    revision: int
    summary: str
    steps: tuple[StepReview, ...]
    tree: str
    """The graph as a tree of text."""
    mermaid: str
    """The graph as a mermaid diagram."""
    estimate: Estimate | None
    notes: tuple[str, ...]
    questions: tuple[Question, ...]
    problems: tuple[Problem, ...]
    diff: FlowDiff | None

    def as_json(self) -> JsonObject:
        """Return the review as JSON."""
        return {
            "plan_id": self.plan_id,
            "goal": self.goal,
            "status": self.status,
            "certain": self.certain,
            "revision": self.revision,
            "summary": self.summary,
            "steps": [step.as_json() for step in self.steps],
            "graph": {"text": self.tree, "mermaid": self.mermaid},
            "estimate": None if self.estimate is None else self.estimate.as_json(),
            "notes": [*self.notes],
            "questions": [question.as_json() for question in self.questions],
            "problems": [problem.as_json() for problem in self.problems],
            "diff": None if self.diff is None else self.diff.as_json(),
        }

    def as_markdown(self) -> str:
        """Return the review as a page of Markdown."""
        return "\n".join(_markdown(self)) + "\n"


def review(plan: Plan, registry: ToolRegistry, policies: Policies = (DEFAULT_POLICY,)) -> Review:
    """Return what there is to know about a plan before it is accepted.

    Whom its runs will wait for is said by the policies that hold now, whatever held when the plan
    was made, and what they refuse is among the problems.
    """
    flow = plan.flow
    steps = reviewed_steps(plan, flow, registry, policies) if flow is not None else ()
    return Review(
        plan_id=plan.id,
        goal=plan.goal,
        status=plan.status.value,
        certain=plan.certain,
        revision=plan.revision,
        summary=_summary(plan, steps),
        steps=steps,
        tree=tree(flow, steps) if flow is not None else "",
        mermaid=mermaid(flow, steps) if flow is not None else "",
        estimate=plan.estimate,
        notes=plan.notes,
        questions=plan.questions,
        problems=(*plan.problems, *_refusals(plan, registry, policies)),
        diff=plan.diff,
    )


def reviewed_steps(
    plan: Plan, flow: Flow, registry: ToolRegistry, policies: Policies
) -> tuple[StepReview, ...]:
    """Return what each step of a plan's flow does, touches and asks."""
    graph = dependencies(flow)
    reasons = _reasons(plan, flow, registry, policies)
    asking, _ = asking_flow(plan, flow, registry, policies)
    return tuple(
        _reviewed(step, asking, registry.get(step.tool), graph, reasons) for step in asking.steps
    )


def _refusals(plan: Plan, registry: ToolRegistry, policies: Policies) -> list[Problem]:
    """Return what policy refuses of a plan and the plan does not say itself."""
    if plan.flow is None:
        return []
    known = {(item.code, item.pointer) for item in plan.problems}
    found = policy_problems(plan.flow, registry, policies, planned=plan.changes is None)
    return [
        item
        for item in found
        if item.severity is Severity.ERROR and (item.code, item.pointer) not in known
    ]


# -- steps ----------------------------------------------------------------------------------


def _reviewed(
    step: Step, flow: Flow, tool: Tool | None, graph: Graph, reasons: Mapping[str, str]
) -> StepReview:
    asks, why = _asked(step, reasons)
    places = {one.id: place for place, one in enumerate(flow.steps)}
    return StepReview(
        id=step.id,
        tool=step.tool,
        does=_does(step, tool),
        effects=tool.effects.value if tool else "unknown",
        means=EFFECT_WORDS[tool.effects] if tool else UNKNOWN_EFFECT,
        after=tuple(sorted((n for n in graph[step.id] if n in places), key=places.__getitem__)),
        asks=asks,
        why=why,
    )


def _asked(step: Step, reasons: Mapping[str, str]) -> tuple[tuple[str, ...] | None, str | None]:
    """Return who is asked before a step, and why; or why nobody has to be."""
    reason = reasons.get(step.id)
    if step.tool.partition("@")[0] in _ASKING:
        by = step.args.get("by")
        named = [by] if isinstance(by, str) else by if isinstance(by, list) else []
        return tuple(map(str, named)), "It is there to ask a person."
    if step.approval is not None:
        return tuple(step.approval.by), reason or step.approval.message or "The flow asks for it."
    if reason is None:
        return None, None
    return None, "A step before it asks a person about the same data."


def _reasons(plan: Plan, flow: Flow, registry: ToolRegistry, policies: Policies) -> dict[str, str]:
    """Return why policy wants a person to look at a step, by the step's id."""
    bare = [step.model_copy(update={"approval": None}) for step in flow.steps]
    asked, _ = asking_flow(plan, flow.model_copy(update={"steps": bare}), registry, policies)
    found = {
        step.id: step.approval.message
        for step in asked.steps
        if step.approval is not None and step.approval.message
    }
    kept = flow.model_copy(update={"steps": [_alone(step) for step in bare]})
    alone, _ = asking_flow(plan, kept, registry, policies)
    for step in alone.steps:  # what a step before it asks about needs a reason, too
        if step.id not in found and step.approval is not None and step.approval.message:
            found[step.id] = step.approval.message
    return found


def _alone(step: Step) -> Step:
    """Return a step that no question before it stands for."""
    asking = step.tool.partition("@")[0] == "human.approve"
    return step.model_copy(update={"args": {}}) if asking else step


def _does(step: Step, tool: Tool | None) -> str:
    said = step.description or (tool.summary.split(". ")[0] if tool else step.tool)
    plain = [f"{name}: {_shown(value)}" for name, value in step.args.items()]
    text = said.strip().rstrip(".")
    if step.for_each is not None:
        text += f", for each of {_shown(step.for_each)}"
    if step.when:
        text += f", only when {step.when}"
    return f"{text} ({', '.join(plain)})" if plain else text


# -- the whole ------------------------------------------------------------------------------


def _summary(plan: Plan, steps: Sequence[StepReview]) -> str:
    """Return the plan in a few sentences."""
    if not steps:
        return "There is no plan yet that could be carried out."
    sentences = [_acts(plan, steps), _touches(steps), _asking_words(steps)]
    if plan.questions:
        sentences.append(f"It cannot run before {_count(len(plan.questions), 'question')} "
                         f"{'is' if len(plan.questions) == 1 else 'are'} answered.")  # fmt: skip
    if not plan.certain:
        sentences.append("The planner is not certain that this is what was meant.")
    if plan.diff is not None and not plan.diff.empty:
        sentences.append(_changed(plan.diff))
    return " ".join(filter(None, sentences))


def _acts(plan: Plan, steps: Sequence[StepReview]) -> str:
    assert plan.flow is not None
    told = []
    for step in steps[:_MOST_TOLD]:
        full = plan.flow.step(step.id)
        text = (
            step.does.split(" (")[0] if full is None or not full.description else full.description
        )
        told.append(text[:1].lower() + text[1:].rstrip("."))
    more = len(steps) - len(told)
    if more > 0:
        told.append(f"{more} more")
    listed = "; then ".join(told)
    return f"{_count(len(steps), 'step')}: {listed}."


def _touches(steps: Sequence[StepReview]) -> str:
    acting = [step for step in steps if step.effects not in ("pure", "read")]
    if not acting:
        return "Nothing is changed anywhere: it only reads and computes."
    return " ".join(f"{step.id} {step.means}." for step in acting[:_MOST_TOLD])


def _asking_words(steps: Sequence[StepReview]) -> str:
    asked = [step.id for step in steps if step.asks is not None]
    if not asked:
        return ""
    return f"A person is asked before {', '.join(asked)}."


def _changed(diff: FlowDiff) -> str:
    parts = [
        f"{word} {', '.join(names)}"
        for word, names in (
            ("adds", [str(step.get("id")) for step in diff.added]),
            ("takes out", [str(step.get("id")) for step in diff.removed]),
            ("changes", [change.id for change in diff.changed]),
        )
        if names
    ]
    return f"Against the version before it {' and '.join(parts)}." if parts else ""


# -- words ----------------------------------------------------------------------------------


def _markdown(found: Review) -> Iterator[str]:
    yield f"# Plan: {_line(found.goal)}"
    yield f"\n{_line(found.summary)}"
    if found.steps:
        yield "\n## Steps\n"
        yield "| step | what it does | effects | asks a person |"
        yield "|---|---|---|---|"
        for step in found.steps:
            asks = "-" if step.asks is None else ", ".join(step.asks) or "anyone"
            why = f": {step.why}" if step.why else ""
            cells = (step.id, step.does, f"{step.effects}: {step.means}", f"{asks}{why}")
            yield f"| {' | '.join(_cell(cell) for cell in cells)} |"
        yield f"\n## Graph\n\n```text\n{_fenced(found.tree)}\n```"
        yield f"\n```mermaid\n{_fenced(found.mermaid)}\n```"
    if found.estimate is not None:
        yield from _section("Estimate", [*found.estimate.lines(), *found.estimate.assumptions])
    yield from _section("Questions", [_question(item) for item in found.questions])
    yield from _section(
        "Problems",
        [f"{item.severity.value} {item.pointer}: {item.message}" for item in found.problems],
    )
    yield from _section("Notes", found.notes)
    if found.diff is not None:
        yield f"\n## Against the version before\n\n```text\n{_fenced(found.diff.as_text())}\n```"


def _section(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield f"\n## {title}\n"
        yield from (f"- {_line(line)}" for line in lines)


def _question(question: Question) -> str:
    options = ", ".join(orjson.dumps(item).decode() for item in question.options)
    listed = f" One of {options}." if options else ""
    return f"{question.id}: {question.text}{listed} {question.reason}".strip()


def _shown(value: Any) -> str:
    return cut(value if isinstance(value, str) else orjson.dumps(value).decode(), _LONGEST_VALUE)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _line(text: str) -> str:
    """Return a text as one line that begins nothing of Markdown."""
    return " ".join(text.split()).replace("<", "&lt;")


def _cell(text: str) -> str:
    return _line(text).replace("|", "\\|")


def _fenced(text: str) -> str:
    """Return a text that does not end the block of code it stands in."""
    return text.replace("```", "'''")
