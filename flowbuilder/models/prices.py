"""What the configured model costs, by the table that comes with litellm: no network is asked."""

from __future__ import annotations

from typing import Any

from flowbuilder.costs import Price
from flowbuilder.models.endpoint import endpoint
from flowbuilder.models.library import load_async
from flowbuilder.settings import Settings


async def price_of(settings: Settings) -> Price | None:
    """Return the price of a token; None without a model, and for one whose price is not known.

    What an own server runs has no known price, whatever its name.
    """
    if settings.model is None or settings.model_api_base is not None:
        return None
    libraries = await load_async()
    found = endpoint(settings, libraries)
    if not found.hosted:
        return None
    try:
        costs: Any = libraries.litellm.cost_per_token(
            model=found.model, prompt_tokens=1_000_000, completion_tokens=1_000_000
        )
        price = Price(prompt=float(costs[0]) / 1e6, completion=float(costs[1]) / 1e6)
    except Exception:  # a name that the table does not have
        return None
    return price if price.prompt or price.completion else None
