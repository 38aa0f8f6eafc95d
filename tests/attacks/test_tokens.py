"""A51, A52: tokens that are not ours, or not any more, whatever they say of themselves."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from flowbuilder.api.auth.tokens import TokenRefused, Tokens
from tests.support.api import SECRET

USER = "5b0f3c5e-8f3a-4d39-9d5e-0f6f1f4b7a11"
SESSION = "7c0f3c5e-8f3a-4d39-9d5e-0f6f1f4b7a22"
KEY = SECRET.encode()


@pytest.fixture
def tokens() -> Tokens:
    return Tokens([KEY], life=timedelta(minutes=10))


def claims(**changed: Any) -> dict[str, Any]:
    """What a good token says, with some of it changed; None takes a claim out."""
    now = int(time.time())
    good = {
        "iss": "flowbuilder",
        "aud": "flowbuilder-api",
        "sub": USER,
        "sid": SESSION,
        "jti": "x",
        "iat": now,
        "exp": now + 300,
    }
    return {name: value for name, value in {**good, **changed}.items() if value is not None}


def kid(tokens: Tokens) -> str:
    return str(jwt.get_unverified_header(tokens.issue(USER, SESSION))["kid"])


def raw(header: dict[str, Any], body: Any, key: bytes = KEY) -> str:
    """A token signed by hand: libraries refuse to make the worst ones."""

    def part(value: Any) -> str:
        text = value if isinstance(value, bytes) else json.dumps(value).encode()
        return base64.urlsafe_b64encode(text).rstrip(b"=").decode()

    signed = f"{part(header)}.{part(body)}"
    return f"{signed}.{part(hmac.new(key, signed.encode(), hashlib.sha256).digest())}"


def test_a_good_token_is_read(tokens: Tokens) -> None:
    assert tokens.read(tokens.issue(USER, SESSION)).session_id == SESSION
    assert tokens.read(raw({"alg": "HS256", "kid": kid(tokens)}, claims())).user_id == USER


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "None"},
        {"alg": "HS512"},
        {"alg": "RS256"},
        {"alg": ["HS256"]},
        {"alg": "HS256", "kid": "../../etc/passwd"},
        {"alg": "HS256", "kid": "' or 1=1 --"},
        {"alg": "HS256", "kid": None},
        {"alg": "HS256", "kid": 7},
        {"alg": "HS256", "jku": "https://evil.example/keys"},
        {"alg": "HS256", "x5u": "https://evil.example/cert"},
        {"alg": "HS256", "jwk": {"kty": "oct", "k": "AAAA"}},
        {"alg": "HS256", "crit": ["exp"]},
        {"alg": "HS256", "crit": ["b64"], "b64": False},
        {"alg": "HS256", "zip": "DEF"},
    ],
)
def test_a51_headers_that_name_other_algorithms_or_keys(
    tokens: Tokens, header: dict[str, Any]
) -> None:
    header = {"kid": kid(tokens), "typ": "JWT", **header}
    with pytest.raises(TokenRefused):
        tokens.read(raw(header, claims()))


def test_a51_no_signature_at_all(tokens: Tokens) -> None:
    good = raw({"alg": "none", "kid": kid(tokens)}, claims())
    for token in (good.rsplit(".", 1)[0] + ".", good.rsplit(".", 1)[0]):
        with pytest.raises(TokenRefused):
            tokens.read(token)


def test_a51_a_public_key_is_no_secret(tokens: Tokens) -> None:
    pair = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    signed = jwt.encode(claims(), pair, algorithm="RS256", headers={"kid": kid(tokens)})
    public = pair.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for token in (signed, raw({"alg": "HS256", "kid": kid(tokens)}, claims(), key=public)):
        with pytest.raises(TokenRefused):
            tokens.read(token)


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": None},
        {"iat": None},
        {"aud": None},
        {"iss": None},
        {"sub": None},
        {"sid": None},
        {"jti": None},
        {"exp": str(int(time.time()) + 300)},
        {"exp": 1e18},
        {"exp": float("1e300")},
        {"exp": True},
        {"exp": [1]},
        {"exp": int(time.time()) - 1},
        {"exp": int(time.time()) + 10_000_000},
        {"iat": str(int(time.time()))},
        {"iat": int(time.time()) + 3600},
        {"nbf": int(time.time()) + 3600},
        {"nbf": "soon"},
        {"aud": "another-api"},
        {"aud": ["flowbuilder-api", "another-api"]},
        {"aud": {"flowbuilder-api": 1}},
        {"iss": "somebody"},
        {"iss": ["flowbuilder"]},
        {"sub": "admin"},
        {"sub": 1},
        {"sub": {"id": USER}},
        {"sid": "' or true --"},
        {"sid": 7},
    ],
)
def test_a52_claims_that_are_missing_or_bent(tokens: Tokens, changed: dict[str, Any]) -> None:
    with pytest.raises(TokenRefused):
        tokens.read(raw({"alg": "HS256", "kid": kid(tokens)}, claims(**changed)))


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b.c",
        "a.b.c.d",
        "A" * 1_000_000,
        "A" * 600_000 + "." + "B" * 400_000 + ".C",
        "\0.\0.\0",
        "é.é.é",
        raw({"alg": "HS256"}, b"[" * 1500),
        raw({"alg": "HS256"}, [1, 2]),
        raw({"alg": "HS256"}, b"\xff\xfe"),
        raw({"alg": "HS256"}, b'{"exp": 1' + b"0" * 300 + b"}"),
    ],
)
def test_a52_what_is_no_token(tokens: Tokens, token: str) -> None:
    with pytest.raises(TokenRefused):
        tokens.read(token)


def test_a_secret_that_was_replaced_counts_while_it_is_named(tokens: Tokens) -> None:
    new = b"a-new-one-with-32-bytes-and-more-7Kq"
    token = tokens.issue(USER, SESSION)
    both = Tokens([new, KEY], life=timedelta(minutes=10))
    assert both.read(token).user_id == USER
    assert kid(both) != kid(tokens)
    with pytest.raises(TokenRefused):
        Tokens([new], life=timedelta(minutes=10)).read(token)
