"""Random flows with a script for every task, and what they must come to.

`expected` is a second engine, in memory and without time: it knows nothing of the SQL.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from flowbuilder.executor.records import LeasedTask, Outcome, TaskKind
from flowbuilder.executor.states import RunStatus
from flowbuilder.flow import Flow
from flowbuilder.types import JsonObject, JsonValue
from tests.support.engine import Engine, done, failed, flow_of, retry, skipped, waiting

VALUES: list[JsonValue] = [0, False, "", None, [], [1, None], [[], 2, "x"], {"a": 1}, "text"]
INPUT: list[JsonValue] = [0, None, "é", [1]]


@dataclass(frozen=True, kw_only=True)
class Script:
    """What the tasks of one step do."""

    condition: bool
    """What `when` comes to, where there is one."""
    gated: bool
    """Asks for an approval first."""
    stumbles: tuple[int, ...]
    """How often the element of this index (modulo the length) fails before its last attempt."""
    succeeds: tuple[bool, ...]
    """How that one ends."""
    value: JsonValue
    carries: tuple[str, ...] = ()
    """Steps whose outputs come along with the value, by references."""
    child: bool = False
    """The work is done by a child run, which succeeds or fails at once."""
    listens: str = ""
    """When the event comes whose payload is the output: `early` (before the run starts), `late`,
    `never` (the wait fails at its deadline), `forgiven` (then it gives null instead)."""
    undo: str = ""
    """How the step is undone if it must be: `good`, `stumbling` at first, `stubborn` (never)."""

    def works(self, index: int | None, max_attempts: int) -> bool:
        """Whether the task of this index completes."""
        stumbles = 0 if self.child else self.stumbles_of(index)
        return stumbles < max_attempts and self.succeeds_of(index) and self.listens != "never"

    def stumbles_of(self, index: int | None) -> int:
        return self.stumbles[(index or 0) % len(self.stumbles)]

    def succeeds_of(self, index: int | None) -> bool:
        return self.succeeds[(index or 0) % len(self.succeeds)]

    def result(self, index: int | None, item: JsonValue) -> JsonValue:
        return self.value if index is None else [index, item]

    def woven(self, result: JsonValue, outputs: Mapping[str, JsonValue]) -> JsonValue:
        """Return a result with what it carries; what has no output of its own gives null."""
        if self.listens:
            return None if self.listens == "forgiven" else self.value
        if self.carries:
            result = {"own": result, "from": {name: outputs.get(name) for name in self.carries}}
        return {"child": result} if self.child else result


@dataclass(kw_only=True)
class Program:
    """A flow, the scripts of its steps, and for each step what it depends on."""

    steps: list[JsonObject]
    scripts: dict[str, Script]
    before: dict[str, list[str]]
    output: str | None = None

    @property
    def flow(self) -> Flow:
        rest = {} if self.output is None else {"output": f"${{{{ steps.{self.output} }}}}"}
        return flow_of(*self.steps, slug="random", **rest)

    def outcome(self, task: LeasedTask, dice: random.Random) -> Outcome:
        """Say what an attempt ends with; the same attempt always comes to the same."""
        if task.kind is TaskKind.FINISH:
            assert self.output is not None
            return done(task, task.outputs[self.output])
        assert task.step_id is not None
        script = self.scripts[task.step_id]
        if not script.condition and task.index is None:
            return skipped(task)
        if task.kind is TaskKind.EXPAND:
            return done(task, True)
        if script.gated and not task.approved:
            return waiting(
                task, kind="approval", approval_kind="gate", args={}, args_hash="x",
                deadline_seconds=10_000_000,
            )  # fmt: skip
        if task.attempt <= script.stumbles_of(task.index):
            return retry(task, delay=dice.choice([0, 5]))
        if not script.succeeds_of(task.index):
            return failed(task)
        return done(task, script.result(task.index, task.item))


def make(dice: random.Random, *, woven: bool = False) -> Program:
    """Invent a program of one to eight steps.

    `woven`: values pass through references, child runs and events too, so that only a worker that
    resolves references can work it off; and steps may say how they are undone.
    """
    program = Program(steps=[], scripts={}, before={})
    harsh = dice.random() < 0.4
    for number in range(dice.randint(1, 8)):
        name = f"s{number}"
        step = _step(dice, name, list(program.before), harsh=harsh)
        program.steps.append(step)
        program.before[name] = sorted({*_names(step["depends_on"]), *_mapped_from(step)})
        program.scripts[name] = Script(
            condition="when" not in step or dice.random() < 0.7,
            gated=dice.random() < 0.1,
            stumbles=tuple(dice.choice([0, 0, 0, 1, 2]) for _ in range(3)),
            succeeds=tuple(dice.random() < 0.8 for _ in range(4)),
            value=dice.choice(VALUES),
        )
    if dice.random() < 0.4:
        program.output = dice.choice(list(program.before))
    if woven:
        for step in program.steps:
            _weave(dice, step, program)
    return program


def _weave(dice: random.Random, step: JsonObject, program: Program) -> None:
    """Let a step carry outputs along, map over a part of one, or be the work of a child run."""
    name = str(step["id"])
    script = program.scripts[name]
    # What has not ended is not carried: under this rule that would be a matter of time.
    ended = [] if step["trigger_rule"] == "one_success" else program.before[name]
    program.scripts[name] = replace(
        script,
        gated=False,
        carries=tuple(
            one for one in ended if dice.random() < 0.5 and not _carries_much(one, program)
        ),
        child=dice.random() < 0.2,
        undo=dice.choice(["", "", "", "good", "good", "stumbling", "stubborn"]),
    )
    if dice.random() < 0.15:
        listens = dice.choice(["early", "late", "late", "never", "forgiven"])
        program.scripts[name] = replace(
            program.scripts[name], carries=(), child=False, listens=listens
        )
    mapped = {str(one["id"]) for one in program.steps if "for_each" in one}
    for origin in _mapped_from(step):
        source = program.scripts[origin]
        if source.carries and not source.child and origin not in mapped:
            step["for_each"] = f"${{{{ steps.{origin}.own }}}}"


def _carries_much(name: str, program: Program) -> bool:
    """Values nest only so deep."""
    return any(program.scripts[one].carries for one in program.scripts[name].carries)


def _step(dice: random.Random, name: str, earlier: list[str], *, harsh: bool) -> JsonObject:
    policies = ["skip", "continue", "fail"] if harsh else ["skip", "continue"]
    depends_on: list[JsonValue] = [one for one in earlier if dice.random() < 0.35]
    step: JsonObject = {
        "id": name,
        "depends_on": depends_on,
        "on_error": dice.choice(policies),
        "retry": {"max_attempts": dice.randint(1, 3)},
        "trigger_rule": dice.choice(["all_success", "none_failed", "all_done", "one_success"]),
    }
    if dice.random() < 0.25:
        step["when"] = "true"
    if dice.random() < 0.45:
        step["for_each"] = dice.choice(
            ["${{ input }}", dice.choice(VALUES[4:7])]
            + [f"${{{{ steps.{one} }}}}" for one in earlier[-3:]]
        )
        if dice.random() < 0.5:
            step["concurrency"] = dice.randint(1, 2)
        # What has not ended has no elements: under this rule that would be a matter of time.
        if _mapped_from(step) and step["trigger_rule"] == "one_success":
            step["trigger_rule"] = "all_done"
    return step


def _names(value: JsonValue) -> list[str]:
    return [str(name) for name in value] if isinstance(value, list) else []


def _mapped_from(step: JsonObject) -> list[str]:
    source = step.get("for_each")
    if isinstance(source, str) and "steps." in source:
        return [source.split(".")[1].split(" ")[0]]  # of `${{ steps.s1 }}` or `${{ steps.s1.own }}`
    return []


@dataclass
class Ending:
    """What a program comes to."""

    status: dict[str, str] = field(default_factory=dict)
    """completed, skipped or failed, for the steps that end."""
    outputs: dict[str, JsonValue] = field(default_factory=dict)
    forgiven: set[str] = field(default_factory=set)
    """Completed with null in place of a failure."""
    fatal: set[str] = field(default_factory=set)
    """Steps of which one (whichever is first) ends the run as failed; empty when it completes."""
    output: JsonValue = None


def expected(program: Program) -> Ending:
    """Work a program out, round by round, until nothing moves."""
    ending = Ending()
    moved = True
    while moved:
        moved = False
        for step in program.steps:
            name = str(step["id"])
            if name in ending.status:
                continue
            verdict = _verdict(str(step["trigger_rule"]), program.before[name], ending)
            if verdict == "wait":
                continue
            moved = True
            if verdict == "skip":
                ending.status[name] = "skipped"
            else:
                _perform(step, program.scripts[name], ending)
    if program.output is not None:
        ending.output = ending.outputs.get(program.output)
    else:
        needed = {one for names in program.before.values() for one in names}
        ending.output = {k: v for k, v in ending.outputs.items() if k not in needed}
    return ending


async def check_ending(engine: Engine, run_id: str, program: Program) -> None:
    """Assert that a run has come to what its program comes to."""
    row, ending = await engine.run(run_id), expected(program)
    if ending.fatal:
        assert row.status is RunStatus.FAILED
        assert row.error is not None
        assert row.error["step"] in ending.fatal
        return
    assert (row.status, row.error) == (RunStatus.COMPLETED, None)
    assert row.output == ending.output
    steps = await engine.store.run_steps(run_id)
    assert {step.step_id: step.status.value for step in steps} == ending.status
    outputs = {s.step_id: s.output for s in steps if s.status.value == "completed"}
    assert outputs == ending.outputs


def _verdict(rule: str, before: list[str], ending: Ending) -> str:
    states = [ending.status.get(name, "open") for name in before]
    still_open = any(state in ("open", "failed") for state in states)
    if rule == "one_success" and before:
        if "completed" in states:
            return "start"
        return "wait" if still_open else "skip"
    if rule == "all_success" and "skipped" in states:
        return "skip"
    return "wait" if still_open else "start"


def _perform(step: JsonObject, script: Script, ending: Ending) -> None:
    name = str(step["id"])
    if "when" in step and not script.condition:
        ending.status[name] = "skipped"
        return
    retries = step["retry"]
    assert isinstance(retries, dict)
    limit = int(str(retries["max_attempts"]))

    def works(index: int | None) -> bool:
        return script.works(index, limit)

    def result(index: int | None, item: JsonValue) -> JsonValue:
        return script.woven(script.result(index, item), ending.outputs)

    if "for_each" not in step:
        if works(None):
            ending.status[name], ending.outputs[name] = "completed", result(None, None)
        else:
            _forgive(step, ending)
        return
    elements = _elements(step, ending)
    if not isinstance(elements, list):
        _forgive(step, ending)
        return
    results: list[JsonValue] = [
        result(index, item) if works(index) else None for index, item in enumerate(elements)
    ]
    if step["on_error"] == "fail" and not all(works(index) for index in range(len(elements))):
        _forgive(step, ending)
        return
    ending.status[name], ending.outputs[name] = "completed", results


def _elements(step: JsonObject, ending: Ending) -> JsonValue:
    source = step["for_each"]
    if not isinstance(source, str):
        return source
    if not _mapped_from(step):
        return list(INPUT)
    (origin,) = _mapped_from(step)
    if ending.status[origin] == "skipped" or origin in ending.forgiven:
        return []
    output = ending.outputs[origin]
    return output["own"] if ".own" in source and isinstance(output, dict) else output


def _forgive(step: JsonObject, ending: Ending) -> None:
    name = str(step["id"])
    if step["on_error"] == "skip":
        ending.status[name] = "skipped"
    elif step["on_error"] == "continue":
        ending.status[name], ending.outputs[name] = "completed", None
        ending.forgiven.add(name)
    else:
        ending.status[name] = "failed"
        ending.fatal.add(name)
