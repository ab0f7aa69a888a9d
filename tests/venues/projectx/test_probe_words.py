"""What the probe says of an answer."""

from risk_manager.venues.projectx.probe_words import described
from risk_manager.venues.projectx.read_only import Exchange


def test_describes_an_answer_without_what_names_its_visitor() -> None:
    headers = (("Date", "now"), ("Set-Cookie", "__cf_bm=abc"), ("CF-RAY", "8c1f-ORD"), ("Retry-After", "30"))
    said = Exchange("POST", "/api/Trade/search", b"{}", 429, headers, b"", 5)
    assert described(said) == "status 429, body empty, headers Set-Cookie: MASKED, CF-RAY: MASKED, Retry-After: 30"


def test_shows_the_members_of_an_object_and_the_beginning_of_a_text() -> None:
    told = Exchange("POST", "/a", b"{}", 200, (), b'{"token":"abc","errorCode":3}', 5)
    assert described(told) == "status 200, body with members token, errorCode, code 3, headers none"
    page = Exchange("POST", "/a", b"{}", 502, (), b"<html>" * 100, 5)
    assert described(page) == f"status 502, body {('<html>' * 100)[:200]!r}, headers none"
