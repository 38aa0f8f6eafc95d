"""The tools that the operator's connections bring, offered only where they can work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from flowbuilder.settings import Settings
from flowbuilder.toolkit.connections import Connections, connections_of
from flowbuilder.tools import Tool

_MOST_NAMED = 12


def connected_tools(settings: Settings) -> list[Tool]:
    """Return the tools for what is connected, MCP servers excepted: those have to be asked first.

    Raises:
        SettingsError: `connections_invalid`, `openapi_invalid`.
    """
    found = connections_of(settings)
    tools = [*_databases(found), *_messages(found, settings), *_stores(found)]
    if found.openapi:
        from flowbuilder.toolkit.imported.openapi import import_documents

        tools += import_documents(settings, found.openapi)
    return tools


def _databases(found: Connections) -> list[Tool]:
    read, written = found.databases_read, found.databases_written
    if not read and not written:
        return []
    from flowbuilder.toolkit.services.databases import sql_query, sql_write

    tools = []
    if read:
        named = [f"{name}: {_some(part.tables)}" for name, part in read.items()]
        tools.append(_telling(sql_query, named))
    if written:
        named = [f"{name}: {_some(list(part.tables))}" for name, part in written.items()]
        tools.append(_telling(sql_write, named))
    return tools


def _messages(found: Connections, settings: Settings) -> list[Tool]:
    tools = []
    if found.email is not None:
        from flowbuilder.toolkit.services.mail import email_send, foreseen

        tools.append(replace(email_send, foresees=partial(foreseen, settings)))
    if found.slack is not None:
        from flowbuilder.toolkit.services.slack import slack_post

        tools.append(_telling(slack_post, found.slack.channels))
    return tools


def _stores(found: Connections) -> list[Tool]:
    if not found.stores:
        return []
    from flowbuilder.toolkit.services.objects import store_list, store_read, store_write

    writable = any(store.writable for store in found.stores.values())
    tools = [store_list, store_read, *([store_write] if writable else [])]
    return [_telling(item, list(found.stores)) for item in tools]


def _telling(item: Tool, what: Sequence[str]) -> Tool:
    """Return the tool with what is connected in its summary, for planners and people."""
    if not what:
        return item
    return replace(item, summary=f"{item.summary} Connected: {'; '.join(what[:_MOST_NAMED])}.")


def _some(names: Sequence[str]) -> str:
    more = ", …" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
