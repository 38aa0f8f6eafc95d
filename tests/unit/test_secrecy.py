"""Sealing, naming, binding and hiding secrets, without a database."""

from __future__ import annotations

import base64
import html
import json
import logging
import os
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from flowbuilder.errors import InvalidValue, SettingsError
from flowbuilder.secrecy import Binding, Redactor, check_binding, check_name, fill, mentioned
from flowbuilder.secrecy.binding import check_value
from flowbuilder.secrecy.envelope import Place, seal, unseal, wrap_again
from flowbuilder.secrecy.keyring import (
    KeyRing,
    add_key,
    drop_other_keys,
    key_id,
    load_keys,
    rotation,
)
from flowbuilder.secrecy.redaction import RedactingFilter
from flowbuilder.secrecy.sources import EnvironmentSource, FileSource, SecretUnavailable
from flowbuilder.settings import Settings
from flowbuilder.types import JsonValue

CANARY = 'c4n4ry/"se\\cret"+&=é 27'
PLACE = Place(workspace="w", id="i", name="mail", version=3)


def ring(*, keys: int = 1) -> KeyRing:
    return KeyRing([os.urandom(32) for _ in range(keys)])


# -- envelopes ------------------------------------------------------------------------------


def test_a_value_opens_where_it_was_sealed_and_nowhere_else() -> None:
    keys = ring()
    envelope = seal(CANARY, PLACE, keys)
    assert unseal(envelope, PLACE, keys) == CANARY
    assert CANARY.encode() not in envelope.sealed + envelope.wrapped
    for moved in (
        replace(PLACE, workspace="v"),
        replace(PLACE, id="j"),
        replace(PLACE, name="maib"),
        replace(PLACE, version=2),
    ):
        with pytest.raises(InvalidValue) as caught:
            unseal(envelope, moved, keys)
        assert caught.value.code == "secret_unreadable"


def test_a_changed_bit_and_a_foreign_key_are_noticed() -> None:
    keys = ring()
    envelope = seal(CANARY, PLACE, keys)
    flipped = bytes([envelope.sealed[-1] ^ 1])
    broken = replace(envelope, sealed=envelope.sealed[:-1] + flipped)
    swapped = replace(envelope, wrapped=seal(CANARY, PLACE, keys).wrapped)
    for wrong in (broken, swapped, replace(envelope, sealed=b""), replace(envelope, wrapped=b"x")):
        with pytest.raises(InvalidValue):
            unseal(wrong, PLACE, keys)
    with pytest.raises(SettingsError) as caught:
        unseal(envelope, PLACE, ring())
    assert caught.value.code == "secret_key_unknown"


def test_two_seals_of_one_value_have_nothing_in_common() -> None:
    keys = ring()
    first, second = seal(CANARY, PLACE, keys), seal(CANARY, PLACE, keys)
    assert first.sealed != second.sealed
    assert first.wrapped != second.wrapped
    assert CANARY not in repr(first)


def test_wrapping_again_leaves_the_value_and_needs_the_old_key_no_more() -> None:
    old, new = os.urandom(32), os.urandom(32)
    envelope = seal(CANARY, PLACE, KeyRing([old]))
    again = wrap_again(envelope, PLACE, KeyRing([new, old]))
    assert again.sealed == envelope.sealed
    assert again.key_id == key_id(new)
    assert unseal(again, PLACE, KeyRing([new])) == CANARY


# -- master keys ----------------------------------------------------------------------------


def test_a_key_file_is_private_and_its_first_key_seals(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "keys"
    settings = Settings(secret_key_file=file)
    assert load_keys(settings).active == ""
    first, second = add_key(file), add_key(file)
    assert file.stat().st_mode & 0o777 == 0o600
    keys = load_keys(settings)
    assert keys.active == key_id(second)
    assert key_id(first) in keys
    assert base64.b64encode(first).decode() not in repr(keys)
    assert drop_other_keys(file, [keys.active]) == 1
    assert key_id(first) not in load_keys(settings)
    assert [item for item in file.parent.iterdir() if item.name[0] != "."] == [file]
    assert add_key(file, only_first=True) == second
    with rotation(file), pytest.raises(SettingsError) as caught, rotation(file):
        raise AssertionError("two at once")
    assert caught.value.code == "secret_key_busy"
    with rotation(file):
        add_key(file)


def test_only_the_embedded_database_gets_a_key_by_itself(tmp_path: Path) -> None:
    alone = Settings(data_dir=tmp_path)
    keys = load_keys(alone, create=True)
    assert load_keys(alone).active == keys.active != ""
    for shared in (
        Settings(data_dir=tmp_path, database_url=SecretStr("postgresql://elsewhere/x")),
        Settings(data_dir=tmp_path, secret_key_file=tmp_path / "none"),
    ):
        with pytest.raises(SettingsError) as caught:
            load_keys(shared, create=True)
        assert caught.value.code == "secret_key_missing"


@pytest.mark.parametrize("text", ["secret", "AAAA", base64.b64encode(bytes(32)).decode(), "é"])
def test_what_is_no_random_key_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# a comment\n\n{text}\n")
    for settings in (Settings(secret_key_file=file), Settings(secret_key=SecretStr(text))):
        with pytest.raises(SettingsError) as caught:
            load_keys(settings)
        assert caught.value.code == "secret_key_invalid"
        assert text not in caught.value.message


# -- names and bindings ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["", "A", "a b", "a/b", "1a", "a.b", "é", "a" * 101, None, 7, "a\n"]
)
def test_odd_names_are_refused(name: object) -> None:
    with pytest.raises(InvalidValue) as caught:
        check_name(name)
    assert caught.value.code == "secret_name_invalid"


@pytest.mark.parametrize(
    "value", ["", "short", " padded value", "a\0bcdefgh", "\ud800abcdefgh", "x" * 70_000, None, 7]
)
def test_odd_values_are_refused_and_not_repeated(value: object) -> None:
    with pytest.raises(InvalidValue) as caught:
        check_value(value)
    assert caught.value.code == "secret_invalid"
    assert not value or str(value) not in caught.value.message


@pytest.mark.parametrize(
    ("pattern", "url", "reached"),
    [
        ("api.example.org", "https://api.example.org/v1", True),
        ("api.example.org", "https://API.example.org./v1", True),
        ("api.example.org", "https://api.example.org.evil.example/", False),
        ("api.example.org", "https://evil.example/?api.example.org", False),
        ("api.example.org", "https://xapi.example.org/", False),
        ("*.example.org", "https://a.b.example.org/", True),
        ("*.example.org", "https://example.org/", False),
        ("*.example.org", "https://evilexample.org/", False),
        ("example.org:8443", "https://example.org:8443/", True),
        ("example.org:8443", "https://example.org/", False),
        ("example.org:443", "https://example.org/", True),
        ("[::1]:80", "http://[::1]/", True),
        ("127.0.0.1", "http://127.0.0.1:9/", True),
    ],
)
def test_a_host_is_reached_exactly(pattern: str, url: str, reached: bool) -> None:
    assert check_binding([pattern]).allows_host(url) is reached


def test_a_tool_is_named_whole_or_by_its_beginning() -> None:
    binding = check_binding(tools=["mail.*", "sql.query"])
    assert [binding.allows_tool(name) for name in ("mail.send", "mailer.send", "sql.query")] == [
        True,
        False,
        True,
    ]
    assert not Binding().allows_tool("mail.send")
    assert not Binding().allows_host("https://example.org")


@pytest.mark.parametrize(
    ("hosts", "tools"),
    [([], []), (["*"], []), (["http://x"], []), (["a b"], []), ([], ["a*"]), ("x", []), ([7], [])],
)
def test_odd_bindings_are_refused(hosts: list[str], tools: list[str]) -> None:
    with pytest.raises(InvalidValue) as caught:
        check_binding(hosts, tools)
    assert caught.value.code == "secret_binding_invalid"


async def test_references_are_found_and_filled() -> None:
    async def reveal(name: str) -> str:
        return f"<{name}>"

    assert list(mentioned({"secret://k": ["Bearer secret://a-b", 1, None, "secret://"]})) == [
        "k",
        "a-b",
    ]
    assert await fill("u=secret://a; p=secret://b_2!", reveal) == "u=<a>; p=<b_2>!"
    assert await fill("nothing", reveal) == "nothing"


# -- sources --------------------------------------------------------------------------------


async def test_the_environment_says_who_may_have_a_value() -> None:
    source = EnvironmentSource(
        {
            "FLOWBUILDER_SECRET_API_KEY": "value-1234",
            "FLOWBUILDER_SECRET_API_KEY__HOSTS": "api.example.org, *.example.net",
            "FLOWBUILDER_SECRET_PLAIN": "value-5678",
            "FLOWBUILDER_SECRET_KEY_FILE": "/not/a/secret/of/flows",
        }
    )
    found = await source.find("api-key")
    assert found is not None
    assert found.binding == Binding(hosts=("api.example.org", "*.example.net"))
    plain = source.look("plain")
    assert plain is not None
    assert plain.binding.allows_tool("anything")
    assert not plain.binding.allows_host("https://example.org")
    assert source.look("key_file") is None
    assert source.bound_to("any").look("api-key") is None
    assert source.bound_to("any").look("plain") == plain
    assert "value-1234" not in repr(source) + repr(found)


async def test_files_are_read_when_they_are_asked_for(tmp_path: Path) -> None:
    source = FileSource(tmp_path, {"dsn": Binding(tools=("sql.query",))})
    with pytest.raises(SecretUnavailable):
        await source.find("dsn")
    (tmp_path / "dsn").write_text("postgresql://u:p@h/d\n")
    found = await source.find("dsn")
    assert found is not None
    assert found.value == "postgresql://u:p@h/d"
    assert await source.find("other") is None


# -- redaction ------------------------------------------------------------------------------


def forms(value: str) -> list[str]:
    raw = value.encode()
    return [
        value,
        json.dumps(value),
        json.dumps(value, ensure_ascii=False),
        json.dumps(json.dumps(value)),
        repr(value),
        quote(value),
        quote(value, safe=""),
        quote(value, safe="").lower(),
        html.escape(value),
        raw.hex(),
        raw.hex().upper(),
        base64.b64encode(raw).decode(),
        base64.b64encode(b"user:" + raw).decode(),
        base64.b64encode(b"me:" + raw + b"!").decode(),
        base64.urlsafe_b64encode(b"x" + raw).decode(),
        raw.hex(":"),
        (b"user:" + raw).hex(":").upper(),
        "".join(f"%{byte:02x}" for byte in raw),
        "".join(f"%{byte:02X}" for byte in raw),
        "".join(f"\\u{ord(letter):04x}" for letter in value),
        json.dumps("".join(f"\\u{ord(letter):04X}" for letter in value)),
        "".join(f"&#{ord(letter)};" for letter in value),
        "".join(f"&#x{ord(letter):04X};" for letter in value),
    ]


@pytest.mark.parametrize("form", forms(CANARY))
def test_every_form_of_a_secret_is_hidden(form: str) -> None:
    redactor = Redactor()
    redactor.learn(CANARY)
    hidden = redactor.json({"deep": [f"before {form} after"], form: 0})
    shown = json.dumps(hidden, ensure_ascii=False)
    assert "***" in shown
    for piece in (form, CANARY, CANARY[:12], CANARY[-12:]):
        assert json.dumps(piece, ensure_ascii=False)[1:-1] not in shown
    assert "before " in shown


def test_what_spells_something_else_stays_as_it_is() -> None:
    redactor = Redactor()
    redactor.learn(CANARY)
    for text in (
        "at 12:30:45 aa:bb:cc:dd:ee:ff:00:11:22:33 came",
        "%D0%9F%D1%80%D0%B8%D0%B2%D0%B5%D1%82 and &#39;&#39;&#39;&#39;&#39;&#39;&#39;&#39;",
        b"\xff\xfe another one".hex(":"),
    ):
        assert redactor.text(text) == text
        assert redactor.json({"a": text}) == {"a": text}


def test_halves_in_two_fields_are_hidden() -> None:
    redactor = Redactor()
    value = "sk_live_0123456789abcdefABCDEF"
    redactor.learn(value)
    assert redactor.json([value[:15] + "-", "-" + value[15:]]) == ["***-", "-***"]
    assert redactor.json(["sk_live_", value[:9]]) == ["sk_live_", value[:9]]


def test_half_of_a_short_value_has_eight_characters() -> None:
    redactor = Redactor()
    redactor.learn("petsBPLPjR7Vbb")
    assert redactor.json(["PLPjR7Vbb", "petsBPLP"]) == ["***", "***"]
    assert redactor.json(["LPjR7Vb", "petsBPL"]) == ["LPjR7Vb", "petsBPL"]


def test_the_whole_of_one_value_is_hidden_before_what_it_shares_with_another() -> None:
    redactor = Redactor()
    redactor.learn("open-value-123")
    redactor.learn("bound-value-123")
    assert redactor.text("it is bound-value-123, not open-value-123") == "it is ***, not ***"


def test_parts_of_urls_and_long_texts_are_hidden_by_themselves() -> None:
    redactor = Redactor()
    redactor.learn("postgresql://app:pa55word-long@db.example.org/shop")
    redactor.learn(
        "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\nqwertyuiopasdfghjkl\n-----END KEY-----"
    )
    shown = redactor.text("password pa55word-long failed; MIIEvQIBADANBgkqhkiG; postgresql")
    assert shown == "password *** failed; ***; postgresql"


def test_other_values_stay_as_they_are() -> None:
    redactor = Redactor()
    value: JsonValue = {"a": [0, False, "", None, 1.5, "text"], "b": {}}
    assert redactor.json(value) is value
    redactor.learn("12345678")
    redactor.learn("tiny")  # a word like any other
    assert redactor.json(value) is value
    assert redactor.json({"number": 12345678, "tiny": "tiny"}) == {"number": "***", "tiny": "tiny"}


def test_fields_with_telling_names_are_left_out_of_logs() -> None:
    shown = Redactor().fields({"Authorization": "x", "deep": [{"password": 1}], "user": "ada"})
    assert shown == {"Authorization": "***", "deep": [{"password": "***"}], "user": "ada"}


@given(st.text(min_size=8, max_size=60), st.text(max_size=30), st.text(max_size=30))
def test_no_text_keeps_a_secret(value: str, before: str, after: str) -> None:
    redactor = Redactor()
    redactor.learn(value)
    assert value not in redactor.text(before + value + after).replace("***", "\x00")


def test_log_records_and_tracebacks_are_cleaned() -> None:
    redactor = Redactor()
    redactor.learn(CANARY)
    record = logging.LogRecord("x", 20, "f", 1, "said %s", (CANARY,), None)
    try:
        raise ValueError(CANARY)
    except ValueError as error:
        record.exc_info = (ValueError, error, error.__traceback__)
    assert RedactingFilter(redactor).filter(record)
    shown = logging.Formatter().format(record)
    assert "***" in shown
    assert CANARY not in shown
    plain = logging.LogRecord("x", 20, "f", 1, "%d of %s", ("odd",), None)
    assert RedactingFilter(redactor).filter(plain)  # not ours to complain about
