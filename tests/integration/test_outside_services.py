"""`sql`, `email`, `slack` and `store` tools against real servers on this machine."""

from __future__ import annotations

import asyncio
import base64
import email
import email.policy
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from aiosmtpd.smtp import SMTP
from psycopg import sql

from flowbuilder.errors import ExecutionError, FlowBuilderError, InvalidValue
from flowbuilder.tools import Context, Fail, Retry, ToolRegistry
from tests.support.loopback import Reply, Request, site
from tests.support.outside import connected
from tests.support.toolbox import acall


@dataclass
class Bench:
    """Tools and a context for them."""

    registry: ToolRegistry
    context: Context

    async def call(self, name: str, **args: Any) -> Any:
        return await acall(self.registry.require(name), args, self.context)

    async def refused(self, name: str, code: str, /, **args: Any) -> str:
        with pytest.raises((Fail, FlowBuilderError)) as caught:
            await self.call(name, **args)
        assert getattr(caught.value, "code", None) == code, caught.value
        return str(caught.value)


# -- databases ------------------------------------------------------------------------------


def account(dsn: str, name: str) -> str:
    """Return the DSN of another account on the same database."""
    parts = urlsplit(dsn)
    rest = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{name}@{rest}").geturl()


@pytest.fixture
def shop(empty_dsn: str) -> Iterator[str]:
    """A database with two tables and two accounts: one may read, one may write."""
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        for role in ("shop_reader", "shop_writer"):
            found = connection.execute("select from pg_roles where rolname = %s", [role])
            if found.fetchone() is None:
                connection.execute(sql.SQL("create role {} login").format(sql.Identifier(role)))
        connection.execute(
            "create table orders (id int primary key, city text, paid bool, total numeric(10, 2),"
            " at timestamptz, note jsonb);"
            "insert into orders values"
            " (1, 'Ulm', true, 12.50, '2026-01-02T03:04:05Z', '{\"a\": []}'),"
            " (2, 'Aix', false, 0, null, null), (3, '', null, 7, null, 'false');"
            "create table salaries (name text, amount int); insert into salaries values ('x', 1);"
            "create function bump() returns int language plpgsql security definer as"
            " 'begin insert into salaries values (''bump'', 0); return 1; end';"
            "grant select on orders to shop_reader, shop_writer;"
            "grant insert, update, delete on orders to shop_writer"
        )
    yield empty_dsn
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        connection.execute("drop owned by shop_reader, shop_writer")


@pytest.fixture
def bench(shop: str, tmp_path: Path) -> Bench:
    tables = {
        "orders": {
            "columns": ["id", "city", "paid", "total"],
            "key": ["id", "city"],
            "actions": ["insert", "update", "delete"],
            "max_rows": 2,
        }
    }
    read = {"dsn": "secret://reader", "tables": ["orders"], "max_rows": 100, "max_bytes": 5000}
    connections = {
        "sql": {"shop": {"read": read, "write": {"dsn": "secret://writer", "tables": tables}}}
    }
    secrets = {"reader": account(shop, "shop_reader"), "writer": account(shop, "shop_writer")}
    secrets["admin"] = shop
    return Bench(*connected(tmp_path, connections, secrets))


async def test_rows_come_back_as_json(bench: Bench) -> None:
    found = await bench.call("sql.query", query="select * from orders order by id;")
    assert found["count"] == 3
    assert found["rows"][0] == {
        "id": 1,
        "city": "Ulm",
        "paid": True,
        "total": 12.5,
        "at": "2026-01-02T03:04:05+00:00",
        "note": {"a": []},
    }
    assert found["rows"][2]["city"] == ""
    assert found["rows"][1]["paid"] is False
    assert found["rows"][2]["note"] is False
    assert found["rows"][1]["note"] is None
    asked = await bench.call(
        "sql.query",
        query="with c as (select city, total from orders where city like $1 or total = $2)"
        " select city, sum(total) as total from c group by city order by 1 -- all",
        parameters=["U%", 0],
    )
    assert [row["city"] for row in asked["rows"]] == ["Aix", "Ulm"]
    named = await bench.call("sql.query", query="select 1 as one", database="shop")
    assert named["rows"] == [{"one": 1}]


async def test_a_query_has_limits(bench: Bench) -> None:
    for query in (
        "select a.id from orders a, orders b, orders c, orders d, orders e",
        f"select string_agg(city, replace('xxxxxxxxxx', 'x', '{'y' * 50}'))"
        " from (select a.city from orders a, orders b, orders c, orders d) x",
    ):
        await bench.refused("sql.query", "sql_too_large", query=query)
    await bench.refused("sql.query", "sql_parameters", query="select $1::int", parameters=[])
    await bench.refused("sql.query", "sql_failed", query="select $1::int", parameters=["many"])
    await bench.refused("sql.query", "sql_database", query="select 1", database="other")
    with pytest.raises(InvalidValue):
        await bench.call("sql.query", query="select 1", parameters=[{}])


async def test_a_query_that_takes_too_long_is_ended(shop: str, tmp_path: Path) -> None:
    read = {"dsn": "secret://reader", "tables": ["orders"], "timeout": "300ms"}
    slow = Bench(
        *connected(
            tmp_path,
            {"sql": {"shop": {"read": read}}},
            {"reader": account(shop, "shop_reader")},
        )
    )
    many = ", ".join(f"orders t{number}" for number in range(18))
    await slow.refused("sql.query", "sql_timeout", query=f"select count(*) from {many}")


async def test_an_account_that_could_do_more_is_refused(shop: str, tmp_path: Path) -> None:
    for name, dsn in (("admin", shop), ("writer", account(shop, "shop_writer"))):
        read = {"dsn": f"secret://{name}", "tables": ["orders"]}
        careless = Bench(*connected(tmp_path, {"sql": {"a": {"read": read}}}, {name: dsn}))
        await careless.refused("sql.query", "sql_role", query="select 1")


async def test_the_transaction_is_a_wall_of_its_own(
    bench: Bench, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flowbuilder.toolkit.services import databases
    from flowbuilder.toolkit.services.statements import Query

    monkeypatch.setattr(
        databases, "read_query", lambda text, tables: Query(text=text, parameters=0)
    )
    for query in (
        "select 1) q; commit; insert into orders (id) values (9); select 1 from (select 1",
        "select bump()",
        "with x as (insert into orders (id) values (9) returning id) select * from x",
    ):
        await bench.refused("sql.query", "sql_failed", query=query)
    with psycopg.connect(shop) as connection:
        assert connection.execute("select count(*) from orders").fetchone() == (3,)
        assert connection.execute("select count(*) from salaries").fetchone() == (1,)


async def test_rows_are_written_by_declaration(bench: Bench, shop: str) -> None:
    values = {"id": 4, "city": "x'); drop table orders; --", "paid": False, "total": None}
    assert await bench.call("sql.write", action="insert", table="orders", values=values) == {
        "count": 1
    }
    changed = await bench.call(
        "sql.write", action="update", table="orders", values={"paid": True}, where={"id": 4}
    )
    assert changed == {"count": 1}
    with psycopg.connect(shop) as connection:
        row = connection.execute("select city, paid, total from orders where id = 4").fetchone()
    assert row == (values["city"], True, None)
    gone = await bench.call("sql.write", action="delete", table="orders", where={"id": 4})
    assert gone == {"count": 1}
    none = await bench.call("sql.write", action="delete", table="orders", where={"city": None})
    assert none == {"count": 0}


async def test_what_is_not_declared_is_not_written(bench: Bench, shop: str) -> None:
    for args in (
        {"action": "insert", "table": "salaries", "values": {"id": 1}},
        {"action": "insert", "table": 'orders"; --', "values": {"id": 1}},
        {"action": "insert", "table": "orders", "values": {"note": "x"}},
        {"action": "insert", "table": "orders", "values": {'id") values (1); --': 1}},
        {"action": "insert", "table": "orders", "values": {}},
        {"action": "insert", "table": "orders", "values": {"id": 1}, "where": {"id": 1}},
        {"action": "update", "table": "orders", "values": {"paid": True}},
        {"action": "update", "table": "orders", "values": {"paid": True}, "where": {"paid": True}},
        {"action": "delete", "table": "orders"},
        {"action": "delete", "table": "orders", "where": {"id": 1}, "values": {"id": 1}},
    ):
        await bench.refused("sql.write", "sql_refused", **args)
    with psycopg.connect(shop, autocommit=True) as connection:
        connection.execute("update orders set city = 'same'")
        many = {"action": "delete", "table": "orders", "where": {"city": "same"}}
        await bench.refused("sql.write", "sql_too_many", **many)
        assert connection.execute("select count(*) from orders").fetchone() == (3,)
    doubled = {"action": "insert", "table": "orders", "values": {"id": 1}}
    assert "duplicate key" in await bench.refused("sql.write", "sql_failed", **doubled)


async def test_an_unreachable_database_is_told_without_its_address(tmp_path: Path) -> None:
    read = {"dsn": "secret://gone", "tables": ["orders"]}
    dsn = "postgresql://ada:pa55word99@127.0.0.1:1/none"
    gone = Bench(*connected(tmp_path, {"sql": {"a": {"read": read}}}, {"gone": dsn}))
    told = await gone.refused("sql.query", "sql_unavailable", query="select 1")
    assert "pa55word99" not in told
    assert "127.0.0.1" not in told


# -- mail -----------------------------------------------------------------------------------


class Inbox:
    """What a mail server has taken."""

    def __init__(self) -> None:
        self.mails: list[Any] = []
        self.refuse = ""

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if self.refuse and address.startswith(self.refuse):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.mails.append(envelope)
        return "250 OK"


@pytest.fixture
async def inbox() -> AsyncIterator[tuple[Inbox, int]]:
    handler = Inbox()
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(handler, enable_SMTPUTF8=True), "127.0.0.1", 0
    )
    yield handler, server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


def mailing(folder: Path, port: int, **rest: Any) -> Bench:
    server = {
        "host": "127.0.0.1",
        "port": port,
        "security": "none",
        "sender": "flows@example.org",
        "domains": ["example.org", "example.net"],
        "allow_private": True,
        **rest,
    }
    return Bench(*connected(folder, {"email": server}))


async def test_a_mail_arrives_as_it_was_written(inbox: tuple[Inbox, int], tmp_path: Path) -> None:
    handler, port = inbox
    bench = mailing(tmp_path, port)
    args: dict[str, Any] = {
        "to": ["ada@example.org", "bob@Example.NET"],
        "cc": ["eve@example.org"],
        "subject": "Größe: 0 %",
        "text": "first\n.\nlast ✓",
        "reply_to": "desk@example.org",
    }
    sent = await bench.call("email.send", **args)
    again = await bench.call("email.send", **args)
    assert sent["message_id"] == again["message_id"]
    assert sent["recipients"] == [*args["to"], *args["cc"]]
    assert handler.mails[0].rcpt_tos == sent["recipients"]
    mail = email.message_from_bytes(handler.mails[0].content, policy=email.policy.default)
    assert mail["Subject"] == args["subject"]
    assert mail["From"] == "flows@example.org"
    assert mail["To"] == "ada@example.org, bob@Example.NET"
    assert mail["Reply-To"] == "desk@example.org"
    assert mail.get_content().replace("\r\n", "\n") == args["text"] + "\n"


async def test_addresses_that_the_server_refuses_are_told(
    inbox: tuple[Inbox, int], tmp_path: Path
) -> None:
    handler, port = inbox
    handler.refuse = "gone"
    bench = mailing(tmp_path, port)
    both = ["ada@example.org", "gone@example.org"]
    sent = await bench.call("email.send", to=both, subject="s", text="t")
    assert (sent["recipients"], sent["refused"]) == (["ada@example.org"], ["gone@example.org"])
    await bench.refused(
        "email.send", "email_failed", to=["gone@example.org"], subject="s", text="t"
    )


async def test_mail_goes_to_allowed_people_only(inbox: tuple[Inbox, int], tmp_path: Path) -> None:
    handler, port = inbox
    bench = mailing(tmp_path, port, max_recipients=3, max_bytes=1000)
    good = {"to": ["ada@example.org"], "subject": "s", "text": "t"}
    for change, code in (
        ({"to": ["ada@evil.example"]}, "email_refused"),
        ({"to": ["ada@example.org.evil.example"]}, "email_refused"),
        ({"cc": ["ada@evil.example"]}, "email_refused"),
        ({"to": [f"a{n}@example.org" for n in range(4)]}, "email_refused"),
        ({"to": ["ada@example.org\nBcc: eve@example.org"]}, "email_invalid"),
        ({"to": ["Ada <ada@example.org>"]}, "email_invalid"),
        ({"to": ["ada@example.org, eve@example.org"]}, "email_invalid"),
        ({"subject": "s\r\nBcc: eve@evil.example"}, "email_invalid"),
        ({"subject": "s\u2028Bcc: eve"}, "email_invalid"),
        ({"reply_to": "x\r\ny@example.org"}, "email_invalid"),
        ({"text": "x" * 1001}, "email_refused"),
    ):
        await bench.refused("email.send", code, **{**good, **change})
    assert handler.mails == []


async def test_a_mail_server_in_a_private_network_has_to_be_allowed(tmp_path: Path) -> None:
    bench = mailing(tmp_path, 1, allow_private=False)
    args = {"to": ["ada@example.org"], "subject": "s", "text": "t"}
    said = await bench.refused("email.send", "egress_refused", **args)
    assert "email.allow_private in the connections" in said and "HTTP_ALLOW" not in said
    with pytest.raises(ExecutionError) as caught:
        await mailing(tmp_path, 1).call("email.send", **args)
    assert caught.value.code == "email_unavailable"


# -- Slack ----------------------------------------------------------------------------------


async def test_slack_gets_plain_text(tmp_path: Path) -> None:
    with site(lambda _: Reply({"ok": True, "ts": "1.2"})) as running:
        bench = Bench(
            *connected(
                tmp_path,
                {"slack": {"token": "secret://bot", "channels": ["#a"], "api": running.url}},
                {"bot": "xoxb-123456789"},
            )
        )
        text = "<!here> <@U1> <https://evil.example/?q=data|click> & @channel"
        assert await bench.call("slack.post", text=text, channel="#a") == {
            "channel": "#a",
            "ts": "1.2",
        }
        (request,) = running.seen
        assert request.headers["authorization"] == "Bearer xoxb-123456789"
        body = request.json
        assert "<" not in body["text"]
        assert body["text"].endswith("&amp; @channel")
        assert (body["unfurl_links"], body["unfurl_media"], body["link_names"]) == (False,) * 3
        assert body["parse"] == "none"
        for channel in ("#b", None, "#a "):
            await bench.refused("slack.post", "slack_refused", text="x", channel=channel)


async def test_slack_webhooks_and_failures(tmp_path: Path) -> None:
    answers = {
        "/ok": Reply(b"ok"),
        "/busy": Reply(b"", 429, {"Retry-After": "7"}),
        "/no": Reply(b"", 404),
    }

    def answer(request: Request) -> Reply:
        return answers[request.path]

    with site(answer) as running:

        def bench(path: str) -> Bench:
            secrets = {"hook": running.url + path}
            return Bench(*connected(tmp_path, {"slack": {"webhook": "secret://hook"}}, secrets))

        assert (await bench("/ok").call("slack.post", text="x"))["channel"] is None
        await bench("/ok").refused("slack.post", "slack_refused", text="x", channel="#a")
        told = await bench("/no").refused("slack.post", "slack_failed", text="x")
        assert "/no" not in told
        with pytest.raises(Retry) as caught:
            await bench("/busy").call("slack.post", text="x")
        assert caught.value.after is not None
        assert caught.value.after.total_seconds() == 7


# -- stores ---------------------------------------------------------------------------------


async def test_objects_are_written_read_and_listed(tmp_path: Path) -> None:
    folder = tmp_path / "objects"
    folder.mkdir()
    store = {"url": f"file://{folder}", "writable": True, "max_bytes": 1000}
    bench = Bench(*connected(tmp_path, {"stores": {"files": store}}))
    for path, content in (("a/one.txt", "zero\0"[:4]), ("a/empty", ""), ("b.json", "[0, null]")):
        written = await bench.call("store.write", path=path, content=content)
        assert written["bytes"] == len(content)
        assert (await bench.call("store.read", path=path))["content"] == content
    (folder / "binary").write_bytes(b"\xff\x00")
    read = await bench.call("store.read", path="binary", store="files")
    assert (read["encoding"], base64.b64decode(read["content"])) == ("base64", b"\xff\x00")
    listed = await bench.call("store.list", prefix="a/")
    assert [item["path"] for item in listed["objects"]] == ["a/empty", "a/one.txt"]
    assert listed["more"] is False
    await bench.refused("store.write", "store_exists", path="b.json", content="x", overwrite=False)
    await bench.refused("store.read", "store_missing", path="none")
    await bench.refused("store.write", "store_too_large", path="x", content="x" * 1001)
    (folder / "large").write_bytes(b"x" * 1001)
    await bench.refused("store.read", "store_too_large", path="large")
    await bench.refused("store.read", "store_unknown", path="b.json", store="other")
    for path in ("../up", "/etc/passwd", "a//b", "a/../b", "a\\b", "a\0b", ".", "a/"):
        await bench.refused("store.read", "path_refused", path=path)
        await bench.refused("store.write", "path_refused", path=path, content="x")


async def test_a_store_is_read_only_unless_it_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "objects"
    folder.mkdir()
    stores = {"a": {"url": f"file://{folder}"}, "b": {"url": "memory://", "writable": True}}
    bench = Bench(*connected(tmp_path, {"stores": stores}))
    await bench.refused("store.write", "store_read_only", path="x", content="x", store="a")


async def test_a_bucket_speaks_s3(tmp_path: Path) -> None:
    def answer(request: Request) -> Reply:
        if request.method == "PUT":
            return Reply(b"", headers={"ETag": '"1"'})
        return Reply(
            b"from the bucket",
            headers={"ETag": '"1"', "Last-Modified": "Sat, 21 Nov 2026 00:00:00 GMT"},
        )

    with site(answer) as running:
        store = {
            "url": "s3://reports/flows",
            "writable": True,
            "allow_http": True,
            "options": {
                "endpoint": running.url,
                "region": "eu-west-1",
                "access_key_id": "secret://key",
                "secret_access_key": "secret://secret",
            },
        }
        secrets = {"key": "AKIAEXAMPLE", "secret": "very-secret-key-1234"}
        bench = Bench(*connected(tmp_path, {"stores": {"bucket": store}}, secrets))
        await bench.call("store.write", path="may.csv", content="a,b")
        assert (await bench.call("store.read", path="may.csv"))["content"] == "from the bucket"
        assert running.seen[0].path == "/reports/flows/may.csv"
        assert running.seen[0].body == b"a,b"
        assert "AKIAEXAMPLE" in running.seen[0].headers["authorization"]
        assert "very-secret-key-1234" not in str(running.seen)


async def test_a_bucket_s_secret_that_cannot_be_sent_is_named(tmp_path: Path) -> None:
    options = {
        "endpoint": "secret://place",
        "region": "eu-west-1",
        "access_key_id": "AKIAEXAMPLE",
        "secret_access_key": "secret://key",
    }
    store = {"url": "s3://reports", "allow_http": True, "options": options}
    for place, key, wrong in (
        ("localhost:9000", "very-secret-key-1234", "endpoint is an address"),
        ("http://localhost:9000", "very-secret-key-1234\n", "secret_access_key has a line break"),
    ):
        secrets = {"place": place, "key": key}
        bench = Bench(*connected(tmp_path, {"stores": {"bucket": store}}, secrets))
        said = await bench.refused("store.read", "store_option_invalid", path="x")
        assert wrong in said and "very-secret" not in said and "localhost" not in said


async def test_a_store_that_cannot_be_opened_names_its_options(tmp_path: Path) -> None:
    store = {"url": "s3://reports", "options": {"region": "x", "access_key_id": "only"}}
    bench = Bench(*connected(tmp_path, {"stores": {"bucket": store}}))
    said = await bench.refused("store.read", "store_failed", path="x")
    assert "region, access_key_id" in said
    gone = {"url": f"file://{tmp_path}/none"}
    bench = Bench(*connected(tmp_path, {"stores": {"files": gone}}))
    await bench.refused("store.read", "store_failed", path="x")
