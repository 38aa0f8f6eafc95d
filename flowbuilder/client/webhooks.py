"""Webhooks as FlowBuilder offers them: `fb.webhooks`."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from flowbuilder.client.checking import check_actor
from flowbuilder.client.deliveries import Delivered, deliver, find_webhook
from flowbuilder.client.session import Session
from flowbuilder.client.triggers import (
    checked_description,
    checked_name,
    require_room,
    startable,
)
from flowbuilder.errors import Conflict, InvalidValue, NotFound
from flowbuilder.executor.store import Store
from flowbuilder.executor.triggers import KnownWebhook, WebhookRow, secret_place
from flowbuilder.limits import Rate, read_rate
from flowbuilder.secrecy import REDACTOR
from flowbuilder.secrecy.envelope import seal, wrap_again
from flowbuilder.secrecy.keyring import KeyRing, load_keys
from flowbuilder.secrecy.redaction import guard_logging
from flowbuilder.triggers.inputs import template_of, under_key
from flowbuilder.triggers.signing import Signature, check_secret, new_path, new_secret
from flowbuilder.types import JsonValue, parse_duration

#: What references in the input of a webhook may name.
ROOTS = {"input": None, "run": frozenset({"webhook", "delivery"})}
KEY = "payload"
RATE = "120/1m"
#: How long both secrets count when one is changed.
OVERLAP = "24h"
_LONGEST_OVERLAP = timedelta(days=30)
_TRIES = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class MadeWebhook:
    """A webhook with its secret, which is shown this once."""

    row: WebhookRow
    secret: str = field(repr=False)


class Webhooks:
    """Addresses at which signed deliveries (Standard Webhooks) start a flow."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(
        self,
        name: str,
        *,
        flow: str,
        key: str | None = None,
        input: JsonValue = None,
        version: int | None = None,
        rate: Rate | str = RATE,
        secret: str | None = None,
        trusted: bool = False,
        description: str | None = None,
        by: str | None = None,
    ) -> MadeWebhook:
        """Make an address for deliveries.

        Args:
            name: Its name in the workspace.
            flow: A published flow.
            key: Where in the run's input the body of a delivery stands; default: `payload`.
            input: Instead of `key` the run's input, in which `${{ input }}` is the body.
            version: Always this version; None for the newest one at each delivery.
            rate: How many deliveries may start runs; more are told to come again.
            secret: `whsec_` and base64, from a sender that makes its own; None for a fresh one.
            trusted: Let what it brings count as the workspace's own words; else it is data from
                outside, as policy calls it.
            description: What it is for.
            by: Who adds it.

        Raises:
            InvalidValue: `trigger_name_invalid`, `webhook_key_invalid`, `webhook_secret_invalid`,
                `rate_invalid`, `reference_root` and others.
            NotFound: `flow_not_found`, `version_not_found`.
            Conflict: `webhook_exists`, `flow_archived`, `too_many_triggers`.
            SettingsError: There is no master key to seal the secret with.
        """
        check_actor(by, "who adds a webhook")
        checked_name(name)
        checked_description(description)
        template = self._template(key, input)
        limit = _rate(rate)
        chosen = new_secret() if secret is None else check_secret(secret)
        await startable(self._session, flow, version)
        keys = load_keys(self._session.settings, create=True)
        store = self._session.store
        require_room(len(await self.list()))
        now = await store.clock()
        row = await store.add_webhook(
            WebhookRow(
                **_NOTHING_YET,
                id=str(uuid.uuid4()),
                workspace_id=store.workspace,
                name=name,
                path=new_path(),
                flow=flow,
                version=version,
                input=template,
                description=description,
                trusted=_is_trusted(trusted),
                rate=limit,
                created_at=now,
                updated_at=now,
                updated_by=by,
            )
        )
        if row is None:
            raise Conflict(f"there is a webhook {name} already", code="webhook_exists")
        await self._seal(row.id, chosen, keys, overlap=timedelta(0), by=by)
        return MadeWebhook(row=row, secret=chosen)

    def _template(self, key: str | None, input: JsonValue) -> JsonValue:
        if key is not None and input is not None:
            raise InvalidValue(
                "say either key or input", pointer="/key", code="webhook_key_invalid"
            )
        template = under_key(KEY if key is None else key) if input is None else input
        return template_of(template, ROOTS, self._session.settings)

    async def _seal(
        self, webhook_id: str, secret: str, keys: KeyRing, *, overlap: timedelta, by: str | None
    ) -> None:
        guard_logging()
        REDACTOR.learn(secret)
        store = self._session.store
        for _ in range(_TRIES):
            version = await store.webhook_secret_version(webhook_id) + 1
            place = secret_place(store.workspace, webhook_id, version)
            done = await store.rotate_webhook_secret(
                place,
                seal(secret, place, keys),
                overlap_seconds=overlap.total_seconds(),
                actor=by,
            )
            if done:
                return
            await self.get(webhook_id)  # it may be gone
        raise Conflict("the webhook's secret is being changed by others", code="secret_conflict")

    async def change(self, webhook: str, *, by: str | None = None, **changes: Any) -> WebhookRow:
        """Change what is named, as in `add`: flow, version, key, input, rate, trusted, description.

        Raises:
            As `add`, NotFound (webhook_not_found), and InvalidValue (unknown_key).
        """
        check_actor(by, "who changes a webhook")
        for name in changes:
            if name not in _CHANGEABLE:
                raise InvalidValue(
                    f"nothing called {name[:80]!r} can be changed",
                    pointer=f"/{name[:80]}",
                    code="unknown_key",
                    hint="Known: " + ", ".join(_CHANGEABLE) + ".",
                )
        said: dict[str, Any] = {
            name: value for name, value in changes.items() if name in ("flow", "version")
        }
        if "description" in changes:
            said["description"] = checked_description(changes["description"])
        if "trusted" in changes:
            said["trusted"] = _is_trusted(changes["trusted"])
        if "rate" in changes:
            said["rate"] = _rate(changes["rate"])
        if changes.keys() & {"key", "input"}:
            said["input"] = self._template(changes.get("key"), changes.get("input"))
        row = replace(await self.get(webhook), **said, updated_by=by)
        await startable(self._session, row.flow, row.version)
        changed = await self._session.store.change_webhook(row)
        if changed is None:
            raise _missing(webhook)
        return changed

    async def list(self) -> list[WebhookRow]:
        """Return the webhooks of the workspace by name."""
        return await self._session.store.webhooks()

    async def get(self, webhook: str) -> WebhookRow:
        """Return a webhook by id or name. Raises: NotFound (webhook_not_found)."""
        found = await self._session.store.find_webhook(webhook)
        if found is None:
            found = next((row for row in await self.list() if row.name == webhook), None)
        if found is None:
            raise _missing(webhook)
        return found

    async def at(self, path: str) -> KnownWebhook:
        """Return the webhook at an address, of whichever workspace this FlowBuilder can see.

        Raises:
            UnknownWebhook: There is none, or it is paused.
        """
        return await find_webhook(self._session, path)

    async def deliver(
        self,
        webhook: KnownWebhook,
        signature: Signature,
        body: bytes,
        *,
        address: str | None = None,
    ) -> Delivered:
        """Start the run of a delivery. Raises: as `flowbuilder.client.deliveries.deliver`."""
        return await deliver(self._session, webhook, signature, body, address=address)

    async def rotate(
        self,
        webhook: str,
        *,
        secret: str | None = None,
        overlap: str | float = OVERLAP,
        by: str | None = None,
    ) -> MadeWebhook:
        """Give a webhook a new secret, which `by` then knows; for `overlap` the one before counts.

        Raises:
            NotFound: `webhook_not_found`.
            InvalidValue: `webhook_secret_invalid`, `overlap_invalid`, `actor_invalid`.
            SettingsError: There is no master key.
        """
        check_actor(by, "who changes a webhook's secret")
        try:
            span = parse_duration(overlap)
        except ValueError as error:
            raise InvalidValue(str(error), pointer="/overlap", code="overlap_invalid") from None
        if span > _LONGEST_OVERLAP:
            raise InvalidValue(
                "both secrets count for 30 days at most", pointer="/overlap", code="overlap_invalid"
            )
        chosen = new_secret() if secret is None else check_secret(secret)
        row = await self.get(webhook)
        keys = load_keys(self._session.settings, create=True)
        await self._seal(row.id, chosen, keys, overlap=span, by=by)
        return MadeWebhook(row=row, secret=chosen)

    async def pause(self, webhook: str, *, by: str | None = None) -> WebhookRow:
        """Let its address be unknown until it is resumed. Raises: NotFound (webhook_not_found)."""
        check_actor(by, "who pauses a webhook")
        return await self._pause(webhook, paused=True, by=by)

    async def resume(self, webhook: str, *, by: str | None = None) -> WebhookRow:
        """Take deliveries again. Raises: NotFound (webhook_not_found)."""
        check_actor(by, "who resumes a webhook")
        return await self._pause(webhook, paused=False, by=by)

    async def _pause(self, webhook: str, *, paused: bool, by: str | None) -> WebhookRow:
        row = await self.get(webhook)
        found = await self._session.store.pause_webhook(row.id, paused=paused, by=by)
        if found is None:
            raise _missing(webhook)
        return found

    async def remove(self, webhook: str) -> None:
        """Delete a webhook; its runs go on. Raises: NotFound (webhook_not_found)."""
        row = await self.get(webhook)
        if not await self._session.store.remove_webhook(row.id):
            raise _missing(webhook)


async def wrap_webhook_secrets(store: Store, keys: KeyRing) -> int:
    """Wrap the secrets of all webhooks by the active master key; returns how many there were."""
    wrapped = 0
    while rows := await store.webhook_secrets_under_other_keys(keys.active):
        for row in rows:
            again = wrap_again(row.envelope, row.place, keys)
            wrapped += await store.wrap_webhook_secret(row, again)
    return wrapped


_CHANGEABLE = ("flow", "version", "key", "input", "rate", "trusted", "description")
_NOTHING_YET: dict[str, Any] = dict.fromkeys(
    (
        *("paused_at", "paused_by", "last_at", "last_result", "last_error", "last_run_id"),
        *("refused_at", "refused_code"),
    )
) | {"deliveries": 0}


def _is_trusted(trusted: object) -> bool:
    if isinstance(trusted, bool):
        return trusted
    raise InvalidValue("trusted is true or false", pointer="/trusted", code="trusted_invalid")


def _rate(rate: Rate | str) -> Rate:
    found = read_rate(rate, "/rate")
    if found is None:
        raise InvalidValue("a rate is a text such as 120/1m", pointer="/rate", code="rate_invalid")
    return found


def _missing(webhook: object) -> NotFound:
    return NotFound(f"there is no webhook {str(webhook)[:80]!r}", code="webhook_not_found")
