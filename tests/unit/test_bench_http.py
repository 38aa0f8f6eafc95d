"""The client and the figures of the benchmark of starts over HTTP."""

from __future__ import annotations

import asyncio

from flowbuilder.bench.http_client import Connection
from flowbuilder.bench.http_starts import Tally


async def test_a_connection_is_kept_open_and_reads_each_answer_whole() -> None:
    seen: list[bytes] = []
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        for status, body in (
            (b"201 Created", b"[]"),
            (b"429 Too Many", b"x" * 70_000),
            (b"204 No", b""),
        ):
            seen.append(await reader.readuntil(b"{}"))
            writer.write(
                b"HTTP/1.1 " + status + b"\r\ncontent-length: %d\r\n\r\n" % len(body) + body
            )
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        connection = Connection("127.0.0.1", port, {"Authorization": "Bearer t"})
        answers = [await connection.post("/runs", b"{}", key) for key in ("k", None, None)]
        await connection.close()
    assert [(status, len(body)) for status, body in answers] == [(201, 2), (429, 70_000), (204, 0)]
    assert connections == 1
    assert [b"Idempotency-Key: k\r\n" in head for head in seen] == [True, False, False]
    assert all(head.startswith(b"POST /runs HTTP/1.1\r\n") for head in seen)
    assert all(b"Authorization: Bearer t\r\n" in head for head in seen)


def test_answers_that_are_no_start_are_counted_apart() -> None:
    tally = Tally()
    for number in range(100):
        tally.note(201, number / 1000)
    tally.note(429, 9.0)
    tally.note(0, 9.0)
    assert tally.refused == {"429": 1, "0": 1}
    assert (tally.at(0.5), tally.at(0.95), tally.at(1.0)) == (50.0, 95.0, 99.0)
    assert Tally().at(0.95) == 0.0
