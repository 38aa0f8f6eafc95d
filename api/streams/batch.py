"""Frames in a row, handed out in pieces that everybody at the same place shares."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice

from flowbuilder.api.streams.frames import Frame

#: Bytes that are handed over in one go; more only where one frame is larger.
PIECE_BYTES = 65_536

#: Places of which the piece is kept: readers stand together, or far apart.
_MOST_PIECES = 8


class Batch:
    """Frames with successive numbers. The oldest ones go when it holds more than it may."""

    def __init__(
        self, frames: Iterable[Frame] = (), *, most: int | None = None, most_bytes: int = 0
    ) -> None:
        """`most`, `most_bytes`: what it holds, but one frame at least; None for any number."""
        self._most = most
        self._most_bytes = most_bytes
        self._frames: deque[Frame] = deque()
        self._pieces: dict[int, Frame] = {}
        self.size = 0
        """Bytes."""
        self.extend(frames)

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def last(self) -> int:
        """The number of the last frame, 0 for none."""
        return self._frames[-1].seq if self._frames else 0

    def extend(self, frames: Iterable[Frame]) -> None:
        """Put frames at the end."""
        self._pieces.clear()
        for one in frames:
            self._frames.append(one)
            self.size += len(one.sent)
        if self._most is not None:
            while len(self._frames) > 1 and (
                len(self._frames) > self._most or self.size > self._most_bytes
            ):
                self.size -= len(self._frames.popleft().sent)

    def after(self, seq: int) -> Frame | None:
        """Return what comes right behind a number, as one piece, whose number is that of its last.

        None where that is not here: it is older than the first frame, or still to come.
        """
        if not self._frames or not self._frames[0].seq - 1 <= seq < self._frames[-1].seq:
            return None
        piece = self._pieces.get(seq)
        if piece is None:
            if len(self._pieces) >= _MOST_PIECES:
                self._pieces.clear()
            piece = self._pieces[seq] = self._join(seq + 1 - self._frames[0].seq)
        return piece

    def _join(self, start: int) -> Frame:
        parts: list[bytes] = []
        size = 0
        last = 0
        for one in islice(self._frames, start, None):
            if parts and size + len(one.sent) > PIECE_BYTES:
                break
            parts.append(one.sent)
            size += len(one.sent)
            last = one.seq
        return Frame(last, b"".join(parts))
