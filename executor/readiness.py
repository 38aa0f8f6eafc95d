"""Whether a process can take work: the same answer for probes, for doctor and for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from flowbuilder.errors import FlowBuilderError, SettingsError
from flowbuilder.executor.database import Database
from flowbuilder.executor.migrator import pending
from flowbuilder.secrecy.keyring import load_keys
from flowbuilder.settings import Settings

#: Reading the head of the queue takes the right to read it, and no time however long it is.
_QUEUE: Final = b"select count(*) as n from (select from pgmq.q_flowbuilder_tasks limit 1) q"
_KEYS_IN_USE: Final = b"select distinct key_id from flowbuilder.secrets"
MIGRATE_HINT: Final = "Run: flowbuilder migrate"


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """One reason why a process cannot take work."""

    code: str
    message: str
    hint: str | None = None


def schema_trouble(missing: Sequence[str]) -> Trouble | None:
    """Return what is wrong with a schema that lacks these migrations, if it lacks any."""
    if not missing:
        return None
    return Trouble(
        code="schema_behind",
        message=f"{len(missing)} migrations of this version are not applied to the database.",
        hint=MIGRATE_HINT,
    )


async def find_trouble(
    database: Database, settings: Settings, *, listening: bool | None = None
) -> Trouble | None:
    """Return the first thing that keeps a process from taking work, None if nothing does.

    `listening`: whether it hears notifications; None where nothing waits for any.

    Raises:
        DatabaseUnavailable: The database does not answer.
    """
    behind = schema_trouble(await pending(database))
    if behind is not None:
        return behind
    await database.fetch_one(_QUEUE)
    if listening is False:
        return Trouble(
            code="not_listening",
            message="The connection that hears notifications is gone; it is being made anew.",
        )
    return await key_trouble(database, settings)


async def key_trouble(database: Database, settings: Settings) -> Trouble | None:
    """Return what is wrong with the master keys: unreadable, or not those that secrets need."""
    try:
        keys = load_keys(settings)
    except SettingsError as error:
        return _of(error)
    used = [row["key_id"] for row in await database.fetch_all(_KEYS_IN_USE)]
    unknown = sorted(identifier for identifier in used if identifier not in keys)
    if not unknown:
        return None
    return Trouble(
        code="secret_key_unknown",
        message=f"Secrets are sealed with master keys that this process has not: {unknown[0]}.",
        hint="Every process needs all keys in FLOWBUILDER_SECRET_KEY_FILE that are in use.",
    )


def _of(error: FlowBuilderError) -> Trouble:
    return Trouble(code=error.code, message=error.message, hint=error.hint)
