"""When an attempt is repeated: capped, jittered delays."""

from __future__ import annotations

from collections.abc import Callable

from flowbuilder.flow import Backoff, RetryPolicy

#: 2 ** 40 times any base delay is above every cap; larger powers only cost time.
_LARGEST_POWER = 40


def delay(policy: RetryPolicy, attempt: int, random: Callable[[], float]) -> float:
    """Return the seconds between the end of `attempt` (counted from 1) and the next one.

    Never more than `policy.max_delay`. With jitter it is 50 to 100 % of the full delay;
    `random` gives a number in [0, 1).
    """
    base = policy.base_delay.total_seconds()
    if policy.backoff is Backoff.EXPONENTIAL:
        full = base * 2.0 ** min(max(attempt, 1) - 1, _LARGEST_POWER)
    elif policy.backoff is Backoff.LINEAR:
        full = base * max(attempt, 1)
    else:
        full = base
    full = min(full, policy.max_delay.total_seconds())
    return full * (0.5 + 0.5 * random()) if policy.jitter else full


def exhausted(policy: RetryPolicy, attempt: int) -> bool:
    """Whether `attempt` was the last one that the policy allows."""
    return attempt >= policy.max_attempts
