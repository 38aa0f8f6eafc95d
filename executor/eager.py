"""Begin coroutines at once, so that what never waits for anything costs nothing but itself."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Begun(Generic[T]):
    """A coroutine that was begun in the current task: it has ended, or is awaited for the rest.

    Raises, when begun: What the coroutine raises before it first waits.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine
        self._waits_for: Any = None
        self.ended = False
        self.result: T
        """What it returned; there when it has ended."""
        self._go_on(coroutine.send, None)

    def __await__(self) -> Generator[Any, Any, T]:
        # What it waits for goes on to the task that runs this, and what that answers comes back:
        # `yield from` cannot do it for a coroutine that is under way.
        while not self.ended:
            try:
                answer = yield self._waits_for
            except GeneratorExit:
                self._coroutine.close()
                raise
            except BaseException as error:
                self._go_on(self._coroutine.throw, error)
            else:
                self._go_on(self._coroutine.send, answer)
        return self.result

    def _go_on(self, step: Callable[[Any], Any], given: Any) -> None:
        try:
            self._waits_for = step(given)
        except StopIteration as end:
            self.ended, self.result = True, end.value
