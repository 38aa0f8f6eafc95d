"""The ledger of a simulated world: every call that was made, and what it did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from flowbuilder.evals.world.faults import FaultKind
from flowbuilder.tools import HARMLESS, Effects
from flowbuilder.types import JsonObject, JsonValue


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One call of a simulated tool."""

    number: int
    """In the order in which calls began, from 0."""
    tool: str
    effects: Effects
    args: JsonObject
    run_id: str
    step_id: str
    task_id: str
    index: int | None
    attempt: int
    idempotency_key: str
    began: float
    """By the world's clock, in seconds."""
    ended: float | None = None
    """None while it is under way, and of a call that was stopped."""
    acted: bool = False
    """Whether it did what it does; a call that failed before has not."""
    fault: FaultKind | None = None
    approval: str | None = None
    """Id of the approval that allows it; filled in by `flowbuilder.evals.world.audit`."""

    @property
    def is_effect(self) -> bool:
        """Whether it has changed something."""
        return self.acted and self.effects not in HARMLESS

    def as_json(self) -> JsonObject:
        """Return the entry without what differs from one time to the next: ids and times."""
        return {
            "tool": self.tool,
            "effects": self.effects.value,
            "args": self.args,
            "step": self.step_id,
            "index": self.index,
            "attempt": self.attempt,
            "acted": self.acted,
            "fault": self.fault.value if self.fault else None,
            "approved": self.approval is not None,
        }


class Ledger:
    """All calls of a world, in the order in which they began."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def begin(self, entry: Entry) -> int:
        """Write down a call that begins; returns its number."""
        number = len(self._entries)
        self._entries.append(replace(entry, number=number))
        return number

    def note(self, number: int, **known: JsonValue | FaultKind) -> None:
        """Add what has become known of a call."""
        self._entries[number] = replace(self._entries[number], **known)  # type: ignore[arg-type]

    def of(self, run_id: str) -> list[Entry]:
        """Return the calls of one run."""
        return [entry for entry in self._entries if entry.run_id == run_id]

    def effects(self, run_id: str | None = None) -> list[Entry]:
        """Return the calls that changed something."""
        return [
            entry for entry in self._entries if entry.is_effect and run_id in (None, entry.run_id)
        ]

    def repeated(self) -> list[str]:
        """Return the idempotency keys under which something was changed more than once.

        A tool that heeds its key does it once all the same; one that does not has done it twice.
        """
        counted = Counter(entry.idempotency_key for entry in self.effects())
        return sorted(key for key, times in counted.items() if times > 1)
