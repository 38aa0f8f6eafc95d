"""Subordinate clauses that qualify what is asked: "once I approve", "if there are more than 3"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class QualifierKind(StrEnum):
    """What a subordinate clause says."""

    APPROVAL = "approval"
    CONDITION = "condition"
    REPEATS = "repeats"


@dataclass(frozen=True, slots=True)
class Qualifier:
    """A subordinate clause: its words, its place in the goal, what it means."""

    kind: QualifierKind
    text: str
    start: int
    end: int
    leading: bool
    """It stands before what it qualifies: "If it rains, …"."""
    negated: bool = False
    """It says "unless"."""
    attempts: int = 0
    """Of repeats: how many attempts there may be, the first included."""


_AGREE = (
    r"(?:approv(?:e|es|ed|al|als|ing)|confirm(?:s|ed|ation|ing)?|sign(?:ed|s|ing)?[- ]?offs?|"
    r"signed (?:it|this|that) off|ok(?:ay)?(?:s|ed|'d)?|go[- ]ahead|permission|consent|"
    r"authori[sz]\w*|clearance|blessing|green[- ]?light(?:s|ed)?|agree(?:s|d|ment)?|"
    r"(?:say|said|says) (?:yes|so|ok(?:ay)?))"
)
_PERSON = (
    r"(?:i|we|you|he|she|they|someone|somebody|a (?:person|human)|an? \w+|the (?:user|boss|manager|"
    r"owner|team|admin|lead|editor|reviewer|approver|finance team|legal team)|(?:my|our) \w+|me|us)"
)
_WHOSE = r"(?:my|our|your|his|her|their|the|a|an|(?:the |my |our )?\w+['’]s|explicit|human|manual)"
_TAIL = (
    r"(?:\s+(?:it|this|that|them|of it|to it|from \w+(?: \w+)?|by (?:me|us|my \w+|a \w+|the \w+)))?"
)
_APPROVAL = re.compile(
    rf"(?:,\s*)?(?:\b(?:but|and)\s+)?\b(?:only\s+)?"
    rf"(?:(?:once|after|when|if|as soon as|provided(?: that)?|only if)\s+"
    rf"(?:{_PERSON}\s+(?:have |has |had |did |do |will |give (?:my|the) |gave (?:my|the) )*"
    rf"|(?:it|this|that)(?:'s|\s+is|\s+has been|\s+was)\s+|being\s+)?{_AGREE}\b{_TAIL}"
    rf"|(?:once|after|as soon as)\s+(?:the|my) \w+ (?:is|has been|was) {_AGREE}\b"
    rf"|(?:after|upon|with|pending|subject to|on|under|given|"
    rf"awaiting)\s+(?:{_WHOSE}\s+){{1,2}}{_AGREE}\b{_TAIL}"
    rf"|(?:upon|pending|subject to|after)\s+{_AGREE}\b{_TAIL})",
    re.IGNORECASE,
)
_ASKED = (
    r"(?:me|us|someone|somebody|(?:the|my|our|an?) (?:user|person|human|operator|boss|manager|"
    r"owner|team|admin|lead|editor|reviewer|approver))"
)
_GOING_ON = r"(?:go on|go ahead|carry on|continue|proceed)"
#: A clause that asks for agreement by itself: "wait for my ok", "ask me first".
APPROVAL_CLAUSE = re.compile(
    rf"^(?:(?:wait|hold on|pause|stop) (?:for|until)|ask(?: me| us| \w+)?(?: for| to| if)?|"
    rf"(?:get|obtain|request|require|seek|need|await|have)|let (?:me|us|\w+)|have (?:me|us)|"
    rf"i (?:want|need|have|must)(?: to)?|show (?:it|them|me)[^,]* (?:for|"
    rf"and))\b.{{0,40}}\b{_AGREE}\b"
    rf"|^(?:ask|check with|consult) (?:me|us|my \w+)(?: first| before)?$|^(?:ask|check with) "
    rf"me\b(?! (?:for|which|what|how|who|whom|whose|where|when|why)\b)"
    rf"|^(?:approve|confirm) (?:it|this|that|them) with (?:me|us)"
    rf"|^(?:ask|check|check with)(?: {_ASKED})? (?:whether|if) (?:\w+ ){{1,5}}?{_GOING_ON}\b",
    re.IGNORECASE,
)
#: It is asked for before what the goal has already named: "delete it, but ask me first".
BEFOREHAND = re.compile(r"\b(?:first|before|beforehand)\W*$", re.IGNORECASE)
_CONDITION = re.compile(
    r"(?:(?<=^)|(?<=[.!?;\n]\s)|(?<=[.!?;\n])|(?<=, )|(?<=,)|(?<=\bthen )|(?<=\band )|(?<=\bbut ))"
    r"(?P<lead>(?:only )?(?:if|when|in case|unless|whenever|provided(?: that)?)\s[^,.!?;\n]{2,80}?)"
    r"(?:,\s*(?:then\s+)?|\s+then\s+)(?=\S)"
    r"|(?P<trail>,?\s+(?:but\s+|and\s+)?(?:only\s+)?(?:if|when|in case|unless|whenever|"
    r"provided(?: that)?)"
    r"\s(?!i\b)[^,.!?;\n]{2,80}(?=[,.!?;\n]|$))",
    re.IGNORECASE,
)
#: "otherwise, …": the opposite of the condition before it, or of what may fail.
_OTHERWISE = re.compile(
    r"(?:(?<=^)|(?<=[.!?;\n]\s)|(?<=[.!?;\n])|,\s*|\s)(?:(?:and|or|but)\s+)?"
    r"(?:otherwise|or else|failing that|if not)\b,?(?=\s)",
    re.IGNORECASE,
)
_DONE = re.compile(
    r"\b(?:done|finished|ready|complete[d]?|there|over|you can|possible|necessary|needed)\s*$", re.I
)


def find_qualifiers(masked: str, known: Sequence[Qualifier] = ()) -> list[Qualifier]:
    """Return the approvals and conditions of a text whose literals are masked, in order.

    `known`: what was found by others, which no condition overlaps.
    """
    found = list(known)
    for match in _APPROVAL.finditer(masked):
        found.append(_qualifier(QualifierKind.APPROVAL, masked, match.start(), match.end()))
    for match in _CONDITION.finditer(masked):
        group = "lead" if match.group("lead") else "trail"
        start, end = match.span(group)
        overlaps = any(item.start < end and start < item.end for item in found)
        if not overlaps and not _DONE.search(match.group(group)):
            joined = _joined(masked, start, end)
            leading = group == "lead" or joined
            found.append(_qualifier(QualifierKind.CONDITION, masked, start, end, leading))
    for match in _OTHERWISE.finditer(masked):
        if not any(item.start < match.end() and match.start() < item.end for item in found):
            found.append(
                Qualifier(
                    QualifierKind.CONDITION, match.group(), match.start(), match.end(), leading=True
                )
            )
    return sorted(found, key=lambda item: item.start)


def _joined(masked: str, start: int, end: int) -> bool:
    """Whether it stands between "and" and what is to be done: ", and if there are any, save"."""
    after = masked[end:].lstrip()
    if re.search(r"\b(?:and|then|but),?\s*$", masked[:start], re.IGNORECASE):
        return bool(after)
    if re.search(r"[.!?;\n]\s*$", masked[:start]) and after.startswith(","):
        return True
    opens = re.match(r",?\s*(?:and|then|but)\s+(?!only\b)", masked[start:end], re.IGNORECASE)
    follows = re.match(r",\s*(?!(?:and|but|or|then)\b)\S", after, re.IGNORECASE)
    return opens is not None and follows is not None


def _qualifier(
    kind: QualifierKind, masked: str, start: int, end: int, leading: bool | None = None
) -> Qualifier:
    text = masked[start:end]
    if leading is None:
        before = masked[:start].rstrip()
        leading = _joined(masked, start, end) or (
            (not before or before[-1] in ".!?;\n,:" or before.endswith(" then"))
            and (masked[end:].lstrip().startswith(",") or not before or before[-1] in ".!?;\n")
            and bool(masked[end:].strip(" .!,;"))
        )
    unless = re.search(r"\bunless\b", text, re.IGNORECASE) is not None
    return Qualifier(kind, text, start, end, leading, unless)
