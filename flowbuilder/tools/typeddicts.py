"""Typed dicts of the standard library, made readable for pydantic.

Before Python 3.12 pydantic reads only those of `typing_extensions`: the standard ones do not tell
it enough. What is missing can be found out from their resolved hints.
"""

from __future__ import annotations

import sys
import types
import typing
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typing_extensions

_NEEDED = sys.version_info < (3, 12)
_PRESENCE = (typing.Required, typing.NotRequired)


def readable(hint: Any, inside: tuple[Any, ...] = ()) -> Any:
    """Return a type hint with typed dicts that pydantic reads; everything else stays as it is.

    `inside` are the typed dicts around the hint: one that holds itself is left alone, and so are
    those inside models and dataclasses. pydantic says then what to write instead.
    """
    if not _NEEDED:
        return hint
    if typing.is_typeddict(hint):
        return hint if hint in inside else _copied(hint, (*inside, hint))
    origin, args = get_origin(hint), get_args(hint)
    if not args or origin is Literal:
        return hint
    if origin is Annotated:
        inner = readable(args[0], inside)
        return hint if inner is args[0] else Annotated[(inner, *hint.__metadata__)]
    parts = tuple(readable(part, inside) for part in args)
    if all(new is old for new, old in zip(parts, args, strict=True)):
        return hint
    if origin in (Union, types.UnionType):
        return Union[parts]  # noqa: UP007 - built at run time
    return hint.copy_with(parts) if hasattr(hint, "copy_with") else origin[parts]


def _copied(found: Any, inside: tuple[Any, ...]) -> Any:
    """Return the same typed dict as one of `typing_extensions`."""
    try:
        hints = typing.get_type_hints(found, include_extras=True)
    except NameError:  # a name that only the function's surroundings know
        return found
    members = {name: _member(found, name, hint, inside) for name, hint in hints.items()}
    make: Any = typing_extensions.TypedDict  # called with what is known at run time only
    made = make(found.__name__, members)
    for attribute in ("__doc__", "__module__", "__qualname__", "__pydantic_config__"):
        if hasattr(found, attribute):
            setattr(made, attribute, getattr(found, attribute))
    return made


def _member(found: Any, name: str, hint: Any, inside: tuple[Any, ...]) -> Any:
    """Return a member's hint with whether it must be there."""
    required = name in found.__required_keys__
    if get_origin(hint) in _PRESENCE:  # `__required_keys__` knows nothing of hints that were text
        required = get_origin(hint) is typing.Required
        (hint,) = get_args(hint)
    presence: Any = typing_extensions.Required if required else typing_extensions.NotRequired
    return presence[readable(hint, inside)]
