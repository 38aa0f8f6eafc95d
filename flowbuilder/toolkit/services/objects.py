"""`store.read`, `store.write` and `store.list`: files in connected folders and buckets."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypedDict

from flowbuilder.errors import ExecutionError
from flowbuilder.secrecy import fill
from flowbuilder.toolkit.connections import ObjectStore, connections_of
from flowbuilder.toolkit.store_options import wrong_value
from flowbuilder.tools import Context, Fail, tool

_SECONDS = 60.0
_LONGEST_PATH = 1000
_MOST_LISTED = 1000
#: What the library raises where it has come to no end of its own; it is no Exception.
_PANIC = "PanicException"
#: The same where it was waited for.
_PANIC_WAITED = "RustPanic"

Name = Annotated[str | None, Field(description="Which store; not needed where there is one only.")]
ObjectPath = Annotated[
    str, Field(min_length=1, max_length=_LONGEST_PATH, description="Such as reports/may.csv.")
]


class ObjectText(TypedDict):
    """What is in an object."""

    path: Annotated[str, Field(description="The path as it was given.")]
    encoding: Annotated[Literal["text", "base64"], Field(description="What `content` holds.")]
    content: Annotated[str, Field(description="The text, or base64 of what is no text.")]
    bytes: Annotated[int, Field(description="The object's size.")]


class ObjectWritten(TypedDict):
    """An object that was written."""

    path: Annotated[str, Field(description="The path as it was given.")]
    bytes: Annotated[int, Field(description="How many bytes were written.")]


class ObjectFound(TypedDict):
    """An object in a store."""

    path: Annotated[str, Field(description="The object's path.")]
    bytes: Annotated[int, Field(description="Its size.")]


class ObjectList(TypedDict):
    """Objects in a store."""

    objects: Annotated[list[ObjectFound], Field(description="By path, 1000 at most.")]
    more: Annotated[bool, Field(description="Whether there are more.")]


@tool(
    "store.read",
    effects="read",
    untrusted_output=True,
    timeout="2m",
    keywords=("read from a bucket, download an object, s3, object store, get a stored file",),
    examples=("read reports/may.csv from the store",),
)
async def store_read(context: Context, path: ObjectPath, store: Name = None) -> ObjectText:
    """Read an object from a connected store or bucket."""
    found, opened = await _open(context, store)
    data = await _guarded(path, _content(opened, checked_path(path), found.max_bytes))
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = None
    if text is None or "\0" in text:
        content, encoding = base64.b64encode(data).decode(), "base64"
    else:
        content, encoding = text, "text"
    return {
        "path": path,
        "encoding": "text" if encoding == "text" else "base64",
        "content": content,
        "bytes": len(data),
    }


@tool(
    "store.write",
    effects="write",
    timeout="2m",
    keywords=("write to a bucket, upload an object, s3, object store, put a file, archive",),
    examples=("store the report as reports/may.csv in the bucket",),
)
async def store_write(
    context: Context,
    path: ObjectPath,
    content: Annotated[str, Field(description="The text to write.")],
    overwrite: Annotated[bool, Field(description="Replace an object that is there.")] = True,
    store: Name = None,
) -> ObjectWritten:
    """Write a text as an object into a connected store or bucket."""
    from obstore import put_async

    found, opened = await _open(context, store, writing=True)
    data = content.encode()
    if len(data) > found.max_bytes:
        raise Fail(f"the text is larger than {found.max_bytes} bytes", code="store_too_large")
    mode: Literal["overwrite", "create"] = "overwrite" if overwrite else "create"
    await _guarded(path, put_async(opened, checked_path(path), data, mode=mode))
    return {"path": path, "bytes": len(data)}


@tool(
    "store.list",
    effects="read",
    untrusted_output=True,
    timeout="2m",
    keywords=("list a bucket, list objects, s3, object store, which files are stored",),
    examples=("list the objects under reports/ in the store",),
)
async def store_list(
    context: Context,
    prefix: Annotated[
        str | None, Field(max_length=_LONGEST_PATH, description="Only paths below this one.")
    ] = None,
    store: Name = None,
) -> ObjectList:
    """List the objects of a connected store or bucket."""
    _, opened = await _open(context, store)
    below = None if prefix is None else checked_path(prefix.rstrip("/"))
    found: ObjectList = await _guarded(prefix or "", _listed(opened, below))
    return found


def checked_path(path: str) -> str:
    """Return a path that stays in its store. Raises: Fail (path_refused)."""
    parts = path.split("/")
    odd = any(part in ("", ".", "..") for part in parts)
    if odd or "\\" in path or not path.isprintable() or len(path) > _LONGEST_PATH:
        raise Fail(f"{path[:80]!r} is no path of an object", code="path_refused")
    return path


async def _content(opened: Any, path: str, max_bytes: int) -> bytes:
    from obstore import get_async

    found = await get_async(opened, path)
    data = bytearray()
    async for chunk in found.stream():
        data += bytes(chunk)
        if len(data) > max_bytes:
            raise Fail(f"{path[:80]} is larger than {max_bytes} bytes", code="store_too_large")
    return bytes(data)


async def _listed(opened: Any, prefix: str | None) -> ObjectList:
    objects: list[ObjectFound] = []
    async for page in opened.list(prefix, chunk_size=_MOST_LISTED):
        objects += [{"path": item["path"], "bytes": item["size"]} for item in page]
        if len(objects) > _MOST_LISTED:
            break
    objects.sort(key=lambda item: item["path"])
    return {"objects": objects[:_MOST_LISTED], "more": len(objects) > _MOST_LISTED}


async def _open(
    context: Context, name: str | None, *, writing: bool = False
) -> tuple[ObjectStore, Any]:
    """Return what is connected and its store.

    Raises:
        Fail: `store_unknown`, `store_read_only`, `store_option_invalid`, `store_failed`.
    """
    found = _chosen(name, connections_of(context.settings).stores)
    if writing and not found.writable:
        raise Fail("this store may only be read", code="store_read_only")
    options = {
        key: await fill(value, context.secrets.fetch) for key, value in found.options.items()
    }
    if found.url.startswith("s3:"):
        for key, value in options.items():  # what secrets stood for is known only now
            if (wrong := wrong_value(key, value)) is not None:
                raise Fail(f"the store cannot be opened: {wrong}", code="store_option_invalid")
    return found, await asyncio.to_thread(_made, found, options)


def _made(found: ObjectStore, options: Mapping[str, str]) -> Any:
    from obstore.store import LocalStore, from_url

    try:
        if found.url.startswith("file://"):
            folder = Path(found.url.removeprefix("file://")).resolve()
            return LocalStore(folder, mkdir=False)
        return from_url(
            found.url, config=dict(options), client_options={"allow_http": found.allow_http}
        )  # type: ignore[call-overload]
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != _PANIC:
            raise
        given = f" (options: {', '.join(options)})" if options else ""
        raise Fail(
            f"the store cannot be opened: {type(error).__name__}{given}", code="store_failed"
        ) from None


def _chosen(name: str | None, stores: Mapping[str, ObjectStore]) -> ObjectStore:
    if name is None and len(stores) == 1:
        return next(iter(stores.values()))
    if name is None or name not in stores:
        known = ", ".join(sorted(stores)) or "none"
        raise Fail(f"which store is meant? connected: {known}", code="store_unknown")
    return stores[name]


async def _guarded(path: str, work: Any) -> Any:
    """Wait for the store, and say in our words what went wrong."""
    from obstore import exceptions

    try:
        async with asyncio.timeout(_SECONDS):
            return await work
    except FileNotFoundError:
        raise Fail(f"there is no object {path[:200]}", code="store_missing") from None
    except (FileExistsError, exceptions.AlreadyExistsError):
        raise Fail(f"there is an object {path[:200]} already", code="store_exists") from None
    except TimeoutError:
        raise ExecutionError("the store did not answer in time", code="store_unavailable") from None
    except Exception as error:
        if (
            not isinstance(error, exceptions.BaseError | OSError)
            and type(error).__name__ != _PANIC_WAITED
        ):
            raise
        raise ExecutionError(
            f"the store failed: {type(error).__name__}", code="store_failed"
        ) from None
