"""How people word comparisons, totals, grouping and order, as patterns.

Literals are replaced by `⟦n⟧` before these are applied.
"""

from __future__ import annotations

import re

from flowbuilder.planner.rules.lexicon import listed, stems

TOKEN = re.compile(r"⟦(\d+)⟧")
FIELD = r"(?P<field>⟦\d+⟧|[A-Za-z_][\w.]*)"
VALUE = r"(?P<value>⟦\d+⟧|[+-]?\d[\d.,]*|[A-Za-z_][\w-]*)"
IS = r"(?:is|are|was|were|has|have|be|being|of)"
#: Words that compare two columns as well as a column and a value, the longer before the shorter.
_MORE = r"(?:greater|more|higher|larger) than or equal to"
_LESS = r"(?:less|lower|smaller|fewer) than or equal to"
_WORDS = {
    "gte": rf"at least|no less than|not less than|not below|>=|≥|{_MORE}",
    "lte": rf"at most|no more than|not more than|not above|<=|≤|{_LESS}",
    "gt": r"above|over|(?:greater|more|higher|larger|bigger|longer|older|later) than"
          r"|exceed(?:s|ing)?|beyond|>",
    "lt": r"below|under|(?:less|lower|smaller|fewer|shorter|younger|cheaper|earlier) than|<",
    "ne": r"not equal to|does not equal|do(?:es)?n['’]t equal|!=|≠|differs? from|different from",
    "eq": r"equals?(?: to)?|==|=",
}  # fmt: skip
#: Comparisons in words, the longer before the shorter; the first two are said without a value.
OPERATORS: tuple[tuple[str, str], ...] = (
    ("empty", rf"{IS}\s+(?:empty|missing|blank|null|none|not (?:set|given|known|present))\b"),
    ("filled", rf"{IS}\s+(?:not (?:empty|missing|blank|null|none)|set|given|present|known)\b"),
    ("gte", rf"{_WORDS['gte']}|a minimum of|from"),
    ("lte", rf"{_WORDS['lte']}|up to|a maximum of"),
    ("gt", rf"{_WORDS['gt']}|after"),
    ("lt", rf"{_WORDS['lt']}|before"),
    ("ne", rf"{_WORDS['ne']}|not|isn['’]t|other than"),
    ("contains", r"contain(?:s|ing)?|includ(?:es?|ing)|mention(?:s|ing)?"),
    ("starts_with", r"start(?:s|ing)? with|begin(?:s|ning)? with"),
    ("ends_with", r"end(?:s|ing)? (?:with|in)"),
    ("eq", rf"{_WORDS['eq']}|exactly|matches|matching"),
)  # fmt: skip


def _compared(words: str) -> str:
    """Return the pattern of a column and what it is compared by, in words or a sign."""
    return (
        rf"{FIELD}\s*(?:\b(?:that\s+)?{IS}\b\s*)?"
        rf"(?:\b(?:{words})(?<=\w)\b|(?:{words})(?<=[<>=≥≤≠]))"
    )


COMPARISONS = tuple(
    (name, re.compile(
        rf"\b{FIELD}\s+{words}" if name in ("empty", "filled")
        else rf"{_compared(words)}\s*(?:the\s+|a\s+|an\s+)?{VALUE}"
             rf"(?P<more>\s+or\s+(?:more|above|higher|less|below|fewer|lower))?",
        re.IGNORECASE,
    ))
    for name, words in OPERATORS
)  # fmt: skip
BETWEEN = re.compile(
    rf"{FIELD}\s+(?:{IS}\s+)?between\s+{VALUE}\s+and\s+(?P<upper>⟦\d+⟧|\d[\d.,]*)", re.IGNORECASE
)
EQUAL = re.compile(
    rf"{FIELD}\s+(?:is|are|was|equals?|=|==)\s+(?:either\s+|one of\s+|in\s+)?(?:the\s+)?{VALUE}"
    r"(?P<more>\s+or\s+(?:more|above|higher|less|below|fewer|lower))?"
    r"(?P<others>(?:(?:\s*,\s*or\s+|\s*,\s*|\s+or\s+)(?:⟦\d+⟧|[\w-]++)"
    r"(?!\s*(?:is|are|was|has|>|<|=|above|below|over|under|equals|contains)\b))*)",
    re.IGNORECASE,
)
#: "those with status open": a column and its value with nothing between them.
BARE = re.compile(
    r"\b(?:those|ones|rows|records|entries|lines|items|elements|all|everything|only|(?:all\s+)?the\s+\w+s)"
    r"\s+(?:with|having|of)\s+(?:the\s+|an?\s+)?(?P<field>[A-Za-z_]\w*)\s+"
    r"(?P<value>⟦\d+⟧|[A-Za-z_][\w-]*)(?=\s*(?:$|[,.;!?]))",
    re.IGNORECASE,
)
#: Words that say which value of a column is meant, or how a table is written.
NO_FIELD = stems(
    "highest largest biggest greatest most lowest smallest least latest newest oldest best worst "
    "missing empty blank unknown invalid duplicate same different new old no any some each every "
    "more less fewer higher lower comma semicolon tab header first last other following own its "
    "their this that these those good bad high low big small long short"
)
#: A column compared with what may be another: "price is less than cost", "price equals cost".
_AGAINST_WORDS = {
    **_WORDS,
    "ne": rf"{_WORDS['ne']}|not the same as",
    "eq": rf"{_WORDS['eq']}|the same as",
}
AGAINST = tuple(
    (name, re.compile(
        rf"{_compared(words)}\s*(?P<the>the\s+|its\s+|their\s+)?"
        rf"(?P<noun>(?:column|field|value\s+(?:of|in))\s+(?:the\s+)?)?"
        rf"(?P<value>⟦\d+⟧|[A-Za-z_][\w.]*)",
        re.IGNORECASE,
    ))
    for name, words in _AGAINST_WORDS.items()
)  # fmt: skip
#: What something is compared with that is no column.
NO_OTHER = stems(
    "average mean median normal usual expected zero nothing none null empty twice half double "
    "before now ago time today then last next one two three four five six seven eight nine ten "
    "hundred thousand million limit threshold target certain what how us our my me you your"
)
#: "with more than 5 points": the column comes last.
TRAILING = re.compile(
    r"\b(?:with|having|have|has|that have|who have|of)\s+(?:(?P<gte>at least|no less than)|"
    r"(?P<lte>at most|no more than|up to)"
    r"|(?P<gt>more than|over|above)|(?P<lt>less than|fewer than|under|below))\s+"
    rf"{VALUE}\s+(?:in\s+|of\s+)?(?P<field>[A-Za-z_][\w.]*)",
    re.IGNORECASE,
)
#: A comparison that says no value: "whose price is above the limit", "… and stock under".
LACKING = re.compile(
    rf"\b(?:where|whose|with|having|that\s+have|if|when|(?P<joined>and|or))\s+(?:the\s+)?{FIELD}\s+"
    rf"(?:{IS}\s+)?(?:(?:"
    r"(?:above|over|below|under|(?:more|less|greater|higher|lower|larger|smaller|fewer|older|"
    r"younger|longer|shorter|bigger|cheaper|earlier|later)\s+than|at\s+least|at\s+most|between)\b"
    r"(?!\s*(?:(?:the|an?)\s+)?(?:⟦|[+-]?\.?\d))"
    r"(?=\s*(?:$|[,.;]|(?:the|an?|its|their|and|or)\b)))"
    r"|(?:(?:not\s+)?equal(?:s|\s+to)?|exactly|contain(?:s|ing)?|includ(?:es?|ing)|"
    r"mention(?:s|ing)?|(?:start|begin)(?:s|n?ing)?\s+with|end(?:s|ing)?\s+(?:with|in))\b"
    r"(?=\s*(?:$|[,.;]|(?:and|or)\b))"
    r"|[<>=≥≤≠!]+(?=\s*(?:$|[,.;]|(?:and|or)\b)))",
    re.IGNORECASE,
)
COMPARING = re.compile(
    r"\b(?:above|over|below|under|(?:more|less|greater|higher|lower|larger|smaller|fewer|older|younger|"
    r"longer|shorter|bigger|cheaper|earlier|later) than|at least|at most|between|"
    r"exceed\w*)\s+(?:⟦\d+⟧|\d)|[<>]=?\s*(?:⟦\d+⟧|\d)",
    re.I,
)
MARK = re.compile(
    r"\b(?:where|whose|which|that|with|if|when|only|having|have|has|having|rows?|records?)\b", re.I
)
OR_MORE = {"more": "gte", "above": "gte", "higher": "gte", "less": "lte", "below": "lte",
            "fewer": "lte", "lower": "lte"}  # fmt: skip
OPPOSITE = {
    "gt": "lte",
    "lte": "gt",
    "lt": "gte",
    "gte": "lt",
    "eq": "ne",
    "ne": "eq",
    "in": "not_in",
    "not_in": "in",
}
REMOVE = re.compile(
    r"\b(?:exclud|leave out|leaving out|remov|drop|discard|omit|skip|delet|throw away|ignor|"
    r"get rid of|without|filter(?:s|ed|ing)? (?:them |those )?out\b|weed(?:s|ed|ing)? out\b)",
    re.I,
)
EXCEPT = re.compile(r"\b(?:except|but|other than|everything else)\b", re.I)
#: What is said behind it goes where rows are kept: "keep all rows except those where …".
EXCEPTED = re.compile(
    r"\b(?:except(?:ing)?(?:\s+for)?|apart\s+from|aside\s+from"
    r"|but\s+not\s+(?:the\s+)?(?:those|ones|rows|records|where)"
    r"|(?:all|everything|every\s+\w+|all\s+(?:the\s+)?\w+)\s+(?:but|other\s+than))\b",
    re.I,
)
#: Words that name the rows themselves and never a column.
ROWS = stems(
    "row rows record records entry entries item items one ones those them it everything all "
    "line lines element elements result results data table list and or with where whose that "
    "which is are not only keep products value values be the a an of for if when there has have "
    "people person orders customers users how many more much but so nor neither"
)
MEASURES: tuple[tuple[str, str], ...] = (
    ("sum", r"total(?:s|ling)?|sum(?:s|med)?(?: up)?|add(?: up)?|overall"),
    ("mean", r"average|mean|avg"),
    ("median", r"median"),
    ("max", r"max(?:imum)?|highest|largest|biggest|greatest|most expensive"),
    ("min", r"min(?:imum)?|lowest|smallest|least"),
    ("distinct", r"distinct|unique|different"),
)
MEASURE = tuple(
    (name, re.compile(
        rf"\b(?P<word>{words})\s+(?:of\s+)?(?:the\s+|all\s+|its\s+|each\s+)*"
        rf"(?:values? (?:of|in)\s+|column\s+|field\s+|for\s+)*(?P<field>⟦\d+⟧|"
        rf"[A-Za-z_][\w.]*)", re.IGNORECASE))
    for name, words in MEASURES
)  # fmt: skip
PAIRED = re.compile(
    rf"\b(?P<word>{'|'.join(words for _, words in MEASURES)})\s*(?:,|\band\b)\s*(?:the\s+)?"
    rf"(?={'|'.join(words for _, words in MEASURES)})",
    re.IGNORECASE,
)
COUNT = re.compile(
    r"\b(?:count|how many|number of|tally)\b"
    r"(?!\s+(?:of\s+)?(?:(?:the|all)\s+)?(?:different|distinct|unique)\b)",
    re.I,
)
BY = re.compile(
    r"\b(?:grouped by|group by|by|per|for each|for every|in each|within each|each|"
    r"every)\s+(?:the\s+|each\s+)?"
    r"(?:column\s+|field\s+)?(?P<fields>(?:⟦\d+⟧|[A-Za-z_][\w.]*)(?:(?:\s*,\s*|\s+and\s+(?:by\s+)?)(?:⟦\d+⟧|[A-Za-z_][\w.]*))*)",
    re.IGNORECASE,
)
DOWN = re.compile(
    r"\b(?:descend\w*|desc|highest|largest|biggest|most|greatest|newest|latest|longest|top|best|"
    r"reverse\w*|decreasing|oldest|expensive|max\w*)\b|\bz[ -]to[ -]a\b|\bhigh(?:est)? to low",
    re.I,
)
UP = re.compile(
    r"\b(?:ascend\w*|asc|lowest (?:to|first)|smallest|least|cheapest|earliest|shortest|fewest|"
    r"increasing|alphabetical\w*|youngest|bottom|lowest|worst)\b|\ba[ -]to[ -]z\b|"
    r"\blow(?:est)? to high",
    re.I,
)
#: "Highest last" is smallest first.
LAST = re.compile(
    r"\b(?:(?P<low>lowest|smallest|least|cheapest|earliest|shortest|fewest|youngest|worst)"
    r"|highest|largest|biggest|most|greatest|newest|latest|longest|oldest|best|most expensive)"
    r"(?:\s+(?:ones?|values?|rows?|prices?))?\s+(?:at\s+the\s+)?(?:last|end|bottom)\b",
    re.I,
)
LIMIT = re.compile(
    r"\b(?:top|first|best|bottom|last|only|the|limit(?:ed)? to|at most|show me|"
    r"keep)\s+(?:the\s+)?(?P<n>⟦\d+⟧|\d+)(?!\s*(?:%|percent))"
    r"|^(?:show|list|give|get|keep|find|take)?\s*(?:me\s+)?(?:the\s+)?(?P<m>⟦\d+⟧|\d+)\s+(?:\w+\s+)?(?:cheapest|highest|lowest|largest|smallest|biggest|newest|oldest|best|worst|most|rows|records)",
    re.IGNORECASE,
)
#: "the row with the highest price": one row, or some where it says "rows".
EXTREME = re.compile(
    # a path between them is a blank and a comma here
    r"\b(?:row|record|entry|line|(?P<many>rows|records|entries|lines))\s+(?:,\s+)?"
    r"(?:with|having|that has|that have|which has|which have)\s+"
    r"the\s+(?:highest|largest|biggest|greatest|most|lowest|smallest|least|latest|"
    r"newest|oldest|best|worst)\s+(?P<field>⟦\d+⟧|[A-Za-z_][\w.]*)",
    re.IGNORECASE,
)
COLUMNS = re.compile(
    r"\b(?:columns?|fields?|only|just|select|pick|keep|choose|project|drop|remove)\s+(?:only\s+|just\s+)?(?:the\s+)?(?:columns?\s+|fields?\s+)?(?:called\s+|named\s+)?"
    r"(?P<fields>(?:⟦\d+⟧|[A-Za-z_][\w.]*)(?:(?:\s*,\s*(?:and\s+)?|\s+and\s+)(?:the\s+)?(?:⟦\d+⟧|[A-Za-z_][\w.]*))*)",
    re.IGNORECASE,
)
ON = re.compile(
    rf"\b(?:on|by|using|via|matching on|through)\s+(?:the\s+)?(?:column\s+|field\s+|"
    rf"common\s+|shared\s+)*{FIELD}",
    re.I,
)


FUNCTION_WORDS = listed(
    "the a an of to in on at by per and or for from as with then into it them this that each every "
    "total average mean sum count highest lowest first last order descending ascending columns "
    "column fields field rows only up number most least value top best"
)
NO_GROUP = stems(
    "row rows record records entry entries item items one ones those them it everything all "
    "the a an of to in on at by per and or for from as with then into this that each every "
    "descending ascending first last highest lowest data table list result results order"
)
