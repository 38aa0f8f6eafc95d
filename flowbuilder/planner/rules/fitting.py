"""How well a literal or a phrase fits a parameter, and the value it becomes there."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from flowbuilder.planner.rules.lexicon import lexicon, listed, stem, stems
from flowbuilder.planner.rules.literals import Kind, parse_number
from flowbuilder.planner.rules.phrases import Candidate, is_reference
from flowbuilder.planner.rules.slots import Slot, SlotKind

#: Below this, a candidate is not used for a parameter.
ENOUGH = 5.0
_FITS: dict[tuple[Kind, SlotKind], float] = {
    (Kind.URL, SlotKind.URL): 10, (Kind.URL, SlotKind.PATH): 0, (Kind.URL, SlotKind.TEXT): 2,
    (Kind.EMAIL, SlotKind.EMAIL): 10, (Kind.EMAIL, SlotKind.NAME): 4,
    (Kind.PHONE, SlotKind.PHONE): 10, (Kind.PATH, SlotKind.PATH): 10,
    (Kind.CHANNEL, SlotKind.CHANNEL): 10, (Kind.CHANNEL, SlotKind.NAME): 5.5,
    (Kind.CURRENCY, SlotKind.CURRENCY): 10, (Kind.LANGUAGE, SlotKind.LANGUAGE): 10,
    (Kind.EXPRESSION, SlotKind.EXPRESSION): 10, (Kind.DOTTED, SlotKind.JSON_PATH): 10,
    (Kind.DOTTED, SlotKind.COLUMN): 7, (Kind.DOTTED, SlotKind.CODE): 5.5,
    (Kind.DOTTED, SlotKind.URL): 5.5, (Kind.DOTTED, SlotKind.NAME): 5.2,
    (Kind.DATE, SlotKind.DATE): 10,
    (Kind.DATE, SlotKind.TIME): 6, (Kind.TIME, SlotKind.TIME): 10,
    (Kind.TIME, SlotKind.DATE): 1, (Kind.DURATION, SlotKind.SPAN): 10,
    (Kind.DURATION, SlotKind.NUMBER): 4, (Kind.DURATION, SlotKind.TIME): 5.5,
    (Kind.MONEY, SlotKind.NUMBER): 8, (Kind.MONEY, SlotKind.EXPRESSION): 2,
    (Kind.PERCENT, SlotKind.NUMBER): 7, (Kind.NUMBER, SlotKind.NUMBER): 6,
    (Kind.NUMBER, SlotKind.SPAN): 4, (Kind.NUMBER, SlotKind.CODE): 5.5,
    (Kind.QUOTED, SlotKind.TEXT): 8, (Kind.QUOTED, SlotKind.TITLE): 8.5,
    (Kind.QUOTED, SlotKind.QUERY): 8, (Kind.QUOTED, SlotKind.SQL): 9,
    (Kind.QUOTED, SlotKind.NAME): 7.5, (Kind.QUOTED, SlotKind.EXPRESSION): 6,
    (Kind.QUOTED, SlotKind.PLACE): 6, (Kind.QUOTED, SlotKind.COLUMN): 7,
    (Kind.QUOTED, SlotKind.CODE): 6, (Kind.QUOTED, SlotKind.JSON_PATH): 6,
    (Kind.QUOTED, SlotKind.ANY): 6, (Kind.QUOTED, SlotKind.CHANNEL): 5.5,
    (Kind.QUOTED, SlotKind.PATH): 5.5, (Kind.IDENTIFIER, SlotKind.CODE): 9,
    (Kind.IDENTIFIER, SlotKind.COLUMN): 8, (Kind.IDENTIFIER, SlotKind.NAME): 5,
    (Kind.IDENTIFIER, SlotKind.JSON_PATH): 6, (Kind.IDENTIFIER, SlotKind.QUERY): 5.2,
}  # fmt: skip
_LEADS: dict[str, frozenset[str]] = {
    "to": stems("to target destination dest dst recipient into arrival output channel"),
    "into": stems("to target destination output into"),
    "in": stems("to target city location place language folder channel currency unit"),
    "from": stems("from source origin base departure sender src input"),
    "as": stems("path file name title output format archive target"),
    "at": stems("time at when start location"),
    "on": stems("date day on when start check"),
    "for": stems("for customer topic query duration city symbol subject name"),
    "about": stems("topic subject query about title text"),
    "by": stems("by key author deadline due"),
    "with": stems("attendee participant guest value replacement"),
    "of": stems("city of symbol source base name"),
    "named": stems("name title subject label text message body summary"),
}  # fmt: skip
_OPPOSED = ({"from", "of"}, {"to", "into", "in"})


def fit(slot: Slot, candidate: Candidate) -> float:
    """Return how well a literal fits a parameter; at least ENOUGH to be used."""
    if candidate.kind is None:
        return phrase_fit(slot, candidate)
    if candidate.kind is Kind.JSON:
        return _json_fit(slot, candidate)
    if slot.kind is SlotKind.ENUM:
        return 9.0 if option_for(slot, candidate.text, candidate.value) is not None else 0.0
    score = _by_kind(slot, candidate)
    if not score:
        return 0.0
    near = closeness(slot, candidate)
    score += near
    if not near and slot.kind is SlotKind.NUMBER and not slot.required:
        score += 1 if candidate.kind is Kind.NUMBER and _counts_off(slot, candidate) else -3
    if candidate.kind is Kind.DURATION and slot.kind is SlotKind.NUMBER:
        score += 5 if candidate.unit and _unit_in(candidate.unit, slot) else 0
    if slot.kind is SlotKind.NUMBER and _bounds(slot, candidate):
        score += 4
    score += _path_bonus(slot, candidate.lead)
    if slot.integer and isinstance(candidate.value, float):
        return 0.0
    score += _title_malus(slot, candidate)
    score += 6 if slot.kind is SlotKind.SQL and _STATEMENT.match(str(candidate.value)) else 0
    return score + _lead_bonus(slot, candidate.lead) + (0.2 if slot.required else 0.0)


def _json_fit(slot: Slot, candidate: Candidate) -> float:
    """Return how well a JSON value fits: whole where any value goes, to others only by name."""
    told = 5.0 if candidate.near & slot.stems else 0.0
    rows = isinstance(candidate.value, list)
    untyped = slot.kind is SlotKind.TEXT and slot.schema.get("type") is None
    if slot.kind is SlotKind.ANY or untyped:
        return 10.0 + told
    if slot.kind is SlotKind.RECORDS:
        return 9.0 + told if rows else 0.0
    if slot.kind is SlotKind.OBJECT and not rows:
        return 6.0 + 2 * told if told or slot.required else 0.0
    return 5.2 if slot.kind is SlotKind.TEXT and slot.required else 0.0


#: A quoted text that is a statement in SQL.
_STATEMENT = re.compile(r"\s*(?:select|insert|update|delete|with|create|show)\b", re.IGNORECASE)
#: Parts of a parameter's name that say nothing about its value.
_BLANK = stems("max min to from of in on at the a an for by with per is")


def closeness(slot: Slot, candidate: Candidate) -> float:
    """Return how much the words around a literal speak of a parameter: 0, or 3 to 5.5."""
    telling = slot.stems - _BLANK
    hits = telling & (candidate.owner | candidate.near)
    if hits:
        return 3 + 2 * len(hits) / len(telling) + (0.5 if telling <= candidate.owner else 0)
    described = slot.described & candidate.owner - lexicon().fillers - _BLANK
    return min(1.5, 0.75 * len(described))


def _broken(candidate: Candidate) -> bool:
    """Whether a number has decimals, as no number of an order or an account has."""
    return isinstance(candidate.value, float) or "." in candidate.text


def _counts_off(slot: Slot, candidate: Candidate) -> bool:
    """Whether "the last 20" meets a limit."""
    first = candidate.near & stems("last first top latest newest most recent best")
    limits = slot.stems & stems("limit count top n max number results quantity qty amount units")
    return bool(limits) and bool(first or candidate.first)


def _by_kind(slot: Slot, candidate: Candidate) -> float:
    """Return how well a kind of literal fits a kind of parameter, its neighbours left aside."""
    if candidate.kind is None:
        return 0.0
    score = _FITS.get((candidate.kind, slot.kind), 0.0)
    if candidate.kind is Kind.LANGUAGE and slot.stems & _NATIONAL:
        return 9.0
    if candidate.kind is Kind.NUMBER and slot.kind is SlotKind.CODE and _broken(candidate):
        return 0.0
    if candidate.kind is Kind.IDENTIFIER and slot.kind is SlotKind.CODE:
        return score + _shape_fit(slot, candidate.text)
    return score + 3 if candidate.kind is Kind.PERCENT and slot.stems & _RATES else score


_VERSION = re.compile(r"v?\d+(?:\.\d+)+")
_VERSIONED = stems("version release build tag revision")
_SLASHED = stems("repo repository project image package")


def _shape_fit(slot: Slot, text: str) -> float:
    """Return how well the look of an identifier goes with a parameter: `1.4.2`, `acme/api`."""
    if "/" in text:
        return 2.0 if slot.stems & _SLASHED else -3.5
    if _VERSION.fullmatch(text):
        return 2.0 if slot.stems & _VERSIONED else -3.5
    return 0.0


#: Parameters that take "Italian" though it is no language to them, and those that take "5%".
_NATIONAL = stems("cuisine nationality style")
_RATES = stems(
    "rate percent percentage pct interest yield return growth discount tax tip margin share ratio"
)


#: Where something goes, which is never what a goal reads.
_OUTPUTS = stems("output outfile saveas")
_ATTACHED = stems("attachment attachments attached attach")


def _path_bonus(slot: Slot, lead: str) -> float:
    """Tell where something goes ("to x.csv") from where it comes from ("the rows of x.csv")."""
    if slot.kind is not SlotKind.PATH:
        return 0.0
    if lead in ("of", "from") and slot.stems & _ATTACHED:
        return -10.0  # "the text of letter.pdf" is what is sent, not the file
    if lead not in ("to", "as", "into") and slot.stems & _OUTPUTS and not slot.required:
        return -10.0
    if lead in ("to", "as", "into"):
        return 3.0 if slot.writes and not slot.many else -2.0
    return -10.0 if slot.writes and lead in ("of", "from") else 0.0


def _title_malus(slot: Slot, candidate: Candidate) -> float:
    """Keep a quoted text from an optional title unless the goal says that it is one."""
    told = candidate.lead == "named" or candidate.near & slot.stems
    return 0.0 if slot.kind is not SlotKind.TITLE or slot.required or told else -2.5


#: Words before a number and the part of a parameter's name they speak of.
BOUNDS = {"max": stems("under below most less up max maximum within than cheaper to"),
          "min": stems("over above least more min minimum from than")}  # fmt: skip


def _bounds(slot: Slot, candidate: Candidate) -> bool:
    """Whether "under 100" meets `max_price`, or "at least 3" `min_rating`."""
    less = candidate.near & BOUNDS["max"] - BOUNDS["min"]
    more = candidate.near & BOUNDS["min"] - BOUNDS["max"]
    return bool(less and "max" in slot.stems) or bool(more and "min" in slot.stems)


def _unit_in(unit: str, slot: Slot) -> bool:
    wanted = stem(unit)
    return any(
        part.startswith(wanted) or wanted.startswith(part) for part in slot.stems if len(part) > 2
    )


def _lead_bonus(slot: Slot, lead: str) -> float:
    lead = lead.rstrip("…")
    if not lead:
        return 0.0
    if lead in slot.leads:
        return 2.5
    if slot.stems & _LEADS.get(lead, frozenset()):
        return 3.0
    if slot.kind is SlotKind.NUMBER:
        return 0.0
    froms, tos = _LEADS["from"] & slot.stems, (_LEADS["to"] - {"channel"}) & slot.stems
    if (lead in _OPPOSED[0] and tos and not froms) or (lead in _OPPOSED[1] and froms and not tos):
        return -3.0
    return 0.0


_PHRASED: dict[SlotKind, dict[str, float]] = {
    SlotKind.PLACE: {"": 4, "in": 7, "for": 7, "at": 7, "of": 6, "to": 7, "from": 7, "near": 6,
                     "object": 5, "question": 3, "with": 0},
    SlotKind.QUERY: {"about…": 8.5, "for…": 8, "on…": 7, "of…": 6, "about": 7.5, "for": 7, "on": 6,
                     "object": 5.5, "regarding…": 8, "named": 7, "question": 5, "with": 6},
    SlotKind.NAME: {"": 5, "named": 8, "for": 6.5, "object": 6, "of": 6, "by": 5, "with": 5,
                    "from": 5, "to": 5.5, "about": 5, "in": 6, "on": 6, "at": 6},
    SlotKind.TITLE: {"named": 9, "to…": 6.5, "about…": 6.5, "that…": 6.5, "object": 5.5, "for…": 5},
    SlotKind.TEXT: {"saying…": 9, "named": 8, "that…": 8, "to…": 6.2, "about…": 6, "object": 5},
    SlotKind.CODE: {"of": 6, "for": 6, "object": 5.5, "in": 4, "from": 4.5, "to": 4.5},
    SlotKind.JSON_PATH: {"object": 6},
    SlotKind.EMAIL: {"to": 3},
    SlotKind.LANGUAGE: {},
}  # fmt: skip


_PERSONAL = listed("me us you him her them it one somebody someone")


def phrase_fit(slot: Slot, candidate: Candidate) -> float:
    """Return how well a phrase of plain words fits a parameter."""
    if slot.kind is SlotKind.ENUM:
        return 7.0 if option_for(slot, candidate.text, candidate.value) is not None else 0.0
    if candidate.lead == "because…":
        return 8.5 if slot.stems & _REASONS else 0.0
    score = _PHRASED.get(slot.kind, {}).get(candidate.lead, 0.0)
    if candidate.text.lower() in slot.stems or candidate.text.lower() in _PERSONAL:
        return 0.0
    if not score or is_reference(candidate.text):
        return 0.0
    if slot.kind is SlotKind.JSON_PATH and " " in candidate.text:
        return 0.0  # the name of one member, not words about it
    if slot.kind in (SlotKind.PLACE, SlotKind.NAME, SlotKind.CODE):
        score += _naming(candidate)
        if slot.kind is SlotKind.CODE and candidate.text.isupper():
            score += 2
        score -= 0.6 * max(len(candidate.text.split()) - 3, 0)
    if candidate.near & slot.stems:
        score += 2
    return score + _lead_bonus(slot, candidate.lead)


_REASONS = stems("reason cause explanation justification rationale")


def _naming(candidate: Candidate) -> float:
    """Return how much a phrase looks like a name: a proper one, some plain words, a sentence."""
    if candidate.proper:
        return 2.5 if not re.search(r"\s[a-z]+$", candidate.text) else -1.0
    known = lexicon()
    parts = candidate.text.split()
    plain = all(part.isascii() and stem(part) not in known.fillers for part in parts)
    led = stem(parts[0]) in known.actions and len(parts) == 1
    return -1.0 if len(parts) <= 3 and plain and not led else -2.0


def option_for(slot: Slot, text: str, value: Any) -> Any:
    """Return the option of an enumeration that a text names, or None."""
    plain = re.sub(r"[\s_-]+", " ", text.strip("\"'“”").lower())
    for option in slot.options:
        written = re.sub(r"[\s_-]+", " ", str(option).lower())
        if written == plain or option == value:
            return option
    words = {stem(word) for word in plain.split()}
    found = [option for option in slot.options if isinstance(option, str) and stem(option) in words]
    return found[0] if len(found) == 1 else None


def as_phrase(slot: Slot, text: str) -> str:
    """Return a phrase without the parameter's own noun: "word serendipity" for `word`."""
    parts = text.split()
    while len(parts) > 1 and (stem(parts[0]) in slot.stems or parts[0].lower() in _ARTICLES):
        parts = parts[1:]
    while len(parts) > 1 and stem(parts[-1]) in slot.stems - KEPT_NOUNS and parts[-1].islower():
        parts = parts[:-1]
    return " ".join(parts)


#: Nouns that belong to a thing's name: "the front door", where a "billing service" is "billing".
KEPT_NOUNS = stems("room door light lamp window machine street hotel restaurant museum school")
_ARTICLES = listed("the a an")


def as_value(slot: Slot, candidate: Candidate) -> Any:
    """Return the JSON value a candidate becomes in a parameter; None if it cannot."""
    if slot.kind is SlotKind.ENUM:
        return option_for(slot, candidate.text, candidate.value)
    if slot.kind is SlotKind.SPAN:
        return _span(slot, candidate)
    if candidate.kind is Kind.DURATION and slot.kind is SlotKind.NUMBER:
        return _counted(candidate)
    if slot.kind is SlotKind.EXPRESSION and candidate.kind is Kind.EXPRESSION:
        return _arithmetic(candidate.text)
    if slot.kind is SlotKind.LANGUAGE:
        return _language(slot, str(candidate.value))
    if slot.kind is SlotKind.DATE:
        return _date(slot, str(candidate.value))
    if slot.schema.get("type") == "string" and not isinstance(candidate.value, str):
        return candidate.text
    return candidate.value


_SIGNS = {"plus": "+", "minus": "-", "times": "*", "multiplied by": "*", "divided by": "/",
          "over": "/", "×": "*", "÷": "/"}  # fmt: skip


def _arithmetic(text: str) -> str:
    """Return a sum in signs: "15% of 80" is `15 / 100 * 80`, "3 plus 4" is `3 + 4`."""
    plain = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    plain = re.sub(r"(\d)\s?(?:%|percent)\s+of\s+", r"\1 / 100 * ", plain, flags=re.IGNORECASE)
    for word, sign in _SIGNS.items():
        pattern = rf"\b{word}\b" if word.isascii() else word
        plain = re.sub(pattern, sign, plain, flags=re.IGNORECASE)
    return plain.strip()


def _counted(candidate: Candidate) -> int | float | None:
    found = re.match(r"\d+(?:\.\d+)?", candidate.text)
    if found:
        return parse_number(found.group())
    return lexicon().numbers.get(re.split(r"[\s-]", candidate.text.lower())[0], 1)


_UNIT_SECONDS = {
    "ms": 0.001,
    "millisecond": 0.001,
    "second": 1,
    "minut": 60,
    "hour": 3600,
    "day": 86400,
}


def _span(slot: Slot, candidate: Candidate) -> Any:
    """Return a duration in the unit of the parameter's name, or as text such as `5m`."""
    if not isinstance(candidate.value, int | float):
        return None
    seconds = float(candidate.value)
    if slot.schema.get("type") == "string":
        whole = int(seconds) if seconds == int(seconds) else seconds
        return f"{whole}s"
    named = [size for word, size in _UNIT_SECONDS.items() if word in slot.stems]
    named = named or [size for word, size in _UNIT_SECONDS.items() if word in slot.described]
    amount = seconds / (named[0] if named else 1)
    return int(amount) if amount == int(amount) else amount


def _language(slot: Slot, name: str) -> str:
    """Return the language as the parameter wants it: a name, or a code such as `de`."""
    described = str(slot.schema.get("description") or "").lower()
    short = slot.schema.get("maxLength") in (2, 3, 5) or "code" in slot.stems or "iso" in described
    short = short or bool(re.search(r"\bcode\b|e\.g\. ['`\"]?[a-z]{2}\b['`\"]?[ ,.)]", described))
    return lexicon().languages.get(name, name) if short else name


_DATE_FORMS = ("%Y-%m-%d", "%d.%m.%Y", "%d %B %Y", "%B %d %Y", "%d %b %Y", "%b %d %Y")


def _date(slot: Slot, text: str) -> str | None:
    """Return a date as ISO text where the parameter's format asks for it, else as worded."""
    text = re.sub(r"^on\s+", "", text, flags=re.IGNORECASE)
    plain = re.sub(r"(\d)(?:st|nd|rd|th)\b", r"\1", text).replace(" of ", " ").replace(",", "")
    for form in _DATE_FORMS:
        try:
            return datetime.strptime(plain, form).replace(tzinfo=UTC).date().isoformat()
        except ValueError:
            continue
    return None if slot.schema.get("format") in ("date", "date-time") else text
