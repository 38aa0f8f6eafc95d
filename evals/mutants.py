"""Seeded mutants: valid flows with one known defect, of every kind that validation names.

They measure validation (is the defect found, under its code?), repair (does the flow come back?)
and planners (a model that makes such mistakes at a rate). A mutation changes a copy, and only
where it makes a defect for certain; where a flow has no place for it there is no mutant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from random import Random

from flowbuilder.errors import Problem
from flowbuilder.evals import mutants_data, mutants_order, mutants_shape, mutants_tools
from flowbuilder.evals.mutants_bench import Bench, Mutation
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonObject
from flowbuilder.validation import validate

#: Every kind of defect by name.
MUTATIONS: Mapping[str, Mutation] = {
    item.name: item
    for item in (
        *mutants_shape.MUTATIONS,
        *mutants_order.MUTATIONS,
        *mutants_tools.MUTATIONS,
        *mutants_data.MUTATIONS,
    )
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Mutant:
    """A flow with one defect."""

    defect: str
    """The name of the mutation."""
    document: JsonObject
    codes: frozenset[str]
    """The codes under any of which the defect is rightly found."""


def mutate(
    document: JsonObject, registry: ToolRegistry, name: str, random: Random
) -> Mutant | None:
    """Return a mutant of a valid document, None where this defect has no place in it.

    Raises:
        KeyError: There is no such mutation.
    """
    mutation = MUTATIONS[name]
    bench = Bench(deepcopy(document), registry, random)
    if not mutation.make(bench):
        return None
    return Mutant(defect=name, document=bench.document, codes=mutation.codes)


def mutants(
    document: JsonObject,
    registry: ToolRegistry,
    *,
    seed: int,
    names: Sequence[str] = (),
) -> Iterator[Mutant]:
    """Yield a mutant of every kind (or of those named) that a document has a place for.

    The same document and seed give the same mutants.
    """
    for name in names or MUTATIONS:
        found = mutate(document, registry, name, Random(f"{seed} {name} {document.get('flow')}"))
        if found is not None:
            yield found


def defect(name: str, registry: ToolRegistry) -> Callable[[JsonObject, Random], JsonObject]:
    """Return a function that gives a document one kind of defect, where it has a place for it."""

    def change(document: JsonObject, random: Random) -> JsonObject:
        made = mutate(document, registry, name, random)
        return document if made is None else made.document

    return change


def is_caught(mutant: Mutant, registry: ToolRegistry, before: Sequence[Problem]) -> bool:
    """Whether validation finds a mutant's defect; `before` was said of the flow without it."""
    old = {(item.code, item.pointer) for item in before}
    found = validate(mutant.document, registry).problems
    return any(item.code in mutant.codes and (item.code, item.pointer) not in old for item in found)
