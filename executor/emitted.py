"""What became of an event that was emitted."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from flowbuilder.types import JsonObject


@dataclass(frozen=True, kw_only=True, slots=True)
class Emitted:
    """The answer to an emitted event."""

    name: str
    key: str
    already: bool
    """One of this name and key was there already; it stands, and the payload given is not kept."""
    woke: int
    """Tasks that waited for it and go on."""
    emitted_at: datetime
    emitted_by: str | None
    expires_at: datetime
    """Until then, waits that begin get it at once."""
    touched: list[str] = field(default_factory=list)
    """The runs of those tasks: whom to notify about."""

    def as_json(self) -> JsonObject:
        """Return the answer as JSON values, without the runs."""
        return {
            "name": self.name,
            "key": self.key,
            "already": self.already,
            "woke": self.woke,
            "emitted_at": self.emitted_at.isoformat(),
            "emitted_by": self.emitted_by,
            "expires_at": self.expires_at.isoformat(),
        }
