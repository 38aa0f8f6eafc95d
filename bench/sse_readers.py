"""The readers of `bench/sse.py`, all in one process: `python -m flowbuilder.bench.sse_readers`.

Plain sockets and one selector, so that they take as little as possible of the machine that they
share with the service. One JSON object a line: orders come in, `ready` and answers go out.
"""

from __future__ import annotations

import json
import os
import random
import re
import selectors
import socket
import sys
import time
from array import array
from collections.abc import Mapping
from typing import Any

_ID = re.compile(rb"^id: (\d+)\n", re.MULTILINE)
_RECEIVE = 262_144
#: Who is refused comes again after so long.
_REFUSED_SECONDS = 0.5


class Reader:
    """One reader of a stream, which checks that it gets each event once and in order."""

    def __init__(self, address: tuple[str, int], path: str, dice: random.Random) -> None:
        self.last = 0
        self.arrivals = array("d")
        """When each event came, by the monotonic clock; that of number n at n - 1."""
        self.wrong: list[str] = []
        self.cuts = 0
        self.refusals = 0
        """How often the service was too busy to answer."""
        self.free_at = 0.0
        """When it may come again."""
        self.left = 0
        """How often it is still to be cut off."""
        self.cut_at = 0.0
        self._address = address
        self._path = path
        self._dice = dice
        self.socket: socket.socket

    def connect(self) -> None:
        """Open the stream behind the last event that is known."""
        self._raw, self._text, self._begun = b"", b"", False
        self.socket = socket.create_connection(self._address, timeout=30)
        lines = [
            f"GET {self._path} HTTP/1.1",
            f"Host: {self._address[0]}",
            "Accept: text/event-stream",
            *([f"Last-Event-ID: {self.last}"] if self.last else []),
        ]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())

    def cut(self, now: float) -> None:
        """Leave in the middle of whatever is coming."""
        self.socket.close()
        self.cuts += 1
        self.left -= 1
        self.plan_cut(now)

    def plan_cut(self, now: float) -> None:
        """Choose when to leave next."""
        self.cut_at = now + self._dice.uniform(0.05, 1.0)

    def take(self) -> bool:
        """Read what has come; False when the service has closed the stream."""
        data = self.socket.recv(_RECEIVE)
        now = time.monotonic()
        if not data:
            return False
        self._raw += data
        if not self._begun:
            head, found, rest = self._raw.partition(b"\r\n\r\n")
            if not found:
                return True
            if b" 200 " not in head.split(b"\r\n")[0]:
                self.refusals += 1
                self.free_at = now + _REFUSED_SECONDS
                return False
            self._raw, self._begun = rest, True
        self._unchunk()
        self._count(now)
        return True

    def _unchunk(self) -> None:
        while (end := self._raw.find(b"\r\n")) >= 0:
            size = int(self._raw[:end], 16)
            if len(self._raw) < end + size + 4:
                return
            self._text += self._raw[end + 2 : end + 2 + size]
            self._raw = self._raw[end + 4 + size :]

    def _count(self, now: float) -> None:
        whole, found, self._text = self._text.rpartition(b"\n\n")
        if not found:
            return
        seen = list(map(int, _ID.findall(whole)))
        if seen != list(range(self.last + 1, self.last + 1 + len(seen))):
            self.wrong.append(f"{seen[:5]}… came behind {self.last}")
        self.last = seen[-1] if seen else self.last
        self.arrivals.extend([now] * len(seen))


class Crowd:
    """All readers, and what they are told."""

    def __init__(self, orders: Mapping[str, Any]) -> None:
        dice = random.Random(orders["seed"])
        address = (orders["host"], orders["port"])
        self.readers = [Reader(address, orders["path"], dice) for _ in range(orders["readers"])]
        self._away: list[Reader] = []
        self._stalled: list[socket.socket] = []
        self._selector = selectors.DefaultSelector()
        os.set_blocking(0, False)
        self._orders = b""
        self._selector.register(0, selectors.EVENT_READ, None)
        for reader in self.readers:
            self._open(reader)
        for _ in range(orders["stalled"]):
            self._stall(address, orders["path"])

    def _open(self, reader: Reader) -> None:
        reader.connect()
        self._selector.register(reader.socket, selectors.EVENT_READ, reader)

    def _stall(self, address: tuple[str, int], path: str) -> None:
        stuck = socket.socket()
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.connect(address)
        lines = (f"GET {path} HTTP/1.1", f"Host: {address[0]}", "Accept: text/event-stream", "", "")
        stuck.sendall("\r\n".join(lines).encode())
        self._stalled.append(stuck)

    def serve(self) -> None:
        """Read until standard input ends."""
        while True:
            for key, _ in self._selector.select(0.02):
                if key.data is None:
                    if not self._told():
                        return
                elif not key.data.take():
                    self._selector.unregister(key.data.socket)
                    key.data.socket.close()
                    self._away.append(key.data)
            self._cut()
            self._return()

    def _return(self) -> None:
        now = time.monotonic()
        back = [reader for reader in self._away if reader.free_at <= now]
        self._away = [reader for reader in self._away if reader.free_at > now]
        for reader in back:
            self._open(reader)

    def _cut(self) -> None:
        now = time.monotonic()
        for reader in self.readers:
            if reader.left and now >= reader.cut_at and reader not in self._away:
                self._selector.unregister(reader.socket)
                reader.cut(now)
                self._open(reader)

    def _told(self) -> bool:
        data = os.read(0, 1 << 20)
        if not data:
            return False
        *lines, self._orders = (self._orders + data).split(b"\n")
        for line in lines:
            self._obey(json.loads(line))
        return True

    def _obey(self, order: Mapping[str, Any]) -> None:
        if order["do"] == "cut":
            now = time.monotonic()
            for reader in self.readers:
                reader.left = order["times"]
                reader.plan_cut(now)
        elif order["do"] == "state":
            answer(
                last=min(reader.last for reader in self.readers),
                left=sum(reader.left for reader in self.readers),
                refusals=sum(reader.refusals for reader in self.readers),
                wrong=[text for reader in self.readers for text in reader.wrong][:5],
            )
        elif order["do"] == "measure":
            answer(milliseconds=self._lags(order["first"], order["commits"]))

    def _lags(self, first: int, commits: list[float]) -> list[float]:
        """Return how long after its commit each event came to each reader, sorted."""
        return sorted(
            round(1000 * (reader.arrivals[first - 1 + place] - committed), 3)
            for reader in self.readers
            for place, committed in enumerate(commits)
        )


def answer(**values: object) -> None:
    """Say something to the parent."""
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Do what the first line of standard input asks for, then what the others do."""
    crowd = Crowd(json.loads(sys.argv[1]))
    answer(ready=True)
    crowd.serve()


if __name__ == "__main__":
    main()
