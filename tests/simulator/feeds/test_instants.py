"""Written instants."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_manager.simulator.feeds.instants import parse_instant_ns

CHICAGO = ZoneInfo("America/Chicago")
OPEN_NS = 1_703_545_200_000_000_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2023-12-25T23:00:00Z", OPEN_NS),
        ("2023-12-25 23:00:00+00:00", OPEN_NS),
        ("2023-12-25T17:00:00-06:00", OPEN_NS),
        ("2023-12-25T23:00:00.5Z", OPEN_NS + 500_000_000),
        ("2023-12-25T23:00:00.123456789Z", OPEN_NS + 123_456_789),
        ("2023-12-25T23:00:00,000000001Z", OPEN_NS + 1),
        ("20231225 230000Z", OPEN_NS),
        (" 1703545200 ", OPEN_NS),
        ("1703545200.25", OPEN_NS + 250_000_000),
        ("1703545200001", OPEN_NS + 1_000_000),
        ("1703545200000001", OPEN_NS + 1_000),
        ("1703545200000000001", OPEN_NS + 1),
        ("0", 0),
    ],
)
def test_reads_iso_and_epoch(text: str, expected: int) -> None:
    assert parse_instant_ns(text) == expected


@pytest.mark.parametrize("text", ["2023-12-25 17:00:00", "2023-12-25T17:00", "20231225170000", "20231225 170000"])
def test_reads_local_times_only_with_a_zone(text: str) -> None:
    assert parse_instant_ns(text, CHICAGO) == OPEN_NS
    with pytest.raises(ValueError, match="names no time zone"):
        parse_instant_ns(text)


def test_a_zone_does_not_touch_times_that_name_their_own() -> None:
    assert parse_instant_ns("2023-12-25T23:00:00Z", CHICAGO) == OPEN_NS
    assert parse_instant_ns("1703545200", CHICAGO) == OPEN_NS


def test_refuses_a_local_time_the_clock_jumps_over() -> None:
    with pytest.raises(ValueError, match="does not exist in America/Chicago"):
        parse_instant_ns("2024-03-10 02:30:00", CHICAGO)


@pytest.mark.parametrize("text", ["", "yesterday", "12/25/2023 23:00", "2023-13-01T00:00:00Z", "NaN", "1e9"])
def test_refuses_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        parse_instant_ns(text)


@given(st.integers(0, 4_000_000_000), st.integers(0, 999_999_999))
def test_is_exact_to_the_nanosecond(seconds: int, nanos: int) -> None:
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{nanos:09d}Z"

    assert parse_instant_ns(text) == seconds * 1_000_000_000 + nanos
