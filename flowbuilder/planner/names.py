"""Find the names in a goal: of places, people and things, which a right plan carries somewhere.

A capital letter within a sentence, or before what somebody wants, or a code such as `A-1047` or
`NESN`. Words that the catalogue
uses (PDF, CSV), languages and currencies are no names: a plan may well write those otherwise.
"""

from __future__ import annotations

import re

from flowbuilder.planner.rules.literals import Kind, find_literals
from flowbuilder.tools import ToolRegistry

_ADDRESS = re.compile(r"\S*(?:://|@)\S*")
_QUOTED = re.compile(r"\"[^\"]*\"|“[^”]*”|(?<!\w)'[^']*'(?!\w)")
_FILE = re.compile(r"\S*\w[./]\w\S*")
#: Letters and figures mixed, or capitals alone.
_CODE = re.compile(
    r"(?<![\w#+-])(?:(?=[\w-]*\d)[A-Za-z][A-Za-z0-9]*(?:-[A-Za-z0-9]+)*|[A-Z]{3,})(?![\w:-])"
)
#: A capital letter behind the first word of a sentence; one name may have several words.
_PROPER = re.compile(
    r"(?<=[^\s.!?:\"“(]) (?P<name>[A-Z][^\W\d_]{2,}(?:[ -][A-Z][^\W\d_]+)*)(?![\w-])"
)
#: Who wants something, as the first word of a sentence: "Paul would like to know".
_WANTING = re.compile(
    r"(?:^|[.!?:,;] )(?P<name>[A-Z][^\W\d_]{2,}(?: [A-Z][^\W\d_]+)*)(?= (?:wants|needs|asks|asked|"
    r"wonders|expects|would (?:like|love)|is asking|is waiting|has asked|has to (?:know|hear|get)|"
    r"(?:should|must|ought to) (?:be |get|know|have|hear|read|receive))\b)"
)
#: Of whom a goal tells first, and then says what is to be done for "him".
_TOLD_OF = re.compile(
    r"(?:^|[.!?] )(?P<name>[A-Z][^\W\d_]{2,}(?: [A-Z][^\W\d_]+)*)(?= (?:is|was|has|had|will|can|"
    r"lives|works|owes|comes|arrives|just|still|wrote|called)\b)"
)
_PERSON = re.compile(r"(?i)\b(?:him|his|her|he|she)\b")
_NO_NAMES = (
    "each everybody everyone nobody one she somebody someone that there they this what which who "
    "whoever you"
)
_ANYBODY = frozenset(_NO_NAMES.split())
_WORD = re.compile(r"[^\W_]+")
#: Such literals are written otherwise in arguments: `CHF` for Swiss francs.
_RESPELT = frozenset({Kind.LANGUAGE, Kind.CURRENCY, Kind.DATE, Kind.TIME, Kind.DURATION})
_DAYS = "monday tuesday wednesday thursday friday saturday sunday"
_MONTHS = "january february march april may june july august september october november december"
_TIMES = frozenset(f"{_DAYS} {_MONTHS}".split())
#: Names of means and makers, which stand for what is done and not for what it is done with.
_MEANINGS = "sms url sql pdf csv json html xml usd asap faq google slack excel web"
_MEANS = frozenset(_MEANINGS.split())
_STEM = 5


def names_in(goal: str, registry: ToolRegistry) -> list[str]:
    """Return the names in a goal, each once."""
    addresses = " ".join(_ADDRESS.findall(goal)).lower()
    bare = _FILE.sub(" .", _ADDRESS.sub(" .", _QUOTED.sub(" .", goal)))
    found = [match.group(0) for match in _CODE.finditer(bare)]
    found += [match["name"] for match in _PROPER.finditer(bare)]
    found += [match["name"] for match in _WANTING.finditer(bare)]
    if _PERSON.search(bare):
        found += [match["name"] for match in _TOLD_OF.finditer(bare)]
    known = _ANYBODY | _TIMES | _MEANS | _catalogue_words(registry) | _respelt_words(goal)
    return [
        name
        for name in dict.fromkeys(found)
        if not any(other.endswith(f" {name}") for other in found)
        if not {word.lower() for word in _WORD.findall(name)} & known
        and name.lower() not in addresses
    ]


def carries_name(name: str, text: str) -> bool:
    """Whether a text has a name, or one made of it: `Geneva` in `Genevan`."""
    words = [word.lower()[:_STEM] for word in _WORD.findall(name)]
    return any(word in text.lower() for word in words)


def _catalogue_words(registry: ToolRegistry) -> set[str]:
    texts = " ".join(f"{tool.name} {tool.summary}" for tool in registry)
    return set(_WORD.findall(texts.replace("_", " ").lower()))


def _respelt_words(goal: str) -> set[str]:
    texts = [item.text for item in find_literals(goal) if item.kind in _RESPELT]
    return set(_WORD.findall(" ".join(texts).lower()))
