"""What the configured model costs, by the table that comes with litellm: no network is asked."""

from __future__ import annotations

from typing import Any

from flowbuilder.costs import Price
from flowbuilder.models.endpoint import endpoint
from flowbuilder.models.library import Libraries, load_async
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
    costs = costs_of(libraries, found.model, 1_000_000, 1_000_000)
    if costs is None or not any(costs):
        return None
    return Price(prompt=costs[0] / 1e6, completion=costs[1] / 1e6)


def costs_of(
    libraries: Libraries, model: str, prompt: int, completion: int
) -> tuple[float, float] | None:
    """Return what reading and writing so many tokens costs in dollars; None where nobody knows."""
    try:
        costs: Any = libraries.litellm.cost_per_token(
            model=model, prompt_tokens=prompt, completion_tokens=completion
        )
        return float(costs[0]), float(costs[1])
    except Exception:  # a name that the table does not have: the normal case for local servers
        return None
