"""`csv.parse` and `json.parse`: from text to records and values."""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypedDict

from flowbuilder.errors import InvalidValue
from flowbuilder.strictjson import DEFAULT_LIMITS, Limits, loads
from flowbuilder.tools import Context, Fail, tool
from flowbuilder.types import JsonValue

_DELIMITERS = (",", ";", "\t", "|")
_PROBED_ROWS = 20
_PROBED_CHARACTERS = 100_000
#: 15 digits survive every JSON reader; a longer number is rather an identifier.
_INTEGER = re.compile(r"-?[1-9]\d{0,14}|0")
_DECIMAL = re.compile(r"-?(?:0|[1-9]\d{0,14})\.\d{1,15}(?:[eE][+-]?\d{1,3})?")
#: How tables write that a cell has no value.
_ABSENT = frozenset({"", "na", "n/a", "nan", "null", "none"})
_BOOLEANS = {"true": True, "false": False}


class CsvRecords(TypedDict):
    """The rows of a CSV text."""

    records: Annotated[
        list[dict[str, Any]], Field(description="One object a row, fields named by the header.")
    ]
    columns: Annotated[list[str], Field(description="The column names in order.")]
    count: Annotated[int, Field(description="How many records there are.")]


class ParsedJson(TypedDict):
    """What a JSON text holds."""

    value: Annotated[Any, Field(description="The parsed value.")]


@tool(
    "csv.parse",
    keywords=(
        "read csv, table, spreadsheet, rows, columns, comma separated, tsv, semicolon, "
        "parse the csv, turn into records, excel export, convert csv to json",
    ),
    examples=("parse the CSV", "turn the table into records", "read the rows of sales.csv"),
)
def csv_parse(
    context: Context,
    text: Annotated[str, Field(description="The CSV text.")],
    delimiter: Annotated[
        str, Field(description="`auto`, or the one character between cells.")
    ] = "auto",
    header: Annotated[bool, Field(description="Whether the first row names the columns.")] = True,
    types: Annotated[
        Literal["auto", "text"],
        Field(
            description="auto: a column whose cells are all numbers or all true/false becomes "
            "typed, empty cells and NA among numbers null; codes such as 007 stay text. "
            "text: everything stays text."
        ),
    ] = "auto",
) -> CsvRecords:
    """Parse CSV text into a list of records with typed numbers and booleans."""
    if delimiter != "auto" and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise Fail("the delimiter is 'auto' or one character", code="csv_invalid")
    text = text.removeprefix("\ufeff")
    rows = _rows(text, _guess(text) if delimiter == "auto" else delimiter)
    if len(rows) > context.settings.max_elements + 1:
        raise Fail(f"more than {context.settings.max_elements} rows", code="csv_too_large")
    names = _names(rows[0] if rows else [], header=header)
    body = [_fit(row, len(names), number) for number, row in enumerate(rows, 1)][int(header) :]
    columns: Sequence[Sequence[JsonValue]] = list(zip(*body, strict=True))
    if types == "auto":
        columns = [_typed(column) for column in zip(*body, strict=True)]
    cells = zip(*columns, strict=True)
    records = [dict(zip(names, row, strict=True)) for row in cells]
    return {"records": records, "columns": names, "count": len(records)}


@tool(
    "json.parse",
    keywords=("parse json, decode, read json, turn the text into data, deserialise, load json",),
    examples=("parse the JSON text", "read orders.json as data"),
)
def json_parse(
    context: Context,
    text: Annotated[str, Field(description="The JSON text.")],
) -> ParsedJson:
    """Parse a JSON text into the value that it holds."""
    return {"value": parse_json(text.encode("utf-8", "surrogatepass"), limits_of(context))}


def limits_of(context: Context) -> Limits:
    """Return the depth and size that values may have in this process."""
    settings = context.settings
    return Limits(depth=settings.max_json_depth, bytes=settings.max_value_bytes)


def parse_json(text: bytes, limits: Limits | None = None) -> JsonValue:
    """Return the value of a JSON text.

    Raises:
        Fail: `json_invalid`: not JSON, or with what the strict gate refuses.
    """
    try:
        return loads(text, limits=limits or DEFAULT_LIMITS)
    except InvalidValue as error:
        where = f" at {error.pointer}" if error.pointer else ""
        raise Fail(f"this is no usable JSON{where}: {error.message}", code="json_invalid") from None


def _guess(text: str) -> str:
    """Return the delimiter that cuts the first rows into the most columns of equal number."""
    probe = text[:_PROBED_CHARACTERS]

    def score(delimiter: str) -> tuple[float, int]:
        widths = Counter(len(row) for row in _probe(probe, delimiter))
        width, agreeing = widths.most_common(1)[0] if widths else (1, 0)
        return (agreeing / max(widths.total(), 1), width) if width > 1 else (0.0, 0)

    return max(_DELIMITERS, key=score)


def _probe(text: str, delimiter: str) -> list[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows: list[list[str]] = []
    try:
        for row in reader:
            if row:
                rows.append(row)
            if len(rows) == _PROBED_ROWS:
                break
    except csv.Error:
        return []
    return rows


def _rows(text: str, delimiter: str) -> list[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        return [row for row in reader if row]
    except csv.Error as error:
        raise Fail(f"line {reader.line_num}: {error}", code="csv_invalid") from None


def _names(first: list[str], *, header: bool) -> list[str]:
    if not header:
        return [f"column_{number}" for number in range(1, len(first) + 1)]
    names: list[str] = []
    for number, cell in enumerate(first, 1):
        name = base = cell.strip() or f"column_{number}"
        suffix = 2
        while name in names:
            name, suffix = f"{base}_{suffix}", suffix + 1
        names.append(name)
    return names


def _fit(row: list[str], width: int, number: int) -> list[str]:
    """Pad a short row; a longer one would shift its cells into the wrong columns."""
    extra = row[width:]
    if any(extra):
        raise Fail(
            f"row {number} has {len(row)} cells, the first row has {width}", code="csv_ragged"
        )
    return row[:width] + [""] * (width - len(row))


def _typed(column: Sequence[str]) -> Sequence[JsonValue]:
    """Give a whole column one type, or leave it text.

    What stands for a missing number elsewhere (`NA`, `n/a`, …) does so here in a column whose
    other cells are all numbers or all true/false; in a column of texts it stays what it is.
    """
    known = [cell for cell in column if cell.lower() not in _ABSENT]
    read = _reader(known)
    if known and read is not str:
        return [None if cell.lower() in _ABSENT else read(cell) for cell in column]
    filled = [cell for cell in column if cell != ""]
    read = _reader(filled)
    return [None if cell == "" else read(cell) for cell in column]


def _reader(cells: Sequence[str]) -> Callable[[str], JsonValue]:
    if all(_INTEGER.fullmatch(cell) for cell in cells):
        return int
    if all(_is_number(cell) for cell in cells):
        return lambda cell: int(cell) if _INTEGER.fullmatch(cell) else float(cell)
    if all(cell.lower() in _BOOLEANS for cell in cells):
        return lambda cell: _BOOLEANS[cell.lower()]
    return str


def _is_number(cell: str) -> bool:
    if _INTEGER.fullmatch(cell):
        return True
    return bool(_DECIMAL.fullmatch(cell)) and math.isfinite(float(cell))
