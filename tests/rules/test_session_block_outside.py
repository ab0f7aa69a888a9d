"""No exposure outside trading hours: edges, weekends, holidays, products, carried positions, and the lock's end."""

from datetime import datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from risk_manager.config import build_trading_days
from risk_manager.domain.actions import CancelOrder, ClosePosition, ReducePosition
from risk_manager.domain.calendar import EMPTY
from risk_manager.domain.contract import Contract
from risk_manager.domain.events import TimerFired
from risk_manager.domain.finding import Breach, Skipped
from risk_manager.domain.lockout import LockoutKind, OnLock
from risk_manager.domain.order import OrderStatus, Side
from risk_manager.domain.scope import ACCOUNT, Scope
from risk_manager.domain.trading_day import TradingDays
from risk_manager.domain.zone import day_of_date, weekday_of
from risk_manager.engine import Engine
from risk_manager.rules import OptionsInvalid, build_rule
from risk_manager.rules.session_block_outside import SessionBlockOutside
from risk_manager.testing.events import CL, CONTRACTS, ES, MNQ, SECOND_NS, Scenario, contract
from risk_manager.testing.guarded import Guarded

NEW_YORK = "America/New_York"
CHICAGO = "America/Chicago"
DAY = {"start": "09:30", "end": "16:00", "timezone": NEW_YORK}
EURO = contract("6E", "0.00005", "6.25", "EU6")
GOLD = contract("GC", "0.1", "10", "GCE")
BITCOIN = contract("MBT", "5", "0.5")


@cache
def days() -> TradingDays:
    return build_trading_days("17:00", CHICAGO, 2023, 2030)


def ns(wall: str, zone: str = NEW_YORK) -> int:
    return int(datetime.fromisoformat(wall).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000) * 1_000_000


def rule(**options: object) -> SessionBlockOutside:
    return build_rule(SessionBlockOutside, options)


def guarded(start: str, zone: str = NEW_YORK, **options: object) -> Guarded:
    """An account under the rule, from shortly before a moment on; the global session is a day in New York."""
    options = {"global_session": DAY, **options}
    venue = Scenario(start_ns=ns(start, zone) - 50_000_000, step_ns=1)
    venue.contracts = (*CONTRACTS, EURO, GOLD, BITCOIN)
    one = Guarded(rule(**options), venue=venue, days=days())
    # The next event is the one at that moment.
    venue.now_ns = ns(start, zone) - 1
    return one


def go(one: Guarded, wall: str, zone: str = NEW_YORK) -> None:
    """Let it become that time, and the venue say so."""
    one.venue.now_ns = ns(wall, zone) - 2
    one.feed(one.venue.snapshot())


def buy(one: Guarded, product: Contract = ES, size: int = 1) -> None:
    one.feed(one.venue.buys(product, size, 100))


def closed(one: Guarded) -> list[str]:
    return [action.contract_id for action in one.actions if isinstance(action, ClosePosition)]


def cancelled(one: Guarded) -> list[str]:
    return [action.order_id for action in one.actions if isinstance(action, CancelOrder)]


def until(one: Guarded) -> list[tuple[str, int | None]]:
    return [(str(lockout.scope), lockout.until_ns) for lockout in one.lockouts]


# -- the edges ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, -2])
@pytest.mark.parametrize(
    ("at", "is_outside"),
    [
        ("2026-01-14 09:29:59.999", True),
        ("2026-01-14 09:30:00", False),
        ("2026-01-14 12:00:00", False),
        ("2026-01-14 15:59:59.999", False),
        ("2026-01-14 16:00:00", True),
        ("2026-01-14 16:00:01", True),
        ("2026-01-17 12:00:00", True),  # Saturday
    ],
)
def test_the_start_belongs_to_the_session_and_the_end_does_not(at: str, is_outside: bool, size: int) -> None:
    one = guarded(at)
    one.feed(one.venue.position(ES, size, 100))
    assert (one.codes == ["OUTSIDE_SESSION"]) is is_outside
    assert closed(one) == ([ES.id] if is_outside else [])


def test_closes_what_is_held_when_the_session_ends() -> None:
    one = guarded("2026-01-14 15:00")
    buy(one, ES, 2)
    go(one, "2026-01-14 15:59:59.999")
    assert one.codes == []
    go(one, "2026-01-14 16:00:00")
    (breach,) = one.breaches
    assert (breach.measured, breach.limit, breach.scope) == (2, 0, ACCOUNT)
    assert dict(breach.evidence) == {
        "now": "Wed 2026-01-14 16:00:00",
        "opens": "Thu 2026-01-15 09:30:00",
        "timezone": NEW_YORK,
        "orders": "0",
    }
    assert until(one) == [("account", ns("2026-01-15 09:30"))]
    assert one.lockouts[0].kind is LockoutKind.SESSION
    assert closed(one) == [ES.id]


def test_asks_to_be_woken_at_the_end_of_the_session() -> None:
    one = guarded("2026-01-14 15:00")
    assert one.engine.next_deadline_ns() is None
    buy(one)
    assert one.engine.next_deadline_ns() == ns("2026-01-14 16:00")
    one.feed(TimerFired("1001", 0, ns("2026-01-14 16:00") - 1))
    assert one.codes == []
    one.feed(TimerFired("1001", 0, ns("2026-01-14 16:00")))
    assert one.codes == ["OUTSIDE_SESSION"]


def test_reports_one_breach_however_often_it_is_seen() -> None:
    one = guarded("2026-01-14 16:30")
    events = one.venue.buys(ES, 1, 100)
    one.feed(events, events, one.venue.snapshot(), one.venue.quote(ES, 100), one.venue.snapshot())
    assert one.codes == ["OUTSIDE_SESSION"]
    assert len(one.lockouts) == 1


def test_cancels_orders_that_would_open_and_leaves_those_that_protect() -> None:
    one = guarded("2026-01-14 15:00", close_positions_at_session_end=False)
    buy(one, ES, 2)
    one.feed(
        one.venue.order(ES, Side.SELL, 2, stop=90, order_id="stop"),
        one.venue.order(ES, Side.BUY, 1, limit=90, order_id="more"),
        one.venue.order(MNQ, Side.SELL, 1, limit=190, order_id="entry"),
        one.venue.order(MNQ, Side.BUY, 1, stop=195, order_id="leg", parent_id="entry", status=OrderStatus.SUSPENDED),
    )
    assert one.codes == []
    go(one, "2026-01-14 16:00")
    assert sorted(cancelled(one)) == ["entry", "more"]
    assert closed(one) == []


# -- until the next session --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ends", "opens", "hours"),
    [
        ("2026-01-14 16:00", "2026-01-15 09:30", 17.5),
        ("2026-01-09 16:00", "2026-01-12 09:30", 65.5),  # Friday to Monday
        ("2026-03-06 16:00", "2026-03-09 09:30", 64.5),  # daylight saving time begins
        ("2026-10-30 16:00", "2026-11-02 09:30", 66.5),  # and ends
        ("2025-04-17 16:00", "2025-04-21 09:30", 89.5),  # Good Friday
        ("2024-12-24 13:15", "2024-12-26 09:30", 44.25),  # Christmas, from an early close on
        ("2026-01-16 16:00", "2026-01-19 09:30", 65.5),  # a holiday on which it trades till noon
    ],
)
def test_locks_until_the_next_session_opens(ends: str, opens: str, hours: float) -> None:
    one = guarded(ends)
    buy(one)
    ((_, until_ns),) = until(one)
    assert until_ns == ns(opens)
    assert (ns(opens) - ns(ends)) / 3600e9 == hours


def test_skips_days_that_are_not_allowed() -> None:
    one = guarded("2026-01-14 16:00", allowed_days=[0, 2])  # Mondays and Wednesdays
    buy(one)
    assert until(one) == [("account", ns("2026-01-19 09:30"))]


def test_the_lock_ends_with_the_next_opening_and_by_the_venues_clock_only() -> None:
    one = guarded("2026-01-14 16:00")
    buy(one)
    one.feed(one.venue.closes(ES, 100))
    for _ in range(3):
        one.venue.wait(3)
        one.feed(one.venue.snapshot())
    one.feed(TimerFired("1001", 0, ns("2026-01-15 12:00")))
    assert until(one) == [("account", ns("2026-01-15 09:30"))]
    one.venue.now_ns = ns("2026-01-15 09:29:59.999") - 2
    one.feed(one.venue.snapshot())
    assert until(one) == [("account", ns("2026-01-15 09:30"))]
    go(one, "2026-01-15 09:30")
    assert until(one) == []
    one.forget()
    buy(one)
    assert (one.codes, closed(one)) == ([], [])


def test_what_appears_under_the_lock_goes_again() -> None:
    one = guarded("2026-01-14 16:00")
    buy(one)
    one.feed(one.venue.closes(ES, 100))
    one.forget()
    one.venue.wait(600)
    one.feed(one.venue.order(MNQ, Side.BUY, 1, limit=90, order_id="again"))
    assert cancelled(one) == ["again"]


def test_a_stale_lock_does_not_outlast_a_stop() -> None:
    one = guarded("2026-01-14 16:00")
    buy(one)
    one.feed(one.venue.closes(ES, 100))
    one.restart()
    assert [lockout.kind for lockout in one.lockouts] == [LockoutKind.SESSION]
    go(one, "2026-01-15 11:00")
    assert one.lockouts == ()


# -- whole weeks and nights --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("timezone", "at", "is_outside"),
    [
        # six in New York is five in Chicago, the minute before the session written in Chicago's time opens.
        (CHICAGO, "2026-01-14 18:00", True),
        (CHICAGO, "2026-01-14 18:59:59", True),
        (CHICAGO, "2026-01-14 19:00", False),
        (NEW_YORK, "2026-01-14 18:00", False),
        (NEW_YORK, "2026-01-14 17:30", True),
        (NEW_YORK, "2026-01-14 16:59:59", False),
        (NEW_YORK, "2026-01-14 17:00", True),
        (NEW_YORK, "2026-01-16 16:59:59", False),
        (NEW_YORK, "2026-01-16 18:00", True),  # Friday evening: no session starts
        (NEW_YORK, "2026-01-18 17:59:59", True),
        (NEW_YORK, "2026-01-18 18:00", False),  # Sunday evening: Monday's
    ],
)
def test_a_session_may_last_over_midnight(timezone: str, at: str, is_outside: bool) -> None:
    one = guarded(at, global_session={"start": "18:00", "end": "17:00", "timezone": timezone, "holidays": False})
    buy(one)
    assert (one.codes == ["OUTSIDE_SESSION"]) is is_outside


def test_a_sunday_is_no_weekday() -> None:
    """A-19: what a source takes for a weekday."""
    assert weekday_of(day_of_date("2025-01-12")) == 6
    one = guarded("2025-01-12 12:00")
    buy(one)
    assert until(one) == [("account", ns("2025-01-13 09:30"))]


def test_the_trading_day_after_a_friday_is_mondays() -> None:
    """A-26: a reset on Friday 2025-01-17 does not begin a day called 01-18."""
    one = guarded("2025-01-17 16:30")
    buy(one)
    assert one.lockouts[0].trading_day == "2025-01-17"
    go(one, "2025-01-17 20:00")
    assert one.engine.account.day.label == "2025-01-17"
    go(one, "2025-01-19 18:00")
    assert one.engine.account.day.label == "2025-01-20"


@pytest.mark.parametrize(
    ("at", "opens"),
    [
        ("2026-01-14 16:30", None),  # the daily halt is inside
        ("2026-01-16 15:59:59", None),
        ("2026-01-16 16:00", "2026-01-18 17:00"),
        ("2026-01-18 16:59:59", "2026-01-18 17:00"),
        ("2026-01-18 17:00", None),
    ],
)
def test_a_session_may_last_a_week(at: str, opens: str | None) -> None:
    week = {"start": "Sun 17:00", "end": "Fri 16:00", "timezone": CHICAGO}
    one = guarded(at, CHICAGO, global_session=week)
    buy(one)
    assert until(one) == ([] if opens is None else [("account", ns(opens, CHICAGO))])


def test_there_may_be_several_sessions_a_day() -> None:
    morning, evening = {"start": "09:30", "end": "11:30"}, {"start": "18:00", "end": "20:00"}
    one = guarded("2026-01-14 11:30", global_session={"windows": [evening, morning], "timezone": NEW_YORK})
    buy(one)
    assert until(one) == [("account", ns("2026-01-14 18:00"))]


# -- the exchange's hours ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("product", "at", "opens"),
    [
        (ES, "2026-01-14 15:59:59", None),
        (ES, "2026-01-14 16:00", "2026-01-14 17:00"),
        (ES, "2026-01-16 16:00", "2026-01-18 17:00"),
        (ES, "2026-01-19 11:59:59", None),
        (ES, "2026-01-19 12:00", "2026-01-19 17:00"),  # Martin Luther King Jr. Day
        (EURO, "2026-01-19 12:00", None),  # an ordinary day for currencies
        (GOLD, "2026-01-19 12:00", None),
        (GOLD, "2026-01-19 13:30", "2026-01-19 17:00"),
        (ES, "2025-12-24 12:15", "2025-12-25 17:00"),
        (ES, "2026-04-03 08:14:59", None),  # Good Friday with a jobs report
        (ES, "2026-04-03 08:15", "2026-04-05 17:00"),
        (GOLD, "2026-04-02 17:00", "2026-04-05 17:00"),
        (BITCOIN, "2026-05-23 12:00", "2026-05-24 17:00"),
        (BITCOIN, "2026-06-06 12:00", None),  # Saturday, since 2026-05-29 around the clock
        (BITCOIN, "2026-06-06 02:00", "2026-06-06 04:00"),
        (BITCOIN, "2026-12-25 12:00", None),
    ],
)
def test_without_hours_the_exchanges_count(product: Contract, at: str, opens: str | None) -> None:
    one = guarded(at, CHICAGO, global_session="exchange")
    buy(one, product)
    assert until(one) == ([] if opens is None else [(product.root, ns(opens, CHICAGO))])


def test_nothing_configured_means_the_exchanges_hours() -> None:
    """A rule whose hours are not read keeps hours nobody asked for (L-23)."""
    assert rule().global_session.windows == ()
    assert rule(global_session=DAY) != rule()


def test_your_hours_end_with_an_early_close_of_the_product_held() -> None:
    one = guarded("2026-01-19 12:59:59")
    buy(one, ES)
    buy(one, EURO)
    assert one.codes == []
    go(one, "2026-01-19 13:00")  # noon in Chicago
    assert [breach.scope for breach in one.breaches] == [Scope(root="ES")]
    assert until(one) == [("ES", ns("2026-01-20 09:30"))]
    assert closed(one) == [ES.id]
    go(one, "2026-01-19 16:00")
    assert {scope for scope, _ in until(one)} == {"ES", "account"}
    assert closed(one) == [ES.id, EURO.id]


def test_holidays_may_be_ignored() -> None:
    one = guarded("2026-01-19 13:00", respect_holidays=False)
    buy(one)
    assert one.codes == []


def test_takes_more_dates_than_the_calendar() -> None:
    options: dict[str, Any] = {
        "closed_dates": ["2026-01-15"],
        "early_close": [{"date": "2026-01-14", "time": "12:00"}],
    }
    one = guarded("2026-01-14 11:59:59", **options)
    buy(one)
    assert one.codes == []
    go(one, "2026-01-14 12:00")
    assert until(one) == [("account", ns("2026-01-16 09:30"))]


def test_an_unknown_product_follows_the_sessions_own_market() -> None:
    strange = contract("QQZ", "0.25", "1")
    one = guarded("2026-01-19 13:00")
    one.venue.contracts = (*one.venue.contracts, strange)
    one.feed(one.venue.snapshot())
    buy(one, strange)
    assert until(one) == [("QQZ", ns("2026-01-20 09:30"))]


def test_an_undescribed_contract_is_judged_by_its_id() -> None:
    one = guarded("2026-01-19 13:00")
    one.venue.contracts = ()
    june = contract("GC", "0.1", "10", "GCE", expiry="M26")
    buy(one, june)
    assert one.codes == []  # gold trades until 13:30 in Chicago
    go(one, "2026-01-19 14:30")
    assert closed(one) == [june.id]


# -- products ----------------------------------------------------------------------------------------------------------


def test_a_products_own_hours_lock_that_product_alone() -> None:
    pit = {"start": "08:20", "end": "13:30", "timezone": NEW_YORK}
    one = guarded("2026-01-14 13:29:59", per_instrument_sessions={"GC": pit})
    buy(one, GOLD, 2)
    buy(one, ES)
    assert one.codes == []
    go(one, "2026-01-14 13:30")
    assert until(one) == [("GC", ns("2026-01-15 08:20"))]
    assert closed(one) == [GOLD.id]
    go(one, "2026-01-14 16:00")
    assert until(one) == [("GC", ns("2026-01-15 08:20")), ("ES", ns("2026-01-15 09:30"))]
    go(one, "2026-01-15 08:20")
    assert until(one) == [("ES", ns("2026-01-15 09:30"))]


def test_a_product_may_be_called_by_its_other_name() -> None:
    one = guarded("2026-01-14 18:00", per_instrument_sessions={"gce": {"start": "18:00", "end": "17:00"}})
    buy(one, GOLD)
    assert one.codes == []
    buy(one, CL)
    assert [scope for scope, _ in until(one)] == ["CL"]


# -- before and after the end ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("at", "is_outside"), [("15:57:59.999", False), ("15:58", True), ("15:59:59", True)])
def test_may_flatten_before_the_end(at: str, is_outside: bool) -> None:
    one = guarded(f"2026-01-14 {at}", flatten_before_end_seconds=120)
    buy(one)
    assert until(one) == ([("account", ns("2026-01-15 09:30"))] if is_outside else [])


def test_is_woken_so_long_before_the_end() -> None:
    one = guarded("2026-01-14 15:00", flatten_before_end="2m")
    buy(one)
    assert one.engine.next_deadline_ns() == ns("2026-01-14 15:58")


def test_what_is_held_may_stay_for_a_grace() -> None:
    one = guarded("2026-01-14 15:59", session_close_grace=60)
    buy(one)
    go(one, "2026-01-14 16:00")
    assert one.codes == []
    assert one.engine.next_deadline_ns() == ns("2026-01-14 16:01")
    go(one, "2026-01-14 16:00:59.999")
    assert one.codes == []
    go(one, "2026-01-14 16:01")
    assert closed(one) == [ES.id]


def test_what_is_added_during_the_grace_goes_at_once() -> None:
    one = guarded("2026-01-14 15:59", session_close_grace_seconds=60)
    buy(one)
    go(one, "2026-01-14 16:00:10")
    buy(one)
    assert one.codes == ["OUTSIDE_SESSION"]
    assert closed(one) == [ES.id]


@pytest.mark.parametrize("is_restarted", [False, True])
def test_positions_may_be_carried_but_not_enlarged(is_restarted: bool) -> None:
    one = guarded("2026-01-14 15:00", close_positions_at_session_end=False)
    buy(one, ES, 2)
    go(one, "2026-01-14 16:30")
    assert (one.codes, one.actions) == ([], [])
    if is_restarted:
        one.restart()
    buy(one, ES, 1)
    (reduce,) = (action for action in one.actions if isinstance(action, ReducePosition))
    assert (reduce.contract_id, reduce.size) == (ES.id, 1)
    assert one.lockouts[0].on_lock is OnLock.BLOCK_NEW


def test_a_position_opened_outside_is_closed_though_others_are_carried() -> None:
    one = guarded("2026-01-14 15:00", close_positions_at_session_end=False)
    buy(one, ES, 2)
    go(one, "2026-01-14 16:30")
    buy(one, MNQ, 1)
    assert closed(one) == [MNQ.id]
    assert one.breaches[0].targets[0].size == 0


def test_a_flat_account_carries_nothing_over_the_end() -> None:
    one = guarded("2026-01-14 16:30", close_positions_at_session_end=False)
    buy(one, ES)
    assert closed(one) == [ES.id]


def test_what_is_there_at_the_first_look_counts_as_carried() -> None:
    venue = Scenario(start_ns=ns("2026-01-14 18:00"), step_ns=1)
    venue.buys(ES, 1, 100)
    one = Guarded(rule(global_session=DAY, close_positions_at_session_end=False), venue=venue, days=days())
    assert one.codes == []


# -- starting ----------------------------------------------------------------------------------------------------------


def test_flattens_what_it_finds_outside_the_session_at_the_start() -> None:
    venue = Scenario(start_ns=ns("2026-01-14 18:00"), step_ns=1)
    venue.buys(ES, 1, 100)
    one = Guarded(rule(global_session=DAY), venue=venue, days=days())
    assert closed(one) == [ES.id]
    assert until(one) == [("account", ns("2026-01-15 09:30"))]


def test_waits_for_the_venues_time() -> None:
    one = guarded("2026-01-14 18:00")
    engine = Engine(one.settings)
    *_, position = one.venue.buys(ES, 1, 100)
    decision = engine.receive(msgspec.structs.replace(position, at_ns=0))
    assert [skip.reason for skip in decision.skipped] == ["venue_time_unknown"]
    assert (decision.findings, decision.actions) == ((), ())
    (breach,) = engine.receive(one.venue.snapshot()).findings
    assert isinstance(breach, Breach)


def test_says_what_it_cannot_see_without_a_calendar() -> None:
    one = guarded("2026-01-14 18:00")
    engine = Engine(msgspec.structs.replace(one.settings, calendar=EMPTY))
    one.venue.buys(ES, 1, 100)
    decision = engine.receive(one.venue.snapshot())
    assert decision.skipped == (Skipped("session_block_outside", "time zone America/New_York unknown"),)
    assert decision.findings == ()


def test_two_accounts_do_not_influence_each_other() -> None:
    shared = rule(global_session=DAY)
    scenes = [Scenario(name, start_ns=ns("2026-01-14 16:30"), step_ns=1) for name in ("a", "b")]
    first, second = (Guarded(shared, venue=scene, days=days()) for scene in scenes)
    buy(first)
    assert (len(first.lockouts), len(second.lockouts)) == (1, 0)


@pytest.mark.parametrize("stop_at", range(6))
def test_goes_on_after_a_restart_as_if_it_had_not_stopped(stop_at: int) -> None:
    one = guarded("2026-01-14 15:59", session_close_grace_seconds=60)
    other = guarded("2026-01-14 15:59", session_close_grace_seconds=60)
    times = ("15:59:30", "16:00", "16:00:30", "16:01", "16:05", "17:00")
    for each in (one, other):
        buy(each)
        for index, time in enumerate(times):
            if each is other and index == stop_at:
                each.restart()
            go(each, f"2026-01-14 {time}")
    assert [msgspec.json.encode(said) for said in one.decisions] == [
        msgspec.json.encode(said) for said in other.decisions
    ]
    assert one.lockouts == other.lockouts


# -- actions -----------------------------------------------------------------------------------------------------------


def test_may_cancel_orders_and_leave_positions() -> None:
    one = guarded("2026-01-14 16:30", action="cancel_orders")
    one.feed(one.venue.position(ES, 1, 100), one.venue.order(MNQ, Side.BUY, 1, limit=90, order_id="entry"))
    assert (closed(one), cancelled(one)) == ([], ["entry"])
    assert one.lockouts[0].on_lock is OnLock.BLOCK_NEW


def test_may_only_say_so() -> None:
    one = guarded("2026-01-14 16:30", action="alert")
    buy(one)
    assert (one.codes, one.actions, one.lockouts) == (["OUTSIDE_SESSION"], [], ())


def test_may_remove_without_a_lock() -> None:
    one = guarded("2026-01-14 16:30", lockout_outside_session=False)
    buy(one)
    one.feed(one.venue.closes(ES, 100))
    for _ in range(3):
        one.venue.wait(2)
        one.feed(one.venue.snapshot())
    assert (closed(one), one.lockouts) == ([ES.id], ())
    one.feed(one.venue.order(MNQ, Side.BUY, 1, limit=90, order_id="entry"))
    assert cancelled(one) == ["entry"]


# -- the calendar's end ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "codes", "left_days"),
    [
        ("2027-11-02 00:59:59", [], []),
        ("2027-11-02 01:00", ["CALENDAR_RUNS_OUT"], [60]),  # the clocks go back once in between
        ("2027-12-31 12:00", ["CALENDAR_RUNS_OUT"], [0]),
        ("2028-01-03 12:00", ["CALENDAR_STALE"], [0]),
        ("2023-12-28 12:00", ["CALENDAR_STALE"], [0]),
    ],
)
def test_warns_before_the_calendar_ends(at: str, codes: list[str], left_days: list[int]) -> None:
    one = guarded(at, CHICAGO, global_session={"start": "Sun 17:00", "end": "Sun 17:00", "timezone": CHICAGO})
    buy(one)
    assert [warning.code for warning in one.warnings] == codes
    assert [warning.measured for warning in one.warnings] == left_days
    evidence = (("market", "cme_equity"), ("covers_until", "Sat 2028-01-01 00:00:00"))
    assert [warning.evidence for warning in one.warnings] == [evidence] * len(codes)


def test_a_stale_calendar_is_read_strictly() -> None:
    """On a usual holiday nothing trades all day where nobody has written down the hours."""
    one = guarded("2028-07-04 09:00", CHICAGO, global_session="exchange")
    buy(one)
    assert until(one) == [("ES", ns("2028-07-04 17:00", CHICAGO))]


# -- screens and options -----------------------------------------------------------------------------------------------


def test_shows_how_much_of_the_session_has_passed() -> None:
    one = guarded("2026-01-14 12:45")
    (gauge,) = one.gauges
    assert (gauge.label, gauge.used, gauge.limit) == ("session", 3 * 3600 + 900 - 1, 6 * 3600 + 1800)
    go(one, "2026-01-14 16:00")
    assert one.gauges == []


@pytest.mark.parametrize(
    ("options", "same"),
    [
        ({"allowed_hours": DAY}, {"global_session": DAY}),
        ({"session": DAY, "allowed_days": ["mon", "tuesday"]}, {"global_session": {**DAY, "days": [0, 1]}}),
        (
            {"global_session": {"start": "09:30", "end": "16:00"}, "timezone": NEW_YORK},
            {"global_session": DAY},
        ),
        (
            {"global_session": DAY, "pre_market": {"enabled": True, "start": "04:00"}, "after_hours": {"end": "20:00"}},
            {"global_session": {**DAY, "start": "04:00", "end": "20:00"}},
        ),
        ({"global_session": DAY, "pre_market": {"enabled": False, "start": "04:00"}}, {"global_session": DAY}),
        ({"global_session": DAY, "block_weekends": True}, {"global_session": DAY}),
        ({"global_session": DAY, "block_weekends": False}, {"global_session": {**DAY, "days": list(range(7))}}),
        (
            {"global_session": DAY, "allowed_days": [4, 5, 6], "block_weekends": True},
            {"global_session": {**DAY, "days": [4]}},
        ),
        (
            {
                "global_session": {"start": "18:00", "end": "17:00", "timezone": NEW_YORK},
                "allowed_days": [0, 5, 6],
                "block_weekends": True,
            },
            {"global_session": {"start": "18:00", "end": "17:00", "timezone": NEW_YORK, "days": [0, 6]}},
        ),
        ({"global_session": DAY, "respect_holidays": False}, {"global_session": {**DAY, "holidays": False}}),
        (
            {"global_session": DAY, "per_instrument_sessions": {"ES": {"start": "08:00", "end": "12:00"}}},
            {
                "global_session": DAY,
                "per_instrument_sessions": {"ES": {"start": "08:00", "end": "12:00", "timezone": NEW_YORK}},
            },
        ),
        ({"action": "flatten"}, {"action": "flatten_and_lock"}),
        (
            {"global_session": DAY, "session_close_grace": "60s"},
            {"global_session": DAY, "session_close_grace_ms": 60000},
        ),
    ],
)
def test_understands_older_spellings(options: dict[str, object], same: dict[str, object]) -> None:
    assert rule(**options) == rule(**same)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"global_session": {**DAY, "days": [1, 7]}}, "counts from 1"),
        ({"allowed_days": [1, 2, 3, 4, 5, 6, 7], "global_session": DAY}, "counts from 1"),
        ({"global_session": {**DAY, "days": []}}, "list of weekdays"),
        ({"global_session": {**DAY, "days": [8]}}, "0 to 6"),
        ({"allowed_days": [0, 1]}, "no hours"),
        ({"global_session": {"start": "09:30", "end": "16:00"}}, "timezone"),
        ({"global_session": {**DAY, "timezone": "EST"}}, "America/New_York"),
        ({"global_session": {**DAY, "end": "25:00"}}, "no time of day"),
        ({"global_session": {**DAY, "end": 1600}}, "quoted 24-hour time"),
        ({"global_session": {**DAY, "end": "Fri 16:00"}}, "both name a weekday"),
        ({"global_session": {**DAY, "closed": ["2026-02-30"]}}, "must be a date"),
        ({"global_session": {**DAY, "until": "17:00"}}, "is not known"),
        ({"global_session": "always"}, "exchange"),
        ({"start": "09:30"}, "is not known"),
        ({"pre_market": {"start": "04:00"}}, "start and end"),
        ({"global_session": DAY, "pre_market": {"end": "04:00"}}, "must say start"),
        ({"global_session": DAY, "block_weekends": "yes"}, "true or false"),
        ({"flatten_before_end_seconds": 60, "session_close_grace_seconds": 60}, "cannot stand beside"),
        ({"close_positions_at_session_end": False, "flatten_before_end_seconds": 60}, "means nothing"),
        ({"flatten_before_end_seconds": -1}, "duration"),
        ({"per_instrument_sessions": {"ES": DAY, "EP": DAY}}, "same product"),
        ({"action": "reject"}, "must be one of"),
    ],
)
def test_refuses_options_that_make_no_sense(options: dict[str, object], fault: str) -> None:
    with pytest.raises(OptionsInvalid, match=fault):
        rule(**options)


def test_the_wake_up_is_never_later_than_the_lock_says() -> None:
    """A session of half an hour: the rule is woken at its end, not at the end of a longer one."""
    one = guarded("2026-01-14 10:00", global_session={**DAY, "end": "10:30"})
    buy(one)
    due_ns = one.engine.next_deadline_ns()
    assert due_ns is not None
    assert due_ns - ns("2026-01-14 10:00") == 1800 * SECOND_NS


def test_a_session_that_was_shortened_while_it_was_stopped_counts_from_the_first_event() -> None:
    one = guarded("2026-03-02 12:00", global_session={"start": "09:30", "end": "16:00", "timezone": NEW_YORK})
    one.feed(one.venue.quote(ES, 5000), one.venue.buys(ES, 1, 5000))
    assert one.codes == []
    shorter = rule(global_session={"start": "09:30", "end": "11:00", "timezone": NEW_YORK})
    one.settings = msgspec.structs.replace(one.settings, rules=(shorter,))
    one.restart()
    one.feed(one.venue.sells(ES, 2, 5000))
    assert one.codes[:1] == ["OUTSIDE_SESSION"]
