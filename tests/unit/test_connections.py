"""The operator's file of connections: what it may say, and which tools come of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flowbuilder.errors import SettingsError
from flowbuilder.settings import Settings
from flowbuilder.toolkit import is_starter, load_registry, starter_tools
from flowbuilder.toolkit.connections import connections_of
from tests.support.outside import connected

EFFECTS = [("sql.query", "read"), ("sql.write", "write"), ("email.send", "external")]
READ = {"dsn": "secret://a", "tables": ["t"]}
API = {"document": "d", "server": "https://x"}
NAMES = {"a": {"tools": ["*"]}}
EVERYTHING: dict[str, Any] = {
    "sql": {
        "shop": {
            "read": {"dsn": "secret://shop", "tables": ["orders", "crm.people"]},
            "write": {"dsn": "secret://shop", "tables": {"orders": {"columns": ["id"]}}},
        }
    },
    "email": {"host": "mail.example", "sender": "f@example.org", "domains": ["example.org"]},
    "slack": {"webhook": "secret://slack"},
    "stores": {"files": {"url": "file:///tmp", "writable": True}},
}


def bucket(**options: str) -> dict[str, Any]:
    """Return a part with one bucket of these options."""
    return {"stores": {"a": {"url": "s3://b", "options": options}}}


def test_without_a_file_nothing_is_added() -> None:
    assert load_registry(Settings()).names() == sorted(tool.name for tool in starter_tools())


def test_each_connection_brings_its_tools_and_no_other(tmp_path: Path) -> None:
    own = set(load_registry(Settings()).names())
    registry, _ = connected(tmp_path, EVERYTHING)
    added = {"sql.query", "sql.write", "email.send", "slack.post"}
    added |= {"store.read", "store.write", "store.list"}
    assert set(registry.names()) - own == added
    assert "orders, crm.people" in registry.require("sql.query").summary
    for name, effects in (
        ("sql.query", "read"),
        ("sql.write", "write"),
        ("email.send", "external"),
    ):
        assert registry.require(name).effects.value == effects
        assert is_starter(registry.require(name))
    for name in ("sql.query", "store.read", "store.list"):
        assert registry.require(name).untrusted_output
    reading = {"stores": {"files": {"url": "file:///tmp"}}}
    registry, _ = connected(tmp_path, reading)
    assert set(registry.names()) - own == {"store.read", "store.list"}


@pytest.mark.parametrize(
    ("part", "where"),
    [
        ({"unknown": {}}, "unknown"),
        ({"sql": {"A": {}}}, "sql/A"),
        ({"sql": {"a": {"read": {**READ, "dsn": "postgresql://u:p4ssw0rd@h/d"}}}}, "sql/a"),
        ({"sql": {"a": {"read": {**READ, "tables": ["t; drop"]}}}}, "sql/a"),
        ({"slack": {"webhook": "https://hooks.example/p4ssw0rd"}}, "slack/webhook"),
        ({"slack": {"token": "secret://a"}}, "slack"),
        ({"email": {"host": "h", "sender": "a@b.c", "domains": []}}, "email"),
        ({"stores": {"a": {"url": "https://x"}}}, "stores/a/url"),
        (bucket(timeout="30s"), "stores/a/options: Value error, 'timeout' is no option"),
        (bucket(allow_http="true"), "stores/a/options: Value error, allow_http stands beside"),
        (bucket(region="x", AWS_REGION="y"), "region is given twice"),
        (bucket(endpoint="p4ssw0rd:9000"), "stores/a/options: Value error, endpoint is an address"),
        (bucket(endpoint="http://p4ssw0rd b"), "endpoint is an address"),
        (bucket(endpoint="http://[::p4ssw0rd"), "endpoint is an address"),
        (bucket(skip_signature="p4ssw0rd"), "skip_signature is true or false"),
        (bucket(region="eu west p4ssw0rd"), "region has letters"),
        (bucket(secret_access_key="p4ssw0rd\n"), "secret_access_key has a line break"),
        (bucket(checksum_algorithm="p4ssw0rd"), "checksum_algorithm is one of sha256"),
        ({"mcp": {"a": {"command": "npx", "args": ["-y", "x"]}}}, "mcp/a"),
        ({"mcp": {"a": {"command": "./server"}}}, "mcp/a"),
        ({"mcp": {"a": {"command": "/bin/x", "url": "https://x"}}}, "mcp/a"),
        ({"mcp": {"a": {"url": "https://x", "environment": {"A": "1"}}}}, "mcp/a"),
        ({"mcp": {"a": {"command": "/bin/x", "environment": {"A=B": "1"}}}}, "mcp/a"),
        ({"mcp": {"http": {"url": "https://x"}}}, ""),
        ({"mcp": {"a": {"url": "file:///x"}}}, "mcp/a/url"),
        ({"mcp": {"a": {"url": "https://x"}}, "openapi": {"a": API}}, ""),
        ({"secrets": [{"files": "/x", "url": "https://x/{name}", "names": NAMES}]}, "secrets/0"),
        ({"secrets": [{"files": "/x", "names": {"a": {}}}]}, ""),
    ],
)
def test_what_cannot_be_is_refused_and_no_secret_is_repeated(
    part: dict[str, Any], where: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as caught:
        connected(tmp_path, part)
    assert caught.value.code == "connections_invalid"
    assert where in caught.value.message
    assert "p4ssw0rd" not in caught.value.message


def test_options_of_a_bucket_are_taken_as_the_store_calls_them(tmp_path: Path) -> None:
    options = {
        "AWS_REGION": "eu-west-1",
        "endpoint": "http://localhost:9000",
        "skip_signature": "Yes",
        "access_key_id": "secret://id",
        "server_side_encryption": "aws:kms",
        "web_identity_token_file": "/run/töken",
    }
    registry, _ = connected(tmp_path, bucket(**options))
    assert "store.read" in registry.names()
    # of a store that has none they were never looked at
    connected(tmp_path, {"stores": {"a": {"url": "file:///tmp", "options": {"x": "y"}}}})


@pytest.mark.parametrize("text", ["[", "a: &x 1", "[]", '{"sql": 1, "sql": 2}', "\xff\x00"])
def test_a_file_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "connections.yaml"
    with pytest.raises(SettingsError):
        connections_of(Settings(connections=file))
    file.write_text(text, encoding="latin-1")
    with pytest.raises(SettingsError) as caught:
        connections_of(Settings(connections=file))
    assert caught.value.code == "connections_invalid"


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "connections.json"
    settings = Settings(connections=file)
    for number, channel in enumerate(("#one", "#two")):
        file.write_text(json.dumps({"slack": {"token": "secret://t", "channels": [channel]}}))
        import os

        os.utime(file, ns=(number, number))
        found = connections_of(settings).slack
        assert found is not None
        assert found.channels == [channel]
