"""The input of runs that triggers start: a template, in which references name what has come.

A webhook's has `${{ input }}`, the body of the delivery, and `${{ run.webhook }}` and
`${{ run.delivery }}`; a schedule's has `${{ run.schedule }}` and `${{ run.tick }}`. Nothing that
comes can be more than a value in it.
"""

from __future__ import annotations

from collections.abc import Mapping

from flowbuilder.errors import InvalidValue
from flowbuilder.references import Scope, find, resolve
from flowbuilder.settings import Settings
from flowbuilder.strictjson import Limits, check
from flowbuilder.types import JsonValue

WHOLE = "${{ input }}"
_LONGEST_KEY = 100
#: Of a template; what it is filled with is bounded as every input.
_TEMPLATE = 65_536


def template_of(
    input: JsonValue, roots: Mapping[str, frozenset[str] | None], settings: Settings
) -> JsonValue:
    """Return a template whose references all name something that a trigger has.

    `roots`: what references may start with, and where it is not None, what may stand behind.

    Raises:
        InvalidValue: At /input: `reference_syntax`, `reference_root`, or a code of the JSON gate.
    """
    clean = check(
        input, limits=Limits(depth=settings.max_json_depth, bytes=_TEMPLATE), pointer="/input"
    )
    for found in find(clean, "/input"):
        reference = found.reference
        members = roots.get(reference.root, frozenset())
        if members is not None and (not reference.path or reference.path[0] not in members):
            known = ", ".join(
                root if inside is None else f"{root}.{name}"
                for root, inside in roots.items()
                for name in sorted(inside or [""])
            )
            raise InvalidValue(
                f"{reference} is nothing that this trigger has",
                pointer=found.pointer,
                code="reference_root",
                hint=f"It has {known}.",
            )
    return clean


def under_key(key: object) -> JsonValue:
    """Return the template of an input that has a delivery's body under one key.

    Raises:
        InvalidValue: `webhook_key_invalid`.
    """
    if not isinstance(key, str) or not 0 < len(key) <= _LONGEST_KEY or not key.isprintable():
        raise InvalidValue(
            f"the key has 1 to {_LONGEST_KEY} printable characters",
            pointer="/key",
            code="webhook_key_invalid",
        )
    return {key: WHOLE}


def fill(template: JsonValue, run: Mapping[str, JsonValue], payload: JsonValue = None) -> JsonValue:
    """Return a template with what has come in the place of its references.

    Raises:
        InvalidValue: A path leads nowhere (reference_missing).
    """
    return resolve(template, Scope(input=payload, steps={}, run=run))
