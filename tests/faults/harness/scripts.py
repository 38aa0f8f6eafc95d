"""Random programs as flows for worker processes, whose tools follow the scripts by arguments."""

from __future__ import annotations

from flowbuilder.flow import Flow
from flowbuilder.types import JsonObject, JsonValue
from tests.faults.harness.arena import flow
from tests.support.programs import Ending, Program, Script

GOOD_CHILD = flow(
    "good-child",
    [{"id": "pass", "tool": "fault.work", "args": {"value": {"child": "${{ input.value }}"}}}],
    output="${{ steps.pass }}",
)
BAD_CHILD = flow("bad-child", [
    {"id": "fail", "tool": "fault.script",
     "args": {"stumbles": [0], "succeeds": [False], "value": None}}
])  # fmt: skip
#: How long is waited for an event that never comes, and for one that does.
_NEVER, _SURELY = 0.2, 100_000.0


def event_key(number: int, step: str) -> str:
    """Return the key of the event that a step of a program waits for."""
    return f"{number}/{step}"


def events_of(program: Program, *, when: str) -> dict[str, JsonValue]:
    """Return the payloads of the events that come then (`early` or `late`), by step."""
    return {
        name: script.value for name, script in program.scripts.items() if script.listens == when
    }


def scripted(program: Program, ending: Ending, number: int) -> Flow:
    """Return the program as a flow; what undoes a step knows the output that it must be given."""
    steps = [_step(step, program, number) for step in program.steps]
    for step in steps:
        name = str(step["id"])
        if undo := program.scripts[name].undo:
            step["compensate"] = {
                "tool": "fault.undo",
                "args": {
                    "stumbles": int(undo == "stumbling"),
                    "succeeds": undo != "stubborn",
                    "value": f"${{{{ steps.{name} }}}}",
                    "wanted": ending.outputs.get(name),
                },
                "retry": {"max_attempts": 3},
            }
    output = {} if program.output is None else {"output": f"${{{{ steps.{program.output} }}}}"}
    return Flow.model_validate({"flow": f"random-{number}", "steps": steps, **output})


def _step(step: JsonObject, program: Program, number: int) -> JsonObject:
    script = program.scripts[str(step["id"])]
    tool, args = _call(step, script, number)
    changed = {**step, "tool": tool, "args": args}
    if "when" in step:
        changed["when"] = "true" if script.condition else "false"
    return changed


def _call(step: JsonObject, script: Script, number: int) -> tuple[str, JsonObject]:
    value: JsonValue = script.value
    if "for_each" in step:
        value = ["${{ index }}", "${{ item }}"]
    if script.carries:
        references: JsonObject = {name: f"${{{{ steps.{name} }}}}" for name in script.carries}
        value = {"own": value, "from": references}
    if script.child:
        flows = [GOOD_CHILD if good else BAD_CHILD for good in script.succeeds]
        return "fault.child", {"flows": [one.flow for one in flows], "value": {"value": value}}
    args: JsonObject = {"stumbles": list(script.stumbles), "succeeds": list(script.succeeds)}
    if not script.listens:
        return "fault.script", {**args, "value": value}
    return "fault.await", {
        **args,
        "key": event_key(number, str(step["id"])),
        "timeout": _NEVER if script.listens in ("never", "forgiven") else _SURELY,
        "on_timeout": "null" if script.listens == "forgiven" else "fail",
    }
