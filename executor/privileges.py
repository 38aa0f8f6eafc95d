"""The system account that the embedded PostgreSQL runs as.

PostgreSQL refuses to run as root. Started by root, the server therefore runs as the owner of its
data folder, or for a new one as an unprivileged account. Such an account often cannot walk to a
folder below root's home; then the server keeps one capability, to pass file permissions, instead
of anybody's folders being opened to everybody.

Run as a script (`privileges.py UID GID COMMAND…`) this file takes on an account and replaces
itself by the command; it imports nothing of flowbuilder so that it starts in milliseconds.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: In order of preference. Both exist for services; neither may log in.
ACCOUNT_NAMES = ("postgres", "nobody")

_CAP_DAC_OVERRIDE = 1
_CAPABILITY_VERSION_3 = 0x20080522
_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2


@dataclass(frozen=True, slots=True)
class Account:
    """A user and its main group, by number."""

    uid: int
    gid: int


def server_account(folder: Path) -> Account | None:
    """Return the account that a server on `folder` has to run as, None for the present user.

    A folder that does not exist yet goes to the owner of the one around it, unless that is root.

    Raises:
        LookupError: This is root and there is no unprivileged account to use.
    """
    if os.geteuid() != 0:
        return None
    owner = (folder if folder.exists() else folder.parent).stat()
    if owner.st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    for name in ACCOUNT_NAMES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(entry.pw_uid, entry.pw_gid)
    raise LookupError("no account named " + " or ".join(ACCOUNT_NAMES))


def give(account: Account | None, path: Path) -> None:
    """Make `account` the owner of one file or folder; None leaves it as it is."""
    if account is not None:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


def command_as(
    account: Account | None, command: Sequence[str], touched: Sequence[Path]
) -> list[str]:
    """Return the command line that runs `command` as `account`.

    `touched`: what the command has to reach. The present user (None) needs no help.
    """
    if account is None:
        return list(command)
    passing = not all(_can_reach(account, path) for path in touched)
    mode = "pass" if passing else "plain"
    script = str(Path(__file__).resolve())
    return [
        *(sys.executable, "-I", "-S", script),
        *(str(account.uid), str(account.gid), mode),
        *command,
    ]


def _can_reach(account: Account, path: Path) -> bool:
    """Whether the mode bits let `account` walk to `path` and read it."""
    target = path.resolve()
    return _allows(account, target, 0o5) and all(
        _allows(account, folder, 0o1) for folder in target.parents
    )


def _allows(account: Account, path: Path, wanted: int) -> bool:
    status = path.stat()
    if status.st_uid == account.uid:
        granted = stat.S_IMODE(status.st_mode) >> 6
    elif status.st_gid == account.gid:
        granted = stat.S_IMODE(status.st_mode) >> 3
    else:
        granted = stat.S_IMODE(status.st_mode)
    return granted & wanted == wanted


def _take_account(uid: int, gid: int, *, passing: bool) -> None:
    """Become the account for good. `passing` keeps the capability to pass file permissions."""
    libc = ctypes.CDLL(None, use_errno=True)
    passing = passing and sys.platform == "linux"
    if passing:
        libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if passing:
        bit = 1 << _CAP_DAC_OVERRIDE
        header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
        # effective, permitted, inheritable: the low words, then the high ones
        data = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
        # Where the capability is not to be had the command itself says what it cannot read.
        if libc.capset(header, data) == 0:
            libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0)


def main(arguments: Sequence[str]) -> None:
    """Take on the account that the arguments name and become the command behind them."""
    uid, gid, mode, *command = arguments
    _take_account(int(uid), int(gid), passing=mode == "pass")
    os.execv(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
