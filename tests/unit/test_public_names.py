"""What `import flowbuilder` offers and what it costs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import flowbuilder

LAZY = (
    "litellm",
    "instructor",
    "fastapi",
    "uvicorn",
    "psycopg",
    "psycopg_pool",
    "pydantic",
    "rich",
)


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout


def test_every_public_name_is_there() -> None:
    for name in flowbuilder.__all__:
        assert getattr(flowbuilder, name) is not None


def test_public_names_are_what_their_modules_define() -> None:
    from flowbuilder.client.builder import FlowBuilder
    from flowbuilder.errors import RunFailed
    from flowbuilder.flow import Flow

    assert flowbuilder.FlowBuilder is FlowBuilder
    assert flowbuilder.RunFailed is RunFailed
    assert flowbuilder.Flow is Flow


def test_every_error_is_public() -> None:
    from flowbuilder import errors

    defined = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.FlowBuilderError)
    }
    assert defined <= set(flowbuilder.__all__)


def test_lists_agree() -> None:
    listed = [name for names in flowbuilder._HOMES.values() for name in names]
    assert sorted([*listed, "__version__"]) == sorted(flowbuilder.__all__)
    assert set(flowbuilder.__all__) <= set(dir(flowbuilder))


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = flowbuilder.no_such_name


def test_import_loads_nothing_heavy() -> None:
    loaded = json.loads(
        python(
            "import json, sys, flowbuilder; "
            f"print(json.dumps([n for n in {LAZY!r} if n in sys.modules]))"
        )
    )
    assert loaded == []


def test_help_loads_no_language_model_library() -> None:
    loaded = json.loads(
        python(
            "import json, sys\n"
            "from flowbuilder.cli import main\n"
            "sys.argv = ['flowbuilder', '--help']\n"
            "import contextlib, io\n"
            "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
            "    main()\n"
            "print(json.dumps([n for n in ('litellm', 'instructor', 'fastapi', 'psycopg')"
            " if n in sys.modules]))"
        )
    )
    assert loaded == []


def test_what_public_methods_return_is_public() -> None:
    from flowbuilder.client.runs import RetriedRun
    from flowbuilder.executor.diagnosis import Reason, Why
    from flowbuilder.executor.store import Pruned
    from flowbuilder.flow import Compensation

    for found in (RetriedRun, Reason, Why, Pruned, Compensation):
        assert getattr(flowbuilder, found.__name__) is found
