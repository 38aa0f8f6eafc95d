"""Exchanges of a worker over a store that the test makes up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import cast

from flowbuilder.executor.database import Database
from flowbuilder.executor.exchanges import Exchanges
from flowbuilder.executor.records import Exchange
from flowbuilder.executor.slots import Slots
from flowbuilder.executor.store import Store


def exchanges_over(
    store: object,
    slots: Slots,
    *,
    check_every: timedelta,
    answered: Callable[[Exchange], None] = lambda _: None,
) -> Exchanges:
    """Return exchanges that ask `store`, which answers for its connections, too."""
    return Exchanges(
        cast(Store, store),
        slots,
        connections=cast(Database, store),
        worker_id="one",
        lease=timedelta(seconds=15),
        check_every=check_every,
        begin=lambda task: None,
        extended=lambda: None,
        answered=answered,
        piled_up=lambda: None,
    )
