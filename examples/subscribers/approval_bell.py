"""Ring when a person is asked for a decision. Plain SQL: any language with PostgreSQL can do it.

    FLOWBUILDER_DATABASE_URL=postgresql://… python examples/subscribers/approval_bell.py [COUNT]

It ends after COUNT questions, or never.
"""

from __future__ import annotations

import os
import sys

import psycopg

QUEUE = "approval_bell"
TOPIC = "approval_events.approval_requested"
MAKE = "select pgmq.create(%s) where not exists (select from pgmq.meta where queue_name = %s)"


def ring(event: dict[str, object]) -> None:
    asked = event["data"]
    assert isinstance(asked, dict)
    by = ", ".join(asked["by"]) or "anyone"
    print(f"\a{by}: {asked['tool']} with {asked['args']}?", flush=True)
    print(f"  flowbuilder approve {asked['approval_id']}", flush=True)


def main(count: int | None) -> None:
    with psycopg.connect(os.environ["FLOWBUILDER_DATABASE_URL"], autocommit=True) as connection:
        connection.execute(MAKE, (QUEUE, QUEUE))
        connection.execute("select pgmq.bind_topic(%s, %s)", (TOPIC, QUEUE))
        connection.execute(f"listen {QUEUE}")
        print("watching", flush=True)
        seen = 0
        while count is None or seen < count:
            rows = connection.execute(
                "select msg_id, message from pgmq.read(%s, vt => 30, qty => 1)", (QUEUE,)
            ).fetchall()
            for number, event in rows:
                ring(event)
                connection.execute("select pgmq.delete(%s, %s::bigint)", (QUEUE, number))
                seen += 1
            if not rows:  # a notification may get lost, so look every second besides
                for _ in connection.notifies(timeout=1, stop_after=1):
                    pass


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else None)
