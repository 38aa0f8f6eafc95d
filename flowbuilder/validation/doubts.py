"""What may go wrong with data that could be right: null, a field that is not there, a skipped step.

Nothing here keeps a flow from being valid: whether it happens is known only when it runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from flowbuilder.errors import Fix, Problem, Severity
from flowbuilder.flow import Step, TriggerRule
from flowbuilder.references import Found
from flowbuilder.schemapaths import listed
from flowbuilder.validation.facts import Fit, Source, ToolFacts
from flowbuilder.validation.lineage import Lineage
from flowbuilder.validation.reading import Hole
from flowbuilder.validation.scope import DataScope

_STRUCTURED = frozenset({"array", "object"})
_DOUBTS = {"null": "maybe_null", "type": "maybe_unfit", "value": "maybe_unfit"}


def doubts_about(
    hole: Hole, step: Step, facts: ToolFacts, scope: DataScope, known: Mapping[str, Lineage]
) -> list[Problem]:
    """Return the doubts about what a text's references bring, if what they bring may be right."""
    problems: list[Problem] = []
    always = step.trigger_rule is TriggerRule.ALL_SUCCESS
    for found in hole.found:
        source = scope.source(found.reference, step)
        fit = facts.fit(source, hole.path)
        if found.exact:
            if fit.doubt is not None and not _is_guarded(found, step):
                message = f"{found.reference} may not fit {facts.label}: {fit.doubt.why}"
                problems.append(_doubt(_DOUBTS[fit.doubt.kind], found, message))
        elif source.kinds and source.kinds <= _STRUCTURED and not facts.tool.needs_model:
            message = f"{found.reference} is {listed(source.kinds)}, written as JSON into the text"
            problems.append(_doubt("object_in_text", found, message))
        if source.lacking is not None or not always:
            problems += _of_source(found, source, step, known, fit)
    return problems


def element_doubts(
    found: Found, source: Source, step: Step, known: Mapping[str, Lineage]
) -> list[Problem]:
    """Return the doubts about what a map goes over."""
    problems = list(_of_source(found, source, step, known, Fit(takes_null=False)))
    if source.kinds is not None and "null" in source.kinds and not _is_guarded(found, step):
        problems.append(_doubt("maybe_null", found, f"{found.reference} may be null, not an array"))
    return problems


def _of_source(
    found: Found, source: Source, step: Step, known: Mapping[str, Lineage], fit: Fit
) -> Iterator[Problem]:
    """Yield the doubts about whether there is a value at all."""
    if source.lacking is not None and not _is_guarded(found, step):
        message = f"{found.reference} may lead nowhere: {source.lacking!r} is optional there"
        yield _doubt("maybe_missing", found, message)
    name = found.reference.step
    if name is None or step.trigger_rule is TriggerRule.ALL_SUCCESS or _is_guarded(found, step):
        return
    if found.exact and fit.takes_null:
        return
    if name in known and known[name].may_skip and not known[name].never:
        message = f"{found.reference} is null when the step {name!r} is skipped"
        yield _doubt("maybe_skipped", found, message)


def _is_guarded(found: Found, step: Step) -> bool:
    """Whether the step's condition speaks of the same value, or of the value it is part of."""
    if step.when is None:
        return False
    name = found.reference.step
    start = f"steps.{name}" if name is not None else found.reference.root
    return start in step.when


def _doubt(code: str, found: Found, message: str) -> Problem:
    return Problem(
        code=code,
        pointer=found.pointer,
        message=message,
        severity=Severity.WARNING,
        fix=Fix.MODEL,
    )
