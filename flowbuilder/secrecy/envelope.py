"""Sealed values: each under a data key of its own, which a master key wraps (AES-256-GCM).

Both layers are bound to where the value belongs: workspace, id, name and version. So a sealed value
that is moved to another row, or brought back from an older version, does not open. A change of the
master key wraps the data keys anew and leaves the values as they are.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import orjson

from flowbuilder.errors import InvalidValue
from flowbuilder.secrecy.keyring import KEY_BYTES, KeyRing

_NONCE_BYTES = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a sealed value belongs."""

    workspace: str
    id: str
    name: str
    version: int

    def bound(self, layer: str, key: str = "") -> bytes:
        """Return what a layer is authenticated with; no two places give the same bytes."""
        parts = [layer, key, self.workspace.lower(), self.id.lower(), self.name, self.version]
        return orjson.dumps(parts)


@dataclass(frozen=True, kw_only=True, slots=True)
class Envelope:
    """A sealed value as it is stored."""

    key_id: str
    wrapped: bytes = field(repr=False)
    """The data key, sealed by the master key: nonce and ciphertext."""
    sealed: bytes = field(repr=False)
    """The value, sealed by the data key: nonce and ciphertext."""


def seal(value: str, place: Place, keys: KeyRing) -> Envelope:
    """Seal a value with the active master key. Raises: SettingsError (secret_key_unknown)."""
    master = keys.key(keys.active)
    data_key = os.urandom(KEY_BYTES)
    return Envelope(
        key_id=keys.active,
        wrapped=_encrypt(master, data_key, place.bound("key", keys.active)),
        sealed=_encrypt(data_key, value.encode(), place.bound("value")),
    )


def unseal(envelope: Envelope, place: Place, keys: KeyRing) -> str:
    """Return the value.

    Raises:
        SettingsError: `secret_key_unknown`: the master key is not here.
        InvalidValue: `secret_unreadable`: it was changed, or belongs somewhere else.
    """
    data_key = _data_key(envelope, place, keys)
    return _decrypt(data_key, envelope.sealed, place.bound("value"), place).decode()


def wrap_again(envelope: Envelope, place: Place, keys: KeyRing) -> Envelope:
    """Return the same sealed value with its data key under the active master key.

    Raises:
        SettingsError, InvalidValue: As `unseal`.
    """
    data_key = _data_key(envelope, place, keys)
    wrapped = _encrypt(keys.key(keys.active), data_key, place.bound("key", keys.active))
    return Envelope(key_id=keys.active, wrapped=wrapped, sealed=envelope.sealed)


def _data_key(envelope: Envelope, place: Place, keys: KeyRing) -> bytes:
    master = keys.key(envelope.key_id)
    return _decrypt(master, envelope.wrapped, place.bound("key", envelope.key_id), place)


def _encrypt(key: bytes, text: bytes, bound: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, text, bound)


def _decrypt(key: bytes, data: bytes, bound: bytes, place: Place) -> bytes:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(key).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], bound)
    except (InvalidTag, ValueError):
        raise InvalidValue(
            f"the secret {place.name} cannot be opened: it was changed or moved",
            code="secret_unreadable",
            hint="Set it again.",
        ) from None
