"""How often what fails is tried: "and retry up to 3 times", "with at most 5 attempts"."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from flowbuilder.planner.rules.arguments import Binding
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.lexicon import stems
from flowbuilder.planner.rules.matching import Profile
from flowbuilder.planner.rules.outputs import StepDraft
from flowbuilder.planner.rules.qualifiers import Qualifier, QualifierKind
from flowbuilder.planner.rules.slots import SlotKind

_WORDS = {
    "once": 1, "one": 1, "twice": 2, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6,
    "seven": 7, "eight": 8, "nine": 9, "ten": 10,
}  # fmt: skip
_NUMBER = rf"\d{{1,2}}|{'|'.join(_WORDS)}"
_MOST = r"(?:up to|at most|a maximum of|no more than|not more than)"
_FAILS = (
    r"(?:(?:if|when|whenever|in case)\s+(?:it|that|this|the\s+(?:call|request|step))\s+"
    r"(?:fails?|breaks?|times\s+out|(?:does\s*n[o'’]?t|cannot)\s+(?:work|succeed))"
    r"|on\s+(?:failures?|errors?))"
)
_AGAIN = r"(?P<again>re-?try(?:ing)?|re-?tried|try(?:ing)?(?:\s+it)?\s+again)"
_OFTEN = re.compile(
    rf"(?<!\s)(?:\s*,)?(?:\s+|(?<=^))(?:(?:and|but|then)\s+)*(?:{_FAILS},?\s+(?:then\s+)?)?"
    rf"(?:{_AGAIN}|try(?:ing)?)(?:\s+(?:it|that|this|the\s+(?:call|request|step)))?"
    rf"\s+(?:{_MOST}\s+)?(?:(?P<n>{_NUMBER})\s+(?:more\s+)?times|(?P<once>once|twice))"
    rf"(?:\s+more)?(?:\s+{_FAILS})?(?!\w)"
    rf"|(?<!\s)(?:\s*,)?(?:\s+|(?<=^))(?:with|using|allowing)\s+(?:{_MOST}\s+)?(?P<m>{_NUMBER})\s+"
    rf"(?:(?P<more>re-?tr(?:y|ies))|attempts?|tries)(?:\s+{_FAILS})?(?!\w)",
    re.IGNORECASE,
)
_COUNTS = stems("retry retries attempt attempts tries")


def find_repeats(masked: str) -> list[Qualifier]:
    """Return how often what is asked is to be tried, with the words that say so."""
    return [_read(match) for match in _OFTEN.finditer(masked)]


def _read(match: re.Match[str]) -> Qualifier:
    said = (match["n"] or match["once"] or match["m"]).lower()
    number = int(said) if said.isdigit() else _WORDS[said]
    again = match["again"] is not None or match["more"] is not None
    return Qualifier(
        QualifierKind.REPEATS,
        match.group(),
        match.start(),
        match.end(),
        leading=False,
        attempts=number + again,
    )


def untold(clause: Clause, steps: Sequence[StepDraft]) -> Iterator[str]:
    """Say that none of a clause's steps has the attempts that it asks for."""
    counts = any(
        slot.stems & _COUNTS and slot.name in step.args
        for step in steps
        for slot in step.profile.slots
    )
    if clause.attempts and not counts and not any(step.attempts for step in steps):
        yield f"no step of “{clause.text}” is tried {clause.attempts} times, as is asked."


def counted_by_tool(clause: Clause, profile: Profile, binding: Binding) -> bool:
    """Tell a tool that counts its attempts itself how often to try; False if it does not."""
    for slot in profile.slots:
        counted = slot.kind is SlotKind.NUMBER and slot.stems & _COUNTS
        if counted and slot.name not in binding.args:
            again = "attempt" not in slot.name
            binding.args[slot.name] = clause.attempts - 1 if again else clause.attempts
            binding.missing = [one for one in binding.missing if one is not slot]
            return True
    return False
