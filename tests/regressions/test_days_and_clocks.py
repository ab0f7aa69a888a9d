"""Days begin at the reset and nowhere else, the guard never looks away, and no clock but the venue's ends anything."""

from datetime import UTC, datetime

import pytest

from risk_manager.config.trading_days import build_trading_days
from risk_manager.domain.lockout import LockoutKind
from risk_manager.engine import Engine, EngineSettings
from risk_manager.rules import DailyLossRule, OptionsInvalid, build_rules, warned
from risk_manager.testing.events import CL, DAY_NS, DAYS, ES, HOUR_NS, MES, SECOND_NS, Scenario, micros
from risk_manager.testing.guarded import Guarded

DAY_NS_OF_WEDNESDAY = DAYS.starts_ns[2]
"""2025-01-14 23:00 UTC: 17:00 in Chicago. UTC's midnight is an hour later, Chicago's seven."""

MINUTE_NS = 60 * SECOND_NS
UTC_MIDNIGHT_NS = DAY_NS_OF_WEDNESDAY + HOUR_NS
CHICAGO_MIDNIGHT_NS = DAY_NS_OF_WEDNESDAY + 7 * HOUR_NS
NEW_YORK_MIDNIGHT_NS = DAY_NS_OF_WEDNESDAY + 6 * HOUR_NS
MIDNIGHTS = [UTC_MIDNIGHT_NS, NEW_YORK_MIDNIGHT_NS, CHICAGO_MIDNIGHT_NS]


def at(start_ns: int) -> Scenario:
    return Scenario(start_ns=start_ns)


def moved(guarded: Guarded, to_ns: int) -> None:
    """Have a quote tell that it is now that late."""
    guarded.venue.now_ns = to_ns - guarded.venue.step_ns
    guarded.feed(guarded.venue.quote(ES, 5800))


# -- midnight ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("midnight_ns", MIDNIGHTS)
def test_a_warning_is_not_given_again_after_a_midnight(midnight_ns: int) -> None:
    """Warnings began anew at UTC midnight while the lock ran to 17:00 (R-02)."""
    guarded = Guarded(
        warned(DailyLossRule(limit=-500, basis="realized"), 80), venue=at(DAY_NS_OF_WEDNESDAY + MINUTE_NS)
    )
    guarded.feed(guarded.venue.result(-400))
    assert len(guarded.warnings) == 1
    moved(guarded, midnight_ns + 1)
    guarded.feed(guarded.venue.result(-1))
    assert len(guarded.warnings) == 1
    moved(guarded, DAY_NS_OF_WEDNESDAY + DAY_NS)
    guarded.feed(guarded.venue.result(-400))
    assert len(guarded.warnings) == 2


@pytest.mark.parametrize("midnight_ns", MIDNIGHTS)
def test_the_evenings_losses_count_into_the_afternoon(midnight_ns: int) -> None:
    """A row per calendar date lost at midnight what the evening had cost (R-18, L-36)."""
    guarded = Guarded(DailyLossRule(limit=-500), venue=at(DAY_NS_OF_WEDNESDAY + MINUTE_NS))
    guarded.feed(guarded.venue.result(-300))
    moved(guarded, midnight_ns)
    assert guarded.engine.account.realized_micros == micros(-300)
    moved(guarded, DAY_NS_OF_WEDNESDAY + 20 * HOUR_NS)
    guarded.feed(guarded.venue.result(-200))
    assert [(breach.code, breach.measured) for breach in guarded.breaches] == [("DAILY_LOSS", micros(-500))]
    assert [lockout.until_ns for lockout in guarded.lockouts] == [DAY_NS_OF_WEDNESDAY + DAY_NS]


@pytest.mark.parametrize("midnight_ns", MIDNIGHTS)
def test_a_lock_outlasts_every_midnight(midnight_ns: int) -> None:
    guarded = Guarded(DailyLossRule(limit=-500), venue=at(DAY_NS_OF_WEDNESDAY + MINUTE_NS))
    guarded.feed(guarded.venue.result(-500))
    moved(guarded, midnight_ns + MINUTE_NS)
    assert len(guarded.lockouts) == 1


# -- never away --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("minutes", range(0, 24 * 60, 30))
def test_there_is_no_time_of_day_without_a_guard(minutes: int) -> None:
    """Pausing around the close left the last liquid minute and the reopening unwatched (R-03)."""
    for extra in (0, 29):
        venue = at(DAY_NS_OF_WEDNESDAY + (minutes + extra) * MINUTE_NS)
        guarded = Guarded(DailyLossRule(limit=-500), venue=venue)
        guarded.feed(venue.quote(ES, 5800), venue.buys(ES, 1, 5800), venue.quote(ES, 5790))
        assert guarded.codes == ["DAILY_LOSS"]
        assert {action.contract_id for action in guarded.actions if hasattr(action, "contract_id")} == {ES.id}


def test_a_weekly_limit_is_refused_and_not_read_as_a_daily_one() -> None:
    """There is no weekly limit here; one that judges another period than its name says is worse than none (R-01)."""
    for section in ({"weekly_loss_limit": {"limit": 900}}, {"daily_realized_loss": {"limit": 500, "period": "week"}}):
        with pytest.raises(OptionsInvalid):
            build_rules(section)


# -- when a lock begins and ends ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("hours", [0, 5, 20])
def test_a_day_lock_ends_with_the_day_however_old_the_fill_is(hours: int) -> None:
    """An end counted from the last fill is over before the lock is set when the fill is heard of late (R-16)."""
    venue = at(DAY_NS_OF_WEDNESDAY + MINUTE_NS)
    venue.result(-500)
    venue.now_ns += hours * HOUR_NS
    guarded = Guarded(DailyLossRule(limit=-500), venue=venue)
    (lockout,) = guarded.lockouts
    assert lockout.until_ns == DAY_NS_OF_WEDNESDAY + DAY_NS


def test_each_trading_day_begins_once_and_at_the_reset() -> None:
    """Waiting for a next reset that is always ahead, it never came; only a clock that runs shows it (R-12, L-34)."""
    guarded = Guarded(DailyLossRule(limit=-500), venue=at(DAYS.starts_ns[0] + MINUTE_NS))
    turns: list[tuple[str, int]] = []
    locks: list[int] = []
    label = guarded.engine.account.day.label
    for hour in range(1, 4 * 24):
        moved(guarded, DAYS.starts_ns[0] + hour * HOUR_NS)
        if guarded.engine.account.day.label != label:
            label = guarded.engine.account.day.label
            turns.append((label, hour))
            assert guarded.engine.account.realized_micros == 0
        if hour % 24 == 12:
            guarded.feed(guarded.venue.result(-500))
            locks.append(len(guarded.lockouts))
        elif hour % 24 == 1:
            assert guarded.lockouts == ()
    assert turns == [("2025-01-14", 24), ("2025-01-15", 48), ("2025-01-16", 72)]
    assert locks == [1, 1, 1, 1]
    released = [release.reason for decision in guarded.decisions for release in decision.lockouts_released]
    assert released == ["expired"] * 3


@pytest.mark.parametrize("offset_s", [-1, 0, 1])
def test_downtime_over_the_reset_is_made_good_and_takes_nothing_of_the_new_day(offset_s: int) -> None:
    """Started after the reset, one scheduler fired at once and again at midnight (L-35)."""
    reset_ns = DAY_NS_OF_WEDNESDAY + DAY_NS
    guarded = Guarded(DailyLossRule(limit=-500), venue=at(DAY_NS_OF_WEDNESDAY + MINUTE_NS))
    guarded.feed(guarded.venue.result(-500))
    saved = guarded.engine.snapshot()
    guarded.venue.now_ns = reset_ns + offset_s * SECOND_NS - guarded.venue.step_ns
    guarded.venue.result(-100)
    guarded.venue.now_ns = reset_ns + HOUR_NS // 2
    guarded.engine = Engine.restore(guarded.settings, saved)
    guarded.feed(guarded.venue.snapshot())
    new_day = micros(-100) if offset_s >= 0 else 0
    account = guarded.engine.account
    assert (account.day.label, account.realized_micros, account.lockouts) == ("2025-01-16", new_day, ())
    for midnight_ns in MIDNIGHTS:
        moved(guarded, midnight_ns + DAY_NS + 1)
        guarded.restart()
        guarded.feed(guarded.venue.snapshot())
        assert (guarded.engine.account.day.label, guarded.engine.account.realized_micros) == ("2025-01-16", new_day)


def test_a_fill_told_again_after_the_reset_moves_nothing() -> None:
    """What was counted yesterday must not become today's position or result (L-05, L-39)."""
    guarded = Guarded(venue=at(DAY_NS_OF_WEDNESDAY + DAY_NS - MINUTE_NS))
    told = guarded.venue.buys(ES, 2, 5800, fees=3), guarded.venue.sells(ES, 1, 5790)
    guarded.feed(*told)
    moved(guarded, DAY_NS_OF_WEDNESDAY + DAY_NS)
    guarded.feed(*told, *told)
    account = guarded.engine.account
    assert (account.holdings[ES.id].net_contracts, account.realized_micros, account.fees_micros) == (1, 0, 0)


@pytest.mark.parametrize(
    ("zone", "before", "after"),
    [
        ("America/New_York", "2026-03-05T22:00", "2026-03-08T21:00"),
        ("America/New_York", "2026-10-29T21:00", "2026-11-01T22:00"),
        ("America/Chicago", "2026-03-05T23:00", "2026-03-08T22:00"),
        ("America/Chicago", "2026-10-29T22:00", "2026-11-01T23:00"),
    ],
)
@pytest.mark.parametrize("weekend", [False, True])
def test_lock_and_day_end_together_over_a_clock_change(zone: str, before: str, after: str, *, weekend: bool) -> None:
    """Adding a day to a local time keeps the old offset, and the lock ends an hour beside the reset (L-37)."""
    days = build_trading_days("17:00", zone, 2026, 2026)
    friday_ns, monday_ns = (
        int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND_NS for text in (before, after)
    )
    venue = at(friday_ns + (HOUR_NS if weekend else -HOUR_NS))
    engine = Engine(EngineSettings(venue.account_id, days, (DailyLossRule(limit=-500),)))
    venue.result(-500)
    engine.receive(venue.snapshot())
    until_ns = monday_ns if weekend else friday_ns
    assert [lockout.until_ns for lockout in engine.account.lockouts] == [until_ns]
    for offset_ns, is_locked in ((-1, True), (0, False)):
        venue.now_ns = until_ns + offset_ns - venue.step_ns
        engine.receive(venue.quote(MES, 5800))
        assert bool(engine.account.lockouts) is is_locked
        assert (engine.account.day.start_ns == until_ns) is not is_locked


def test_the_reset_ends_only_what_was_locked_until_the_reset() -> None:
    """A daily reset that clears every lock also frees what the venue, a cooldown or the configuration holds (L-31)."""
    sections: dict[str, dict[str, object]] = {
        "daily_realized_loss": {"limit": 100},
        "auth_loss_guard": {},
        "symbol_blocks": {"blocked_symbols": ["CL"]},
        "cooldown_after_loss": {"loss_threshold": -100, "cooldown": "2h"},
    }
    guarded = Guarded(*build_rules(sections), venue=at(DAY_NS_OF_WEDNESDAY + 23 * HOUR_NS))
    venue = guarded.venue
    guarded.feed(venue.buys(ES, 1, 5800), venue.buys(CL, 1, 75))
    guarded.feed(venue.sells(ES, 1, 5797))
    venue.can_trade = False
    guarded.feed(venue.account())
    assert {lockout.rule: lockout.kind for lockout in guarded.lockouts} == {
        "auth_loss_guard": LockoutKind.VENUE,
        "cooldown_after_loss": LockoutKind.COOLDOWN,
        "daily_realized_loss": LockoutKind.HARD,
        "symbol_blocks": LockoutKind.HARD,
    }
    moved(guarded, DAY_NS_OF_WEDNESDAY + DAY_NS)
    assert {lockout.rule for lockout in guarded.lockouts} == {"auth_loss_guard", "cooldown_after_loss", "symbol_blocks"}
    moved(guarded, DAY_NS_OF_WEDNESDAY + 26 * HOUR_NS)
    assert {lockout.rule for lockout in guarded.lockouts} == {"auth_loss_guard", "symbol_blocks"}
