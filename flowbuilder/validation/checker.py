"""Judging a document step by step, as a model writes it.

A step is judged as soon as everything it waits for has arrived, and what is said of it then stays:
`finish` says the same of it, and what only the end can tell, such as that a step is missing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from flowbuilder.errors import Fix, InvalidValue, Problem, Severity
from flowbuilder.flow import Flow, TriggerRule
from flowbuilder.strictjson import DEFAULT_LIMITS, DOCUMENT_LIMITS, Limits, check
from flowbuilder.tools import HARMLESS, ToolRegistry
from flowbuilder.types import JsonObject, JsonValue
from flowbuilder.validation.ancestry import Ancestry
from flowbuilder.validation.arguments import size_problems
from flowbuilder.validation.catalogue import completed
from flowbuilder.validation.compensation import compensation_problems
from flowbuilder.validation.dataflow import output_problems, step_problems
from flowbuilder.validation.lineage import Lineage, lineage_of
from flowbuilder.validation.reading import StepReading, read_step, read_value
from flowbuilder.validation.running import unreached
from flowbuilder.validation.scope import DataScope
from flowbuilder.validation.shape import Shape, read_shape
from flowbuilder.validation.structure import cycle_problems, dependency_problems

MAX_STEPS = 1000
#: Listed of one document. With more errors nothing further is judged, and with more warnings no
#: further ones are kept; warnings never take the place of errors.
MAX_PROBLEMS = 1000


@dataclass(frozen=True, slots=True)
class Validation:
    """What validation found."""

    flow: Flow | None
    """The flow, when no problem is an error."""
    problems: tuple[Problem, ...]

    @property
    def valid(self) -> bool:
        """Whether there is no error; warnings may be there."""
        return self.flow is not None


@dataclass(slots=True)
class _Tally:
    """How much has been found."""

    errors: int = 0
    warnings: int = 0

    @property
    def has_errors_enough(self) -> bool:
        """Whether there are more errors than can be listed."""
        return self.errors > MAX_PROBLEMS

    @property
    def has_warnings_enough(self) -> bool:
        """Whether there are more warnings than can be listed."""
        return self.warnings > MAX_PROBLEMS

    def kept(self, found: list[Problem]) -> list[Problem]:
        """Count findings and return those that are kept: of errors all."""
        if not found:
            return found
        errors = [problem for problem in found if problem.severity is Severity.ERROR]
        self.errors += len(errors)
        if self.has_warnings_enough:
            return errors
        self.warnings += len(found) - len(errors)
        return found


class Judge:
    """Judges the steps of one checked document, each when what it waits for is known."""

    def __init__(
        self, shape: Shape, registry: ToolRegistry, flows: Collection[str] | None, value_bytes: int
    ) -> None:
        self.shape = shape
        self._tally = _Tally()
        self.problems = self._tally.kept([*shape.problems])
        """What is certain by now."""
        self._flows, self._value_bytes = flows, value_bytes
        self._scope = DataScope(shape, registry)
        self._readings: list[StepReading] = []
        self._settled: set[str] = set()
        self._known: dict[str, Lineage] = {}
        self._open: dict[int, StepReading] = {}
        self._waiting: dict[str, list[StepReading]] = {}
        self._missing: dict[int, int] = {}
        """How many steps each open one waits for."""
        self._places: dict[str, int] = {}
        self._ancestry = Ancestry(self._places, self._open)

    def add(self, raw: JsonValue) -> None:
        """Take in one step more, and judge what can be judged now."""
        identity, step, problems = self.shape.add(raw)
        self.problems += self._tally.kept(problems)
        position = len(self.shape.steps or ()) - 1
        is_first = identity is not None and identity not in self._scope
        self._scope.put(identity, step)
        if is_first and identity is not None:
            self._places[identity] = position
        if step is not None:
            reading = read_step(position, step)
            self._readings.append(reading)
            self._open[position] = reading
            self._expect(reading)
        elif is_first and identity is not None:
            for reading in self._arrived(identity):
                self._settle([reading])

    @property
    def waits(self) -> bool:
        """Whether a step waits for one that has not come."""
        return bool(self._open)

    def _expect(self, reading: StepReading) -> None:
        """Judge a step, or note what has to be settled before."""
        if self._settled.issuperset(reading.mentions):
            self._settle([reading])
            return
        missing = [name for name in reading.mentions if name not in self._settled]
        self._missing[reading.position] = len(missing)
        for name in missing:
            self._waiting.setdefault(name, []).append(reading)

    def _settle(self, ready: list[StepReading]) -> None:
        """Judge steps that wait for nothing more, and then those that waited for them."""
        while ready:
            item = ready.pop()
            del self._open[item.position]
            name = item.step.id
            if self._places.get(name) == item.position:
                facts = self._scope.facts(item.step.tool)
                self._known[name] = lineage_of(item, facts, self._known)
                self._ancestry.put(item)
                ready += self._arrived(name)
            self.problems += self._judged(item, self._tally)
            item.forget()

    def _arrived(self, name: str) -> list[StepReading]:
        """Take a step as settled; return those that wait for nothing more, in their order."""
        self._settled.add(name)
        ready = []
        for reading in self._waiting.pop(name, ()):
            self._missing[reading.position] -= 1
            if not self._missing[reading.position]:
                del self._missing[reading.position]
                ready.append(reading)
        return ready

    def _judged(self, reading: StepReading, tally: _Tally) -> list[Problem]:
        if tally.has_errors_enough:
            return []
        scope, known = self._scope, self._known
        problems: list[Problem] = []
        if reading.needs or reading.step.trigger_rule is not TriggerRule.ALL_SUCCESS:
            problems += dependency_problems(
                reading, scope, known, needless=not tally.has_warnings_enough
            )
            if (gone := unreached(reading, known)) is not None:
                problems.append(gone)
        problems += size_problems(reading, self._value_bytes)
        problems += step_problems(reading, scope, known, self._flows)
        if reading.step.compensate is not None:
            problems += compensation_problems(reading, scope, self._ancestry, self._flows)
        return tally.kept(problems)

    def at_the_end(self) -> list[Problem]:
        """Return what is wrong if no step follows, besides what is certain anyway."""
        known, self._known = self._known, dict(self._known)
        left, tally, ancestry = self.shape.hints.left, replace(self._tally), self._ancestry
        if any(reading.step.compensate is not None for reading in self._open.values()):
            self._ancestry = ancestry.with_open()
        problems: list[Problem] = []
        for reading in self._open.values():
            facts = self._scope.facts(reading.step.tool)
            self._known.setdefault(reading.step.id, lineage_of(reading, facts, self._known))
        for reading in self._open.values():
            problems += self._judged(reading, tally)
        if self._open:
            problems += cycle_problems(list(self._open.values()), self._places, self._settled)
        problems += output_problems(self.shape.output, self._scope)
        problems += self._unused()
        self._known, self.shape.hints.left, self._ancestry = known, left, ancestry
        return problems

    def _unused(self) -> Iterator[Problem]:
        """Yield the harmless steps whose results go nowhere though the output says what counts."""
        told = read_value(self.shape.output, "").steps
        if not told:
            return  # the output is left open, or tells nothing of what was done
        used = told.union(*[reading.needs for reading in self._readings])
        for reading in self._readings:
            facts = self._scope.facts(reading.step.tool)
            if reading.step.id in used or facts is None or facts.tool.effects not in HARMLESS:
                continue
            yield Problem(
                code="unused_step",
                pointer=reading.pointer,
                message=f"nothing uses what step {reading.step.id!r} gives, nor does the output",
                severity=Severity.WARNING,
                fix=Fix.USER,
            )


class Checker:
    """Judges a flow document whose steps arrive one by one, as `validate` judges the whole."""

    def __init__(
        self,
        registry: ToolRegistry,
        *,
        head: JsonObject | None = None,
        flows: Collection[str] | None = None,
        max_steps: int = MAX_STEPS,
        limits: Limits = DOCUMENT_LIMITS,
        value_bytes: int = DEFAULT_LIMITS.bytes,
    ) -> None:
        """Begin a document.

        Args:
            registry: The tools that steps may use.
            head: The document without its steps: `flow`, `input`, `output` and so on.
            flows: Slugs that `flow.run` may name; None leaves that open.
            max_steps: More steps are one problem, and nothing else is looked at.
            limits: Depth and size of the document.
            value_bytes: How large (bytes of JSON) one step's arguments may be when they are run.
        """
        self._registry, self._flows = registry, flows
        self._max_steps, self._limits, self._value_bytes = max_steps, limits, value_bytes
        self._head: JsonObject = dict(head or {})
        self._head.pop("steps", None)
        self._raw: list[JsonValue] = []
        self._judge = self._begun()
        self._told = 0

    def add(self, raw: object) -> tuple[Problem, ...]:
        """Take in the next step; return what has become certain by it, of any step.

        What is returned is found again by `finish`, whatever follows; nothing is returned twice.
        """
        position = len(self._raw)
        self._raw.append(raw)  # type: ignore[arg-type]  # judged by the gate below
        if self._judge is None:
            return ()
        try:
            checked = check(raw, limits=self._limits, pointer=f"/steps/{position}")
        except InvalidValue as error:
            self._judge = None
            return (of_gate(error),)
        if position >= self._max_steps:
            self._judge = None
            return ()
        self._judge.add(checked)
        new = self._judge.problems[self._told :]
        self._told = len(self._judge.problems)
        return tuple(completed(sorted(new, key=document_order)))

    @property
    def is_settled(self) -> bool:
        """Whether every step that has come could be judged: none waits for another one."""
        return self._judge is not None and not self._judge.waits

    def finish(self) -> Validation:
        """Return what `validate` says of the document so far; more steps may be added after it."""
        document: JsonObject = {**self._head, "steps": self._raw}
        if self._judge is None or len(self._judge.problems) > MAX_PROBLEMS:
            return judged(document, self._registry, self._bounds())
        try:
            check(document, limits=self._limits)
        except InvalidValue as error:
            return Validation(None, (of_gate(error),))
        if not self._raw:
            return judged(document, self._registry, self._bounds())
        return concluded(self._judge)

    def _begun(self) -> Judge | None:
        """Return a judge of the head, None when that is not JSON."""
        try:
            head = check(self._head, limits=self._limits)
        except InvalidValue:
            return None
        assert isinstance(head, dict)
        shape = read_shape({**head, "steps": [None]}, max_steps=self._max_steps)
        return Judge(shape, self._registry, self._flows, self._value_bytes)

    def _bounds(self) -> Bounds:
        return Bounds(self._flows, self._max_steps, self._limits, self._value_bytes)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a document is judged by, besides the tools."""

    flows: Collection[str] | None
    max_steps: int
    limits: Limits
    value_bytes: int


def judged(document: object, registry: ToolRegistry, bounds: Bounds) -> Validation:
    """Judge a whole document."""
    try:
        checked = check(document, limits=bounds.limits)
    except InvalidValue as error:
        return Validation(None, (of_gate(error),))
    shape = read_shape(checked, max_steps=bounds.max_steps)
    judge = Judge(shape, registry, bounds.flows, bounds.value_bytes)
    for raw in shape.raw:
        judge.add(raw)
    return concluded(judge)


def concluded(judge: Judge) -> Validation:
    """Return the result for the steps so far."""
    problems = [*judge.problems]
    if judge.shape.steps is not None:
        problems += judge.at_the_end()
    problems.sort(key=document_order)
    if len(problems) > MAX_PROBLEMS:
        problems = _shortened(problems)
    errors = any(problem.severity is Severity.ERROR for problem in problems)
    flow = None if errors else judge.shape.flow()
    return Validation(flow, tuple(completed(problems)))


def of_gate(error: InvalidValue) -> Problem:
    """Return what the gate for JSON refused as a problem that a model may mend."""
    return completed([replace(error.as_problem(), fix=Fix.MODEL)])[0]


def document_order(problem: Problem) -> tuple[object, ...]:
    """Sort the head before the steps, and 2 before 10."""
    parts = problem.pointer.split("/")
    numbered = [(0, int(part), "") if _is_place(part) else (1, 0, part) for part in parts]
    return (parts[1:2] == ["steps"], numbered, problem.code)


def _is_place(part: str) -> bool:
    return part.isascii() and part.isdecimal() and len(part) < 10


def _shortened(problems: list[Problem]) -> list[Problem]:
    """Keep what fits, errors first, and say that there is more: an error where errors are cut."""
    kept = sorted(problems, key=lambda problem: problem.severity is not Severity.ERROR)
    kept = sorted(kept[:MAX_PROBLEMS], key=document_order)
    message = f"more than {MAX_PROBLEMS} problems; the others are not listed"
    severity = Severity.ERROR
    if sum(problem.severity is Severity.ERROR for problem in problems) <= MAX_PROBLEMS:
        message, severity = f"{message}: all of them are warnings", Severity.WARNING
    more = Problem(code="more_problems", pointer="", message=message, severity=severity)
    return [*kept, more]
