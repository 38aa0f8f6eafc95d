"""Secrets that sing: a value in every form in which it travels, and where to listen for it."""

from __future__ import annotations

import base64
import html
import json
from urllib.parse import quote, quote_plus

import psycopg
from psycopg import sql

CANARY = "c4n4ry-7f3e9b21-d5a8+/=Zq"
#: Where it is cut in two.
HALF = 13


def forms(value: str = CANARY) -> dict[str, str]:
    """Return the forms of a value by their names; halves count as forms."""
    raw = value.encode()
    return {
        "plain": value,
        "first half": value[:HALF],
        "second half": value[HALF:],
        "hex": raw.hex(),
        "upper hex": raw.hex().upper(),
        "base64": base64.b64encode(raw).decode()[:-3],
        "base64 for URLs": base64.urlsafe_b64encode(raw).decode()[:-3],
        "base64 with a name": base64.b64encode(b"user:" + raw).decode()[8:30],
        "URL": quote(value, safe=""),
        "form": quote_plus(value),
        "JSON": json.dumps(value)[1:-1],
        "HTML": html.escape(value),
        "hex with colons": raw.hex(":"),
        "URL of all letters": "".join(f"%{byte:02X}" for byte in raw),
        "JSON of all letters": "".join(f"\\u{ord(letter):04x}" for letter in value),
        "HTML of all letters": "".join(f"&#{ord(letter)};" for letter in value),
    }


def sung(value: str = CANARY) -> dict[str, str]:
    """Return the forms as somebody would tell them: whole, and among other letters."""
    raw = value.encode()
    return {
        **forms(value),
        "base64": base64.b64encode(raw).decode(),
        "base64 for URLs": base64.urlsafe_b64encode(raw).decode(),
        "base64 with a name": "Basic " + base64.b64encode(b"user:" + raw).decode(),
        "base64 of more": base64.b64encode(b"ab" + raw + b"cd").decode(),
        "a URL": f"https://user:{quote(value, safe='')}@example.org/?q={quote_plus(value)}",
        "HTML": f"<b title='{html.escape(value)}'>",
    }


def assert_silent(shown: str, where: str) -> None:
    """Nothing of the canary is heard."""
    for name, form in forms().items():
        place = shown.find(form)
        assert place < 0, f"{where}: {name}: …{shown[max(0, place - 80) : place + 60]}…"


def dump(dsn: str) -> str:
    """Return every row of every table of a database, as text."""
    found: list[str] = []
    with psycopg.connect(dsn) as connection:
        tables = connection.execute(
            "select table_schema, table_name from information_schema.tables"
            " where table_schema not in ('pg_catalog', 'information_schema')"
            " and table_type = 'BASE TABLE'"
        ).fetchall()
        for table in tables:
            rows = connection.execute(
                sql.SQL("select t::text from {} t").format(sql.Identifier(*table))
            )
            found += [row[0] for row in rows]
    assert len(tables) > 20
    return "\n".join(found)
