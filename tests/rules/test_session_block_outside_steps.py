"""No exposure outside trading hours, step by step: what is remembered, what counts as opening, and what is said."""

from datetime import date, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk_manager.domain.contract import Contract
from risk_manager.domain.events import SnapshotTaken
from risk_manager.domain.finding import AtMost, Breach, Gauge, Skipped, Unit
from risk_manager.domain.lockout import Held
from risk_manager.domain.order import OrderStatus, Side
from risk_manager.domain.scope import ACCOUNT, Scope
from risk_manager.rules import OptionsInvalid
from risk_manager.rules.session_block_outside import Watch
from risk_manager.testing.events import ES, MNQ, Scenario, contract
from risk_manager.testing.guarded import Guarded
from tests.rules.test_session_block_outside import (
    BITCOIN,
    CHICAGO,
    DAY,
    GOLD,
    NEW_YORK,
    buy,
    cancelled,
    closed,
    days,
    go,
    guarded,
    ns,
    rule,
    until,
)

HORIZON_NS = 30 * 604_800_000_000_000


def remembered(one: Guarded) -> Watch:
    (slot,) = one.engine._slots
    assert isinstance(slot.state, Watch)
    return slot.state


def told(state: Watch) -> tuple[int | None, tuple[Held, ...] | None]:
    return state.due_ns, state.carried


def open_until(one: Guarded) -> int | None:
    known = remembered(one).open
    return None if known is None else known.until_ns


# -- what is remembered -----------------------------------------------------------------------------------------------


def test_remembers_what_is_held_until_the_session_ends() -> None:
    one = guarded("2026-01-14 15:00", close_positions_at_session_end=False)
    assert remembered(one) == Watch(carried=())
    buy(one, ES, 2)
    due_ns = ns("2026-01-14 16:00")
    assert told(remembered(one)) == (due_ns, (Held(ES.id, 2),))
    buy(one, ES, 1)
    before = remembered(one)
    assert told(before) == (due_ns, (Held(ES.id, 3),))
    one.feed(one.venue.order(ES, Side.SELL, 3, stop=90, order_id="stop"))
    assert remembered(one) is before
    one.feed(one.venue.order(ES, Side.SELL, 3, stop=90, order_id="stop", status=OrderStatus.CANCELLED))
    go(one, "2026-01-14 16:00")
    buy(one, MNQ, 1)
    assert remembered(one) == Watch(ns("2026-01-15 09:30"), (Held(ES.id, 3),))
    one.feed(one.venue.closes(ES, 100), one.venue.closes(MNQ, 100))
    assert remembered(one) == Watch(carried=())


@pytest.mark.parametrize(
    ("options", "at", "until_at"),
    [
        ({}, "2026-01-14 15:00", "2026-01-14 16:00"),
        ({"flatten_before_end_seconds": 600}, "2026-01-14 15:00", "2026-01-14 15:50"),
        ({}, "2026-01-14 15:59:59", "2026-01-14 16:00"),
        ({}, "2026-01-14 16:00", None),  # over
        ({}, "2027-11-01 15:00", "2027-11-01 16:00"),
        ({}, "2027-11-02 15:00", None),  # there is something to say: the calendar runs out
        ({"global_session": {}}, "2027-11-01 20:00", "2027-11-02 02:00"),  # and from here on
    ],
)
def test_looks_no_more_while_there_is_nothing_to_say(options: dict[str, Any], at: str, until_at: str | None) -> None:
    one = guarded(at, **options)
    buy(one, ES, 1)
    assert open_until(one) == (ns(until_at) if until_at is not None else None)


def test_looks_again_at_a_contract_that_has_come_up_since() -> None:
    one = guarded("2026-01-14 15:00", per_instrument_sessions={"MNQ": {**DAY, "end": "14:00"}})
    buy(one, ES, 1)
    assert open_until(one) == ns("2026-01-14 16:00")
    buy(one, MNQ, 1)
    assert closed(one) == [MNQ.id]
    assert open_until(one) is None


def test_looks_again_when_other_settings_come_with_a_start() -> None:
    one = guarded("2026-01-14 15:00")
    buy(one, ES, 1)
    for stricter in (
        {"global_session": {**DAY, "end": "14:00"}},
        {"global_session": DAY, "per_instrument_sessions": {"ES": {**DAY, "end": "14:00"}}},
        {"global_session": DAY, "flatten_before_end_seconds": 3_600},
    ):
        own = rule(**stricter)
        _, found = own.step(remembered(one), one.venue.timer(), one.engine.account)
        assert [type(each) for each in found] == [Breach], stricter


times = st.tuples(st.just("go"), st.integers(1, 40_000))
trades = st.tuples(st.sampled_from(["ES", "MNQ", "close", "order", "cancel", "snapshot"]), st.integers(1, 3))


@settings(max_examples=80, deadline=None)
@given(moves=st.lists(st.one_of(times, trades), max_size=25), grace_s=st.sampled_from([0, 1_800]))
def test_says_the_same_with_and_without_what_it_knows_to_be_open(moves: list[tuple[str, int]], grace_s: int) -> None:
    options: dict[str, Any] = {"session_close_grace_seconds": grace_s, "per_instrument_sessions": {"MNQ": LATE}}
    knowing, forgetful = (guarded("2026-01-14 15:00", action="alert", **options) for _ in range(2))
    for one in (knowing, forgetful):
        for move, number in moves:
            if one is forgetful:
                (slot,) = one.engine._slots
                slot.state = msgspec.structs.replace(remembered(one), open=None)
            _make(one, move, number)
    assert knowing.findings == forgetful.findings
    assert told(remembered(knowing))[1] == told(remembered(forgetful))[1]


LATE = {**DAY, "start": "12:00", "end": "20:00"}


def _make(one: Guarded, move: str, number: int) -> None:
    match move:
        case "go":
            one.venue.wait(number)
            one.feed(one.venue.timer(), one.venue.snapshot())
        case "ES" | "MNQ":
            buy(one, ES if move == "ES" else MNQ, number)
        case "close":
            for each in (ES, MNQ):
                if each.id in one.venue.positions:
                    one.feed(one.venue.closes(each, 100))
        case "order":
            one.feed(one.venue.order(MNQ, Side.BUY, number, limit=90, order_id="entry"))
        case "cancel" if "entry" in one.venue.orders:
            one.feed(one.venue.order(MNQ, Side.BUY, 1, limit=90, order_id="entry", status=OrderStatus.CANCELLED))
        case "snapshot":
            one.feed(one.venue.snapshot())


def test_what_was_carried_and_closed_is_no_longer_carried() -> None:
    one = guarded("2026-01-14 15:00", close_positions_at_session_end=False)
    buy(one, ES, 2)
    buy(one, MNQ, 1)
    go(one, "2026-01-14 16:30")
    one.feed(one.venue.closes(ES, 100))
    assert remembered(one).carried == (Held(MNQ.id, 1),)
    buy(one, ES, 2)
    assert closed(one) == [ES.id]


def test_a_flat_account_is_believed_once_a_snapshot_has_shown_it() -> None:
    one = guarded("2026-01-14 15:00")
    own, account, venue = rule(global_session=DAY), one.engine.account, one.venue
    shown = venue.snapshot()
    assert isinstance(shown, SnapshotTaken)
    unseen = msgspec.structs.replace(shown, positions=None)
    unknown, flat = Watch(), Watch(carried=())
    for state, event, after in (
        (unknown, venue.timer(), unknown),
        (unknown, unseen, unknown),
        (unknown, shown, flat),
        (flat, venue.timer(), flat),
        (flat, unseen, flat),
    ):
        assert own.step(state, event, account) == (after, ())
    assert own.step(flat, venue.timer(), account)[0] is flat


def test_other_hours_hold_at_once() -> None:
    one = guarded("2026-01-14 15:00")
    buy(one)
    one.change_rules(rule(global_session={**DAY, "end": "14:00"}))
    assert closed(one) == [ES.id]


# -- what counts as opening -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("net", "side", "size", "filled", "is_opening"),
    [
        (0, Side.BUY, 1, 0, True),
        (0, Side.SELL, 1, 0, True),
        (2, Side.BUY, 1, 0, True),
        (2, Side.SELL, 2, 0, False),
        (2, Side.SELL, 3, 0, True),
        (2, Side.SELL, 3, 1, False),
        (-2, Side.BUY, 2, 0, False),
        (-2, Side.SELL, 1, 0, True),
        (0, Side.BUY, 2, 2, False),
    ],
)
def test_an_order_opens_if_it_adds_or_could_turn_the_position(
    net: int, side: Side, size: int, filled: int, is_opening: bool
) -> None:
    venue = Scenario(start_ns=ns("2026-01-14 18:00"), step_ns=1)
    if net:
        venue.position(ES, net, 100)
    venue.order(ES, side, size, limit=90, filled=filled, order_id="o")
    one = Guarded(rule(global_session=DAY, close_positions_at_session_end=False), venue=venue, days=days())
    assert cancelled(one) == (["o"] if is_opening else [])


def test_an_order_that_waits_for_its_parent_opens_nothing() -> None:
    venue = Scenario(start_ns=ns("2026-01-14 18:00"), step_ns=1)
    venue.order(ES, Side.BUY, 1, limit=90, order_id="leg", parent_id="p", status=OrderStatus.SUSPENDED)
    one = Guarded(rule(global_session=DAY), venue=venue, days=days())
    assert (one.codes, one.actions) == ([], [])


# -- what is said -----------------------------------------------------------------------------------------------------


def evidence(now: str, opens: str, orders: int) -> tuple[tuple[str, str], ...]:
    return (("now", now), ("opens", opens), ("timezone", NEW_YORK), ("orders", str(orders)))


@pytest.mark.parametrize(
    ("options", "targets", "cancels"),
    [
        ({}, (AtMost(ES.id, 0), AtMost(MNQ.id, 0)), ()),
        ({"close_positions_at_session_end": False}, (AtMost(ES.id, 0), AtMost(MNQ.id, 0)), ("entry",)),
        ({"action": "cancel_orders"}, (AtMost(ES.id, 0), AtMost(MNQ.id, 0)), ()),
    ],
)
def test_says_what_is_held_and_what_goes(
    options: dict[str, Any], targets: tuple[AtMost, ...], cancels: tuple[str, ...]
) -> None:
    one = guarded("2026-01-14 16:30", **options)
    venue = one.venue
    one.feed(venue.position(ES, 2, 100), venue.position(MNQ, -1, 100))
    one.feed(venue.order(GOLD, Side.BUY, 1, limit=90, order_id="entry"))
    (own,) = one.settings.rules
    _, found = own.step(remembered(one), venue.timer(), one.engine.account)
    assert found == (
        Breach(
            "session_block_outside",
            "OUTSIDE_SESSION",
            3,
            0,
            Unit.CONTRACTS,
            ACCOUNT,
            targets=targets,
            cancels=cancels,
            evidence=evidence("Wed 2026-01-14 16:30:00", "Thu 2026-01-15 09:30:00", 1),
            until_ns=ns("2026-01-15 09:30"),
        ),
    )


def test_during_the_grace_it_says_the_same() -> None:
    one = guarded("2026-01-14 15:59", session_close_grace_seconds=60)
    buy(one)
    go(one, "2026-01-14 16:00:10")
    one.feed(one.venue.order(MNQ, Side.BUY, 1, limit=90))
    assert one.codes == []
    buy(one)
    (breach,) = one.breaches
    assert (breach.scope, breach.until_ns, breach.cancels) == (ACCOUNT, ns("2026-01-15 09:30"), ())
    assert breach.targets == (AtMost(ES.id, 1),)


@pytest.mark.parametrize(("product", "closes"), [(ES, "13:00"), (GOLD, "14:30")])
def test_the_grace_begins_with_the_early_close_of_the_product(product: Contract, closes: str) -> None:
    one = guarded("2026-01-19 12:59:59", session_close_grace_seconds=60)
    buy(one, product)
    go(one, f"2026-01-19 {closes}:59")
    assert one.codes == []
    go(one, f"2026-01-19 {closes[:3]}{int(closes[3:]) + 1:02d}")
    assert [breach.scope for breach in one.breaches] == [Scope(root=product.root)]


def test_the_account_waits_for_the_session_s_own_market() -> None:
    """Bitcoin trades at Christmas; the hours are those of the whole account."""
    one = guarded("2026-12-24 16:00")
    buy(one, BITCOIN)
    assert until(one) == [("account", ns("2026-12-28 09:30"))]


def test_where_no_opening_is_known_it_locks_for_as_long_as_it_has_looked() -> None:
    """Mondays only, and every Monday for a year is closed."""
    mondays = [str(date(2026, 1, 19) + timedelta(weeks=count)) for count in range(60)]
    one = guarded("2026-01-14 16:30", global_session={**DAY, "days": [0], "closed": mondays})
    buy(one)
    (breach,) = one.breaches
    assert breach.evidence == evidence("Wed 2026-01-14 16:30:00", "none known", 0)
    # The trading day began at 18:00 New York the evening before.
    assert breach.until_ns == ns("2026-01-13 18:00") + HORIZON_NS


def test_what_cannot_be_judged_is_skipped_by_name() -> None:
    one = guarded("2026-01-14 18:00")
    *_, position = one.venue.buys(ES, 1, 100)
    fresh = Guarded(rule(global_session=DAY), venue=Scenario(start_ns=0, step_ns=0), days=days())
    fresh.feed(msgspec.structs.replace(position, at_ns=0))
    assert fresh.skipped == [Skipped("session_block_outside", "venue_time_unknown")]
    assert fresh.gauges == []


def test_shows_nothing_of_a_session_that_never_ends() -> None:
    week = {"start": "Sun 17:00", "end": "Sun 17:00", "timezone": CHICAGO, "holidays": False}
    assert guarded("2026-01-11 18:00", CHICAGO, global_session=week).gauges == []
    assert guarded("2026-01-14 12:45").gauges == [Gauge("session", 11_699, 23_400, Unit.SECONDS)]


# -- contracts nobody has described -----------------------------------------------------------------------------------


@pytest.mark.parametrize("symbol", ["GC", "gce", "GCE"])
def test_an_undescribed_contract_has_its_product_s_own_hours(symbol: str) -> None:
    one = guarded("2026-01-14 14:00", per_instrument_sessions={symbol: {"start": "08:20", "end": "13:30"}})
    one.venue.contracts = ()
    june = contract("GC", "0.1", "10", "GCE", expiry="M26")
    other = contract("NG", "0.001", "10", expiry="M26")
    buy(one, other)
    assert one.codes == []
    buy(one, june)
    assert [breach.scope for breach in one.breaches] == [Scope(contract_id=june.id)]


def test_a_described_contract_has_the_hours_of_its_record_whatever_its_id() -> None:
    one = guarded("2026-01-14 14:00", per_instrument_sessions={"GC": {"start": "08:20", "end": "13:30"}})
    odd = msgspec.structs.replace(ES, id="GC-LIKE")
    one.venue.contracts = (*one.venue.contracts, odd)
    one.feed(one.venue.snapshot())
    buy(one, odd)
    assert one.codes == []
    buy(one, GOLD)
    assert [breach.scope for breach in one.breaches] == [Scope(root="GC")]


def test_a_product_s_own_hours_may_be_under_a_name_only_its_record_has() -> None:
    one = guarded("2026-01-14 14:00", per_instrument_sessions={"QZ1": {"start": "08:20", "end": "13:30"}})
    strange = contract("QQZ", "0.25", "1", "QZ1")
    one.venue.contracts = (*one.venue.contracts, strange)
    one.feed(one.venue.snapshot())
    buy(one, strange)
    assert [breach.scope for breach in one.breaches] == [Scope(root="QQZ")]


def test_an_id_that_names_nothing_follows_the_global_session() -> None:
    one = guarded("2026-01-14 15:00")
    one.venue.contracts = ()
    buy(one, msgspec.structs.replace(ES, id="17"))
    assert one.codes == []
    go(one, "2026-01-14 16:00")
    assert closed(one) == ["17"]


# -- options ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["flatten", "close_all", "close_all_and_lockout"])
def test_understands_older_actions(action: str) -> None:
    assert rule(action=action) == rule(action="flatten_and_lock")


CARRIES = {"close_positions_at_session_end": False}


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (
            {"flatten_before_end_seconds": 60, "session_close_grace_seconds": 60},
            "session_close_grace_seconds: cannot stand beside flatten_before_end_seconds",
        ),
        (
            {**CARRIES, "flatten_before_end_seconds": 60},
            "flatten_before_end_seconds: means nothing while close_positions_at_session_end is false",
        ),
        (
            {**CARRIES, "session_close_grace_seconds": 60},
            "session_close_grace_seconds: means nothing while close_positions_at_session_end is false",
        ),
        (
            {"per_instrument_sessions": {"ES": DAY, "NQ": DAY, "EP": DAY}},
            "per_instrument_sessions.EP: names the same product as ES",
        ),
    ],
)
def test_says_which_option_is_to_be_corrected(options: dict[str, Any], fault: str) -> None:
    with pytest.raises(OptionsInvalid) as refused:
        rule(**options)
    assert str(refused.value) == f"session_block_outside.{fault}"
