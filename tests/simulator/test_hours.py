"""When the venue trades."""

from datetime import UTC, date, datetime, time

import pytest

from risk_manager.simulator.hours import Phase, TradingHours, next_day_ns

OPEN, LAST, CLOSED = Phase.OPEN, Phase.LAST_MINUTES, Phase.CLOSED


def ns(text: str) -> int:
    """An instant given in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000_000


# August 2026: Chicago is UTC-5. The 19th is a Wednesday, the 21st a Friday.
@pytest.mark.parametrize(
    ("at", "phase", "until"),
    [
        ("2026-08-19T20:59:59", OPEN, "2026-08-19T21:00:00"),
        ("2026-08-19T21:00:00", CLOSED, "2026-08-19T22:00:00"),
        ("2026-08-19T21:59:59", CLOSED, "2026-08-19T22:00:00"),
        ("2026-08-19T22:00:00", OPEN, "2026-08-20T21:00:00"),
        ("2026-08-21T20:54:59", OPEN, "2026-08-21T20:55:00"),
        ("2026-08-21T20:55:00", LAST, "2026-08-21T21:00:00"),
        ("2026-08-21T21:00:00", CLOSED, "2026-08-23T22:00:00"),
        ("2026-08-22T15:00:00", CLOSED, "2026-08-23T22:00:00"),
        ("2026-08-23T21:59:59", CLOSED, "2026-08-23T22:00:00"),
        ("2026-08-23T22:00:00", OPEN, "2026-08-24T21:00:00"),
        # In winter Chicago is an hour further from UTC.
        ("2026-12-02T21:59:59", OPEN, "2026-12-02T22:00:00"),
        ("2026-12-02T22:00:00", CLOSED, "2026-12-02T23:00:00"),
    ],
)
def test_follows_the_exchanges_week(at: str, phase: Phase, until: str) -> None:
    assert TradingHours().phase(ns(at)) == (phase, ns(until))


def test_can_stop_taking_orders_early_every_day() -> None:
    hours = TradingHours(last_minutes_s=120, friday_last_minutes_s=300)
    assert hours.phase(ns("2026-08-19T20:57:59")) == (OPEN, ns("2026-08-19T20:58:00"))
    assert hours.phase(ns("2026-08-19T20:58:00")) == (LAST, ns("2026-08-19T21:00:00"))


def test_keeps_holidays_and_early_closes() -> None:
    # Thanksgiving is on the 26th of November 2026; the day after ends at 12:15.
    hours = TradingHours(closed_days=frozenset({date(2026, 11, 26)}), early_closes={date(2026, 11, 27): time(12, 15)})
    assert hours.phase(ns("2026-11-25T23:00:00")) == (CLOSED, ns("2026-11-26T23:00:00"))
    assert hours.phase(ns("2026-11-26T23:00:00")) == (OPEN, ns("2026-11-27T18:10:00"))
    assert hours.phase(ns("2026-11-27T18:15:00")) == (CLOSED, ns("2026-11-29T23:00:00"))


@pytest.mark.parametrize(
    ("at", "begins"),
    [
        ("2026-08-19T21:59:59", "2026-08-19T22:00:00"),
        ("2026-08-19T22:00:00", "2026-08-20T22:00:00"),
        ("2026-08-22T12:00:00", "2026-08-22T22:00:00"),
    ],
)
def test_begins_a_day_at_five_in_chicago(at: str, begins: str) -> None:
    assert next_day_ns(ns(at)) == ns(begins)
