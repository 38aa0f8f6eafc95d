"""The embedded server under everything that its users and their machines do to it."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from flowbuilder.errors import EmbeddedServerError
from flowbuilder.executor import cluster, embedded, privileges

USER_PROGRAM = Path(__file__).parents[1] / "support" / "embedded_user.py"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="takes on other accounts")
#: A wait that only ends early: nothing is asserted about how long something takes.
PATIENCE = 60.0


class UserProcess:
    """Another process that uses the server."""

    def __init__(self, data_dir: Path, *options: str, prefix: tuple[str, ...] = ()) -> None:
        self.process = subprocess.Popen(
            [*prefix, sys.executable, str(USER_PROGRAM), str(data_dir), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self.dsn = self.process.stdout.readline().strip()

    def leave(self) -> int:
        self.process.communicate()
        return self.process.returncode

    def kill(self) -> None:
        """Kill the whole process group, without a chance to tidy up."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()


@contextmanager
def user(data_dir: Path, *options: str) -> Iterator[UserProcess]:
    process = UserProcess(data_dir, *options)
    try:
        yield process
    finally:
        if process.process.poll() is None:
            process.kill()


def ask(dsn: str, query: str) -> object:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


def write(dsn: str, value: int) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("create table if not exists kept (n int)")
        connection.execute("insert into kept values (%s)", (value,))


def postmaster(data_dir: Path) -> int:
    return int((data_dir / "postgres" / "postmaster.pid").read_text().split()[0])


def is_up(data_dir: Path) -> bool:
    lock = cluster.try_lock(data_dir / "server.lock")
    if lock is not None:
        cluster.unlock(lock)
    return lock is None


def wait_until_down(data_dir: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while is_up(data_dir):
        assert time.monotonic() < deadline, "the server is still up"
        time.sleep(0.01)


def test_it_answers_keeps_what_is_committed_and_listens_on_no_port(data_dir: Path) -> None:
    with embedded.start(data_dir) as server:
        write(server.dsn, 1)
        assert ask(server.dsn, "show listen_addresses") == ""
        assert ask(server.dsn, "show fsync") == "on"
        assert ask(server.dsn, "show synchronous_commit") == "on"
        assert ask(server.dsn, "show server_version") == server.version
        assert ask(server.dsn, "show server_encoding") == "UTF8"
        assert server.data_dir == data_dir
    with embedded.start(data_dir) as server:
        assert ask(server.dsn, "select sum(n) from kept") == 1


def test_a_second_stop_does_nothing(data_dir: Path) -> None:
    server = embedded.start(data_dir)
    server.stop()
    server.stop()
    assert not is_up(data_dir)
    assert not (data_dir / "postgres" / "postmaster.pid").exists()


async def test_it_starts_beside_an_event_loop(data_dir: Path) -> None:
    server = await embedded.start_async(data_dir)
    assert ask(server.dsn, "select 1") == 1
    server.stop()


def test_two_users_of_one_process_share_a_server(data_dir: Path) -> None:
    first, second = embedded.start(data_dir), embedded.start(data_dir)
    first.stop()
    assert ask(second.dsn, "select 1") == 1
    second.stop()
    assert not is_up(data_dir)


def test_two_processes_share_one_server_and_the_last_stops_it(data_dir: Path) -> None:
    with user(data_dir) as first, user(data_dir) as second:
        assert first.dsn == second.dsn
        write(first.dsn, 1)
        before = postmaster(data_dir)
        assert first.leave() == 0
        assert postmaster(data_dir) == before
        assert ask(second.dsn, "select sum(n) from kept") == 1
        assert second.leave() == 0
    assert not is_up(data_dir)


def test_a_process_that_ends_without_a_stop_gives_its_server_back(data_dir: Path) -> None:
    with user(data_dir, "drop") as only:
        assert is_up(data_dir)
        assert only.leave() == 0
    assert not is_up(data_dir)


def test_many_processes_may_come_and_go_at_once(data_dir: Path) -> None:
    for _ in range(2):
        users = [
            subprocess.Popen(
                [sys.executable, str(USER_PROGRAM), str(data_dir)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
            for _ in range(6)
        ]
        assert [one.wait() for one in users] == [0] * 6
    assert not is_up(data_dir)


def test_a_killed_user_does_not_count_any_more(data_dir: Path) -> None:
    with user(data_dir) as victim, user(data_dir) as survivor:
        victim.kill()
        assert ask(survivor.dsn, "select 1") == 1
        assert survivor.leave() == 0
    assert not is_up(data_dir)


def test_killing_the_only_user_and_its_group_loses_nothing(data_dir: Path) -> None:
    with user(data_dir) as victim:
        write(victim.dsn, 7)
        victim.kill()
    with embedded.start(data_dir) as server:
        assert ask(server.dsn, "select sum(n) from kept") == 7
    assert not is_up(data_dir)


def test_a_killed_postmaster_is_started_anew_with_what_was_committed(data_dir: Path) -> None:
    with embedded.start(data_dir) as first:
        write(first.dsn, 3)
        old = postmaster(data_dir)
        os.kill(old, signal.SIGKILL)
        with embedded.start(data_dir) as second:
            assert postmaster(data_dir) != old
            assert ask(second.dsn, "select sum(n) from kept") == 3
            assert ask(first.dsn, "select sum(n) from kept") == 3
    assert not is_up(data_dir)


def test_stopping_a_server_that_was_killed_is_no_error(data_dir: Path) -> None:
    server = embedded.start(data_dir)
    server._supervisor.close(timeout=PATIENCE)  # else it may be up again
    os.kill(postmaster(data_dir), signal.SIGKILL)
    wait_until_down(data_dir)
    server.stop()


@pytest.mark.parametrize("content", ["{pid}\n{folder}/postgres\n1\n5432\n\n\n\nready\n", ""])
def test_a_pid_file_of_another_program_or_empty_is_no_obstacle(
    data_dir: Path, content: str
) -> None:
    embedded.start(data_dir).stop()
    pid_file = data_dir / "postgres" / "postmaster.pid"
    pid_file.write_text(content.format(pid=os.getpid(), folder=data_dir))
    with embedded.start(data_dir) as server:
        assert ask(server.dsn, "select 1") == 1
        assert postmaster(data_dir) != os.getpid()


def test_a_pid_file_of_a_postgres_is_left_to_its_judgement(data_dir: Path) -> None:
    with embedded.start(data_dir):
        pid_file = data_dir / "postgres" / "postmaster.pid"
        cluster.drop_stale_pid(pid_file)
        assert pid_file.exists()


def test_an_interrupted_first_start_is_begun_again(data_dir: Path) -> None:
    (data_dir / "postgres.new" / "base").mkdir(parents=True)
    with embedded.start(data_dir) as server:
        assert ask(server.dsn, "select 1") == 1
    assert not (data_dir / "postgres.new").exists()


@pytest.mark.parametrize("name", ["x" * 120, "with a space, and 'quotes'"])
def test_a_path_unfit_for_a_socket_gets_one_in_a_private_folder(short_dir: Path, name: str) -> None:
    runtime = short_dir / "run" / "user"
    with embedded.start(short_dir / name, runtime_dir=runtime) as server:
        assert ask(server.dsn, "select 1") == 1
        (private,) = runtime.iterdir()
        assert private.stat().st_mode & 0o777 == 0o700
        with embedded.start(short_dir / name) as second:
            assert second.dsn == server.dsn
    # the folder may be gone when the server starts the next time
    shutil.rmtree(runtime)
    with embedded.start(short_dir / name, runtime_dir=runtime) as server:
        assert ask(server.dsn, "select 1") == 1


@needs_root
def test_a_private_folder_of_somebody_else_is_refused(short_dir: Path) -> None:
    account = privileges.server_account(short_dir / "postgres")
    assert account is not None
    runtime = short_dir / "run"
    (runtime / f"flowbuilder-{account.uid}").mkdir(parents=True)
    with pytest.raises(EmbeddedServerError, match="another user") as caught:
        embedded.start(short_dir / ("x" * 120), runtime_dir=runtime)
    assert caught.value.code == "embedded_permission"


def test_a_folder_removed_under_a_running_server_is_begun_anew(data_dir: Path) -> None:
    with user(data_dir) as first:
        write(first.dsn, 1)
        old = postmaster(data_dir)
        first.kill()
    shutil.rmtree(data_dir)
    with embedded.start(data_dir) as server:
        assert ask(server.dsn, "select to_regclass('kept')") is None
    os.kill(old, signal.SIGKILL)  # it would notice by itself within a minute


def test_another_major_version_is_refused_with_a_way_out(data_dir: Path) -> None:
    embedded.start(data_dir).stop()
    version = data_dir / "postgres" / "PG_VERSION"
    kept = version.read_text()
    version.write_text("13\n")
    with pytest.raises(EmbeddedServerError, match="made by PostgreSQL 13") as caught:
        embedded.start(data_dir)
    version.write_text(kept)
    assert caught.value.code == "embedded_version"
    assert caught.value.hint
    assert "version 13" in caught.value.hint


def test_a_server_that_cannot_start_shows_the_end_of_its_log(data_dir: Path) -> None:
    embedded.start(data_dir).stop()
    settings = data_dir / "postgres" / "postgresql.auto.conf"
    settings.write_text("no_such_setting = 1\n")
    with pytest.raises(EmbeddedServerError, match="no_such_setting") as caught:
        embedded.start(data_dir)
    settings.write_text("")
    assert caught.value.code == "embedded_server_failed"


def test_a_start_that_hangs_ends_at_its_time_limit(data_dir: Path) -> None:
    data_dir.mkdir()
    with (data_dir / "start.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(EmbeddedServerError) as caught:
            embedded.start(data_dir, timeout=0.05)
    assert caught.value.code == "embedded_timeout"


def test_a_server_that_never_gets_ready_ends_the_start_at_its_time_limit(data_dir: Path) -> None:
    data_dir.mkdir()
    with (data_dir / "server.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(EmbeddedServerError) as caught:
            embedded.start(data_dir, timeout=0.05)
    assert caught.value.code == "embedded_timeout"


def test_a_file_in_place_of_the_folder_is_explained(data_dir: Path) -> None:
    data_dir.write_text("")
    with pytest.raises(EmbeddedServerError, match="cannot use") as caught:
        embedded.start(data_dir)
    assert caught.value.code == "embedded_permission"


def test_a_missing_wheel_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "PACKAGE", "no_such_wheel")
    with pytest.raises(EmbeddedServerError) as caught:
        cluster.find_binaries()
    assert caught.value.code == "embedded_missing"


@needs_root
def test_root_runs_it_as_another_account_also_in_a_folder_closed_to_it(short_dir: Path) -> None:
    short_dir.chmod(0o700)
    with embedded.start(short_dir / "project") as server:
        status = Path(f"/proc/{postmaster(short_dir / 'project')}/status").read_text()
        uid = next(line.split()[1] for line in status.splitlines() if line.startswith("Uid:"))
        assert uid != "0"
        assert ask(server.dsn, "select 1") == 1


@needs_root
def test_a_normal_user_runs_it_as_himself(short_dir: Path) -> None:
    os.chown(short_dir, 65534, 65534)
    launcher = ("-I", "-S", str(Path(privileges.__file__).resolve()), "65534", "65534", "pass")
    normal = UserProcess(short_dir / "project", prefix=(sys.executable, *launcher))
    assert (short_dir / "project" / "postgres").stat().st_uid == 65534
    assert ask(normal.dsn, "select 1") == 1
    # root joins the server of a user, and leaves it usable
    with embedded.start(short_dir / "project") as joined:
        assert joined.dsn == normal.dsn
    assert normal.leave() == 0
    again = UserProcess(short_dir / "project", prefix=(sys.executable, *launcher))
    assert again.leave() == 0


def test_a_folder_without_sockets_is_recognised(short_dir: Path) -> None:
    probe = short_dir / "missing"
    assert not cluster._holds_sockets(probe)
    assert cluster._holds_sockets(short_dir)
    assert not cluster._holds_sockets(short_dir / ("y" * 100))
    assert socket.AF_UNIX
