"""Which steps one waits for, directly or not and by whatever rule: what may undo it knows these."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from flowbuilder.graph import groups
from flowbuilder.validation.reading import StepReading


class Ancestry:
    """What each step waits for, as bits of places; worked out when somebody asks, once for each."""

    def __init__(
        self,
        places: Mapping[str, int],
        open_: Mapping[int, StepReading],
        known: Mapping[str, int] | None = None,
    ) -> None:
        """Begin with what is known already.

        Args:
            places: Where each id stands first; it may grow.
            open_: By their places the steps that are not put in yet; it may change.
            known: The bits of what steps wait for.
        """
        self._places, self._open = places, open_
        self._before = dict(known or {})
        self._left: list[Collection[StepReading]] = []

    def put(self, *together: StepReading) -> None:
        """Take in a step, or all that wait for each other, after what else they wait for."""
        self._left.append(together)

    def with_open(self) -> Ancestry:
        """Return the same with the open steps, which may wait for each other."""
        self._work_out()
        found = Ancestry(self._places, self._open, self._before)
        first = {
            reading.step.id: reading
            for reading in self._open.values()
            if self._places.get(reading.step.id) == reading.position
        }
        for group in groups({name: list(reading.needs) for name, reading in first.items()}):
            found.put(*[first[name] for name in group])
        return found

    def beyond(self, reading: StepReading, names: Collection[str]) -> set[str]:
        """Return those of the named steps that a step does not wait for; itself it knows."""
        others = set(names) - reading.needs - {reading.step.id}
        if not others:
            return others
        self._work_out()
        before = self._joined([reading, *self._open_behind(reading)])
        return {name for name in others if not before >> self._places[name] & 1}

    def _open_behind(self, reading: StepReading) -> Collection[StepReading]:
        """Return the open steps behind a step that waits for another one of its own id."""
        found: dict[int, StepReading] = {}
        waiting = [reading]
        while waiting:
            for name in waiting.pop().needs - self._before.keys():
                place = self._places.get(name, -1)
                if place in self._open and place not in found:
                    found[place] = self._open[place]
                    waiting.append(found[place])
        return found.values()

    def _work_out(self) -> None:
        for together in self._left:
            before = self._joined(together)
            for reading in together:
                self._before[reading.step.id] = before
        self._left.clear()

    def _joined(self, readings: Collection[StepReading]) -> int:
        before = 0
        for reading in readings:
            for name in reading.needs:
                if name in self._places:
                    before |= 1 << self._places[name] | self._before.get(name, 0)
        return before
