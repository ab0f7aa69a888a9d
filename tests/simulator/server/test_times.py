"""Instants on the wire."""

import pytest

from risk_manager.simulator.server.times import http_date, milli_time, parse_time, rest_time, stream_time
from tests.simulator.server.gateway import NOW_NS

WHOLE_NS = 1_787_172_565_000_000_000


@pytest.mark.parametrize(
    ("at_ns", "text"),
    [
        (NOW_NS, "2026-08-19T20:49:25.393833+00:00"),
        (WHOLE_NS, "2026-08-19T20:49:25+00:00"),
        (WHOLE_NS + 156_730_000, "2026-08-19T20:49:25.15673+00:00"),
        (WHOLE_NS + 500, "2026-08-19T20:49:25.000001+00:00"),
        (WHOLE_NS + 999_999_600, "2026-08-19T20:49:26+00:00"),
        (0, "1970-01-01T00:00:00+00:00"),
    ],
)
def test_writes_microseconds_without_trailing_zeros_over_rest(at_ns: int, text: str) -> None:
    assert rest_time(at_ns) == text


def test_writes_seven_digits_on_the_stream_and_three_on_market_data() -> None:
    assert stream_time(NOW_NS) == "2026-08-19T20:49:25.3938333+00:00"
    assert stream_time(WHOLE_NS) == "2026-08-19T20:49:25.0000000+00:00"
    assert milli_time(NOW_NS) == "2026-08-19T20:49:25.393+00:00"


def test_writes_the_date_header_in_whole_seconds() -> None:
    assert http_date(NOW_NS) == "Wed, 19 Aug 2026 20:49:25 GMT"


@pytest.mark.parametrize(
    "text",
    [
        "2026-08-19T20:49:25Z",
        "2026-08-19T20:49:25.0000000+00:00",
        "2026-08-19T15:49:25-05:00",
        "2026-08-19T20:49:25",
    ],
)
def test_reads_either_suffix_and_takes_a_bare_time_for_utc(text: str) -> None:
    assert parse_time(text) == WHOLE_NS


def test_refuses_what_is_no_time() -> None:
    with pytest.raises(ValueError, match="noon"):
        parse_time("noon")
