"""Signatures of deliveries, beside the reference vector of Standard Webhooks."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest

from flowbuilder.errors import InvalidValue
from flowbuilder.triggers.flood import Flood
from flowbuilder.triggers.signing import (
    Signature,
    SignatureRefused,
    check_secret,
    new_path,
    new_secret,
    sign,
    verify,
)

#: As the specification's libraries test themselves.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'
ID, AT = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330
WANTED = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def given(signature: str = WANTED, message_id: str = ID, at: int = AT) -> Signature:
    return Signature(ids=[message_id], timestamps=[str(at)], signatures=[signature])


def test_the_reference_vector() -> None:
    assert sign(SECRET, ID, AT, BODY) == WANTED
    assert verify(given(), BODY, [SECRET], datetime.fromtimestamp(AT, UTC)) == ID


def test_of_two_secrets_either_is_right() -> None:
    other, now = new_secret(), datetime.fromtimestamp(AT, UTC)
    for keys in ([SECRET, other], [other, SECRET]):
        assert verify(given(), BODY, keys, now) == ID
    for keys in ([other], []):
        with pytest.raises(SignatureRefused):
            verify(given(), BODY, keys, now)


@pytest.mark.parametrize("seconds", [-301, 301])
def test_what_is_old_or_from_the_future_is_refused(seconds: int) -> None:
    now = datetime.fromtimestamp(AT, UTC)
    with pytest.raises(SignatureRefused) as refused:
        verify(given(), BODY, [SECRET], now + timedelta(seconds=seconds))
    assert refused.value.code == "webhook_timestamp_invalid"
    verify(given(), BODY, [SECRET], now + timedelta(seconds=seconds / 2))


def test_an_id_cannot_be_parted_from_its_time_in_another_way() -> None:
    """`a.1` and 2 would sign the same bytes as `a`, 1 and a body that begins with `2.`."""
    signature = sign(SECRET, f"a.{AT}", AT, b"5")
    with pytest.raises(SignatureRefused) as refused:
        verify(given(signature, f"a.{AT}"), b"5", [SECRET], datetime.fromtimestamp(AT, UTC))
    assert refused.value.code == "webhook_signature_invalid"


def test_secrets_are_long_and_random() -> None:
    assert len({new_secret() for _ in range(100)}) == len({new_path() for _ in range(100)}) == 100
    assert check_secret(new_secret())
    assert check_secret(SECRET) == SECRET
    raw = base64.b64encode(b"\0" * 32).decode()
    for wrong in (raw, f"whsec_{raw}", SECRET.removeprefix("whsec_"), SECRET * 9, None, 5):
        with pytest.raises(InvalidValue) as refused:
            check_secret(wrong)
        assert refused.value.code == "webhook_secret_invalid"


def test_a_flood_is_let_in_by_drops() -> None:
    now = [0.0]
    flood = Flood(burst=2, rate=0.5, keys=2, clock=lambda: now[0])
    assert [flood.take("a") for _ in range(4)] == [0, 0, 2, 2]
    assert flood.take("b") == 0
    now[0] = 2.0
    assert [flood.take("a") for _ in range(2)] == [0, 2]
    assert [flood.take(key) for key in "cda"] == [0, 0, 0]  # no more keys are kept than two
