"""Secrets as FlowBuilder offers them: `fb.secrets`. Values go in and never come out again."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from flowbuilder.client.checking import check_actor
from flowbuilder.client.session import Session
from flowbuilder.client.webhooks import wrap_webhook_secrets
from flowbuilder.errors import Conflict, InvalidValue, NotFound, SettingsError
from flowbuilder.executor.store.secrets import SecretRow
from flowbuilder.secrecy import REDACTOR, Binding, check_binding, check_name
from flowbuilder.secrecy.binding import check_value
from flowbuilder.secrecy.envelope import Place, seal, wrap_again
from flowbuilder.secrecy.keyring import (
    KeyRing,
    add_key,
    drop_other_keys,
    key_file,
    load_keys,
    rotation,
)
from flowbuilder.secrecy.redaction import guard_logging

_LONGEST_DESCRIPTION = 500
_TRIES = 5


class Secrets:
    """Values that flows name as `secret://name`, sealed where they are stored.

    A secret is bound to hosts that it may be sent to, to tools that may read it, or to both.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    async def set(
        self,
        name: str,
        value: str,
        *,
        hosts: Sequence[str] = (),
        tools: Sequence[str] = (),
        description: str | None = None,
        by: str | None = None,
    ) -> SecretRow:
        """Store a value under a name, in the place of the one before.

        Args:
            name: Lower case letters, digits, `_` and `-`.
            value: At least eight characters.
            hosts: Where it may be sent to: `api.example.org`, `*.example.org`, `localhost:8080`.
            tools: Which tools may read it: `mail.send`, `mail.*`, `*`.
            description: What it is for.
            by: Who sets it.

        Raises:
            InvalidValue: `secret_name_invalid`, `secret_invalid`, `secret_binding_invalid`,
                `actor_invalid`.
            SettingsError: `secret_key_missing`, `secret_key_invalid`, `secret_key_file`.
            Conflict: `secret_conflict`: others set the same one all the time.
        """
        check_name(name)
        check_value(value)
        check_actor(by, "who sets a secret")
        _check_description(description)
        binding = check_binding(hosts, tools)
        guard_logging()
        REDACTOR.learn(value)
        keys = load_keys(self._session.settings, create=True)
        for _ in range(_TRIES):
            if await self._put(name, value, binding, keys, description, by):
                return await self.get(name)
        raise Conflict(f"the secret {name} is being set by others", code="secret_conflict")

    async def _put(
        self,
        name: str,
        value: str,
        binding: Binding,
        keys: KeyRing,
        description: str | None,
        by: str | None,
    ) -> bool:
        store = self._session.store
        present = await store.find_secret(name)
        place = Place(
            workspace=store.workspace,
            id=str(uuid.uuid4()) if present is None else present.id,
            name=name,
            version=1 if present is None else present.version + 1,
        )
        envelope = seal(value, place, keys)
        return await store.put_secret(place, envelope, binding, description=description, actor=by)

    async def get(self, name: str) -> SecretRow:
        """Return what is known of a secret, but not its value.

        Raises:
            NotFound: There is none (secret_not_found).
        """
        found = await self._session.store.find_secret(name)
        if found is None:
            raise _missing(name)
        return found

    async def list(self) -> list[SecretRow]:
        """Return what is known of the workspace's secrets, by name, but no value."""
        return await self._session.store.secrets()

    async def delete(self, name: str) -> None:
        """Delete a secret; tasks cannot have it any more.

        Raises:
            NotFound: There is none (secret_not_found).
        """
        if not await self._session.store.delete_secret(name):
            raise _missing(name)

    async def rotate_key(self) -> int:
        """Make a new master key in the key file, wrap every data key by it, drop the old keys.

        Covers the secrets of all workspaces; runs go on meanwhile. Other machines need the new file
        before they can open anything that was wrapped anew.

        Returns:
            How many secrets were wrapped anew.

        Raises:
            SettingsError: `secret_key_missing`: no file is set; `secret_key_file`;
                `secret_key_busy`: somebody else does the same;
                `secret_key_unknown`: a key that is in use is not there, and nothing was dropped.
            InvalidValue: `secret_unreadable`.
        """
        settings = self._session.settings
        file = key_file(settings)
        if file is None or settings.secret_key is not None:
            raise SettingsError(
                "the master key is not kept in a file, so it cannot be changed here",
                code="secret_key_missing",
                hint="Set FLOWBUILDER_SECRET_KEY_FILE instead of FLOWBUILDER_SECRET_KEY.",
            )
        with rotation(file):
            add_key(file)
            keys = load_keys(settings)
            wrapped = await self._wrap_all(keys)
            drop_other_keys(file, [keys.active])
            # What somebody has sealed meanwhile with the keys from before.
            return wrapped + await self._wrap_all(keys)

    async def _wrap_all(self, keys: KeyRing) -> int:
        wrapped = 0
        while rows := await self._session.store.secrets_under_other_keys(keys.active):
            for row in rows:
                again = wrap_again(row.envelope, row.place, keys)
                wrapped += await self._session.store.wrap_secret(row.place, again)
        return wrapped + await wrap_webhook_secrets(self._session.store, keys)


def _check_description(text: object) -> None:
    fits = text is None or (isinstance(text, str) and len(text) <= _LONGEST_DESCRIPTION)
    if not fits or "\0" in str(text):
        raise InvalidValue(
            f"a description is a text of at most {_LONGEST_DESCRIPTION} characters",
            pointer="/description",
            code="secret_invalid",
        )


def _missing(name: object) -> NotFound:
    return NotFound(f"there is no secret {str(name)[:100]!r}", code="secret_not_found")
