"""What may go wrong with data that could be right: null, a field that is not there, a skipped step.

Nothing here keeps a flow from being valid: whether it happens is known only when it runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from flowbuilder.errors import Fix, Problem, Severity
from flowbuilder.expression_text import step_names
from flowbuilder.flow import Step, TriggerRule
from flowbuilder.references import Reference
from flowbuilder.schemapaths import listed
from flowbuilder.validation.facts import Source, ToolFacts
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
    exact = hole.text.exact
    for reference in hole.text.references:
        source = scope.source(reference, step)
        fit = facts.fit(source, hole.path)
        if exact:
            if fit.doubt is not None and not _is_guarded(reference, step):
                message = f"{reference} may not fit {facts.label}: {fit.doubt.why}"
                problems.append(_doubt(_DOUBTS[fit.doubt.kind], hole.pointer, message))
        elif source.kinds and source.kinds <= _STRUCTURED and not facts.tool.needs_model:
            message = f"{reference} is {listed(source.kinds)}, written as JSON into the text"
            problems.append(_doubt("object_in_text", hole.pointer, message))
        if source.lacking is not None or not always:
            null_fits = exact and fit.takes_null
            problems += _of_source(reference, source, step, known, hole.pointer, null_fits)
    return problems


def element_doubts(
    reference: Reference, source: Source, step: Step, pointer: str, known: Mapping[str, Lineage]
) -> list[Problem]:
    """Return the doubts about what a map goes over."""
    problems = list(_of_source(reference, source, step, known, pointer, False))
    if source.kinds is not None and "null" in source.kinds and not _is_guarded(reference, step):
        problems.append(_doubt("maybe_null", pointer, f"{reference} may be null, not an array"))
    return problems


def _of_source(
    reference: Reference,
    source: Source,
    step: Step,
    known: Mapping[str, Lineage],
    pointer: str,
    null_fits: bool,
) -> Iterator[Problem]:
    """Yield the doubts about whether there is a value at all."""
    if _is_guarded(reference, step):
        return
    if source.lacking is not None:
        message = f"{reference} may lead nowhere: {source.lacking!r} is optional there"
        yield _doubt("maybe_missing", pointer, message)
    name = reference.step
    if name is None or step.trigger_rule is TriggerRule.ALL_SUCCESS or null_fits:
        return
    if name in known and known[name].may_skip and not known[name].never:
        message = f"{reference} is null when the step {name!r} is skipped"
        yield _doubt("maybe_skipped", pointer, message)


def _is_guarded(reference: Reference, step: Step) -> bool:
    """Whether the step's condition speaks of the same value, or of the value it is part of."""
    if step.when is None:
        return False
    if reference.step is not None:
        return reference.step in step_names(step.when)
    return re.search(rf"\b{reference.root}\b", step.when) is not None


def _doubt(code: str, pointer: str, message: str) -> Problem:
    return Problem(
        code=code, pointer=pointer, message=message, severity=Severity.WARNING, fix=Fix.MODEL
    )
