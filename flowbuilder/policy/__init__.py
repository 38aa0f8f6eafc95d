"""Policy: what steps may do by themselves, what needs a person, and what is refused.

It stands outside the planners, as data: no plan, no tool and no text that somebody injects can
lower it. `document` says how a policy is written, `deciding` what it says of one call, `taint`
where data comes from, `applying` what it means for a whole flow before anything runs. The worker
asks it again, with the resolved arguments, right before each call.
"""

from __future__ import annotations

from flowbuilder.policy.applying import apply_policy, policy_problems
from flowbuilder.policy.asking import is_asked_before, showing_steps
from flowbuilder.policy.deciding import Decision, Facts, Policies, decide, policies_of
from flowbuilder.policy.document import (
    DEFAULT_POLICY,
    Action,
    Constraint,
    Policy,
    Rule,
    policy_json_schema,
    read_policy,
)
from flowbuilder.policy.taint import Taint, Taints, tainted_steps

__all__ = [
    "DEFAULT_POLICY",
    "Action",
    "Constraint",
    "Decision",
    "Facts",
    "Policies",
    "Policy",
    "Rule",
    "Taint",
    "Taints",
    "apply_policy",
    "decide",
    "is_asked_before",
    "policies_of",
    "policy_json_schema",
    "policy_problems",
    "read_policy",
    "showing_steps",
    "tainted_steps",
]
