import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_manager.venues.projectx.venue_time import (
    VenueTime,
    format_stamp,
    parse_http_date_ns,
    parse_stamp_ns,
    parse_stamp_rounded_ns,
)

NOON_NS = 1_787_140_800 * 1_000_000_000  # 2026-08-19T12:00:00Z


@pytest.mark.parametrize(
    ("text", "after_noon_ns"),
    [
        ("2026-08-19T12:00:00Z", 0),
        ("2026-08-19T12:00:00+00:00", 0),
        ("2026-08-19T12:00:07.5Z", 7_500_000_000),
        ("2026-08-19T12:00:07.965787+00:00", 7_965_787_000),
        ("2026-08-19T12:00:02.15673+00:00", 2_156_730_000),
        ("2026-08-19T12:00:25.3938333+00:00", 25_393_833_300),
        ("2026-08-19T12:00:25.123456789Z", 25_123_456_789),
        ("2026-08-19T07:00:31.348-05:00", 31_348_000_000),
        ("2026-08-19T17:30:00+05:30", 0),
    ],
)
def test_reads_every_spelling_of_an_instant(text: str, after_noon_ns: int) -> None:
    assert parse_stamp_ns(text) == NOON_NS + after_noon_ns


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-08-19",
        "2026-08-19T12:00:00",
        "2026-08-19T12:00:60Z",
        "2026-08-19T12:00:00.Z",
        "2026-08-19T12:00:00.1234567890Z",
        "2026-13-19T12:00:00Z",
        "2026-02-30T12:00:00Z",
        "0001-01-01T00:00:00Z",
        "9999-12-31T00:00:00Z",
        "2026-08-19T12:00:0xZ",
        "2026-08-19T12:00:00+0000",
        "\uff12026-08-19T12:00:00Z",
        "2026-08-19T12:00:00.5" + "0" * 5000 + "Z",
    ],
)
def test_refuses_what_is_no_instant(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_stamp_ns(text)


@given(st.integers(946_684_800_000_000, 4_000_000_000_000_000))
def test_reads_what_it_writes(at_us: int) -> None:
    assert parse_stamp_ns(format_stamp(at_us * 1000)) == at_us * 1000
    assert parse_stamp_rounded_ns(format_stamp(at_us * 1000)) == at_us * 1000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Wed, 19 Aug 2026 12:00:00 GMT", NOON_NS),
        ("Wed, 19 Aug 2026 12:00:00 -0000", NOON_NS),
        (None, 0),
        ("", 0),
        ("yesterday", 0),
        ("Wed, 19 Aug 1926 12:00:00 GMT", 0),
    ],
)
def test_reads_the_date_header(text: str | None, expected: int) -> None:
    assert parse_http_date_ns(text) == expected


def test_believes_any_stamp_before_the_first_date() -> None:
    assert VenueTime(60).believed_ns(NOON_NS * 2, 5) == NOON_NS * 2


def test_pulls_back_stamps_too_far_ahead_of_the_venue() -> None:
    venue = VenueTime(60)
    venue.observe(NOON_NS, 1_000)
    later = 1_000 + 10_000_000_000  # ten seconds of ours since that reply
    assert venue.now_ns(later) == NOON_NS + 10_000_000_000
    on_the_edge = NOON_NS + 70_000_000_000
    assert venue.believed_ns(on_the_edge, later) == on_the_edge
    assert venue.believed_ns(on_the_edge + 1, later) == NOON_NS + 10_000_000_000
    assert venue.believed_ns(NOON_NS - 86_400_000_000_000, later) == NOON_NS - 86_400_000_000_000
