"""People whom a clause has reached by mail or by text message: "text *her*", "email *my boss*"."""

from __future__ import annotations

import re

from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.lexicon import stem, stems
from flowbuilder.planner.rules.literals import Kind
from flowbuilder.planner.rules.matching import Profile
from flowbuilder.planner.rules.slots import SlotKind
from flowbuilder.tools import HARMLESS

_PEOPLE = (
    r"(?:my|our|the|his|their|each|every)\s+(?:[\w-]+\s+){0,2}?"
    r"(?:team|customer|client|manager|boss|user|owner|patient|guest|member|driver|teacher|tenant"
    r"|mother|father|mum|mom|dad|wife|husband|brother|sister|friend|neighbou?r|landlord|doctor"
    r"|colleague|winner|author|person|contact)s?"
)
_PERSON = rf"(?:him|her|them|me|us|everyone|everybody|[A-ZÀ-Þ][a-zà-ÿ]+\b|{_PEOPLE})"
_WHOM = re.compile(rf"\s+{_PERSON}\b")
_MESSAGE = r"(?:an?|the|one|another)\s+(?:\w+\s+)?(?P<{0}>e-?mail|mail|text(?:\s+message)?|sms)\b"
#: "send a mail to the owner", "send the owner a mail".
_SENT = re.compile(
    rf"\s+(?:{_MESSAGE.replace('{0}', 'first')}\s+to\s+{_PERSON}\b"
    rf"|{_PERSON}\s+{_MESSAGE.replace('{0}', 'last')})"
)
_SENDING = stems("send write drop")
#: Somebody who is reached and only described, and the message by which that is done.
_ADDRESSEE = re.compile(rf"(?:\bto\s+|\s){_PEOPLE}\b")
_NOUN = re.compile(r"\b(?:an?|the|one|another)\s+(?:e-?mail|mail|text\s+message|sms)\b")
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


def reaches_somebody(clause: Clause, profile: Profile) -> bool:
    """Whether a tool reaches, as the verb says, somebody whose address a clause does not tell."""
    reached = _reaching(clause) and _ways(clause, profile)[0]
    return reached and bool(addressees(clause, profile))


def _reaching(clause: Clause) -> bool:
    """Whether somebody is to be mailed or texted: "text her", but not "text extraction"."""
    return _way(clause) is not None


def _way(clause: Clause) -> str | None:
    """Return the stem of the word that says how somebody is to be reached."""
    verb = clause.verb
    if verb is None or clause.question:
        return None
    after = verb.end - clause.start
    if verb.stem in _TEXTED | _MAILED:
        return verb.stem if _WHOM.match(clause.text, after) else None
    found = _SENT.match(clause.text, after) if verb.stem in _SENDING else None
    return stem(re.split(r"\s", found["first"] or found["last"])[0]) if found else None


def addressees(clause: Clause, profile: Profile) -> list[tuple[int, int]]:
    """Return where a clause says whom a message goes to whose address it does not tell.

    "Send a mail to the owner" names no subject and no text of the mail.
    """
    if not (_takes(profile, SlotKind.EMAIL) or _takes(profile, SlotKind.PHONE)):
        return []
    if any(item.kind in (Kind.EMAIL, Kind.PHONE) for item in clause.literals):
        return []
    found = [*_ADDRESSEE.finditer(clause.text), *_NOUN.finditer(clause.text)]
    return [(clause.start + one.start(), clause.start + one.end()) for one in found]


def _ways(clause: Clause, profile: Profile) -> tuple[bool, bool]:
    """Return whether a tool reaches people as the verb says, and whether in the other way."""
    texts = bool(_TEXTING & profile.weights.keys()) or _takes(profile, SlotKind.PHONE)
    mails = bool(_MAILED & profile.weights.keys()) or _takes(profile, SlotKind.EMAIL)
    said = _way(clause)
    return (texts, mails) if said in _TEXTED else (mails, texts)


def _takes(profile: Profile, kind: SlotKind) -> bool:
    """Whether a tool takes a message for an address of a kind."""
    kinds = {slot.kind for slot in profile.slots}
    return kind in kinds and SlotKind.TEXT in kinds
