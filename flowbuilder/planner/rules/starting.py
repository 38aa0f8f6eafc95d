"""Where a clause begins: the words that lead in, and the verbs that order something."""

from __future__ import annotations

import re

from flowbuilder.planner.rules.lexicon import lexicon, listed, stem, stems, words
from flowbuilder.planner.rules.particles import phrasal_verbs

LEAD = re.compile(
    r"^(?:\s|[,;:]|\b(?:please|kindly|now|first(?:ly)?|second(?:ly)?|third(?:ly)?|next|then|finally"
    r"|lastly|also|so|and|but|just|afterwards|to begin with"
    r"|(?:can|could|would|will|might) (?:you|we)(?: please| kindly| just)?(?: help me(?: to)?)?"
    r"|(?:can|could|may|might) i(?: please)?(?: have| get| see)?"
    r"|(?:i|we)(?:['’]d| would)? (?:really )?(?:want|need|like|love|wish|have)(?: you)? to"
    r"|(?:i|we)(?:['’]d| would)? (?:really )?(?:like|love)(?: to (?:have|get|see))?"
    r"|(?:i|we) (?:want|need)"
    r"|i['’]m looking for|we['’]re looking for|would you mind|is it possible to"
    r"|let['’]s|let us|go ahead and|make sure to|be sure to|you should|(?:try|feel free) to"
    r"|help me(?: to)?|your task is to"
    r"|(?:do not|don['’]t) forget to|remember to|instead|hey|hi|hello|quickly|simply)\b)+",
    re.IGNORECASE,
)
_OPENERS = re.compile(
    r"(?:it|them|this|that|these|those|the|a|an|my|our|their|its|all|each|every|me|us|him|her|"
    r"any|to|by|in|into|as|only|both|up|down|out|for|just|with|everyone|everybody|how|what|"
    r"whether|if|where|about|\d+|half|one|two|three|four|five|six|seven|"
    r"eight|nine|ten|twelve|twenty|thirty)\b|\x01",
    re.IGNORECASE,
)
#: Verbs that are as often nouns; in a list ("name and email") they start no clause.
_NOUNS = stems(
    "name email mail text title order total sum count rate price date time group number "
    "message report summary address phone state status label note score rank change cost "
    "plan result record log file copy list link image picture point process view share post "
    "book table answer call query search issue ticket bill charge tag value return limit "
    "average mean top maximum minimum max min filter format template input output content "
    "test check review update entry figure key place question reply set start end use test "
    "total highest lowest largest smallest print only with over under above below more less "
    "by per words trip route way direct chart graph plot mark study interest rest room need "
    "display cut turn move play sign schedule market house water light visit transfer release "
    "author contact customer person text string less drop comment upload download sort"
)
NEGATION = re.compile(
    r"^(?:do not|don['’]t|dont|never|no need to|there is no need to|you need not|must not|"
    r"should not|shouldn['’]t|mustn['’]t|not|avoid|without|refrain from|instead of|rather than)\b",
    re.IGNORECASE,
)
#: Nouns that are verbs before a name: "message Ola".
_ADDRESSING = stems("message email mail text call phone notify tell")
#: Verbs that no noun looks like: "turn on".
_PARTICLE = re.compile(r"[a-z]+ (?:on|off|up|down|out|away|back|in|over)")


#: How far a look for the words that begin a clause goes.
LOOK = 400


def starts_clause(masked: str, place: int, end: int, verbs: frozenset[str]) -> bool:
    """Whether another order or question begins at a place of a masked text."""
    rest = masked[place : min(end, place + LOOK)]
    lead = LEAD.match(rest)
    rest = rest[lead.end() :] if lead else rest
    if NEGATION.match(rest) or _QUESTION_OPEN.match(rest) or _LETTING.match(rest):
        return True
    found = re.match(r"[A-Za-z][\w-]*", rest)
    if not found:
        return False
    word = stem(found.group())
    known = lexicon()
    first_two = next(
        (item.stem for item in known.units(words(rest[:80]), phrasal_verbs(verbs))), ""
    )
    known_pair = " " in first_two and (first_two in known.actions or first_two in verbs)
    acts = word in verbs or word in known.actions or first_two in known.actions or known_pair
    if word in _RELATIVE or not acts or (_is_noun_of_verb(found.group()) and not known_pair):
        return False
    if known_pair and _PARTICLE.fullmatch(first_two):
        return True
    if _names_tool(rest, verbs):
        return True
    return _orders_something(word, rest[found.end() :].lstrip(), verbs)


#: Endings of nouns made of verbs, which order nothing: "with its subject and *description*".
_NOUN_ENDING = re.compile(r"(?:[tsx]ion|ment|al|er|or|[ae]nce)s?$")


def _is_noun_of_verb(word: str) -> bool:
    """Whether a word is a noun whose verb looks otherwise: "description", but not "question"."""
    plain = word.lower().removesuffix("s").removesuffix("e")
    return _NOUN_ENDING.search(word.lower()) is not None and stem(word) != plain


_STOP = re.compile(
    r"[,.;:!?]|\b(?:to|from|into|in|on|at|for|with|and|of|by|or|as)\b", re.IGNORECASE
)


def _names_tool(rest: str, verbs: frozenset[str]) -> bool:
    """Whether a verb and the noun it orders make a tool's name: "order *classic* catering"."""
    stop = _STOP.search(rest)
    said = [item.stem for item in words(rest[: stop.start() if stop else 80])[:5]]
    return any(f"{said[0]} {noun}" in verbs for noun in said[1:])


def _orders_something(word: str, after: str, verbs: frozenset[str]) -> bool:
    """Whether a word that may be a verb is one, by what stands after it."""
    thing = word in lexicon().things
    if not after or after[0] in ",;":
        return word not in _NOUNS and not thing
    if after.lower().startswith(("and ", "or ")):
        return False
    if word not in _NOUNS and not (thing and word not in verbs):
        return True
    addresses = word not in _NOUNS or word in _ADDRESSING
    if addresses and re.match(r"[A-Z][a-z]", after):
        return True
    return bool(_OPENERS.match(after)) or bool(re.match(r"[\w-]+ (?:by|per|for each)\b", after))


#: In any form before a pronoun ("shreds it"), else as orders are said ("shred the file").
_UNKNOWN_ORDER = re.compile(
    r"(?P<verb>[a-z]{3,})(?:\s+(?:it|them)\b"
    r"|(?<!ing)(?<!ly)\s+(?:the|my|our|a|an|this|that|these|those|its|their)\s+\w)",
)
_RELATING = re.compile(r"\b(?:where|that|which|whose|who|with|whether|if|when)\b", re.IGNORECASE)
_NO_ORDERS = listed(
    "between among around across without near per under above below beyond towards toward like "
    "unlike during until since despite except both not neither either half twice"
)


def orders_unknown(before: str, masked: str, place: int) -> bool:
    """Whether a verb that nobody knows gives an order of its own: "and fax it to …"."""
    lead = LEAD.match(masked[place : place + LOOK])
    found = _UNKNOWN_ORDER.match(masked, place + (lead.end() if lead else 0))
    if found is None or _RELATING.search(before):
        return False
    verb = found.group("verb")
    known = lexicon()
    said = stem(verb)
    plain = said in known.fillers or said in known.references or said in known.things
    return not plain and verb not in known.fillers and verb not in _NO_ORDERS


#: Words that carry on with what the clause is about.
_RELATIVE = stems(
    "whose where which that with only by per over under above below more less most least "
    "highest lowest largest smallest exactly between in briefly"
)
_LETTING = re.compile(r"let (?:me|us) (?:have|see|know)\b", re.IGNORECASE)
_QUESTION_OPEN = re.compile(r"(?:what|how|who|where|which)\b", re.IGNORECASE)
