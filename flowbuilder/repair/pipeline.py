"""The pipeline: menders propose, validation decides.

A way of mending is taken when it leaves fewer errors of its kind, and none more of a kind that
stands before it; so the pipeline ends, and where it has ended nothing is left that it would change.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TypeAlias

from flowbuilder.errors import Fix, Problem, Severity
from flowbuilder.flow import Flow
from flowbuilder.repair import conditions, habits, names, order, references, shape, values
from flowbuilder.repair.desk import Desk, Mending
from flowbuilder.repair.edits import (
    ABSENT,
    Change,
    Edit,
    Way,
    edited,
    pointer_of,
    steps_of,
    value_at,
)
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonValue
from flowbuilder.validation import Validation, validate
from flowbuilder.validation.catalogue import DEFECTS

Mender: TypeAlias = Callable[[Desk], Iterator[Mending]]
#: Errors of one kind come before those that are only seen once it is mended.
_LAYERS = (
    frozenset(code for code in DEFECTS if code.startswith("json_")),
    frozenset(
        {"document_not_object", "missing_key", "unknown_key", "wrong_type", "bad_value", "bad_slug",
         "bad_step_id", "bad_tool_name", "no_steps", "too_many_steps", "input_schema_invalid"}
    ),
    frozenset({"duplicate_step_id"}),
    frozenset({"unknown_tool"}),
    frozenset({"reference_syntax", "reference_root", "reference_in_key", "reference_spelling"}),
    frozenset({"unknown_step_reference", "unknown_dependency", "self_dependency", "cycle"}),
)  # fmt: skip
#: In the order in which what they mend comes to light.
_MENDERS: tuple[Mender, ...] = (
    shape.mend,
    names.mend_tools,
    references.mend_spelling,
    conditions.mend,
    order.mend,
    references.mend_steps,
    references.mend_cycles,
    references.mend_fields,
    habits.mend,
    names.mend_arguments,
    values.mend,
    references.mend_misfits,
)
#: Mendings of one mender that are tried one by one before the next; more are left for a model.
_MOST_TRIED = 60
#: Mendings of one mender that are taken at once.
_MOST_AT_ONCE = 200
#: Steps that may be judged while one document is mended, the same step each time counted: what
#: takes more is left as it is then.
_MOST_JUDGED = 10_000
_EMPTY: tuple[object, ...] = (None, "", [], {})


@dataclass(frozen=True, kw_only=True, slots=True)
class Repair:
    """What repair made of a document."""

    document: JsonValue
    """The given one itself, when nothing was to be mended."""
    validation: Validation
    changes: tuple[Change, ...] = ()

    @property
    def flow(self) -> Flow | None:
        """The flow, when no error is left."""
        return self.validation.flow

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is still to be said of the document."""
        return self.validation.problems

    @property
    def valid(self) -> bool:
        """Whether no error is left."""
        return self.validation.valid


def repair(
    document: JsonValue,
    registry: ToolRegistry,
    *,
    flows: Collection[str] | None = None,
    keep: Collection[str] = (),
    guess: bool = True,
) -> Repair:
    """Mend what needs neither a model nor a person; never raises, never touches a valid document.

    Args:
        document: A `flow.v1` document, or what was meant as one.
        registry: The tools that steps may use.
        flows: Slugs that `flow.run` may name; None leaves that open.
        keep: Ids of steps that stay as they are, byte by byte.
        guess: Whether to take the likeliest of several ways, and to take out what leads nowhere.
            Without it only that is mended which can be read in one way, for who can ask first.
    """
    found = validate(document, registry, flows=flows)
    if found.valid or not isinstance(document, dict) or _is_no_json(found):
        return Repair(document=document, validation=found)
    work = _Work(document, found, registry, flows, frozenset(keep), guess)
    while not work.found.valid and work.round():
        continue
    return Repair(document=work.document, validation=work.found, changes=tuple(work.changes))


@dataclass(slots=True)
class _Work:
    """A document on its way."""

    document: JsonValue
    found: Validation
    registry: ToolRegistry
    flows: Collection[str] | None
    keep: frozenset[str]
    guess: bool
    changes: list[Change] = field(default_factory=list)
    judged: int = 0

    def round(self) -> bool:
        """Let every mender work in turn; return whether any has changed anything."""
        changed = [self.apply(mender) for mender in _MENDERS]
        return any(changed)

    def apply(self, mender: Mender) -> bool:
        """Let a mender mend what it can; return whether it has changed anything."""
        changed = False
        vain: set[str] = set()
        while not (self.found.valid or self.judged > _MOST_JUDGED) and (
            self._all(mender) or self._first(mender, vain)
        ):
            changed = True
        return changed

    def _all(self, mender: Mender) -> bool:
        """Take the one way of every mending that has only one, at once."""
        sure = [item for item in self._some(mender) if len(item.ways) == 1]
        if len(sure) < 2:
            return False
        return self._take([_apart(sure)])

    def _first(self, mender: Mender, vain: set[str]) -> bool:
        """Take the best way of the first mending that makes anything better.

        `vain` are those that did not before in this turn; the next round tries them again.
        """
        tried = 0
        for mending in self._mendings(mender):
            if (known := repr(mending)) in vain:
                continue
            if tried >= _MOST_TRIED or self.judged > _MOST_JUDGED:
                return False
            if self._take([_coded(way, mending.code) for way in mending.ways]):
                return True
            tried += 1
            vain.add(known)
        return False

    def _take(self, ways: Sequence[Way]) -> bool:
        """Take the way that leaves the least wrong, if that is less than now."""
        best, chosen = _weight(self.found), None
        for way in ways:
            document = edited(self.document, way)
            found = validate(document, self.registry, flows=self.flows)
            self.judged += len(steps_of(document))
            weight = _weight(found)
            if weight < best:
                best, chosen = weight, (way, document, found)
        if chosen is None:
            return False
        way, document, found = chosen
        self.changes += _changes(way, self.document)
        self.document, self.found = document, found
        return True

    def _some(self, mender: Mender) -> Iterator[Mending]:
        """Yield what a mender proposes, of very much only the first."""
        return islice(self._mendings(mender), _MOST_AT_ONCE)

    def _mendings(self, mender: Mender) -> Iterator[Mending]:
        """Yield what a mender proposes, without the ways that may not be taken."""
        desk = self._desk()
        kept = {place for place, step in desk.steps if str(step.get("id")) in self.keep}
        for mending in self._proposed(mender, desk):
            ways = mending.ways
            if kept:
                ways = tuple([way for way in ways if not _touches(way, kept)])
            if ways:
                yield Mending(mending.code, ways)

    def _proposed(self, mender: Mender, desk: Desk) -> Iterator[Mending]:
        if self.guess:
            yield from mender(desk)
            return
        near = [problem for problem in desk.errors if problem.fix is Fix.AUTO]
        for mending in mender(replace(desk, errors=near)):
            yield Mending(mending.code, mending.ways[:1])
        for mending in mender(desk):
            if len(mending.ways) == 1 and not _takes_out(mending.ways[0], desk.document):
                yield mending

    def _desk(self) -> Desk:
        errors = [item for item in self.found.problems if item.severity is Severity.ERROR]
        return Desk(document=self.document, errors=errors, registry=self.registry)


def _takes_out(way: Way, document: JsonValue) -> bool:
    """Whether a way takes out something that says something."""
    return any(edit.after is ABSENT and value_at(document, edit.path) not in _EMPTY for edit in way)


def _touches(way: Way, places: Collection[int]) -> bool:
    """Whether any edit of a way is in one of these steps, or replaces all steps."""
    return any(
        edit.path in ((), ("steps",)) or (edit.path[:1] == ("steps",) and edit.path[1] in places)
        for edit in way
    )


def _apart(mendings: Sequence[Mending]) -> Way:
    """Join ways that touch different places; of those that touch one, the first."""
    joined: list[Edit] = []
    touched: set[tuple[str | int, ...]] = set()
    for mending in mendings:
        (way,) = mending.ways
        places = {edit.path for edit in way}
        inside = {place[:length] for place in places for length in range(len(place) + 1)}
        if inside & touched or any(place[: len(p)] == p for place in touched for p in places):
            continue
        joined += _coded(way, mending.code)
        touched |= places
    return tuple(joined)


def _weight(found: Validation) -> tuple[int, ...]:
    """Return how many errors there are of each layer, of the head before those of the steps."""
    counts = [0] * (2 * len(_LAYERS) + 2)
    for problem in found.problems:
        if problem.severity is Severity.ERROR:
            layers = (n for n, codes in enumerate(_LAYERS) if problem.code in codes)
            of_step = problem.pointer.startswith("/steps/")
            counts[2 * next(layers, len(_LAYERS)) + of_step] += 1
    return tuple(counts)


def _coded(way: Way, code: str) -> Way:
    return tuple([replace(edit, code=code) for edit in way])


def _changes(way: Way, document: JsonValue) -> list[Change]:
    """Tell what edits do to a document, each by what stood there before it."""
    told = []
    for edit in way:
        before = value_at(document, edit.path)
        pointer = pointer_of(edit.path)
        told.append(Change(code=edit.code, pointer=pointer, before=before, after=edit.after))
        document = edited(document, [edit])
    return told


def _is_no_json(found: Validation) -> bool:
    return any(problem.code in _LAYERS[0] for problem in found.problems)
