from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from flowbuilder.errors import Conflict, InvalidValue, NotFound, SettingsError
from flowbuilder.tools import Tool, ToolRegistry, bind, import_tools, tool
from tests.support.toolbox import acall, call, context


def _make(name: str, version: int = 1, **options: Any) -> Tool:
    return tool(name, version=version, **options)(lambda: None)


def test_registry_finds_by_name_and_version() -> None:
    first, second, other = _make("a.b"), _make("a.b", 10), _make("c")
    registry = ToolRegistry([first, second, other])
    assert registry.get("a.b") is second
    assert registry.get("a.b@1") is first
    assert registry.get("a.b@2") is None
    assert registry.get("a.b@x") is None
    assert registry.get("nothing") is None
    assert (registry.names(), registry.refs()) == (["a.b", "c"], ["a.b@1", "a.b@10", "c@1"])
    assert (list(registry), len(registry)) == ([second, other], 2)
    assert "a.b" in registry
    assert first in registry
    assert "z" not in registry
    assert 3 not in registry


def test_registry_conflicts() -> None:
    first = _make("a")
    registry = ToolRegistry([first])
    assert registry.add(first) is first
    with pytest.raises(Conflict) as caught:
        registry.add(_make("a"))
    assert caught.value.code == "tool_exists"
    assert registry.get("a") is first


def test_copies_are_independent() -> None:
    registry = ToolRegistry({"a": _make("a")})
    more = registry.merged([_make("b"), _make("a", 2)])
    assert (registry.refs(), more.refs()) == (["a@1"], ["a@1", "a@2", "b@1"])
    registry.copy().add(_make("z"))
    assert "z" not in registry


def test_require_suggests() -> None:
    registry = ToolRegistry([_make("mail.send"), _make("file.read")])
    with pytest.raises(NotFound) as caught:
        registry.require("mail.sent")
    assert caught.value.code == "tool_unknown"
    assert "mail.send" in (caught.value.hint or "")
    with pytest.raises(NotFound) as caught:
        registry.require("mail.send@7")
    assert "version 1" in (caught.value.hint or "")
    assert registry.require("file.read@1").name == "file.read"


def test_search_ranks_by_words() -> None:
    registry = ToolRegistry(
        [
            _make("mail.send", summary="Send an email.", keywords=["write to someone"]),
            _make("page.fetch", summary="Get a page.", keywords=["download", "web pages"]),
            _make("stats.mean", summary="Average of numbers.", keywords=["mean"]),
        ]
    )
    assert [found.name for found in registry.search("downloading the pages")] == ["page.fetch"]
    assert registry.search("averages")[0].name == "stats.mean"
    assert registry.search("zzz") == []
    assert registry.search("send mean", 1)[0].name in ("mail.send", "stats.mean")
    assert registry.search("send", 0) == []
    registry.add(_make("sms.send", summary="Send a text message."))
    assert {found.name for found in registry.search("send")} == {"mail.send", "sms.send"}


# -- modules of users ----------------------------------------------------------------------

_MODULE = '''
from flowbuilder import Context, tool

seen = []

@tool
async def greet(name: str, ctx: Context, excited: bool = False) -> str:
    """Greet somebody by name."""
    seen.append(name)
    return f"Hello {name}" + ("!" if excited else "")

@tool("math.add", effects="pure")
def add(a: int, b: int = 0) -> int:
    """Add two numbers.

    Args:
        a: The first number.
    """
    seen.append(a)
    return a + b
'''


async def test_a_users_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "users_tools_one.py").write_text(_MODULE)
    monkeypatch.setattr("sys.path", sys.path.copy())  # import_tools adds the folder to it
    registry = ToolRegistry.from_modules(["users_tools_one"], search_path=tmp_path)
    assert registry.names() == ["greet", "math.add"]
    add, greet = registry.require("math.add"), registry.require("greet")
    assert add.input_schema["properties"]["a"]["description"] == "The first number."
    with pytest.raises(InvalidValue):
        bind(add, {"a": "1"}, context())
    with pytest.raises(InvalidValue):
        bind(greet, {"name": 1}, context())
    import users_tools_one  # type: ignore[import-not-found]

    assert users_tools_one.seen == []
    assert call(add, {"a": 0}) == 0
    assert await acall(greet, {"name": "Ada", "excited": True}) == "Hello Ada!"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("users_missing", None, "cannot be imported"),
        ("users_empty", "x = 1", "has no tools"),
        ("users_broken", "1 / 0", "ZeroDivisionError"),
        ("users_exit", "raise SystemExit(3)", "SystemExit"),
        ("users_syntax", "def (", "SyntaxError"),
        ("users_hint", "from flowbuilder import tool\n@tool\ndef f(a): ...", "no type hint"),
        ("users_file.py", "x = 1", "is a file"),
    ],
)
def test_modules_that_do_not_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str | None, words: str
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    if text is not None:
        (tmp_path / f"{name}.py").write_text(text)
    with pytest.raises(SettingsError, match=words) as caught:
        import_tools([name], search_path=tmp_path)
    assert caught.value.code == "tools_module_invalid"
