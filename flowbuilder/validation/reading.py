"""One value of a document with its references, read once.

The texts of a step's arguments are looked through a single time; everything that is said about
them later (order, types, taint) works on what was found.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias

import orjson

from flowbuilder.errors import Fix, InvalidValue, Problem
from flowbuilder.expression_text import step_names
from flowbuilder.flow import Step
from flowbuilder.references import OPEN, Found, Reference, parse
from flowbuilder.strictjson import escape
from flowbuilder.types import JsonObject, JsonValue

Path: TypeAlias = tuple[str | int, ...]
#: Longer texts are parsed each time: they would fill the memory.
_LONGEST_KEPT = 2000
#: One of these is in every text that may speak of other values. In JSON they stand as they are.
_STEPS = "steps."
_WRITTEN_OPEN, _WRITTEN_STEPS = OPEN.encode(), _STEPS.encode()
#: So many members make it worth while to search a part as it is written before it is looked
#: through, and so deep: each level writes out once more what is in it.
_MANY = 4
_DEEPEST_WRITTEN = 3
#: Spellings of a reference from other languages: `{{ steps.a.b }}`, `${steps.a.b}`, `$steps.a.b`.
_LIKE = re.compile(
    r"(?<![${])(?:\{\{\s*|\$\{\s*|\$\$?(?=steps\b))steps\.(?P<step>[A-Za-z_]\w*)[\w.\[\]]*\s*\}{0,2}"
)


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a text with references says."""

    references: tuple[Reference, ...]
    exact: bool
    """Whether the text is one reference and nothing else."""
    steps: frozenset[str]
    """The ids of the steps that are referred to."""


_UNREADABLE = Parsed((), False, frozenset())


@dataclass(slots=True)
class Hole:
    """A text that holds references."""

    base: str
    """Where the value stands in the document."""
    path: Path
    """Where it stands inside the value."""
    text: Parsed = _UNREADABLE

    @property
    def pointer(self) -> str:
        """Where it stands in the document; worked out when there is something to say of it."""
        return self.base + _pointer(self.path)

    @property
    def exact(self) -> Reference | None:
        """The reference, when the text is nothing else."""
        return self.text.references[0] if self.text.exact else None

    @property
    def found(self) -> list[Found]:
        """The references with their place; none when the text cannot be read."""
        pointer = self.pointer
        return [Found(item, pointer, self.text.exact) for item in self.text.references]


@dataclass(slots=True)
class Reading:
    """A value's references, and what is wrong with their spelling."""

    holes: list[Hole] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    lookalikes: list[tuple[str, str, str]] = field(default_factory=list)
    """`(pointer, step, text)` of what looks like a reference in another language."""
    steps: frozenset[str] = frozenset()
    """The ids of the steps that are referred to."""

    def found(self) -> Iterator[Found]:
        """Yield every reference in order."""
        for hole in self.holes:
            yield from hole.found


def read_value(value: JsonValue, pointer: str) -> Reading:
    """Find every reference in a value; never raises."""
    told: list[tuple[Path, str]] = []
    keys: list[Path] = []
    if isinstance(value, str):
        if OPEN in value or _STEPS in value:
            told.append(((), value))
    else:
        _look_through(value, [], told, keys)
    if not told and not keys:
        return NOTHING
    reading = Reading(problems=[_in_key(pointer + _pointer(path)) for path in keys])
    for path, text in told:
        parsed = _plainly(text) if len(text) <= _LONGEST_KEPT else None
        if parsed is not None:
            reading.holes.append(Hole(pointer, path, parsed))
        else:
            _read_text(text, pointer, path, reading)
    reading.steps = frozenset().union(*[hole.text.steps for hole in reading.holes])
    return reading


def _read_args(args: JsonObject, pointer: str) -> tuple[Reading, int]:
    """Find every reference in a step's arguments; return also how many bytes of JSON they are.

    Long arguments are mostly plain data, and to look at each of their values takes ten times as
    long as to search them as they are written.
    """
    written = orjson.dumps(args)
    return read_value(args, pointer) if _speaks(written) else NOTHING, len(written)


def _speaks(written: bytes) -> bool:
    """Whether some text or key of a written value may speak of other values."""
    return _WRITTEN_OPEN in written or _WRITTEN_STEPS in written


def _look_through(
    value: JsonValue, path: list[str | int], told: list[tuple[Path, str]], keys: list[Path]
) -> None:
    """Collect the texts that may speak of other values, and the keys that do."""
    members: Iterable[tuple[str | int, JsonValue]]
    if isinstance(value, dict):
        if OPEN in "".join(value):  # hardly ever
            keys += [(*path, key) for key in value if OPEN in key]
        members = value.items()
    elif isinstance(value, list):
        members = enumerate(value)
    else:
        return
    for part, item in members:
        kind = type(item)  # plain JSON has no others
        if kind is str:
            if OPEN in item or _STEPS in item:  # type: ignore[operator]
                told.append(((*path, part), item))  # type: ignore[arg-type]
        elif kind is dict or kind is list:
            is_large = len(item) >= _MANY and len(path) < _DEEPEST_WRITTEN  # type: ignore[arg-type]
            if is_large and not _speaks(orjson.dumps(item)):
                continue
            path.append(part)
            _look_through(item, path, told, keys)
            path.pop()


def _pointer(path: Path) -> str:
    return "".join([f"/{escape(part) if isinstance(part, str) else part}" for part in path])


def _read_text(text: str, base: str, path: Path, into: Reading) -> None:
    read = 0
    if OPEN in text:
        wrong = len(into.problems)
        hole = _hole(text, base, path, into)
        read = len(hole.text.references)
        if read or len(into.problems) > wrong:  # else the signs are escaped: plain text
            into.holes.append(hole)
    if text.count("steps.") > read:
        pointer = base + _pointer(path)
        into.lookalikes += [(pointer, match["step"], match[0]) for match in _LIKE.finditer(text)]


def _hole(text: str, base: str, path: Path, into: Reading) -> Hole:
    try:
        parsed = _parsed(text)
    except InvalidValue as error:
        into.problems.append(problem_of(error, base + _pointer(path)))
        return Hole(base, path)
    return Hole(base, path, parsed)


@lru_cache(maxsize=4096)
def _plainly(text: str) -> Parsed | None:
    """Return what a text says that has references and nothing that is like one; None for others."""
    try:
        parsed = _parsed(text)
    except InvalidValue:
        return None
    read = len(parsed.references)
    return parsed if read and text.count("steps.") <= read else None


def _parsed(text: str) -> Parsed:
    template = parse(text)
    found = template.references
    steps = frozenset(item.step for item in found if item.step is not None)
    return Parsed(found, template.exact is not None, steps)


def _in_key(pointer: str) -> Problem:
    return Problem(
        code="reference_in_key",
        pointer=pointer,
        message="a reference stands for a value, never for a key",
        fix=Fix.MODEL,
    )


def problem_of(error: InvalidValue, pointer: str) -> Problem:
    """Return an error of a value as a problem of the document."""
    return Problem(
        code=error.code, pointer=pointer, message=error.message, hint=error.hint, fix=Fix.MODEL
    )


#: Of a value without references.
NOTHING = Reading()


@dataclass(slots=True)
class StepReading:
    """A step whose shape is right, with everything that it refers to."""

    position: int
    pointer: str
    """Where it stands in the document."""
    step: Step
    args: Reading
    elements: Reading
    key: Reading
    """Of the limit's key."""
    needs: set[str]
    """The ids of the steps that it waits for."""
    mentions: Collection[str]
    """The ids of all other steps that it is judged by."""
    size: int = 0
    """How many bytes of JSON its arguments are."""

    def forget(self) -> None:
        """Let go of what was found: it would weigh on all that is judged after it."""
        self.args = self.elements = self.key = NOTHING

    @property
    def data(self) -> frozenset[str]:
        """The ids of the steps that its data comes from."""
        return self.args.steps | self.elements.steps


def read_step(position: int, step: Step) -> StepReading:
    """Read a step's references; never raises."""
    pointer = f"/steps/{position}"
    needs = set(step.depends_on)
    args, size = _read_args(step.args, f"{pointer}/args") if step.args else (NOTHING, 0)
    elements = key = NOTHING
    if step.for_each is not None:
        elements = read_value(step.for_each, f"{pointer}/for_each")
    if step.limit is not None and step.limit.key is not None:
        key = read_value(step.limit.key, f"{pointer}/limit/key")
    if step.when is not None:
        needs |= step_names(step.when)
    unclear = step.compensate is not None
    for reading in (args, elements, key):
        if reading is not NOTHING:
            needs |= _readable(reading)
            unclear = unclear or bool(reading.problems or reading.lookalikes)
    others: Collection[str] = needs
    if unclear:
        others = needs | _mentioned(step, (args, elements, key))
    if step.id in others:
        others = set(others) - {step.id}
    return StepReading(position, pointer, step, args, elements, key, needs, others, size)


def _mentioned(step: Step, readings: Sequence[Reading]) -> set[str]:
    """Return the steps that one is judged by though it does not wait for them."""
    found: set[str] = set()
    for reading in readings:
        # a text that cannot be read takes the others beside it out of the order of steps
        if reading.problems or reading.lookalikes:
            found |= reading.steps | {name for _, name, _ in reading.lookalikes}
    if step.compensate is not None:
        found |= read_value(step.compensate.args, "").steps
    return found


def _readable(reading: Reading) -> frozenset[str]:
    """Return the steps of a value's references; none where a text in it cannot be read.

    So it is where the graph of a flow is made.
    """
    unreadable = reading.problems and any(hole.text is _UNREADABLE for hole in reading.holes)
    return frozenset() if unreadable else reading.steps
