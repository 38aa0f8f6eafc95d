"""What people read in the place of a tool's name."""

from __future__ import annotations

import re

#: `function.w<worker>.<step>`, and `.v<n>` behind it for another function of the same step.
_OF_A_STEP = re.compile(r"function\.w[0-9a-f]{32}\.(?P<step>[^.@]+)(?:\.v[0-9]+)?(?:@[0-9]+)?")


def function_name(worker_id: str, step_id: str, number: int) -> str:
    """Return the tool's name of a step's function that only one worker has.

    `number` counts the functions that this step has had there, from 1.
    """
    name = f"function.w{worker_id.replace('-', '')}.{step_id}"
    return name if number == 1 else f"{name}.v{number}"


def tool_label(name: str) -> str:
    """Return how to speak of a tool: by its name, or by the step whose function it is."""
    found = _OF_A_STEP.fullmatch(name)
    return f"step {found['step']}" if found else name
