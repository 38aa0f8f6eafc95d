"""Read the words of an edit: which commands they are, before anybody knows the flow."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flowbuilder.errors import PlanningError


@dataclass(frozen=True, kw_only=True, slots=True)
class Remove:
    """Something is to go."""

    what: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    """One thing is to stand in the place of another."""

    old: str
    new: str
    where: str = ""
    """The words for the argument or step that it is about, where they were said."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Put:
    """Something is to have a value."""

    name: str
    value: str
    more: bool = False
    """It is added to what is there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Instead:
    """A value is to stand in the place of the one of its kind: "mail it to X instead"."""

    value: str
    clause: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Sort:
    """An order is to be another one."""

    by: str | None
    descending: bool | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """Something is to be written in another format."""

    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class After:
    """A step is to wait for another one."""

    later: str
    earlier: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """A person is to be asked before a step."""

    step: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Add:
    """Something is to be done besides."""

    clause: str


Command = Remove | Exchange | Put | Instead | Sort | Format | After | Ask | Add

_POLITE = re.compile(
    r"^(?:(?:please|kindly|ok(?:ay)?|now|also|then|and|but|additionally|besides|in addition|"
    r"furthermore|moreover|finally|afterwards|at the end|after that|(?:can|could|would|will) you|"
    r"i(?:'d| would) (?:also )?(?:like|want)(?: you)? to|i want(?: you)? to|let(?:'s| us)|"
    r"it should(?: also)?|the flow should(?: also)?|make sure (?:to|that (?:it|you))|"
    r"add a step (?:that|which|to)|add another step (?:that|which|to))\b[,:]?\s*)+",
    re.IGNORECASE,
)
#: Words with which a new command begins behind "and", "then" or a comma.
_STARTERS = (
    r"(?:(?:please|also|then|now)\s+)*(?:remove|drop|delete|skip|omit|leave out|take out|get rid|"
    r"cut|don['’]t|do not|stop|replace|change|set|rename|switch|sort|order|reverse|use|make|limit|"
    r"send|mail|e-?mail|post|text|message|notify|tell|save|write|store|put|append|add|raise|"
    r"lower|increase|decrease|reduce|run|wait|call|create|fetch|get|translate|summari[sz]e)\b"
)
_BREAK = re.compile(
    rf"\s*[;\n]+\s*|(?<=\S)[.!?]\s+(?=[A-Za-z])"
    rf"|,?\s+(?:and(?: then| also)?|then|but(?: also)?|also),?\s+(?={_STARTERS})"
    rf"|,\s+(?={_STARTERS})",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"\"[^\"]*\"|“[^”]*”|`[^`]*`|(?<!\w)'[^']*'(?!\w)")
#: Stands around the number of a quoted text: a letter that nobody writes.
_MARK = "\ua66e"
_HIDDEN = re.compile(rf"{_MARK}(\d+){_MARK}")
#: Characters of a command, quoted texts aside.
_LONGEST_PART = 300
_NAME = r"(?P<name>[\w@ .#/+-]{1,80}?)"
_THE = r"(?:(?:the|its|their|his|her|our|my|this|that|a|an)\s+)?"


def _rule(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?:{pattern})\s*[.!]?$", re.IGNORECASE | re.DOTALL)


_REMOVE = _rule(
    r"(?:remove|drop|delete|skip|omit|leave out|take out|get rid of|cut(?: out)?|throw out|"
    r"stop|no longer|no more|(?:do not|don['’]t)(?: have it)?|never|without)\s+"
    r"(?P<what>.+?)(?:\s+(?:any ?more|any longer|please|at all))?"
)
_EXCHANGE = (
    _rule(r"(?:replace|swap|exchange|substitute)\s+(?P<old>.+?)\s+(?:with|by|for)\s+(?P<new>.+?)"),
    _rule(
        rf"(?:change|switch|set|update|move)\s+{_THE}(?P<where>.+?)\s+from\s+(?P<old>.+?)\s+"
        r"to\s+(?P<new>.+?)"
    ),
    _rule(
        r"(?P<clause>.*?\b(?:to|as|in|into|from|by|with|of|at|use|using|take|say|than)\s+)?"
        r"(?P<new>\S.*?),?\s+(?:instead of|rather than|in place of|and not|not)\s+"
        r"(?:(?:to|as|in|into|from|by|with|at)\s+)?(?P<old>.+?)"
    ),
    _rule(r"(?P<clause>.*?\b)not\s+(?P<old>\S+),?\s+but\s+(?P<new>.+?)"),
)
_RENAME = _rule(
    r"(?:rename|change|switch|turn|convert)\s+(?P<old>.+?)\s+(?:to|into|as)\s+(?P<new>.+?)"
)
_PUT = (
    _rule(
        rf"(?:set|change|make|put|adjust|update|raise|increase|lower|decrease|reduce|extend|"
        rf"shorten|turn)\s+{_THE}{_NAME}\s*(?:\s(?:be|to|as|into|at)\s|=|:)\s*(?P<value>.+?)"
    ),
    _rule(
        rf"{_THE}{_NAME}\s+(?:should|must|shall|has to|ought to)\s+(?:be|say|read)\s+(?P<value>.+?)"
    ),
    _rule(rf"(?:use|take)\s+(?P<value>.+?)\s+(?:as|for)\s+{_THE}{_NAME}"),
    _rule(rf"(?:use|with|give it|try)\s+{_THE}{_NAME}\s+(?:of\s+|=\s*|:\s*)(?P<value>.+?)"),
)
_LIMIT = _rule(
    r"(?:limit|restrict|cap)\s+.{0,60}?\bto\s+(?:the (?:first|top) )?(?P<value>\d+)(?:\s+\w+)?"
    r"|(?:(?:keep|take|show|return|give|list|use)\s+)?(?:only|just)\s+(?:the\s+)?(?:first|top)\s+"
    r"(?P<first>\d+)(?:\s+\w+)?"
)
_MORE = _rule(rf"(?:add|append|include)\s+(?P<value>.+?)\s+(?:to|in|among)\s+{_THE}{_NAME}")
_INSTEAD = _rule(
    r"(?P<clause>.*?\b(?:to|as|in|into|from|by|with|at|use|using|take|say|call it|name it)\s+)"
    r"(?P<value>\S.*?),?\s+instead|instead,?\s+(?P<clause2>.*?\b(?:to|as|in|into|from|by|use)\s+)"
    r"(?P<value2>\S.*?)|(?P<clause3>\w+\s+)(?P<value3>\S+),?\s+instead"
)
_RETRY = _rule(
    r"(?:retry|repeat|try)\s+(?P<step>.+?)\s+(?:up to\s+|at most\s+)?(?P<times>\d+)\s+times"
)
_SORT = re.compile(
    r"\b(?:sort|order(?!\s+(?:a|an|the)\b)|rank|sorted|ordered|descending|ascending|reverse)\b",
    re.IGNORECASE,
)
_SORT_START = re.compile(
    r"^(?:sort|order|rank|reverse|(?:in|use|make it|put|show)\b.*"
    r"(?:order|first|descending|ascending))",
    re.IGNORECASE,
)
_BY = re.compile(r"\bby\s+(?:the\s+)?(?P<by>[\w.-]+)", re.IGNORECASE)
_DOWN = re.compile(
    r"\b(?:descending|desc|reversed?|(?:highest|largest|biggest|newest|latest|most\w*)(?: \w+)? "
    r"first|from (?:high|large|new)\w* to)\b",
    re.IGNORECASE,
)
_UP = re.compile(
    r"\b(?:ascending|asc|(?:lowest|smallest|oldest|earliest|least\w*)(?: \w+)? first|"
    r"from (?:low|small|old)\w* to)\b",
    re.IGNORECASE,
)
_FORMATS = (
    r"csv|tsv|json|jsonl|yaml|yml|xml|html|markdown|md|plain text|text|txt|pdf|xlsx|excel|parquet"
)
_FORMAT = _rule(
    r"(?:(?:save|write|store|export|output|return|make|give|produce|format|send)\b.*?|use|)\s*"
    rf"(?<![\w.])(?:as|in|into|to|be|use)?\s*(?:an?\s+)?(?<![\w.])(?P<format>{_FORMATS})"
    r"(?:\s+(?:file|format|output))?"
    rf"(?:\s+(?:instead|please|instead of\s+(?:an?\s+)?(?:{_FORMATS})(?:\s+(?:file|format))?))"
    rf"|(?:change|switch|set)\s+the\s+format\s+(?:to|into)\s+(?P<format2>{_FORMATS})"
)
_MEASURE = _rule(
    r"(?:make|keep|use|limit|restrict|cut|shorten|give it|with)\s+"
    r"(?:(?:the\s+)?(?P<step>[\w ]+?)\s+)??"
    r"(?:(?:to|at|be|with)\s+)?(?:(?:at most|up to|no more than|about|only|just)\s+)?"
    r"(?P<value>\d+)\s+(?P<unit>[A-Za-z]\w+)(?:\s+long)?"
)
_ASK = _rule(
    r"(?:ask|check with)\s+(?:me|us|somebody|someone|a person|for (?:an? |my )?\w+)\s+before\s+"
    r"(?P<before>.+?)"
    r"|(?:require|request|get|want|wait for|need)\s+(?:an?\s+|my\s+)?(?:approval|confirmation)\s+"
    r"(?:before|for|of)\s+(?P<of>.+?)"
)
_AFTER = (
    _rule(
        r"(?:run|do|start|make|let|execute|perform)\s+(?P<later>.+?)\s+(?:run\s+|start\s+)?"
        r"(?:only\s+)?(?:after|behind)\s+(?P<earlier>.+?)"
    ),
    _rule(
        r"(?:run|do|start|make|let|execute|perform)\s+(?P<earlier>.+?)\s+(?:run\s+|start\s+)?before\s+"
        r"(?P<later>.+?)"
    ),
    _rule(r"wait for\s+(?P<earlier>.+?)\s+before\s+(?P<later>.+?)"),
    _rule(r"(?P<later>.+?)\s+(?:should|must|has to)\s+wait for\s+(?P<earlier>.+?)"),
)


@dataclass(frozen=True, slots=True)
class Part:
    """The words of one command; quoted text stands apart, so that nothing in it is a command."""

    hidden: str
    quoted: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The words as they were written."""
        return self._shown(self.hidden)

    def read(self, command: Command) -> Command:
        """Return a command with quoted text in its place, a value without its quotes."""
        fields = {item.name: getattr(command, item.name) for item in dataclasses.fields(command)}
        texts = {name: value for name, value in fields.items() if isinstance(value, str)}
        shown: dict[str, Any] = {name: self._value(value) for name, value in texts.items()}
        return dataclasses.replace(command, **shown)

    def _value(self, text: str) -> str:
        whole = _HIDDEN.fullmatch(text.strip())
        return self.quoted[int(whole[1])][1:-1] if whole else self._shown(text)

    def _shown(self, text: str) -> str:
        return _HIDDEN.sub(lambda found: self.quoted[int(found[1])], text) if self.quoted else text


def split_words(words: str) -> list[Part]:
    """Split the words of an edit into those of single commands; quoted text is never split.

    Raises:
        PlanningError: One of them is longer than a command is (edit_too_long).
    """
    quoted: list[str] = []

    def hide(match: re.Match[str]) -> str:
        quoted.append(match.group())
        return f"{_MARK}{len(quoted) - 1}{_MARK}"

    hidden = words if _MARK in words else _QUOTED.sub(hide, words)
    parts = [_POLITE.sub("", part.strip()).strip(" ,") for part in _BREAK.split(hidden) if part]
    if any(len(part) > _LONGEST_PART for part in parts):
        raise PlanningError(
            f"one part of the edit has more than {_LONGEST_PART} characters",
            code="edit_too_long",
            hint="Say it in several sentences, and put long texts in quotes.",
        )
    return [Part(part, tuple(quoted)) for part in parts if part.strip(" .,!?")]


def readings(part: Part) -> Iterator[Command]:
    """Yield the ways in which a command may be meant, the likeliest first; the last is `Add`."""
    for command in _readings(part.hidden):
        yield part.read(command)
    if not _REMOVE.match(part.hidden):
        yield Add(clause=part.text)


def _readings(part: str) -> Iterator[Command]:
    if found := _REMOVE.match(part):
        yield Remove(what=found["what"])
        return
    if found := _FORMAT.match(part):
        yield Format(name=(found["format"] or found["format2"]).lower())
    yield from _exchanges(part)
    if found := _ASK.match(part):
        yield Ask(step=found["before"] or found["of"])
    yield from _ordering(part)
    yield from _amounts(part)
    for rule in _PUT:
        if found := rule.match(part):
            yield Put(name=found["name"].strip(), value=bare(found["value"]))
    if found := _RENAME.match(part):
        yield Exchange(old=bare(found["old"]), new=bare(found["new"]))
    if found := _MORE.match(part):
        yield Put(name=found["name"].strip(), value=bare(found["value"]), more=True)
    if found := _INSTEAD.match(part):
        clause = found["clause"] or found["clause2"] or found["clause3"] or ""
        value = found["value"] or found["value2"] or found["value3"]
        yield Instead(value=bare(value), clause=clause)


def _exchanges(part: str) -> Iterator[Command]:
    for rule in _EXCHANGE:
        if found := rule.match(part):
            where = found.groupdict().get("where") or found.groupdict().get("clause") or ""
            yield Exchange(old=bare(found["old"]), new=bare(found["new"]), where=where)


def _amounts(part: str) -> Iterator[Command]:
    """Yield the readings of a command that says how much or how often."""
    if found := _RETRY.match(part):
        yield Put(name=f"attempts of {found['step']}", value=found["times"])
    if found := _LIMIT.match(part):
        yield Put(name="limit", value=found["value"] or found["first"])
    if found := _MEASURE.match(part):
        of_step = f" of {found['step']}" if found["step"] else ""
        yield Put(name=f"{found['unit']}{of_step}", value=found["value"])


def _ordering(part: str) -> Iterator[Command]:
    down, up = _DOWN.search(part), _UP.search(part)
    if (_SORT.search(part) or down or up) and _SORT_START.match(part):
        by = _BY.search(part)
        descending = None if bool(down) == bool(up) else down is not None
        yield Sort(by=bare(by["by"]) if by else None, descending=descending)
    for rule in _AFTER:
        if found := rule.match(part):
            yield After(later=found["later"], earlier=found["earlier"])


def bare(text: str) -> str:
    """Return a value without the punctuation behind it."""
    return text.strip().rstrip(" ,!?").removesuffix(".")
