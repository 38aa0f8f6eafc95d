"""What stands in an address is taken by the letter: known names, once each, numbers as digits.

The framework would ignore what it does not know, take the last of two, and read `1_000`, `+1`,
` 1`, `1.0` and full-width digits as numbers, `on` and `yes` as true.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any, get_args

from fastapi import Request
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute

from flowbuilder.api.problems import parameter_problem
from flowbuilder.errors import FlowBuilderError

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_BOOLEAN = re.compile(r"true|false")
_WRITING = {int: (_INTEGER, "expected a whole number"), bool: (_BOOLEAN, "expected true or false")}


class ParameterInvalid(FlowBuilderError):
    """A parameter of the address is unknown, comes twice or is not written as it has to be."""

    default_code = "parameter_invalid"

    def __init__(self, place: str, name: str, message: str) -> None:
        super().__init__(f"A parameter is wrong: {name}: {message}.")
        self.entries = [parameter_problem(place, name, message)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameters:
    """What a route takes in its address, by name; the kind where its writing is bound."""

    query: Mapping[str, type | None]
    path: Mapping[str, type | None]


def parameters_of(routes: Sequence[BaseRoute]) -> dict[Callable[..., Any], Parameters]:
    """Return what each of the routes' functions takes in its address."""
    found: dict[Callable[..., Any], Parameters] = {}
    for context in iter_route_contexts(routes):
        dependant = getattr(context, "dependant", None)
        if dependant is None or context.endpoint is None:
            continue
        places: dict[str, dict[str, type | None]] = {"query": {}, "path": {}}
        for field in get_flat_params(dependant):
            place = getattr(field.field_info, "in_", None)
            if place is not None and place.value in places:
                places[place.value][field.alias] = _kind(field.field_info.annotation)
        found[context.endpoint] = Parameters(query=places["query"], path=places["path"])
    return found


def _kind(annotation: Any) -> type | None:
    kinds = [part for part in get_args(annotation) or (annotation,) if part is not NoneType]
    return kinds[0] if len(kinds) == 1 and kinds[0] in _WRITING else None


async def strict_parameters(request: Request) -> None:
    """Refuse what the route does not know or would have to guess at. Raises: ParameterInvalid."""
    known: Parameters | None = request.app.state.parameters.get(request.scope["endpoint"])
    if known is None:
        return
    seen: set[str] = set()
    for name, text in request.query_params.multi_items():
        if name not in known.query:
            listed = ", ".join(sorted(known.query)) or "none"
            raise ParameterInvalid("query", name[:100], f"it is not known; known: {listed}")
        if name in seen:
            raise ParameterInvalid("query", name, "it comes twice")
        seen.add(name)
        _check("query", name, text, known.query[name])
    for name, value in request.path_params.items():
        _check("path", name, str(value), known.path.get(name))


def _check(place: str, name: str, text: str, kind: type | None) -> None:
    if kind is None:
        return
    writing, expected = _WRITING[kind]
    if not writing.fullmatch(text):
        raise ParameterInvalid(place, name, expected)
