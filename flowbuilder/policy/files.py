"""The policy of an installation, from the file that the settings name."""

from __future__ import annotations

from pathlib import Path

from flowbuilder.errors import DefinitionError, InvalidValue, SettingsError
from flowbuilder.policy.document import LIMITS, Policy, read_policy


def load_policy(path: Path) -> Policy:
    """Return the policy of a YAML or JSON file. Raises: SettingsError: it cannot be used."""
    try:
        with path.open("rb") as file:
            raw = file.read(LIMITS.bytes + 1)
        return read_policy(raw, name=path.name)
    except OSError as error:
        raise SettingsError(
            f"the policy {path} cannot be read: {error.strerror}", code="policy_unreadable"
        ) from None
    except (InvalidValue, DefinitionError) as error:
        raise SettingsError(
            f"the policy {path} cannot be used: {error.message}", code=error.code
        ) from None
