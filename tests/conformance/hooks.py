"""What each generated call is given besides: often an address that names something.

Loaded by schemathesis (`SCHEMATHESIS_HOOKS`); `FLOWBUILDER_CONFORMANCE_SCENE` is the scene as JSON.
"""

from __future__ import annotations

import json
import os
import random
from typing import Any

import schemathesis
from schemathesis import GenerationMode
from schemathesis.core.parameters import ParameterLocation

_SCENE: dict[str, Any] = json.loads(os.environ["FLOWBUILDER_CONFORMANCE_SCENE"])
_IDS: dict[str, list[str]] = _SCENE["ids"]
_CHANCE = random.Random(os.environ.get("FLOWBUILDER_CONFORMANCE_SEED", "0"))
#: Ends the session that asks it.
_LOGOUT = "/auth/logout"


@schemathesis.hook
def before_call(
    context: schemathesis.HookContext, case: schemathesis.Case[Any], kwargs: dict[str, Any]
) -> None:
    """End spare sessions only, and let two of three addresses name something that is there."""
    if case.path.endswith(_LOGOUT) and "Authorization" in case.headers:
        case.headers["Authorization"] = f"Bearer {_CHANCE.choice(_SCENE['spare'])}"
    if _is_generated(case, ParameterLocation.HEADER) and _CHANCE.random() < 0.95:
        case.headers.pop("X-Workspace", None)
        case.headers.pop("x-workspace", None)
    archives = case.path.startswith("/api/v1/workspaces/") and case.path.endswith("/archive")
    if archives:  # nothing could be started any more
        return
    if _is_generated(case, ParameterLocation.PATH) and _CHANCE.random() < 0.67:
        for name in case.path_parameters:
            if name in _IDS:
                case.path_parameters[name] = _CHANCE.choice(_IDS[name])


def _is_generated(case: schemathesis.Case[Any], location: ParameterLocation) -> bool:
    """Say whether a part is valid, so that another valid one may take its place."""
    if case.meta is None:
        return False
    found = case.meta.components.get(location)
    return found is None or found.mode is GenerationMode.POSITIVE
