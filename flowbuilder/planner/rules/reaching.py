"""People whom a clause has reached by mail or by text message: "text *her*", "email *my boss*"."""

from __future__ import annotations

import re

from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.lexicon import stems
from flowbuilder.planner.rules.matching import Profile
from flowbuilder.planner.rules.slots import SlotKind
from flowbuilder.tools import HARMLESS

_WHOM = re.compile(
    r"\s+(?:him|her|them|me|us|everyone|everybody|[A-ZÀ-Þ][a-zà-ÿ]+\b"
    r"|(?:my|our|the|his|their|each|every)\s+(?:[\w-]+\s+){0,2}?"
    r"(?:team|customer|client|manager|boss|user|owner|patient|guest|member|driver|teacher|tenant"
    r"|mother|father|mum|mom|dad|wife|husband|brother|sister|friend|neighbou?r|landlord|doctor"
    r"|colleague|winner|author|person|contact)s?)\b"
)
_TEXTED = stems("text sms")
_MAILED = stems("email mail e-mail")
_TEXTING = frozenset({"sms", "text message"})
#: What a tool gains that reaches people in the way that the verb names, and what others lose.
_THIS_WAY, _OTHER_WAY, _NO_WAY = 0.5, -0.2, -0.6


def reaches(clause: Clause, profile: Profile) -> float:
    """Return what speaks for a tool, or against it, where a verb says how somebody is reached."""
    if not _reaching(clause):
        return 0.0
    if profile.tool.effects in HARMLESS:
        return _NO_WAY
    wanted, other = _ways(clause, profile)
    if wanted:
        return _THIS_WAY
    return _OTHER_WAY if other else 0.0


def other_way(clause: Clause, profile: Profile) -> bool:
    """Whether a tool reaches people in another way than the verb of a clause names."""
    return _reaching(clause) and _ways(clause, profile) == (False, True)


def _reaching(clause: Clause) -> bool:
    """Whether somebody is to be mailed or texted: "text her", but not "text extraction"."""
    verb = clause.verb
    if verb is None or clause.question or verb.stem not in _TEXTED | _MAILED:
        return False
    return _WHOM.match(clause.text, verb.end - clause.start) is not None


def _ways(clause: Clause, profile: Profile) -> tuple[bool, bool]:
    """Return whether a tool reaches people as the verb says, and whether in the other way."""
    texts = bool(_TEXTING & profile.weights.keys()) or _takes(profile, SlotKind.PHONE)
    mails = bool(_MAILED & profile.weights.keys()) or _takes(profile, SlotKind.EMAIL)
    said = clause.verb.stem if clause.verb is not None else ""
    return (texts, mails) if said in _TEXTED else (mails, texts)


def _takes(profile: Profile, kind: SlotKind) -> bool:
    """Whether a tool takes a message for an address of a kind."""
    kinds = {slot.kind for slot in profile.slots}
    return kind in kinds and SlotKind.TEXT in kinds
