"""How property tests run: the same examples each time, and no clock."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# A busy machine is no failure. `--hypothesis-profile=default` looks for new examples.
settings.register_profile(
    "steady",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("steady")
