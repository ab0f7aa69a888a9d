"""What a drawdown is measured from, and which hours, holidays and dates count."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from risk_manager.config.calendar import build_calendar
from risk_manager.config.trading_days import build_trading_days
from risk_manager.rules import OptionsInvalid
from risk_manager.testing.events import DAY_NS, ES, SECOND_NS, Scenario, micros
from risk_manager.testing.guarded import Guarded
from tests.regressions.wired import rules

DAYS = build_trading_days("17:00", "America/Chicago", 2026, 2027)


def chicago_ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("America/Chicago")).timestamp()) * SECOND_NS


def guarded_at(text: str, **sections: dict[str, Any]) -> Guarded:
    return Guarded(*rules(**sections), venue=Scenario(start_ns=chicago_ns(text)), days=DAYS)


def moved(guarded: Guarded, text: str) -> None:
    """Have the venue tell that it is now that late."""
    guarded.venue.now_ns = chicago_ns(text) - 2 * guarded.venue.step_ns
    guarded.feed(guarded.venue.quote(ES, 5800), guarded.venue.timer())


# -- floors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bid", "codes"), [("5760.25", []), (5760, ["DRAWDOWN"])])
def test_an_open_loss_counts_against_a_floor_that_moves_at_the_close(bid: float | str, codes: list[str]) -> None:
    """The floor is made of closing balances; what is held against it is equity, open losses included (R-19)."""
    guarded = guarded_at("2026-03-03T09:00", drawdown={"max_drawdown": 2000, "starting_balance": 50_000})
    venue = guarded.venue
    guarded.feed(venue.quote(ES, 5800), venue.buys(ES, 1, 5800), venue.quote(ES, bid))
    assert guarded.codes == codes


@pytest.mark.parametrize(("lost", "codes"), [("2999.99", []), (3000, ["DRAWDOWN"])])
def test_a_floor_stops_where_it_is_to_stop(lost: float | str, codes: list[str]) -> None:
    """Without an end, the floor rose above the start after a good day and fired a thousand too early (R-18)."""
    levels = {"max_drawdown": 2000, "starting_balance": 50_000, "lock_at": 50_000}
    guarded = guarded_at("2026-03-03T09:00", drawdown=levels)
    guarded.feed(guarded.venue.result(3000), guarded.venue.account())
    moved(guarded, "2026-03-04T09:00")
    guarded.feed(guarded.venue.account(), guarded.venue.result(f"-{lost}"))
    assert guarded.codes == codes


@pytest.mark.parametrize(
    ("mode", "above", "at", "floor"),
    [("intraday_trailing", "5776.25", 5776, 48_800), ("eod_trailing", "5760.25", 5760, 48_000)],
)
def test_the_peak_is_what_the_drawdown_is_measured_from(mode: str, above: str, at: int, floor: int) -> None:
    """A peak was kept, and nothing was ever held against it (L-70)."""
    guarded = guarded_at("2026-03-03T09:00", drawdown={"max_drawdown": 2000, "starting_balance": 50_000, "mode": mode})
    venue = guarded.venue
    guarded.feed(venue.quote(ES, 5800), venue.buys(ES, 1, 5800), venue.quote(ES, 5816), venue.quote(ES, above))
    assert guarded.codes == []
    guarded.restart()
    guarded.feed(venue.quote(ES, at))
    assert [(breach.measured, breach.limit) for breach in guarded.breaches] == [(micros(floor), micros(floor))]
    assert {lockout.rule for lockout in guarded.lockouts} == {"drawdown"}


# -- sessions ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hours", "codes"), [(("02:00", "05:00"), ["OUTSIDE_SESSION"]), (("08:00", "12:00"), [])])
def test_the_hours_that_are_configured_are_the_hours(hours: tuple[str, str], codes: list[str]) -> None:
    """Passed under names the rule did not read, any hours meant 09:30 to 16:00 in New York (L-23)."""
    session = {"start": hours[0], "end": hours[1], "timezone": "America/Chicago"}
    guarded = guarded_at("2026-03-03T09:00", session_block_outside={"global_session": session})
    guarded.feed(guarded.venue.buys(ES, 1, 5800))
    assert guarded.codes == codes
    with pytest.raises(OptionsInvalid):
        rules(session_block_outside={"session_start": hours[0], "session_end": hours[1]})


def test_a_shortened_holiday_ends_the_session_early() -> None:
    """Juneteenth was missing, and a shortened session counted as a whole one or as none (L-68)."""
    session = {"start": "08:30", "end": "15:00", "timezone": "America/Chicago"}
    guarded = guarded_at("2026-06-19T09:00", session_block_outside={"global_session": session})
    guarded.feed(guarded.venue.buys(ES, 1, 5800))
    moved(guarded, "2026-06-19T11:59:59")
    assert guarded.codes == []
    moved(guarded, "2026-06-19T12:00:01")
    assert guarded.codes == ["OUTSIDE_SESSION"]
    assert [lockout.until_ns for lockout in guarded.lockouts] == [chicago_ns("2026-06-22T08:30")]


@pytest.mark.parametrize(("days_left", "is_warned"), [(61, False), (59, True)])
def test_a_calendar_says_beforehand_that_it_runs_out(days_left: int, is_warned: bool) -> None:
    """After the last date of the list every holiday was a day like any other, without a word (L-68)."""
    market = build_calendar().market("ES")
    assert market is not None
    guarded = Guarded(
        *rules(session_block_outside={}),
        venue=Scenario(start_ns=market.known_until_ns - days_left * DAY_NS),
        days=DAYS,
    )
    guarded.feed(guarded.venue.buys(ES, 1, 5800))
    assert ("CALENDAR_RUNS_OUT" in [warning.code for warning in guarded.warnings]) is is_warned
