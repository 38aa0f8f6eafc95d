from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from flowbuilder.toolkit.files import file_read, file_write
from flowbuilder.toolkit.workspace import Workspace
from flowbuilder.tools import Fail
from tests.support.toolbox import call, context


@pytest.mark.parametrize(
    ("path", "content", "text"),
    [
        ("a.txt", "plain", "plain"),
        ("a.txt", "", ""),
        ("a.txt", 0, "0\n"),
        ("a.txt", False, "false\n"),
        ("a.txt", None, ""),
        ("a.txt", [1, "b"], "- 1\n- b\n"),
        ("a.md", [{"n": 1, "t": "x|y"}], "| n | t |\n| ---: | --- |\n| 1 | x\\|y |\n"),
        ("a.md", {"total": 0}, "- **total**: 0\n"),
        ("a.json", 0, "0\n"),
        ("a.json", False, "false\n"),
        ("a.json", None, "null\n"),
        ("a.json", "", '""\n'),
        ("a.json", "12", '"12"\n'),
        ("a.json", '{"a": 1}', '{"a": 1}'),
        ("a.json", "{not json", '"{not json"\n'),
        ("a.json", {"a": []}, '{\n  "a": []\n}\n'),
        ("a.csv", [{"a": 0, "b": False}, {"a": None, "c": [1]}], "a,b,c\n0,false,\n,,[1]\n"),
        ("a.csv", [["x", 1], ["y", 2]], "x,1\ny,2\n"),
        ("a.csv", {"a": 'say "hi"'}, 'a\n"say ""hi"""\n'),
        ("a.csv", [], ""),
        ("a.tsv", [{"a": 1, "b": 2}], "a\tb\n1\t2\n"),
        ("a.jsonl", [{"a": 1}, 0, None], '{"a":1}\n0\nnull\n'),
    ],
)
def test_format_follows_the_suffix(tmp_path: Path, path: str, content: Any, text: str) -> None:
    task = context(tmp_path)
    written = call(file_write, {"path": path, "content": content}, task)
    assert (tmp_path / path).read_bytes().decode() == text
    assert written == {"path": path, "bytes": len(text.encode())}
    assert call(file_read, {"path": path}, task)["text"] == text


def test_folders_are_made_and_no_temporary_file_stays(tmp_path: Path) -> None:
    call(file_write, {"path": "a/b/c.txt", "content": "ä"}, context(tmp_path / "new"))
    folder = tmp_path / "new/a/b"
    assert [entry.name for entry in folder.iterdir()] == ["c.txt"]
    assert (folder / "c.txt").read_text("utf-8") == "ä"


def test_modes(tmp_path: Path) -> None:
    task = context(tmp_path)
    call(file_write, {"path": "x.txt", "content": "1\n", "mode": "create"}, task)
    with pytest.raises(Fail) as caught:
        call(file_write, {"path": "x.txt", "content": "2", "mode": "create"}, task)
    assert caught.value.code == "file_exists"
    call(file_write, {"path": "x.txt", "content": "3\n", "mode": "append"}, task)
    assert (tmp_path / "x.txt").read_text() == "1\n3\n"
    call(file_write, {"path": "x.txt", "content": "4"}, task)
    assert (tmp_path / "x.txt").read_text() == "4"
    for row in ({"a": 1}, {"a": 2}):
        call(file_write, {"path": "rows.csv", "content": [row], "mode": "append"}, task)
    assert (tmp_path / "rows.csv").read_text() == "a\n1\n2\n"
    with pytest.raises(Fail):
        call(file_write, {"path": "x.json", "content": 1, "mode": "append"}, task)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["rows.csv", "x.txt"]


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../secret.txt",
        "a/../../secret.txt",
        "a/..",
        "..",
        ".",
        "sub",
        "sub/",
        "new/",
        "a\x00b",
        "~/x",
        "..\\x",
        "C:x",
        "x" * 2000,
        "out/secret.txt",
        "link.txt",
        "deep/inside/secret.txt",
        "pipe",
        "loop",
    ],
)
@pytest.mark.parametrize("writes", [False, True])
def test_paths_that_lead_elsewhere(tmp_path: Path, path: str, writes: bool) -> None:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    outside = tmp_path / "outside"
    outside.mkdir()
    secret = outside / "secret.txt"
    secret.write_text("secret")
    (tmp_path / "secret.txt").write_text("secret")
    (root / "out").symlink_to(outside)
    (root / "link.txt").symlink_to(secret)
    (root / "deep").mkdir()
    (root / "deep/inside").symlink_to("../../outside")
    (root / "loop").symlink_to("loop")
    os.mkfifo(root / "pipe")
    with pytest.raises(Fail) as caught:
        if writes:
            call(file_write, {"path": path, "content": "x"}, context(root))
        else:
            call(file_read, {"path": path}, context(root))
    assert caught.value.code in ("path_refused", "file_failed")
    assert "outside" not in str(caught.value)
    assert secret.read_text() == (tmp_path / "secret.txt").read_text() == "secret"
    assert [entry.name for entry in outside.iterdir()] == ["secret.txt"]


@pytest.mark.parametrize(
    "path",
    [
        "state/secret-keys",
        "./state/postgres/pg_hba.conf",
        "state/new.txt",
        "link/secret-keys",
        "keys.txt",
        "rules.yaml",
        "outside.yaml",
        "auth.txt",
        ".workspaces/00000000-0000-0000-0000-00000000000a/a.txt",
        "bridge/a.txt",
    ],
)
@pytest.mark.parametrize("writes", [False, True])
def test_what_flowbuilder_keeps_there_is_closed(tmp_path: Path, path: str, writes: bool) -> None:
    other = tmp_path / ".workspaces/00000000-0000-0000-0000-00000000000a"
    for place in (tmp_path / "state/postgres", other):
        place.mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "state")
    (tmp_path / "bridge").symlink_to(other)
    for name in ("state/secret-keys", "state/postgres/pg_hba.conf", "keys.txt", "rules.yaml"):
        (tmp_path / name).write_text("closed")
    for file in (tmp_path / "outside.yaml", tmp_path / "auth.txt", other / "a.txt"):
        file.write_text("closed")
    task = context(
        tmp_path,
        data_dir=tmp_path / "state",
        secret_key_file=tmp_path / "keys.txt",
        policy_file=tmp_path / "rules.yaml",
        connections=tmp_path / "outside.yaml",
        auth_secret_file=tmp_path / "auth.txt",
    )
    with pytest.raises(Fail) as caught:
        if writes:
            call(file_write, {"path": path, "content": "x"}, task)
        else:
            call(file_read, {"path": path}, task)
    assert caught.value.code == "path_refused"
    assert not (tmp_path / "state/new.txt").exists()


def test_a_folder_inside_the_data_folder_is_open(tmp_path: Path) -> None:
    task = context(tmp_path / "state/files", data_dir=tmp_path / "state")
    call(file_write, {"path": "a.txt", "content": "x"}, task)
    assert call(file_read, {"path": "a.txt"}, task)["text"] == "x"


def test_each_workspace_has_a_folder_of_its_own(tmp_path: Path) -> None:
    default, other = context(tmp_path), context(tmp_path)
    other.workspace = "00000000-0000-0000-0000-00000000000a"  # type: ignore[misc]
    call(file_write, {"path": "a.txt", "content": "of the default one"}, default)
    with pytest.raises(Fail) as caught:
        call(file_read, {"path": "a.txt"}, other)
    assert caught.value.code == "file_missing"
    call(file_write, {"path": "a.txt", "content": "of the other one"}, other)
    assert call(file_read, {"path": "a.txt"}, default)["text"] == "of the default one"
    assert call(file_read, {"path": "a.txt"}, other)["text"] == "of the other one"


def test_links_inside_the_workspace_are_followed(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.txt").write_text("inside")
    (tmp_path / "link").symlink_to("data")
    assert call(file_read, {"path": "link/a.txt"}, context(tmp_path))["text"] == "inside"


def test_a_link_put_in_after_the_check_leads_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "a").mkdir(parents=True)
    outside.mkdir()
    located = Workspace.locate

    def swap(self: Workspace, path: str) -> tuple[str, ...]:
        parts = located(self, path)
        (root / "a").rmdir()
        (root / "a").symlink_to(outside)
        return parts

    monkeypatch.setattr(Workspace, "locate", swap)
    with pytest.raises(Fail):
        call(file_write, {"path": "a/x.txt", "content": "x"}, context(root))
    assert list(outside.iterdir()) == []


def test_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "big.txt").write_text("x" * 5000)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "nul.txt").write_bytes(b"a\x00b")
    task = context(tmp_path, max_value_bytes=4096)
    for path, code in [
        ("missing.txt", "file_missing"),
        ("no/folder.txt", "file_missing"),
        ("big.txt", "file_too_large"),
        ("binary", "file_encoding"),
        ("nul.txt", "file_encoding"),
    ]:
        with pytest.raises(Fail) as caught:
            call(file_read, {"path": path}, task)
        assert caught.value.code == code
    with pytest.raises(Fail):
        call(file_read, {"path": "nul.txt", "encoding": "klingon"}, task)


def test_encodings(tmp_path: Path) -> None:
    (tmp_path / "bom.txt").write_bytes(b"\xef\xbb\xbfa\r\nb")
    (tmp_path / "latin.txt").write_bytes("Größe".encode("latin-1"))
    task = context(tmp_path)
    assert call(file_read, {"path": "bom.txt"}, task) == {
        "path": "bom.txt",
        "text": "a\r\nb",
        "bytes": 7,
    }
    assert call(file_read, {"path": "latin.txt", "encoding": "latin-1"}, task)["text"] == "Größe"


def test_written_json_is_read_back(tmp_path: Path) -> None:
    value = {"a": [0, False, "", None, {}], "ü": 1.5}
    call(file_write, {"path": "v.json", "content": value}, context(tmp_path))
    assert json.loads((tmp_path / "v.json").read_text("utf-8")) == value
