"""Typed literals in a goal: where they stand and what value they mean."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

from flowbuilder.errors import InvalidValue
from flowbuilder.planner.rules.lexicon import lexicon
from flowbuilder.strictjson import loads
from flowbuilder.types import JsonValue


class Kind(StrEnum):
    """What a literal is."""

    JSON = "json"
    QUOTED = "quoted"
    URL = "url"
    EMAIL = "email"
    PHONE = "phone"
    PATH = "path"
    CHANNEL = "channel"
    DATE = "date"
    TIME = "time"
    DURATION = "duration"
    MONEY = "money"
    PERCENT = "percent"
    DIMENSIONS = "dimensions"
    EXPRESSION = "expression"
    IDENTIFIER = "identifier"
    DOTTED = "dotted"
    CURRENCY = "currency"
    LANGUAGE = "language"
    NUMBER = "number"


#: Kinds whose meaning is so plain that each one has to turn up in the arguments of some step.
STRONG = frozenset(
    {Kind.JSON, Kind.QUOTED, Kind.URL, Kind.EMAIL, Kind.PHONE, Kind.PATH, Kind.CHANNEL, Kind.MONEY,
     Kind.PERCENT, Kind.DIMENSIONS, Kind.EXPRESSION, Kind.CURRENCY, Kind.NUMBER, Kind.DATE,
     Kind.TIME, Kind.DURATION, Kind.IDENTIFIER, Kind.DOTTED, Kind.LANGUAGE}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Literal:
    """One literal: `value` as JSON, its words, and its place in the goal."""

    kind: Kind
    value: JsonValue
    text: str
    start: int
    end: int
    unit: str | None = None
    """A currency code for money, a time unit for durations."""


_EXTENSIONS = (
    "txt|md|markdown|csv|tsv|json|jsonl|ndjson|yaml|yml|xml|html|htm|pdf|doc|docx|odt|rtf|xls|"
    "xlsx|ods|ppt|pptx|png|jpg|jpeg|gif|webp|svg|bmp|tif|tiff|heic|mp3|wav|ogg|flac|m4a|aac|"
    "mp4|mov|avi|mkv|webm|zip|tar|gz|tgz|bz2|7z|rar|log|ini|toml|cfg|conf|env|py|js|ts|sql|db|"
    "sqlite|parquet|ics|vcf|eml|srt|vtt|tex|bib|epub|sh|bin|dat"
)
_QUOTES = re.compile(
    r"\"([^\"]*)\"|“([^”]*)”|«([^»]*)»|„([^“”]*)[“”]|`([^`]+)`"
    r"|(?<![\w'])'([^'\n]+(?:'\w[^'\n]*)*)'(?!\w)|(?<!\w)‘([^’]*)’(?!\w)"
)
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|"
    r"sep(?:t(?:ember)?)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_MONTHS = (
    "(?:January|February|March|April|May|June|July|August|September|October|November|December)"
)
_DAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)day"
_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
_UNIT = r"(?:milliseconds?|ms|seconds?|secs?|minutes?|mins?|hours?|hrs?|days?|weeks?)"
_SECONDS = {"ms": 0.001, "mil": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_COUNTED = (
    r"\d+(?:\.\d+)?|an?|one|two|three|four|five|six|seven|eight|nine|ten|fifteen|thirty|half an"
)


def _compile(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_URL = _compile(
    r"\b(?:https?|ftp)://[^\s<>\"'“”«»`|\\^{}]+|\bwww\.[a-z0-9.-]+\.[a-z]{2,}[^\s<>\"']*"
)
_EMAIL = _compile(
    r"(?<![\w.+-])[a-z0-9][\w.+%-]*@[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9-]+)+\b"
)
_PLACED = r"(?:[\w.+@-]|<\w+>|\{\w+\})"
_PATH = _compile(
    rf"(?<![\w@/.>}}])(?=[\w.+@/-]*[<{{]\w)(?:{_PLACED}+/)*{_PLACED}+?\.(?:{_EXTENSIONS})\b"
    rf"|(?<![\w@/.])(?:~|\.{{1,2}})?/?(?:[\w.+@-]+/)*[\w+-][\w.+-]*\.(?:{_EXTENSIONS})\b(?!\.\w|@)"
    r"|(?<![\w@/.])(?:~|\.{1,2})?/(?:[\w.+@-]+/)*[\w.+@-]*[\w]"
    r"|(?<![\w@/.])(?:[\w.+-]+/){2,}[\w.+-]*"
)
_PHONE = _compile(r"(?<![\w.])\+\d[\d ()/-]{5,}\d|(?<![\w.])\(?0\d{2,4}\)?[ /-]\d[\d -]{4,}\d\b")
_CHANNEL = _compile(r"(?<!\w)#[a-z][\w-]*")
_DATE = _compile(
    rf"\b\d{{4}}-\d{{2}}-\d{{2}}\b|\b\d{{1,2}}[./]\d{{1,2}}[./]\d{{2,4}}\b"
    rf"|\b\d{{1,2}}(?:st|nd|rd|th)?(?: of)? {_MONTH}\b(?:,? \d{{4}})?"
    rf"|\b{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?\b(?:,? \d{{4}})?"
    rf"|\b(?:today|tomorrow|tonight|yesterday|the day after tomorrow|"
    rf"(?:this|next|last) (?:week|month|year|quarter|weekend|morning|afternoon|evening|night))\b"
    rf"|\b(?:this |next |last )?{_DAY}\b(?: (?:morning|afternoon|evening|night)\b)?"
    rf"|(?<=\bin )(?-i:{_MONTHS})\b(?:,? \d{{4}})?|(?<=\bfor )(?-i:{_MONTHS})\b(?:,? \d{{4}})?"
    rf"|(?<=\bof )(?-i:{_MONTHS})\b(?:,? \d{{4}})?|\bQ[1-4](?: \d{{4}})?\b"
)
_HOUR = "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
_TIME = _compile(
    r"\b\d{1,2}:\d{2}(?::\d{2})?(?:\s?[ap]\.?m\b\.?)?|\b\d{1,2}\s?[ap]m\b|\b(?:noon|midnight)\b"
    rf"|\b(?:half|(?:a )?quarter|(?:five|ten|twenty)(?: minutes)?) (?:past|to) "
    rf"(?:{_HOUR}|\d{{1,2}})\b"
    rf"|\b(?:{_HOUR}|\d{{1,2}}) (?:o['’]clock|in the (?:morning|afternoon|evening)|at night)"
    rf"|(?<=\bat )(?:{_HOUR})\b(?=\s*(?:$|[.,;!?]|and\b|on\b|to\b|for\b|with\b))"
)
_DURATION = _compile(rf"\b({_COUNTED})[ -]?({_UNIT})\b")
_SIGNED = re.compile(rf"([$€£¥₹])\s?({_NUMBER})")
_PRICED = re.compile(rf"\b({_NUMBER})\s?([$€£¥₹]|[A-Z]{{3}}\b|[a-z]+(?: [a-z]+)?\b)")
_PERCENT = _compile(rf"({_NUMBER})\s?(?:%|percent\b|per cent\b)")
_SIZE = _compile(r"\b(\d+)\s?(?:x|×|by)\s?(\d+)\b")
_EXPRESSION = re.compile(
    rf"(?<![\w.])[(]*\s?(?:{_NUMBER})%?[)]*(?:\s?(?:\*\*|[-+*/^×÷])\s?[(]*\s?(?:{_NUMBER})%?\s?[)]*)+"
    rf"|(?<![\w.])(?:{_NUMBER})\s?(?:%|percent) of (?:{_NUMBER})"
    rf"|\b(?:sqrt|log|sin|cos|tan)\([^()]*\)"
    rf"|(?<![\w.])(?:{_NUMBER})(?: (?:plus|minus|times|multiplied by|divided by|over) "
    rf"(?:{_NUMBER}))+"
)
#: Identifiers of a form that nothing else has: a DOI, a UUID, an address of four numbers.
_EXACT = re.compile(
    r"\b10\.\d{4,}/[\w.()/-]*\w|\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b"
    r"|(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.])"
)
_IDENTIFIER = re.compile(
    r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{7,40}\b|"
    r"(?<!\w)#\d+\b|\b[A-Z]{1,6}-\d+\b|\bv?\d+(?:\.\d+){2,}\b|\bv\d+(?:\.\d+)*\b"
    r"|\b[a-z]+\d*-\d+(?:\.\d+)*\b"
    r"|(?<![\w/.@])(?!and/|on/|off/|yes/|no/|he/|she/|his/|her/|him/|w/|n/|km/|m/|either/|read/)"
    r"[a-z][\w-]+/[a-z][\w-]+(?![\w/])|\b[a-z]+_[a-z0-9_]+\b|\b[A-Z]{1,3}\d{2,}\b"
    r"|\b(?=[A-Z0-9-]*\d)(?=[A-Z0-9-]*[A-Z])[A-Z0-9][A-Z0-9-]{4,}\b|(?<![\d.,+-])\b\d{7,}\b(?![.,]\d)"
)
_DOTTED = re.compile(r"\b[A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\[\d+\])+")
_PLAIN = re.compile(rf"(?<![\w.])(?:-(?=\d))?(?:{_NUMBER})(?![\w%])(?!\.\d)")
_WORDED = _compile(
    r"\b(?:two|three|four|five|six|seven|eight|nine|ten|twelve|fifteen|twenty|hundred)\b"
)


def find_literals(text: str) -> list[Literal]:
    """Return the typed literals of a text in order; they never overlap.

    Quoted text, addresses and paths are found first, so that what looks like a number or a
    date inside them is not taken apart.
    """
    return [
        replace(one, value=deepcopy(one.value)) if isinstance(one.value, dict | list) else one
        for one in _found(text)
    ]


@lru_cache(maxsize=32)  # a goal is asked for its literals by many who judge a plan
def _found(text: str) -> tuple[Literal, ...]:
    taken = bytearray(len(text))
    found: list[Literal] = []
    for finder in _FINDERS:
        for literal in finder(text):
            if literal.end > literal.start and not any(taken[literal.start : literal.end]):
                taken[literal.start : literal.end] = b"\x01" * (literal.end - literal.start)
                found.append(literal)
    return tuple(sorted(found, key=lambda literal: literal.start))


#: The beginning of an object, or of a list that belongs to no name: not `items[0]`.
_OPENING = re.compile(r"\{|(?<![\w\])}.])\[")


def _jsons(text: str) -> Iterator[Literal]:
    """Find the objects and lists that stand in a text as JSON, outside of quotation marks."""
    place = 0
    while opening := _OPENING.search(text, place):
        quoted = _QUOTES.search(text, place)
        if quoted is not None and quoted.start() < opening.start():
            place = quoted.end()
            continue
        place = opening.end()
        try:
            _, end = _DECODER.raw_decode(text, opening.start())
            value = loads(text[opening.start() : end].encode())
        except (ValueError, RecursionError, InvalidValue):
            continue
        yield Literal(Kind.JSON, value, text[opening.start() : end], opening.start(), end)
        place = end


_DECODER = json.JSONDecoder()
#: What is written like an object of JSON.
_LIKE_JSON = re.compile(r"\{\s*([\"'“])[^\"'”]*[\"'”]\s*:")


def broken_json(text: str) -> str | None:
    """Return the beginning of what is written like JSON and is none."""
    whole = [(item.start, item.end) for item in (*_jsons(text), *_quoted(text))]
    for found in _LIKE_JSON.finditer(text):
        if not any(start <= found.start() < end for start, end in whole):
            return found.group()
    return None


def parse_number(text: str) -> int | float:
    """Return a number as JSON has it: thousands separators dropped, whole numbers as int."""
    plain = text.replace(",", "").strip()
    return float(plain) if "." in plain else int(plain)


def _quoted(text: str) -> Iterator[Literal]:
    for match in _QUOTES.finditer(text):
        inner = next((group for group in match.groups() if group is not None), "")
        kind = _whole_kind(inner) or Kind.QUOTED
        yield Literal(kind, inner, match.group(), match.start(), match.end())


def _whole_kind(inner: str) -> Kind | None:
    """Return what a quoted text is when all of it is one address or file name."""
    for kind, pattern in ((Kind.URL, _URL), (Kind.EMAIL, _EMAIL), (Kind.PATH, _PATH)):
        if pattern.fullmatch(inner):
            return kind
    return None


def _urls(text: str) -> Iterator[Literal]:
    for match in _URL.finditer(text):
        value = match.group().rstrip(".,;:!?")
        while value.endswith((")", "]")) and value.count("(") < value.count(")"):
            value = value[:-1]
        full = value if "://" in value else f"https://{value}"
        yield Literal(Kind.URL, full, value, match.start(), match.start() + len(value))


def _plainly(kind: Kind, pattern: re.Pattern[str]) -> Callable[[str], Iterator[Literal]]:
    def find(text: str) -> Iterator[Literal]:
        for match in pattern.finditer(text):
            value = match.group().strip()
            start = match.start() + len(match.group()) - len(match.group().lstrip())
            yield Literal(kind, value, value, start, start + len(value))

    return find


def _durations(text: str) -> Iterator[Literal]:
    for match in _DURATION.finditer(text):
        count, unit = match.group(1).lower(), match.group(2).lower()
        number = _count(count)
        letter = "mil" if unit.startswith("mil") else "ms" if unit == "ms" else unit[0]
        seconds = number * _SECONDS[letter]
        whole = int(seconds) if seconds == int(seconds) else seconds
        yield Literal(Kind.DURATION, whole, match.group(), match.start(), match.end(), unit=unit)


def _count(text: str) -> float:
    if text.startswith("half"):
        return 0.5
    if text in ("a", "an"):
        return 1
    return float(text) if text[0].isdigit() else lexicon().numbers[text]


def _money(text: str) -> Iterator[Literal]:
    words = lexicon()
    for match in _SIGNED.finditer(text):
        code = words.currency_signs[match.group(1)]
        value = parse_number(match.group(2))
        yield Literal(Kind.MONEY, value, match.group(), match.start(), match.end(), unit=code)
    for match in _PRICED.finditer(text):
        code = _currency(match.group(2)) or ""
        end = match.end()
        if not code and " " in match.group(2):
            first = match.group(2).split(" ")[0]
            code, end = _currency(first) or "", match.start(2) + len(first)
        if code:
            value = parse_number(match.group(1))
            yield Literal(
                Kind.MONEY, value, text[match.start() : end], match.start(), end, unit=code
            )


def _currency(text: str) -> str | None:
    words = lexicon()
    return (
        words.currency_signs.get(text)
        or (text if text in words.currency_codes else None)
        or words.currencies.get(text.lower())
    )


def _currencies(text: str) -> Iterator[Literal]:
    words = lexicon()
    names = "|".join(sorted(map(re.escape, words.currencies), key=len, reverse=True))
    codes = "|".join(sorted(words.currency_codes))
    for match in re.finditer(rf"\b(?:{codes})\b|\b(?i:{names})\b", text):
        code = _currency(match.group()) or match.group()
        yield Literal(Kind.CURRENCY, code, match.group(), match.start(), match.end(), unit=code)


def _languages(text: str) -> Iterator[Literal]:
    names = "|".join(lexicon().languages)
    for match in re.finditer(rf"\b(?:{names})\b", text):
        yield Literal(Kind.LANGUAGE, match.group(), match.group(), match.start(), match.end())


def _percents(text: str) -> Iterator[Literal]:
    for match in _PERCENT.finditer(text):
        value = parse_number(match.group(1))
        yield Literal(Kind.PERCENT, value, match.group(), match.start(), match.end())


def _sizes(text: str) -> Iterator[Literal]:
    for match in _SIZE.finditer(text):
        pair: JsonValue = [int(match.group(1)), int(match.group(2))]
        yield Literal(Kind.DIMENSIONS, pair, match.group(), match.start(), match.end())


def _numbers(text: str) -> Iterator[Literal]:
    for match in _PLAIN.finditer(text):
        value = parse_number(match.group())
        yield Literal(Kind.NUMBER, value, match.group(), match.start(), match.end())
    for match in _WORDED.finditer(text):
        value = lexicon().numbers[match.group().lower()]
        yield Literal(Kind.NUMBER, value, match.group(), match.start(), match.end())


_FINDERS: tuple[Callable[[str], Iterator[Literal]], ...] = (
    _jsons,
    _quoted,
    _urls,
    _plainly(Kind.EMAIL, _EMAIL),
    _plainly(Kind.PATH, _PATH),
    _plainly(Kind.IDENTIFIER, _EXACT),
    _plainly(Kind.CHANNEL, _CHANNEL),
    _plainly(Kind.DATE, _DATE),
    _plainly(Kind.PHONE, _PHONE),
    _plainly(Kind.TIME, _TIME),
    _durations,
    _plainly(Kind.EXPRESSION, _EXPRESSION),
    _money,
    _percents,
    _sizes,
    _plainly(Kind.IDENTIFIER, _IDENTIFIER),
    _plainly(Kind.DOTTED, _DOTTED),
    _currencies,
    _languages,
    _numbers,
)
