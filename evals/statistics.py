"""Statistics of scores: intervals, paired comparison, and how often all of several trials pass.

Everything is seeded: the same scores give the same figures.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

from flowbuilder.types import JsonObject

SEED = 20_240_229
RESAMPLES = 2_000
FLIPS = 10_000
#: Differences up to which every combination of signs is looked at.
_MOST_EXACT = 14
#: Sums that are nearer than this are the same: they are added up in different orders.
_SAME = 1e-9


@dataclass(frozen=True, slots=True)
class Interval:
    """Where a mean lies with 95 % confidence."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedDifference:
    """How the scores of the same cases differ between two reports."""

    cases: int
    before: float
    """Mean of the first."""
    after: float
    """Mean of the second."""
    difference: float
    interval: Interval
    """Of the difference."""
    p_worse: float
    """How likely so great a loss would be if nothing had changed; one-sided."""
    p_any: float
    """The same of a difference in any direction."""
    better: int
    worse: int

    def as_json(self) -> JsonObject:
        """Return the figures, rounded to six digits."""
        return {
            "cases": self.cases,
            "before": round(self.before, 6),
            "after": round(self.after, 6),
            "difference": round(self.difference, 6),
            "interval": [round(self.interval.low, 6), round(self.interval.high, 6)],
            "p_worse": round(self.p_worse, 6),
            "p_any": round(self.p_any, 6),
            "better": self.better,
            "worse": self.worse,
        }


def mean(values: Sequence[float]) -> float:
    """Return the mean; 0 of nothing."""
    return sum(values) / len(values) if values else 0.0


def bootstrap(values: Sequence[float], *, seed: int = SEED, share: float = 0.95) -> Interval:
    """Return the interval of the mean by drawing again from the values (percentiles).

    Args:
        values: One score a case; nothing gives (0, 0).
        seed: Of the draws.
        share: Confidence.
    """
    if not values or min(values) == max(values):
        only = values[0] if values else 0.0
        return Interval(only, only)
    rng = random.Random(seed)
    count = len(values)
    means = sorted(sum(rng.choices(values, k=count)) / count for _ in range(RESAMPLES))
    cut = round((1 - share) / 2 * RESAMPLES)
    return Interval(means[cut], means[RESAMPLES - 1 - cut])


def paired(
    before: Sequence[float], after: Sequence[float], *, seed: int = SEED
) -> PairedDifference:
    """Compare two scores of each case, by drawing again and by turning signs.

    Raises:
        ValueError: They are not equally many.
    """
    differences = [new - old for old, new in zip(before, after, strict=True)]
    lost, any_ = _sign_test([value for value in differences if abs(value) > _SAME], seed)
    return PairedDifference(
        cases=len(differences),
        before=mean(before),
        after=mean(after),
        difference=mean(differences),
        interval=bootstrap(differences, seed=seed),
        p_worse=lost,
        p_any=any_,
        better=sum(value > _SAME for value in differences),
        worse=sum(value < -_SAME for value in differences),
    )


def pass_hat(passed: int, trials: int, k: int) -> float:
    """Return the chance that k trials of one case all pass, estimated from some that were made."""
    return comb(passed, k) / comb(trials, k)


def pass_at(passed: int, trials: int, k: int) -> float:
    """Return the chance that at least one of k trials of a case passes."""
    return 1 - comb(trials - passed, k) / comb(trials, k)


def _sign_test(differences: Sequence[float], seed: int) -> tuple[float, float]:
    """Return how likely a sum as low as this one, and one as far from 0, is with random signs."""
    count = len(differences)
    if not count:
        return 1.0, 1.0
    total = sum(differences)
    whole = sum(map(abs, differences))
    tables = _subset_sums([abs(value) for value in differences])
    if count <= _MOST_EXACT:
        masks: Sequence[int] = range(2**count)
        seen = 0
    else:
        rng = random.Random(seed)
        masks = [rng.getrandbits(count) for _ in range(FLIPS)]
        seen = 1  # what was observed is one of the possible draws
    low = far = seen
    for mask in masks:
        drawn = 2 * _sum_of(tables, mask) - whole
        low += drawn <= total + _SAME
        far += abs(drawn) >= abs(total) - _SAME
    return low / (len(masks) + seen), far / (len(masks) + seen)


def _subset_sums(values: Sequence[float]) -> list[list[float]]:
    """Return, for each eight values, the sums of all their subsets."""
    tables = []
    for start in range(0, len(values), 8):
        sums = [0.0]
        for value in values[start : start + 8]:
            sums += [value + other for other in sums]
        tables.append(sums)
    return tables


def _sum_of(tables: Sequence[Sequence[float]], mask: int) -> float:
    total = 0.0
    for sums in tables:
        total += sums[mask & (len(sums) - 1)]
        mask >>= 8
    return total
