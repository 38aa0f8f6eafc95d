"""Files of records: a JSON array, or one JSON value a line; what is broken is told with its place.

A place is `file:line` in a file of lines and `file[index]` in an array, and behind it, where it is
known, the JSON pointer inside the record: `dev.jsonl:17/calling/0/api`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from flowbuilder.errors import InvalidValue, NotFound
from flowbuilder.strictjson import DOCUMENT_LIMITS, loads
from flowbuilder.types import JsonObject, JsonValue

#: Bytes of one file of records; catalogues of thousands of tools have a few million.
LARGEST_FILE = 256 * 1_048_576
_SPACE = re.compile(r"[ \t\n\r]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportProblem:
    """Something that an import could not take as it is."""

    place: str
    """File, record and pointer."""
    code: str
    """`record_invalid`, `catalogue_invalid`, or what is wrong with the gold of an imported case."""
    message: str
    case: str | None = None
    """The case that was imported nevertheless; None when the record was left out."""

    def as_json(self) -> JsonObject:
        """Return the problem as JSON."""
        return {
            "place": self.place,
            "code": self.code,
            "message": self.message,
            "case": self.case,
        }


@dataclass(frozen=True, slots=True)
class Record:
    """One value of a file and where it stands."""

    place: str
    value: JsonValue


class BadRecord(Exception):
    """A record that cannot be a case; `pointer` says which part of it is wrong."""

    def __init__(self, message: str, pointer: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.pointer = pointer


def read_records(path: Path, problems: list[ImportProblem]) -> list[Record]:
    """Return the records of a file; each one that is no JSON adds a problem instead.

    Raises:
        NotFound: The file cannot be read, or is larger than `LARGEST_FILE` (import_not_found).
    """
    text = _text(path, problems)
    array = path.suffix.lower() != ".jsonl" and text.lstrip()[:1] == "["
    found = []
    for place, part in _elements(path.name, text) if array else _lines(path.name, text):
        if isinstance(part, BadRecord):
            problems.append(_unreadable(place, part.message))
            continue
        try:
            found.append(Record(place, loads(part, limits=DOCUMENT_LIMITS)))
        except InvalidValue as error:
            problems.append(_unreadable(place + error.pointer, error.message))
    return found


def read_value(path: Path) -> JsonValue:
    """Return a file that is one JSON value. Raises: NotFound, InvalidValue."""
    return loads(_text(path, None), limits=DOCUMENT_LIMITS)


def data_files(path: Path, pattern: str, *, without: Sequence[str] = ()) -> list[Path]:
    """Return the file itself, or the files in and below a folder that match, by name.

    Raises:
        NotFound: There is nothing at the path, or no such file in the folder (import_not_found).
    """
    if path.is_file():
        return [path]
    wanted = re.compile(pattern)
    found = [
        file
        for file in sorted(path.rglob("*"))
        if file.is_file() and wanted.fullmatch(file.name) and file.name not in without
    ]
    if not found:
        reason = "holds no such records" if path.is_dir() else "does not exist"
        raise NotFound(f"{path} {reason}", code="import_not_found")
    return found


def _text(path: Path, problems: list[ImportProblem] | None) -> str:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise NotFound(f"{path} is larger than {LARGEST_FILE} bytes", code="import_not_found")
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise NotFound(f"{path} cannot be read: {reason}", code="import_not_found") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if problems is None:
            message = f"{path} is no UTF-8 text: byte {error.start} fits nothing"
            raise InvalidValue(message, code="json_syntax") from None
        # half a surrogate pair stands for each such byte, so the gate refuses only its record
        return data.decode("utf-8", errors="surrogateescape").removeprefix("\ufeff")


def _lines(name: str, text: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield f"{name}:{number}", line


def _elements(name: str, text: str) -> Iterator[tuple[str, str | BadRecord]]:
    """Yield the text of each element of an array; behind one that is no JSON nothing is found."""
    decoder = json.JSONDecoder(parse_int=_any_number)
    at = _skip(text, text.index("[") + 1)
    index = 0
    while at < len(text) and text[at] != "]":
        place = f"{name}[{index}]"
        try:
            _, end = decoder.raw_decode(text, at)
        except (json.JSONDecodeError, RecursionError) as error:
            told = getattr(error, "msg", "nested too deep")
            rest = "what follows could not be read"
            yield place, BadRecord(f"this is no JSON: {told}; {rest}")
            return
        yield place, text[at:end]
        at = _skip(text, end)
        if text[at : at + 1] == ",":
            at = _skip(text, at + 1)
        elif text[at : at + 1] != "]":
            yield f"{name}[{index + 1}]", BadRecord("the array is not closed with ]")
            return
        index += 1
    if at >= len(text):
        yield f"{name}[{index}]", BadRecord("the array is not closed with ]")
    elif text[_skip(text, at + 1) :]:
        yield name, BadRecord("something stands behind the array")


def _any_number(text: str) -> str:
    """Take integers of any length: the gate says later that one is too long."""
    return text


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _unreadable(place: str, message: str) -> ImportProblem:
    return ImportProblem(place=place, code="record_invalid", message=message)
