"""Which steps of a child hold the values that its parent wants of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from flowbuilder.flow import Flow, OnError
from flowbuilder.planner.hierarchy.decomposition import Give
from flowbuilder.planner.retrieval.vocabulary import name_stems, text_stems
from flowbuilder.schemafit import mismatch
from flowbuilder.schemapaths import Hit, lookup, plain
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonSchema

#: How deep into outputs is looked, and how many places are offered to a model.
_DEPTH, MOST_PLACES = 3, 60
NONE = "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A value that a flow has at its end: a reference, and its schema."""

    path: str
    """`steps.fetch.body`, without the signs of a reference."""
    hit: Hit
    order: int
    """The place of its step."""

    @property
    def reference(self) -> str:
        """The reference as it stands in a document."""
        return f"${{{{ {self.path} }}}}"


def places_of(flow: Flow, registry: ToolRegistry) -> list[Place]:
    """Return what the steps of a flow surely give, the last step's first."""
    found: list[Place] = []
    for order, step in reversed(list(enumerate(flow.steps))):
        tool = registry.get(step.tool)
        if tool is None or step.when is not None or step.on_error is not OnError.FAIL:
            continue
        schema: JsonSchema = tool.output_schema
        if step.for_each is not None:
            shape: JsonSchema = {"type": "array"}
            found.append(Place(path=f"steps.{step.id}", hit=Hit(shape, shape), order=order))
            continue
        for path, hit in _fields(Hit(schema, schema), f"steps.{step.id}", 0):
            found.append(Place(path=path, hit=hit, order=order))
    return found


def bound(gives: Sequence[Give], places: Sequence[Place]) -> dict[str, Place]:
    """Return the place of each value whose name or kind leaves no doubt."""
    found: dict[str, Place] = {}
    for give in gives:
        fitting = fitting_places(give, places)
        scored = [(_shared(give, place), place.order, place) for place in fitting]
        best = max(scored, key=lambda item: item[:2], default=None)
        if best is not None and best[0] > 0:
            found[give.name] = best[2]
            continue
        last = max((place.order for place in places), default=0)
        of_last = [place for place in fitting if place.order == last]
        if len(gives) == 1 and len(of_last) == 1:
            found[give.name] = of_last[0]
    return found


def fitting_places(give: Give, places: Sequence[Place]) -> list[Place]:
    """Return the places whose values may have the type that is wanted."""
    want = Hit(give.schema, give.schema)
    return [place for place in places if mismatch(place.hit, want) is None]


def choice_schema(missing: Mapping[str, Sequence[Place]]) -> JsonSchema:
    """Return the schema of a model's choice among places."""
    properties = {
        name: {"enum": [*(place.path for place in found[:MOST_PLACES]), NONE]}
        for name, found in missing.items()
    }
    return {
        "type": "object",
        "properties": properties,
        "required": [*properties],
        "additionalProperties": False,
    }


def _fields(at: Hit, path: str, depth: int) -> Iterator[tuple[str, Hit]]:
    yield path, at
    known = plain(at.schema, at.root)
    properties = known.get("properties") if known is not None else None
    if depth >= _DEPTH or not isinstance(properties, dict):
        return
    for name in properties:
        inner = lookup(at.schema, [name], at.root)
        if isinstance(inner, Hit) and name.isidentifier():
            yield from _fields(inner, f"{path}.{name}", depth + 1)


def _shared(give: Give, place: Place) -> float:
    """Return how much the name of a value and the path of a place have in common."""
    wanted = set(name_stems(give.name))
    parts = place.path.split(".")[1:]
    own = set(name_stems(parts[-1]))
    if wanted == own:
        return 3.0
    said = wanted | set(text_stems(give.about))
    whole = {stem for part in parts for stem in name_stems(part)}
    return len(wanted & own) / len(wanted | own) + 0.1 * len(said & whole) * bool(wanted & whole)
