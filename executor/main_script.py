"""What another process needs to import of the program's own script, and whether it may."""

from __future__ import annotations

import ast
import pickletools
import sys
from multiprocessing import spawn
from pathlib import Path
from typing import Any

from flowbuilder.errors import DefinitionError

_MAIN = "__main__"
_NAMES = (_MAIN, "__mp_main__")
_MAIN_KEYS = ("init_main_from_name", "init_main_from_path")
_HINT = (
    'Put what starts the program under `if __name__ == "__main__":`, or define the tool in a '
    "module of its own."
)


def preparation() -> dict[str, Any]:
    """Return what a new process needs to find the same modules; nothing of the script."""
    data = spawn.get_preparation_data("flowbuilder-tool")
    # The key is of no use there, and refuses to be pickled.
    return {key: value for key, value in data.items() if key not in (*_MAIN_KEYS, "authkey")}


def mentions_main(pickled: bytes) -> bool:
    """Whether something in a pickle comes from the program's own script."""
    return _MAIN.encode() in pickled and any(
        isinstance(value, str) and value == _MAIN for _, value, _ in pickletools.genops(pickled)
    )


def importable_main(tool: str) -> dict[str, Any]:
    """Return how to import the script without starting the program a second time.

    Raises:
        DefinitionError: It has no `if __name__ == "__main__":` (script_unguarded), or there is no
            file, as in an interactive session (tool_not_importable).
    """
    data = spawn.get_preparation_data("flowbuilder-tool")
    main = {key: data[key] for key in _MAIN_KEYS if key in data}
    source = _source()
    # The start of a package is not imported under another name, by multiprocessing neither.
    if not main or source is None or main.get(_MAIN_KEYS[0], "").endswith(_MAIN):
        raise DefinitionError(
            f"{tool} cannot run in another process: what defines it is no file",
            code="tool_not_importable",
            hint="Define it at the top of an importable module.",
        )
    if not is_guarded(source):
        raise DefinitionError(
            f"{tool} cannot run in another process: importing the script that defines it there "
            "would run the whole script again",
            code="script_unguarded",
            hint=_HINT,
        )
    return main


def is_guarded(source: str | bytes) -> bool:
    """Whether a script asks at its top level if it is the program."""
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError):
        return False
    return any(isinstance(statement, ast.If) and _asks(statement.test) for statement in body)


def _asks(test: ast.expr) -> bool:
    """Whether the condition compares `__name__` with the program's name."""
    for node in ast.walk(test):
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
            named = any(isinstance(part, ast.Name) and part.id == "__name__" for part in parts)
            known = any(isinstance(part, ast.Constant) and part.value in _NAMES for part in parts)
            if named and known:
                return True
    return False


def _source() -> bytes | None:
    try:
        return Path(sys.modules[_MAIN].__file__ or "").read_bytes()
    except (AttributeError, OSError):
        return None
