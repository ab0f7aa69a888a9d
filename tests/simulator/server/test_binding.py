"""Model binding."""

from decimal import Decimal

import pytest

from risk_manager.simulator.server import binding
from risk_manager.simulator.server.binding import Unbindable, bind

MEMBERS = (
    binding.int32("accountId"),
    binding.int64("orderId").optional(),
    binding.decimal("limitPrice").optional(),
    binding.string("customTag").optional(),
    binding.boolean("live").optional(),
    binding.instant("startTime").optional(),
    binding.integers("statuses").optional(),
    binding.nested("bracket", binding.int32("ticks"), binding.int32("type")).optional(),
)


def test_gives_typed_values_and_none_for_what_is_absent() -> None:
    body = b'{"accountId":1,"limitPrice":20000.25,"bracket":{"ticks":-40,"type":4},"statuses":[1,6],"extra":[]}'
    assert bind(body, MEMBERS) == {
        "accountId": 1,
        "orderId": None,
        "limitPrice": Decimal("20000.25"),
        "customTag": None,
        "live": None,
        "startTime": None,
        "statuses": [1, 6],
        "bracket": {"ticks": -40, "type": 4},
    }


def test_ignores_the_case_of_names_and_reads_numbers_from_strings() -> None:
    values = bind(b'{"ACCOUNTID":"7","limitprice":"0.0072505","orderId":3425270858}', MEMBERS)
    assert (values["accountId"], values["limitPrice"], values["orderId"]) == (7, Decimal("0.0072505"), 3_425_270_858)


def faults(body: bytes) -> dict[str, list[str]]:
    with pytest.raises(Unbindable) as fault:
        bind(body, MEMBERS)
    return dict(fault.value.errors)


def test_names_the_first_value_that_does_not_convert_and_nothing_else() -> None:
    assert faults(b'{"limitPrice":"cheap","live":1,"bracket":{"type":"x"}}') == {
        "$.limitPrice": ["The JSON value could not be converted to System.Decimal. Path: $.limitPrice."],
        "request": ["The request field is required."],
    }
    assert set(faults(b'{"accountId":1,"bracket":{"ticks":1,"type":"x"}}')) == {"$.bracket.type", "request"}


def test_lists_everything_that_is_missing() -> None:
    assert faults(b'{"bracket":{}}') == {
        "accountId": ["The accountId field is required."],
        "bracket.ticks": ["The ticks field is required."],
        "bracket.type": ["The type field is required."],
    }


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"accountId":' * 100_000])
def test_refuses_a_body_nested_beyond_reason(body: bytes) -> None:
    text = "The maximum configured depth of 64 has been exceeded. Cannot read next JSON array or object."
    assert faults(body) == {"$": [text], "request": ["The request field is required."]}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b'{"accountId":null}',
        b'{"accountId":1.5}',
        b'{"accountId":true}',
        b'{"accountId":2147483648}',
        b'{"accountId":"99999999999999999999999999999999999"}',
        b'{"accountId":" 1"}',
        b'{"accountId":"1_0"}',
        b'{"accountId":"+1"}',
        b'{"accountId":"\xef\xbc\x91"}',
        b'{"accountId":1,"limitPrice":" 1"}',
        b'{"accountId":1,"limitPrice":"1_0"}',
        b'{"accountId":1,"limitPrice":1e999999}',
        b'{"accountId":1,"limitPrice":"NaN"}',
        b'{"accountId":1,"limitPrice":true}',
        b'{"accountId":1,"startTime":"noon"}',
        b'{"accountId":1,"statuses":1}',
        b'{"accountId":1,"bracket":[]}',
        b'{"accountId":1,"customTag":5}',
    ],
)
def test_refuses_what_does_not_fit(body: bytes) -> None:
    with pytest.raises(Unbindable):
        bind(body, MEMBERS)


def test_needs_no_body_where_there_are_no_members() -> None:
    assert bind(b"", ()) == {}
