"""`file.read` and `file.write`: texts, records and JSON values in the workspace folder."""

from __future__ import annotations

import csv
import io
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

import orjson
from pydantic import Field
from typing_extensions import TypedDict

from flowbuilder.toolkit.markdown import as_text, cell_text, columns_of, is_records
from flowbuilder.toolkit.workspace import Workspace
from flowbuilder.tools import Context, Fail, tool
from flowbuilder.types import JsonValue

Path = Annotated[
    str, Field(min_length=1, description="Path of the file, relative to the workspace folder.")
]


class FileText(TypedDict):
    """A file's text."""

    path: Annotated[str, Field(description="The path as it was given.")]
    text: Annotated[str, Field(description="The whole text.")]
    bytes: Annotated[int, Field(description="The size of the file.")]


class FileWritten(TypedDict):
    """A file that was written."""

    path: Annotated[str, Field(description="The path as it was given.")]
    bytes: Annotated[int, Field(description="How many bytes were written.")]


@tool(
    "file.read",
    effects="read",
    keywords=(
        "open, load, read a file, get the contents of, import, text of a document, "
        "from disk, local file, csv file, json file, log file, from the file",
    ),
    examples=("read notes.txt", "open the file data/sales.csv", "load orders.json"),
)
def file_read(
    context: Context,
    path: Path,
    encoding: Annotated[str, Field(description="The text encoding.")] = "utf-8",
) -> FileText:
    """Read a text file from the workspace folder and return its text."""
    data = Workspace.of(context).read(path, context.settings.max_value_bytes)
    try:
        text = data.decode("utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding)
    except LookupError:
        raise Fail(f"there is no encoding {encoding[:40]!r}", code="file_encoding") from None
    except UnicodeError:
        raise Fail(f"{path} is no {encoding} text", code="file_encoding") from None
    if "\x00" in text:
        raise Fail(f"{path} is a binary file, not a text", code="file_encoding")
    return {"path": path, "text": text, "bytes": len(data)}


@tool(
    "file.write",
    effects="write",
    keywords=(
        "save, store, put into a file, write to, export, output to, create a file, "
        "save as csv, save as json, save as markdown, append, keep, record in a file, dump",
    ),
    examples=(
        "save the result to report.md",
        "write it to out/top.csv",
        "store the answer in answer.json",
        "append the line to log.txt",
    ),
)
def file_write(
    context: Context,
    path: Path,
    content: Annotated[
        Any,
        Field(description="A text, or any value: records become a table in .csv and .md files."),
    ],
    mode: Annotated[
        Literal["overwrite", "append", "create"],
        Field(description="Replace a file, add to its end, or refuse if there is one."),
    ] = "overwrite",
) -> FileWritten:
    """Write a text, records or any value to a file in the workspace, formatted by its suffix."""
    if mode == "append" and PurePosixPath(path).suffix.lower() == ".json":
        raise Fail("a .json file holds one value; append to .jsonl instead", code="file_invalid")
    workspace = Workspace.of(context)
    continues = mode == "append" and workspace.size(path) > 0
    data = render(PurePosixPath(path).suffix.lower(), content, header=not continues)
    workspace.write(path, data, mode)
    return {"path": path, "bytes": len(data)}


def render(suffix: str, content: JsonValue, *, header: bool = True) -> bytes:
    """Return the bytes of a value in the format that a suffix stands for.

    A text is written as it is, except that a .json file always holds JSON: a text that is not a
    JSON object or array already becomes a JSON string.

    Raises:
        Fail: `file_invalid`: the value cannot be written in this format.
    """
    if suffix == ".json":
        return _json(content)
    if isinstance(content, str):
        return content.encode()
    if suffix in (".jsonl", ".ndjson"):
        items = content if isinstance(content, list) else [content]
        return b"".join(orjson.dumps(item, option=orjson.OPT_APPEND_NEWLINE) for item in items)
    if suffix in (".csv", ".tsv"):
        return _csv(content, "\t" if suffix == ".tsv" else ",", header=header).encode()
    text = as_text(content)
    return (text if text.endswith("\n") or not text else text + "\n").encode()


def _json(content: JsonValue) -> bytes:
    if isinstance(content, str) and content.lstrip()[:1] in ("{", "["):
        try:
            orjson.loads(content)
        except orjson.JSONDecodeError:
            pass
        else:
            return content.encode()
    return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _csv(content: JsonValue, delimiter: str, *, header: bool) -> str:
    rows: Any = [content] if isinstance(content, dict) else content
    if not isinstance(rows, list):
        raise Fail("a .csv file takes records, rows or a text", code="file_invalid")
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    if is_records(rows):
        columns = columns_of(rows)
        if header and columns:
            writer.writerow(columns)
        rows = [[row.get(column) for column in columns] for row in rows]
    elif not all(isinstance(row, list) for row in rows):
        rows = [[row] for row in rows]
    writer.writerows([[cell_text(cell) for cell in row] for row in rows])
    return out.getvalue()
