"""Bad values in replies and records."""

import pytest

from risk_manager.simulator.server.poison import BadValue, Poison, poisoned_record, poisoned_reply

REPLY = b'{"rows":[{"id":7,"price":29398.50,"on":true,"name":"a","tag":null}],"success":true,"errorCode":0}'
ENORMOUS = b"1e99999999999999999999"
NESTED = b"[" * 200 + b"]" * 200


@pytest.mark.parametrize(
    ("bad", "row"),
    [
        (BadValue.NAN, b'{"id":NaN,"price":NaN,"on":true,"name":"a","tag":null}'),
        (BadValue.HUGE, b'{"id":1e308,"price":1e308,"on":true,"name":"a","tag":null}'),
        (BadValue.ENORMOUS, b'{"id":%b,"price":%b,"on":true,"name":"a","tag":null}' % (ENORMOUS, ENORMOUS)),
        (BadValue.NEGATIVE, b'{"id":-7,"price":-29398.50,"on":true,"name":"a","tag":null}'),
        (BadValue.ZERO, b'{"id":0,"price":0,"on":true,"name":"a","tag":null}'),
        (BadValue.NESTED, b'{"id":%b,"price":%b,"on":true,"name":"a","tag":null}' % (NESTED, NESTED)),
        (BadValue.WRONG_TYPE, b'{"id":"seven","price":"seven","on":7,"name":7,"tag":7}'),
        (BadValue.NULL, b'{"id":null,"price":null,"on":null,"name":null,"tag":null}'),
        (BadValue.MISSING, b"{}"),
    ],
)
def test_replaces_values_and_leaves_the_envelope(bad: BadValue, row: bytes) -> None:
    expected = b'{"rows":[%b],"success":true,"errorCode":0}' % row
    assert poisoned_reply(REPLY, Poison(bad)) == expected


@pytest.mark.parametrize(
    ("poison", "expected"),
    [
        (Poison(BadValue.NAN, "name"), REPLY.replace(b'"a"', b"NaN")),
        (Poison(BadValue.NEGATIVE, "tag"), REPLY.replace(b"null", b"-1")),
        (Poison(BadValue.WRONG_TYPE, "rows"), b'{"rows":7,"success":true,"errorCode":0}'),
        (Poison(BadValue.MISSING, "rows"), b'{"success":true,"errorCode":0}'),
        (Poison(BadValue.MISSING, "price"), REPLY.replace(b'"price":29398.50,', b"")),
        (Poison(BadValue.HUGE, "nowhere"), REPLY),
    ],
)
def test_replaces_one_member_wherever_it_is(poison: Poison, expected: bytes) -> None:
    assert poisoned_reply(REPLY, poison) == expected


def test_reaches_the_envelope_by_name() -> None:
    reply = poisoned_reply(b'{"success":true,"errorCode":0}', Poison(BadValue.WRONG_TYPE, "success"))
    assert reply == b'{"success":7,"errorCode":0}'


def test_makes_every_number_below_zero() -> None:
    reply = poisoned_reply(b'{"a":0,"b":-3,"c":-0.5,"d":[1,[2]]}', Poison(BadValue.NEGATIVE))
    assert reply == b'{"a":-1,"b":-3,"c":-0.5,"d":[-1,[-2]]}'


def test_poisons_the_arguments_of_a_record_only() -> None:
    record = b'{"type":1,"target":"GatewayQuote","arguments":["CON",{"bestBid":5.25}]}\x1e'
    assert poisoned_record(record, Poison(BadValue.NAN)) == record.replace(b"5.25", b"NaN")
    assert poisoned_record(record, Poison(BadValue.MISSING, "bestBid")) == record.replace(b'"bestBid":5.25', b"")
