"""Evaluators: each looks at one side of what was observed and gives a finding.

A finding's value is a bool (a requirement), a number from 0 to 1 (a score) or a text (a label).
A case passes when every bool is true and every score is 1. `judge` calls them all.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import orjson

from flowbuilder.evals.goldmatch import gold_scores
from flowbuilder.flow import Flow, Step
from flowbuilder.graph import dependencies
from flowbuilder.types import JsonObject, JsonValue

if TYPE_CHECKING:
    from flowbuilder.evals.dataset import Expectation, FileExpectation
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
        return isinstance(self.value, str) or float(self.value) == 1.0

    def as_json(self) -> JsonObject:
        """Return the finding as JSON."""
        return {"evaluator": self.evaluator, "value": self.value, "reason": self.reason}


class Evaluator(Protocol):
    """Judges an observation; None when the expectation says nothing about its side."""

    def __call__(self, expect: Expectation, seen: Observation) -> Finding | None:
        """Return the finding."""
        ...


def judge(expect: Expectation, seen: Observation) -> tuple[Finding, ...]:
    """Return what every evaluator has to say, and whether the plan was honest about itself."""
    found = [evaluator(expect, seen) for evaluator in EVALUATORS]
    findings = [finding for finding in found if finding is not None]
    findings += [
        Finding(evaluator=name, value=value, reason=reason)
        for name, value, reason in gold_scores(expect, seen)
    ]
    findings += seen.executed
    if seen.outcome == "plan":
        wrong = [finding.evaluator for finding in findings if not finding.passed]
        findings.insert(1, _honest(wrong, certain=seen.certain))
    return tuple(findings)


def _honest(wrong: list[str], *, certain: bool) -> Finding:
    """A plan that is wrong in anything must not have been called certain."""
    deceives = bool(wrong) and certain
    return Finding(
        evaluator="honest",
        value=not deceives,
        reason="it was called certain, and yet it is wrong" if deceives else "",
    )


def outcome(expect: Expectation, seen: Observation) -> Finding:
    """A valid plan, a refusal or a question, as expected; never a plan with errors."""
    same = seen.outcome == expect.outcome
    told = f"{seen.outcome}: {seen.reason}" if seen.reason else seen.outcome
    return Finding(evaluator="outcome", value=same, reason="" if same else told)


def tools(expect: Expectation, seen: Observation) -> Finding | None:
    """The tools of the steps, in order, exactly as in one of the sequences that are right."""
    if not expect.sequences:
        return None
    found = tools_of(seen.flow) if seen.flow else []
    right = found in expect.sequences and seen.flow is not None
    return Finding(
        evaluator="tools",
        value=right,
        reason="" if right else f"planned {' → '.join(found) or 'nothing'}",
    )


def edges(expect: Expectation, seen: Observation) -> Finding | None:
    """F1 of the expected edges against the planned ones, as multisets of pairs of tools."""
    if expect.edges is None:
        return None
    if seen.flow and tools_of(seen.flow) in expect.alternatives:
        return None
    wanted = Counter(expect.edges)
    found = Counter(edges_of(seen.flow)) if seen.flow else Counter[tuple[str, str]]()
    common = (wanted & found).total()
    total = wanted.total() + found.total()
    missing = [f"{a} → {b}" for a, b in (wanted - found).elements()]
    extra = [f"{a} → {b}" for a, b in (found - wanted).elements()]
    told = [("missing", missing), ("extra", extra)]
    return Finding(
        evaluator="edges",
        value=2 * common / total if total else 1.0,
        reason="; ".join(f"{word} {', '.join(pairs)}" for word, pairs in told if pairs),
    )


def literals(expect: Expectation, seen: Observation) -> Finding | None:
    """Share of the expected literals that stand in an argument or a condition of some step."""
    if not expect.literals:
        return None
    values = [value for step in seen.flow.steps for value in _values(step)] if seen.flow else []
    missing = [
        wanted for wanted in expect.literals if not any(_stands_in(wanted, v) for v in values)
    ]
    return Finding(
        evaluator="literals",
        value=1 - len(missing) / len(expect.literals),
        reason=f"nowhere in the arguments: {', '.join(map(str, missing))}" if missing else "",
    )


def approvals(expect: Expectation, seen: Observation) -> Finding | None:
    """As many decisions asked of people as expected."""
    if expect.approvals is None:
        return None
    steps = seen.flow.steps if seen.flow else []
    found = sum(1 for step in steps if asks_a_person(step.tool, step.approval))
    same = found == expect.approvals
    reason = "" if same else f"{found} steps ask a person, not {expect.approvals}"
    return Finding(evaluator="approvals", value=same, reason=reason)


def result(expect: Expectation, seen: Observation) -> Finding | None:
    """The output of really running the plan, compared as JSON."""
    if "result" not in expect.model_fields_set:
        return None
    if not seen.ran:
        return Finding(evaluator="result", value=False, reason=_why_not_run(seen))
    same = same_json(seen.output, expect.result)
    return Finding(
        evaluator="result",
        value=same,
        reason="" if same else f"got {_shown(canonical(seen.output).decode())}",
    )


def files(expect: Expectation, seen: Observation) -> Finding | None:
    """The files that really running the plan has left."""
    if not expect.files:
        return None
    if not seen.ran:
        return Finding(evaluator="files", value=False, reason=_why_not_run(seen))
    wrong = [
        f"{path} {reason}"
        for path, wanted in expect.files.items()
        for reason in _file_faults(wanted, seen.files.get(path))
    ]
    return Finding(evaluator="files", value=not wrong, reason="; ".join(wrong))


#: In the order of a report's scores; `honest` is made of what they find.
EVALUATORS: tuple[Evaluator, ...] = (outcome, tools, edges, literals, approvals, result, files)


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


def leaves(value: object) -> Iterator[str | int | float | bool | None]:
    """Yield the keys and leaves of a JSON value; references are no literals and left out."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner)
    elif isinstance(value, str):
        yield _REFERENCE.sub("\n", value)
    elif value is None or isinstance(value, bool | int | float):
        yield value


def same_json(found: object, wanted: object) -> bool:
    """Whether two JSON values are the same; 3 and 3.0 are, 1 and true are not."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(
            same_json(found[key], inner) for key, inner in wanted.items()
        )
    if isinstance(found, list) and isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(same_json, found, wanted))
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted
    if isinstance(found, int | float) and isinstance(wanted, int | float):
        return found == wanted or math.isclose(found, wanted, rel_tol=1e-9)
    return found == wanted


def canonical(value: JsonValue) -> bytes:
    """Return JSON with sorted keys, so that equal values have equal bytes."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


_REFERENCE = re.compile(r"\$\{\{.*?\}\}", re.DOTALL)


def _values(step: Step) -> Iterator[str | int | float | bool | None]:
    yield from leaves(step.args)
    if step.when is not None:
        yield step.when


def _stands_in(wanted: str | int | float, value: str | int | float | bool | None) -> bool:
    """Whether a literal is a value or stands in it as a word of its own."""
    if value is None or isinstance(value, bool):
        return str(wanted).lower() == {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return _number(wanted) == value
    pattern = rf"(?<!\w){re.escape(str(wanted))}(?!\w)"
    return str(wanted) == value or re.search(pattern, value) is not None


def _number(text: str | int | float) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _file_faults(wanted: FileExpectation | None, text: str | None) -> list[str]:
    """Return what is wrong with one file."""
    if wanted is None:
        return [] if text is None else ["is there"]
    if text is None:
        return ["is not there"]
    faults = [f"lacks {part!r}" for part in wanted.contains if part not in text]
    faults += [f"holds {part!r}" for part in wanted.lacks if part in text]
    if wanted.equals is not None and text != wanted.equals:
        faults.append(f"holds something else: {_shown(text)!r}")
    position = 0
    for part in wanted.in_order:
        found = text.find(part, position)
        if found < 0:
            return [*faults, f"lacks {part!r} in its place"]
        position = found + len(part)
    return faults


def _why_not_run(seen: Observation) -> str:
    """Return what kept a plan from its end; what kept it from being one stands elsewhere."""
    return (seen.outcome == "plan" and seen.reason) or "the plan was not run"


def _shown(text: str, limit: int = 300) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
