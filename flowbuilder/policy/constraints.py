"""What an argument may be: exact tests that say no to whatever they cannot read.

A constraint holds only when it certainly does. A list holds when each of its elements does, an
argument that is not there never does, and an address or URL that two readers could read in two ways
is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from flowbuilder.references import OPEN, texts
from flowbuilder.strictjson import dumps
from flowbuilder.types import JsonObject, JsonValue

#: One address without a name, a comment or a second one behind it.
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9.-]{1,253})")
#: The host of a URL that every reader takes for the same: no user, no backslash, no odd characters.
_URL = re.compile(
    r"https?://([A-Za-z0-9.-]{1,253})(?::\d{1,5})?(?:[/?#][!-\[\]-~]*)?", re.IGNORECASE
)
_DOMAIN_PATTERN = r"^(\*\.)?[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9-]+)*$"

Domain = Annotated[str, Field(pattern=_DOMAIN_PATTERN, max_length=255)]
_MOST = 1000


class Constraint(BaseModel):
    """Tests of one argument; all that are given have to hold."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    arg: Annotated[str, Field(pattern=r"^(/([^/~]|~[01])*)+$", max_length=500)]
    """JSON pointer into the arguments, such as `/to`; lists on the way are gone through."""
    one_of: list[Any] | None = Field(default=None, min_length=1, max_length=_MOST)
    """It is one of these values."""
    domain_in: list[Domain] | None = Field(default=None, min_length=1, max_length=_MOST)
    """It is one e-mail address of these domains; `*.example.com` for those below one."""
    host_in: list[Domain] | None = Field(default=None, min_length=1, max_length=_MOST)
    """It is an http or https URL of these hosts; `*.example.com` for those below one."""
    starts_with: list[Annotated[str, Field(min_length=1, max_length=500)]] | None = Field(
        default=None, min_length=1, max_length=_MOST
    )
    """It is a text that begins with one of these, and has no `..` in it."""
    at_least: float | None = Field(default=None, allow_inf_nan=False, strict=True)
    """It is a number, not less than this."""
    at_most: float | None = Field(default=None, allow_inf_nan=False, strict=True)
    """It is a number, not more than this."""
    max_items: int | None = Field(default=None, ge=0, le=1_000_000, strict=True)
    """It is a list of so many elements at most."""

    @model_validator(mode="after")
    def _says_something(self) -> Constraint:
        if self.max_items is None and all(getattr(self, name) is None for name in _TESTS):
            raise ValueError("a constraint has at least one test, such as one_of or at_most")
        return self

    def holds(self, args: JsonObject, *, resolved: bool) -> bool | None:
        """Whether arguments hold it; None: a reference in them is still to be resolved."""
        found = list(_at(args, self.arg.split("/")[1:]))
        if not resolved and (_is_open(found) or _is_open_on_the_way(args, self.arg)):
            return None
        if self.max_items is not None and not all(
            isinstance(value, list) and len(value) <= self.max_items for value in found
        ):
            return False
        tests = [
            (test, wanted)
            for name, test in _TESTS.items()
            if (wanted := getattr(self, name)) is not None
        ]
        values = [item for value in found for item in _flat(value)]
        if not found or (tests and not values):
            return False
        return all(test(value, wanted) for value in values for test, wanted in tests)


def _at(value: JsonValue, path: list[str]) -> Iterable[JsonValue]:
    """Yield what stands at a path; lists on the way stand for each of their elements."""
    if not path:
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _at(item, path)
    elif isinstance(value, dict):
        key = path[0].replace("~1", "/").replace("~0", "~")
        if key in value:
            yield from _at(value[key], path[1:])


def _flat(value: JsonValue) -> Iterable[JsonValue]:
    if isinstance(value, list):
        for item in value:
            yield from _flat(item)
    else:
        yield value


def _is_open(value: JsonValue) -> bool:
    return next(iter(texts(value)), None) is not None


def _is_open_on_the_way(args: JsonObject, pointer: str) -> bool:
    """Whether a reference stands where the path would go on."""
    path = pointer.split("/")[1:]
    return any(
        isinstance(value, str) and OPEN in value
        for length in range(1, len(path))
        for value in _at(args, path[:length])
    )


def _is_one_of(value: JsonValue, wanted: list[Any]) -> bool:
    return dumps(value) in {dumps(item) for item in wanted}  # as JSON: true is not 1


def _is_below(name: str, wanted: list[str]) -> bool:
    host = name.lower().rstrip(".")
    if not host or ".." in host or host.startswith("."):
        return False
    return any(
        host.endswith(item[1:].lower()) if item.startswith("*.") else host == item.lower()
        for item in wanted
    )


def _has_domain(value: JsonValue, wanted: list[str]) -> bool:
    found = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
    return found is not None and not found[1].endswith(".") and _is_below(found[1], wanted)


def _has_host(value: JsonValue, wanted: list[str]) -> bool:
    found = _URL.fullmatch(value) if isinstance(value, str) else None
    return found is not None and _is_below(found[1], wanted)


def _begins(value: JsonValue, wanted: list[str]) -> bool:
    return (
        isinstance(value, str)
        and ".." not in value
        and any(value.startswith(item) for item in wanted)
    )


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _reaches(value: Any, wanted: float) -> bool:
    return _is_number(value) and bool(value >= wanted)


def _keeps_to(value: Any, wanted: float) -> bool:
    return _is_number(value) and bool(value <= wanted)


_TESTS: dict[str, Callable[[JsonValue, Any], bool]] = {
    "one_of": _is_one_of,
    "domain_in": _has_domain,
    "host_in": _has_host,
    "starts_with": _begins,
    "at_least": _reaches,
    "at_most": _keeps_to,
}
