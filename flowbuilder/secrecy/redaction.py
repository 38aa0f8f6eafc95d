"""Keeping secret values out of whatever is stored, sent or shown.

A value is looked for as it is and in the forms in which it travels: base64 at any alignment, hex,
URL, JSON and HTML escapes. Halves of a value that was split over two fields are found too: a
fragment counts from half of the value on, and from eight characters. What was found becomes `***`.
What spells its letters one by one, as `%61%62…`, `&#97;&#98;…`, `61:62…` or by their numbers in
JSON, is read, and is `***` as a whole if a value is in it.
"""

from __future__ import annotations

import base64
import html
import json
import logging
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote, quote_plus, unquote, unquote_to_bytes, urlsplit

import orjson

from flowbuilder.types import JsonValue

MARK = "***"
#: Values remembered by one process; the ones used last stay.
MOST_VALUES = 500
_SHORTEST = 8
#: Places of one value at which half a secret is looked for: a text may be made of its letters.
_MOST_LOOKS = 20_000
_LONGEST_LINE = 16
#: Names whose values are left out of logs and traces, whatever they are.
SENSITIVE_KEYS = frozenset(
    {
        *("authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "api_key"),
        *("apikey", "api-key", "password", "passwd", "secret", "client_secret", "access_token"),
        *("refresh_token", "private_key", "dsn", "database_url"),
    }
)


@dataclass(frozen=True, slots=True)
class _Known:
    """One value: its forms, longest first, and what to look for before anything else."""

    forms: tuple[str, ...]
    fragments: tuple[tuple[str, tuple[str, ...]], ...]
    """Texts of which half counts, with pieces one of which every half contains."""
    needles: tuple[bytes, ...]
    """One of these is in the JSON of every value that holds a form or a fragment."""

    def may_be_in(self, text: str) -> bool:
        """Whether a form or a piece of a fragment is in a text."""
        pieces = (piece for _, some in self.fragments for piece in some)
        return any(form in text for form in (*self.forms, *pieces))


@dataclass(frozen=True, slots=True)
class _Spelling:
    """A way to write a text as the numbers of its letters."""

    begins: re.Pattern[str]
    """Whether it is there at all: a pattern whose first letter is fixed, which is sought fast."""
    whole: re.Pattern[str]
    read: Callable[[str], str]

    def all_read(self, text: str) -> Iterator[str]:
        """Yield what those parts of a text say that are written so."""
        if self.begins.search(text):
            yield from (self.read(found[0]) for found in self.whole.finditer(text))


def _spelling(one: str, between: str, read: Callable[[str], str]) -> _Spelling:
    many = rf"(?:{between}{one})"
    begins = rf"{between}{one}{many}{{{_SHORTEST - 2}}}"
    return _Spelling(re.compile(begins), re.compile(rf"{one}{many}{{{_SHORTEST - 1},}}"), read)


def _read_escapes(text: str) -> str:
    units = b"".join(bytes.fromhex(unit) for unit in re.findall(rf"u({_HEX}{{4}})", text))
    return units.decode("utf-16-be", "replace")


def _read_bytes(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


_HEX = "[0-9A-Fa-f]"
_SPELLINGS = (
    _spelling(f"%{_HEX}{{2}}", "", lambda text: _read_bytes(unquote_to_bytes(text))),
    _spelling(rf"\\{{1,4}}u{_HEX}{{4}}", "", _read_escapes),
    _spelling(f"&#(?:[0-9]{{1,9}}|[xX]{_HEX}{{1,8}});?", "", html.unescape),
    _spelling(f"{_HEX}{{2}}", ":", lambda text: _read_bytes(bytes.fromhex(text.replace(":", "")))),
)


class Redactor:
    """Knows secret values, and takes them out of texts and JSON. Safe to use from any thread."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._known)

    def learn(self, value: str) -> None:
        """Take note of a value; a URL's password and the lines of a long text count by themselves.

        What is shorter than eight characters is passed over: it could not be told from a word.
        """
        if value in self._known:
            return
        learnt = {part: _forms_of(part) for part in _parts(value) if len(part) >= _SHORTEST}
        with self._lock:
            known = self._known.copy()
            known.update(learnt)
            while len(known) > MOST_VALUES:
                known.popitem(last=False)
            self._known = known  # replaced, not changed: readers need no lock

    def forget(self) -> None:
        """Forget every value."""
        with self._lock:
            self._known = OrderedDict()

    def text(self, text: str) -> str:
        """Return a text without any secret."""
        return _Cleaning(list(self._known.values())).text(text) if self._known else text

    def json(self, value: JsonValue) -> JsonValue:
        """Return a JSON value without any secret in its texts and keys."""
        found = self._suspects(value)
        return _Cleaning(found).value(value) if found else value

    def fields(self, value: JsonValue) -> JsonValue:
        """Return what a log or a trace may carry: also without what sensitive names stand for."""
        if isinstance(value, dict):
            return {
                self.text(key): MARK if key.lower() in SENSITIVE_KEYS else self.fields(item)
                for key, item in value.items()
            }
        if isinstance(value, list):
            return [self.fields(item) for item in value]
        return self.text(value) if isinstance(value, str) else value

    def _suspects(self, value: JsonValue) -> list[_Known]:
        """Return the secrets that may be in a value, by one look at it as a whole."""
        if not self._known or value is None or isinstance(value, bool):
            return []
        known = list(self._known.values())
        try:
            shown = orjson.dumps(value)
        except (TypeError, ValueError):  # not checked yet: a look at every text does no harm
            return known
        text = shown.decode()
        spelt = [read for spelling in _SPELLINGS for read in spelling.all_read(text)]
        shown = shown + orjson.dumps(spelt) if spelt else shown
        return [item for item in known if any(needle in shown for needle in item.needles)]


class _Cleaning:
    """Takes some secrets out of one value, with a bound on the work for halves of them."""

    def __init__(self, known: list[_Known]) -> None:
        self._known = known
        self._looks = _MOST_LOOKS

    def value(self, value: JsonValue) -> JsonValue:
        """Return a JSON value without the secrets."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return {self.text(key): self.value(item) for key, item in value.items()}
        if isinstance(value, int | float) and not isinstance(value, bool):
            shown = str(value)  # a secret of digits
            return value if self.text(shown) == shown else MARK
        return value

    def text(self, text: str) -> str:
        """Return a text without the secrets."""
        text = self.plain(text)
        for spelling in _SPELLINGS:
            read = "\n".join(spelling.all_read(text))
            suspects = [known for known in self._known if known.may_be_in(read)] if read else []
            if suspects:
                cleaning = _Cleaning(suspects)
                text = spelling.whole.sub(partial(_unspelt, cleaning, spelling), text)
        return text

    def plain(self, text: str) -> str:
        """Return a text without the secrets in it as it stands."""
        for known in self._known:
            for form in known.forms:
                if form in text:
                    text = text.replace(form, MARK)
        for known in self._known:  # then only: what is half of one may be in the whole of another
            for whole, pieces in known.fragments:
                for number, piece in enumerate(pieces):
                    if piece in text:
                        text = self._without_halves(text, whole, piece, number * len(piece))
        return text

    def _without_halves(self, text: str, whole: str, piece: str, place: int) -> str:
        """Return a text without what is half of a secret or more around one piece of it."""
        start = text.find(piece)
        while start >= 0 and self._looks > 0:
            self._looks -= 1
            begin, at = start, place
            while begin > 0 and at > 0 and text[begin - 1] == whole[at - 1]:
                begin, at = begin - 1, at - 1
            end, last = start + len(piece), place + len(piece)
            while end < len(text) and last < len(whole) and text[end] == whole[last]:
                end, last = end + 1, last + 1
            if end - begin >= max(len(whole) // 2, _SHORTEST):
                text = text[:begin] + MARK + text[end:]
                start = text.find(piece, begin + len(MARK))
            else:
                start = text.find(piece, start + 1)
        return text


def _unspelt(cleaning: _Cleaning, spelling: _Spelling, found: re.Match[str]) -> str:
    """Return what stands for letters that were spelt one by one."""
    read = spelling.read(found[0])
    return found[0] if cleaning.plain(read) == read else MARK


def _parts(value: str) -> Iterable[str]:
    """Yield a value, and what is secret in it by itself."""
    yield value
    if "://" in value:
        try:
            password = urlsplit(value).password
        except ValueError:
            password = None
        if password:
            yield password
            yield unquote(password)
    lines = value.splitlines()
    if len(lines) > 1:
        yield from (line for line in lines if len(line) >= _LONGEST_LINE and "---" not in line)


def _forms_of(value: str) -> _Known:
    ascii_json = json.dumps(value)[1:-1]
    texts = [
        value,
        ascii_json,
        json.dumps(value, ensure_ascii=False)[1:-1],
        json.dumps(ascii_json)[1:-1],
        repr(value)[1:-1],
        html.escape(value),
        *(quote(value, safe=""), quote(value), quote_plus(value)),
    ]
    texts += [_lower_escapes(text) for text in texts[-3:]]
    raw = value.encode("utf-8", "surrogatepass")
    texts += [raw.hex(), raw.hex().upper(), *_base64_cores(raw)]
    forms = sorted({text for text in texts if len(text) >= _SHORTEST}, key=len, reverse=True)
    wholes = [value, base64.b64encode(raw).decode().rstrip("=")]
    fragments = tuple((text, _pieces(text)) for text in wholes if len(text) > _SHORTEST)
    found = {_needle(form) for form in forms}
    found |= {_needle(piece) for _, pieces in fragments for piece in pieces}
    return _Known(tuple(forms), fragments, tuple(found))


def _lower_escapes(quoted: str) -> str:
    first, *rest = quoted.split("%")
    return "%".join([first, *(part[:2].lower() + part[2:] for part in rest)])


def _base64_cores(raw: bytes) -> Iterable[str]:
    """Yield what is in every base64 text that holds these bytes, at each of three alignments."""
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + raw).decode()
        first, end = -(-8 * before // 6), 8 * (before + len(raw)) // 6
        core = encoded[first:end]
        yield core
        yield core.replace("+", "-").replace("/", "_")


def _pieces(text: str) -> tuple[str, ...]:
    """Return pieces at fixed places, so short that every half of the text holds a whole one.

    Of a short text what counts as half has `_SHORTEST` characters, so that no word is taken for it.
    """
    size = max(_SHORTEST // 2, len(text) // 4)
    return tuple(text[at : at + size] for at in range(0, len(text) - size + 1, size))


def _needle(text: str) -> bytes:
    return orjson.dumps(text.encode("utf-8", "replace").decode())[1:-1]


#: What this process has resolved. Everything that leaves a worker, a log or a prompt asks it.
REDACTOR = Redactor()


class RedactingFilter(logging.Filter):
    """Takes known secrets out of a record's message and traceback before a handler sees it."""

    def __init__(self, redactor: Redactor = REDACTOR) -> None:
        super().__init__()
        self._redactor = redactor

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record where it holds a secret; let every record through."""
        if self._redactor:
            _clean_record(record, self._redactor)
        return True


def _clean_record(record: logging.LogRecord, redactor: Redactor) -> None:
    try:
        message = record.getMessage()
    except (TypeError, ValueError):  # the handler will say that it cannot be formatted
        return
    cleaned = redactor.text(message)
    if cleaned != message:
        record.msg, record.args = cleaned, None
    if record.exc_info and record.exc_text is None:
        shown = logging.Formatter().formatException(record.exc_info)
        if redactor.text(shown) != shown:
            record.exc_text = redactor.text(shown)


def guard_logging() -> None:
    """Make every log record of this process pass the redactor, whoever writes it."""
    made = logging.getLogRecordFactory()
    if getattr(made, "redacts", False):
        return

    def make(*args: object, **named: object) -> logging.LogRecord:
        record = made(*args, **named)
        if REDACTOR:
            _clean_record(record, REDACTOR)
        return record

    make.redacts = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(make)
