"""Events from outside, as FlowBuilder offers them."""

from __future__ import annotations

from datetime import timedelta

from flowbuilder.client.checking import check_actor, limits_of
from flowbuilder.client.session import Connected
from flowbuilder.executor.emitted import Emitted
from flowbuilder.strictjson import check
from flowbuilder.tools.eventnames import check_event, check_life
from flowbuilder.types import JsonValue


class Emitting(Connected):
    """What steps that wait for an event go on with."""

    async def emit(
        self,
        name: str,
        key: str | None = None,
        payload: JsonValue = None,
        *,
        keep: str | float | timedelta | None = None,
        by: str | None = None,
    ) -> Emitted:
        """Emit an event: every wait for this name and key completes with the payload.

        The event is kept, so a wait that begins later has it at once. The first of a name and
        key stands for as long as it is kept: another one changes nothing, and the answer says
        `already`. Emitting again after a lost answer is therefore safe.

        Args:
            name: Such as `order.paid`.
            key: Which one of that name, such as an order's number; None and "" are the same.
            payload: Any JSON value.
            keep: How long later waits still get it, such as `"7d"`; default `settings.event_life`.
            by: Who or what emits, for the record.

        Raises:
            InvalidValue: Name or key (event_invalid), the payload, `keep` (duration_invalid), or
                `by` (actor_invalid).
        """
        label = "" if key is None else key
        check_event(name, label)
        settings = self._session.settings
        clean = check(payload, limits=limits_of(settings), pointer="/payload")
        check_actor(by, "who emits")
        life = check_life(settings.event_life if keep is None else keep)
        emitted = await self._session.store.emit(
            name,
            label,
            clean,
            keep_seconds=life.total_seconds(),
            by=by,
        )
        if emitted.touched:
            await self._session.notifications.announce(emitted.touched, ready=True)
        return emitted
