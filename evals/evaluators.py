"""Evaluators: each looks at one side of what was observed and gives a finding.

A finding's value is a bool (a requirement), a number from 0 to 1 (a score) or a text (a label).
A case passes when every bool is true and every score is 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import orjson

from flowbuilder.flow import Flow
from flowbuilder.graph import dependencies
from flowbuilder.types import JsonObject

if TYPE_CHECKING:
    from flowbuilder.evals.dataset import Expectation
    from flowbuilder.evals.runner import Observation


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What one evaluator says of one case."""

    evaluator: str
    value: bool | float | str
    reason: str = ""

    @property
    def passed(self) -> bool:
        """True for a met requirement, a full score, and every label."""
        return not isinstance(self.value, bool | float) or float(self.value) == 1.0

    def as_json(self) -> JsonObject:
        """Return the finding as JSON."""
        return {"evaluator": self.evaluator, "value": self.value, "reason": self.reason}


class Evaluator(Protocol):
    """Judges an observation; None when the expectation says nothing about its side."""

    def __call__(self, expect: Expectation, seen: Observation) -> Finding | None:
        """Return the finding."""
        ...


def outcome(expect: Expectation, seen: Observation) -> Finding:
    """A valid plan, a refusal or a question, as expected; never a plan with errors."""
    return Finding(
        evaluator="outcome",
        value=seen.outcome == expect.outcome,
        reason="" if seen.outcome == expect.outcome else f"{seen.outcome}: {seen.reason}",
    )


def honest(expect: Expectation, seen: Observation) -> Finding | None:
    """A plan with other tools than expected must not be called certain."""
    if seen.flow is None or expect.tools is None:
        return None
    wrong = tools_of(seen.flow) != list(expect.tools)
    return Finding(
        evaluator="honest",
        value=not (wrong and seen.certain),
        reason="a wrong plan was called certain" if wrong and seen.certain else "",
    )


def tools(expect: Expectation, seen: Observation) -> Finding | None:
    """The tools of the steps, in order, exactly."""
    if expect.tools is None or expect.outcome != "plan":
        return None
    found = tools_of(seen.flow) if seen.flow else []
    return Finding(
        evaluator="tools",
        value=found == list(expect.tools),
        reason="" if found == list(expect.tools) else f"planned {' → '.join(found) or 'nothing'}",
    )


def edges(expect: Expectation, seen: Observation) -> Finding | None:
    """F1 of the expected edges against the planned ones, as multisets of pairs of tools."""
    if expect.edges is None:
        return None
    wanted = Counter(expect.edges)
    found = Counter(edges_of(seen.flow)) if seen.flow else Counter[tuple[str, str]]()
    common = (wanted & found).total()
    total = wanted.total() + found.total()
    missing = [f"{a} → {b}" for a, b in (wanted - found)]
    extra = [f"{a} → {b}" for a, b in (found - wanted)]
    return Finding(
        evaluator="edges",
        value=2 * common / total if total else 1.0,
        reason="; ".join(
            part
            for part in (
                f"missing {', '.join(missing)}" if missing else "",
                f"extra {', '.join(extra)}" if extra else "",
            )
            if part
        ),
    )


def literals(expect: Expectation, seen: Observation) -> Finding | None:
    """Share of the expected literals that stand in some argument."""
    if not expect.literals:
        return None
    arguments = [arguments_text(step.args) for step in seen.flow.steps] if seen.flow else []
    missing = [text for text in expect.literals if not any(text in args for args in arguments)]
    return Finding(
        evaluator="literals",
        value=1 - len(missing) / len(expect.literals),
        reason=f"nowhere in the arguments: {', '.join(missing)}" if missing else "",
    )


def approvals(expect: Expectation, seen: Observation) -> Finding | None:
    """As many decisions asked of people as expected."""
    if expect.approvals is None:
        return None
    found = sum(
        1
        for step in (seen.flow.steps if seen.flow else [])
        if asks_a_person(step.tool, step.approval)
    )
    return Finding(
        evaluator="approvals",
        value=found == expect.approvals,
        reason="" if found == expect.approvals else f"the plan asks {found} times",
    )


def result(expect: Expectation, seen: Observation) -> Finding | None:
    """The output of really running the plan, compared as JSON."""
    if "result" not in expect.model_fields_set:
        return None
    if not seen.ran:
        return Finding(evaluator="result", value=False, reason=seen.reason or "it did not run")
    same = canonical(seen.output) == canonical(expect.result)
    return Finding(
        evaluator="result",
        value=same,
        reason="" if same else f"got {canonical(seen.output)[:300].decode(errors='replace')}",
    )


def files(expect: Expectation, seen: Observation) -> Finding | None:
    """The files that really running the plan has left."""
    if not expect.files:
        return None
    wrong = []
    for path, wanted in expect.files.items():
        text = seen.files.get(path)
        if text is None:
            wrong.append(f"{path} is not there")
        elif wanted.equals is not None and text != wanted.equals:
            wrong.append(f"{path} holds something else")
        else:
            wrong += [f"{path} lacks {part!r}" for part in wanted.contains if part not in text]
    if not seen.ran:
        wrong.insert(0, seen.reason or "it did not run")
    return Finding(evaluator="files", value=not wrong, reason="; ".join(wrong))


#: In the order of a report's columns.
EVALUATORS: tuple[Evaluator, ...] = (
    outcome,
    honest,
    tools,
    edges,
    literals,
    approvals,
    result,
    files,
)


def tools_of(flow: Flow) -> list[str]:
    """Return the tools of a flow's steps in order, without versions."""
    return [step.tool.partition("@")[0] for step in flow.steps]


def edges_of(flow: Flow) -> Iterable[tuple[str, str]]:
    """Yield a pair of tools for each dependency between steps."""
    names = {step.id: step.tool.partition("@")[0] for step in flow.steps}
    for step, before in dependencies(flow).items():
        for other in before:
            if other in names and step in names:
                yield names[other], names[step]


def asks_a_person(tool: str, approval: object) -> bool:
    """Whether a step waits for somebody."""
    return approval is not None or tool.partition("@")[0].startswith("human.")


def arguments_text(arguments: object) -> str:
    """Return arguments as text in which literals can be looked for: keys and leaves, unescaped."""
    if isinstance(arguments, dict):
        return "\n".join(f"{key}\n{arguments_text(value)}" for key, value in arguments.items())
    if isinstance(arguments, list):
        return "\n".join(arguments_text(value) for value in arguments)
    return arguments if isinstance(arguments, str) else canonical(arguments).decode()


def canonical(value: object) -> bytes:
    """Return JSON with sorted keys, so that equal values have equal bytes."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
