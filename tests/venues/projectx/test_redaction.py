"""What is shown to others names nobody, and still has the shape of what was said."""

import pytest

from risk_manager.venues.projectx.redaction import BALANCE, Redactor, cut_lists, encoded_line

KEY, USER = "s3cret/key==", "trader@example.com"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjE3ODc2NjYwMDB9.c2lnbmF0dXJl"


def redactor() -> Redactor:
    return Redactor({KEY: "KEY", USER: "USER"})


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'{"token":"abc","success":true}', {"token": "TOKEN-1", "success": True}),
        (b'{"newToken":"abc"}', {"newToken": "TOKEN-1"}),
        (b'{"userName":"Trader@Example.com","apiKey":"s3cret/key=="}', {"userName": "USER", "apiKey": "KEY"}),
        (
            b'{"accounts":[{"id":7,"name":"PRAC-V2-1-1","balance":149831.92,"canTrade":true}]}',
            {"accounts": [{"id": 2000000001, "name": "ACCOUNT-1", "balance": BALANCE, "canTrade": True}]},
        ),
        (b'{"accountId":"7"}', {"accountId": "2000000001"}),
        (
            b'{"id":12,"accountId":7,"orderId":12,"customTag":"my bot","size":12}',
            {"id": 3000000001, "accountId": 2000000001, "orderId": 3000000001, "customTag": "TAG-1", "size": 12},
        ),
        (b'{"id":"CON.F.US.EP.U26","tickSize":0.25}', {"id": "CON.F.US.EP.U26", "tickSize": 0.25}),
        (b'{"connectionId":"q1"}', {"connectionId": "CONNECTION-1"}),
        (b'{"connectionToken":"q2"}', {"connectionToken": "CONNECTION-1"}),
        (b'{"token":null,"errorCode":3}', {"token": None, "errorCode": 3}),
        (b"pong", None),
    ],
)
def test_replaces_who_it_concerns(body: bytes, shown: object) -> None:
    assert redactor().json(body) == shown


def test_keeps_decimals_digit_for_digit_and_members_in_order() -> None:
    body = b'{"price":6335.250000000,"low":6335.25,"n":3,"id":5000000000}'
    shown = redactor().json(body)
    assert encoded_line(shown) == b'{"price":6335.250000000,"low":6335.25,"n":3,"id":3000000001}\n'


def test_gives_one_account_one_pseudonym_wherever_it_appears() -> None:
    hides = redactor()
    hides.learn(b'{"accounts":[{"id":20000001,"name":"PRAC-V2-1-1","canTrade":true}]}')
    assert hides.json(b'{"type":1,"target":"SubscribeOrders","arguments":[20000001]}')["arguments"] == [2000000001]
    assert hides.json(b'{"errorMessage":"Account 20000001 (prac-v2-1-1) is locked"}') == {
        "errorMessage": "Account 2000000001 (ACCOUNT-1) is locked"
    }
    assert hides.text("120000001 20000001") == "120000001 2000000001"


def test_hides_an_account_of_the_configuration_that_the_venue_never_named() -> None:
    hides = redactor()
    hides.hide_accounts(["31415926", "50KTC-V2-9-9"])
    assert hides.text("50ktc-v2-9-9 has the id 31415926") == "ACCOUNT-1 has the id 2000000001"


def test_hides_secrets_in_any_text() -> None:
    hides = redactor()
    for text in (KEY, "s3cret%2Fkey%3D%3D", USER, "trader%40example.com", USER.upper(), JWT):
        assert text.lower() not in hides.text(f"at https://x/hubs/user?access_token={text}&y '{text}'").lower()
    assert hides.header("WWW-Authenticate", f'Bearer error="{USER}"') == 'Bearer error="USER"'
    assert hides.header("Set-Cookie", "session=1") == "MASKED"


def test_hides_tokens_that_are_cut_off_and_addresses_of_readers() -> None:
    hides = redactor()
    assert hides.text(f"'{JWT[:40]}'") == "'TOKEN'"
    assert hides.text("your address 203.0.113.7, ours 127.0.0.1, version 1.2.3") == (
        "your address ADDRESS, ours 127.0.0.1, version 1.2.3"
    )


def test_cuts_long_lists_of_rows_and_says_how_long_they_were() -> None:
    body = b'{"orders":[' + b",".join(b'{"size":1}' for _ in range(51)) + b'],"ids":[1,2]}'
    shown = redactor().json(body)
    assert len(shown["orders"]) == 50
    assert shown["ids"] == [1, 2]
    assert cut_lists(body) == {"orders": 51}
    assert cut_lists(b'{"orders":[{"size":1}]}') == {}
    assert cut_lists(b"pong") == {}
