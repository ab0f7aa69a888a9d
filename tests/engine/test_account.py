"""The account as its events make it: what is news, what is old, what contradicts, and which day it belongs to."""

import msgspec
import pytest

from risk_manager.domain.actions import TakeSnapshot
from risk_manager.domain.events import (
    ConnectionChanged,
    FillReceived,
    Link,
    OrderUpdated,
    PositionUpdated,
    SnapshotTaken,
)
from risk_manager.domain.fill import Fill
from risk_manager.domain.order import OrderStatus, Side
from risk_manager.rules import DailyRealizedLossRule, MaxContractsPerInstrument
from risk_manager.testing.events import CL, DAY_NS, ES, HOUR_NS, MES, SECOND_NS, START_NS, Scenario, micros
from risk_manager.testing.guarded import Guarded

MS = 1_000_000
DAY_END_NS = START_NS + 8 * HOUR_NS


def _net(guarded: Guarded) -> int:
    holding = guarded.engine.account.holdings.get(ES.id)
    return holding.net_contracts if holding is not None else 0


# -- orders ------------------------------------------------------------------------------------------------------------


def _order(guarded: Guarded, status: OrderStatus, updated_ns: int, filled: int = 0) -> OrderUpdated:
    event = guarded.venue.order(ES, Side.BUY, 3, limit=4000, order_id="7", status=status, filled=filled)
    order = msgspec.structs.replace(event.order, updated_ns=updated_ns)
    return msgspec.structs.replace(event, order=order, at_ns=updated_ns)


@pytest.mark.parametrize(
    ("states", "status", "filled"),
    [
        ([(OrderStatus.PENDING, 10_000, 0), (OrderStatus.WORKING, 20_000, 0)], OrderStatus.WORKING, 0),
        ([(OrderStatus.WORKING, 20_000, 0), (OrderStatus.PENDING, 10_000, 0)], OrderStatus.WORKING, 0),
        ([(OrderStatus.WORKING, 20_000, 1), (OrderStatus.WORKING, 20_000, 0)], OrderStatus.WORKING, 1),
        ([(OrderStatus.WORKING, 20_000, 0), (OrderStatus.WORKING, 20_000, 1)], OrderStatus.WORKING, 1),
        # REST rounds to a microsecond: within it the newcomer is not older
        ([(OrderStatus.WORKING, 20_900, 0), (OrderStatus.UNKNOWN, 20_000, 0)], OrderStatus.UNKNOWN, 0),
        ([(OrderStatus.WORKING, 21_001, 0), (OrderStatus.UNKNOWN, 20_000, 0)], OrderStatus.WORKING, 0),
        # no time that could be read: what is told later is later, unless less of it were filled
        ([(OrderStatus.WORKING, 20_000, 1), (OrderStatus.UNKNOWN, -START_NS, 1)], OrderStatus.UNKNOWN, 1),
        ([(OrderStatus.WORKING, 20_000, 1), (OrderStatus.UNKNOWN, -START_NS, 0)], OrderStatus.WORKING, 1),
        ([(OrderStatus.UNKNOWN, -START_NS, 0), (OrderStatus.WORKING, 20_000, 0)], OrderStatus.WORKING, 0),
    ],
)
def test_ranks_the_states_of_an_order(
    states: list[tuple[OrderStatus, int, int]], status: OrderStatus, filled: int
) -> None:
    guarded = Guarded()
    for one, updated_ns, done in states:
        guarded.feed(_order(guarded, one, START_NS + updated_ns, done))
    (order,) = guarded.engine.account.orders.values()
    assert (order.status, order.filled) == (status, filled)


@pytest.mark.parametrize("terminal", [status for status in OrderStatus if status.is_terminal])
def test_never_revives_an_order(terminal: OrderStatus) -> None:
    guarded = Guarded()
    guarded.feed(_order(guarded, OrderStatus.WORKING, START_NS + 5 * SECOND_NS))
    # The end is the end, even with an older stamp.
    guarded.feed(_order(guarded, terminal, START_NS))
    late = _order(guarded, OrderStatus.WORKING, START_NS + 10 * SECOND_NS)
    guarded.feed(late, guarded.venue.snapshot())
    assert guarded.engine.account.orders == {}


def test_drops_an_order_a_snapshot_no_longer_lists() -> None:
    guarded = Guarded()
    guarded.feed(guarded.venue.order(ES, Side.BUY, 1, limit=4000))
    guarded.venue.orders.clear()
    guarded.venue.wait(1)
    guarded.feed(guarded.venue.snapshot())
    assert len(guarded.engine.account.orders) == 1, "the list may lag"
    guarded.venue.wait(2)
    guarded.feed(guarded.venue.snapshot())
    assert guarded.engine.account.orders == {}


# -- snapshots ---------------------------------------------------------------------------------------------------------


def _unread(snapshot: SnapshotTaken, *parts: str) -> SnapshotTaken:
    return msgspec.structs.replace(snapshot, **dict.fromkeys(parts))


def test_takes_an_unknown_list_for_nothing() -> None:
    guarded = Guarded()
    guarded.feed(guarded.venue.buys(ES, 2, 5000), guarded.venue.order(ES, Side.SELL, 2, stop=4900))
    before = guarded.engine.account.fills
    for _ in range(5):
        guarded.venue.wait(3)
        guarded.feed(_unread(guarded.venue.snapshot(), "account", "positions", "orders", "fills"))
    account = guarded.engine.account
    assert (_net(guarded), len(account.orders), account.fills) == (2, 1, before)


def test_is_not_synced_before_positions_and_fills_were_read() -> None:
    guarded = Guarded(venue=Scenario())
    engine = type(guarded.engine)(guarded.settings)
    guarded.engine = engine
    assert not engine.account.is_synced
    guarded.feed(_unread(guarded.venue.snapshot(), "fills"))
    assert not engine.account.is_synced
    guarded.feed(_unread(guarded.venue.snapshot(), "positions"))
    assert engine.account.is_synced


def test_finds_a_missed_fill_in_a_snapshot() -> None:
    guarded = Guarded()
    guarded.venue.buys(ES, 2, 5000)
    guarded.venue.sells(ES, 1, 4990)
    guarded.feed(guarded.venue.snapshot())
    assert (_net(guarded), guarded.engine.account.realized_micros) == (1, micros(-500))
    assert guarded.engine.account.doubtful_since_ns() is None


@pytest.mark.parametrize(
    ("sizes", "shown", "held"),
    [
        ((3,), 3, 3),
        ((2, 1), 3, 3),
        ((3,), 2, 0),  # that is neither, so it has to be repeated
        ((3,), 0, 0),
    ],
)
def test_takes_a_missed_fill_of_the_second_of_the_last_snapshot_for_what_the_next_one_shows(
    sizes: tuple[int, ...], shown: int, held: int
) -> None:
    """That a snapshot is stamped in whole seconds leaves open whether it had the fill; the next one holds both."""
    guarded = Guarded()
    guarded.feed(guarded.venue.buys(ES, 1, 5000), guarded.venue.sells(ES, 1, 5000))
    guarded.venue.wait(5)
    first = guarded.venue.snapshot()
    guarded.feed(msgspec.structs.replace(first, at_ns=first.at_ns - 400 * MS))
    for size in sizes:
        guarded.venue.buys(ES, size, 5000)
    guarded.venue.wait(5)
    snapshot = guarded.venue.snapshot()
    (position,) = snapshot.positions or ()
    seen = msgspec.structs.replace(position, net_contracts=shown)
    guarded.feed(msgspec.structs.replace(snapshot, positions=(seen,) if shown else ()))
    assert _net(guarded) == held
    assert (guarded.engine.account.doubtful_since_ns() is None) is (shown in (0, 3))


def test_adopts_a_contradiction_only_when_it_is_repeated() -> None:
    guarded = Guarded()
    guarded.feed(guarded.venue.buys(ES, 2, 5000))
    guarded.venue.wait(5)
    guarded.venue.positions.clear()
    guarded.feed(guarded.venue.snapshot())
    assert _net(guarded) == 2
    assert guarded.engine.account.holdings[ES.id].certain_contracts == 0
    assert guarded.engine.account.doubtful_since_ns() is not None
    guarded.feed(guarded.venue.snapshot())
    assert _net(guarded) == 0
    assert guarded.engine.account.doubtful_since_ns() is None


def test_does_not_take_two_readings_of_one_moment_for_a_repetition() -> None:
    guarded = Guarded()
    guarded.feed(guarded.venue.buys(ES, 2, 5000))
    guarded.venue.wait(5)
    guarded.venue.positions.clear()
    first, second = guarded.venue.snapshot(), guarded.venue.snapshot()
    guarded.feed(first, msgspec.structs.replace(second, requested_ns=first.requested_ns))
    assert _net(guarded) == 2


def test_forgets_a_contradiction_that_is_not_repeated() -> None:
    guarded = Guarded()
    guarded.feed(guarded.venue.buys(ES, 2, 5000))
    guarded.venue.wait(5)
    snapshot = guarded.venue.snapshot()
    guarded.feed(msgspec.structs.replace(snapshot, positions=()), guarded.venue.snapshot())
    assert (_net(guarded), guarded.engine.account.doubtful_since_ns()) == (2, None)


@pytest.mark.parametrize(("age_ms", "expected"), [(-5, 2), (100, 2), (1_900, 2)])
def test_trusts_the_stream_over_a_lagging_snapshot(age_ms: int, expected: int) -> None:
    """The position moved so long before the snapshot was asked for; however often it is repeated, it may lag."""
    guarded = Guarded()
    guarded.feed(guarded.venue.buys(ES, 2, 5000))
    moved_ns = guarded.venue.now_ns
    for _ in range(3):
        stale = msgspec.structs.replace(guarded.venue.snapshot(), positions=(), requested_ns=moved_ns + age_ms * MS)
        guarded.feed(stale)
    assert _net(guarded) == expected


def test_does_not_give_up_fills_whose_position_event_is_missing() -> None:
    guarded = Guarded()
    (fill, _) = guarded.venue.buys(ES, 2, 5000)
    guarded.feed(fill)
    for _ in range(3):
        guarded.feed(msgspec.structs.replace(guarded.venue.snapshot(), positions=()))
    assert _net(guarded) == 2
    guarded.feed(guarded.venue.snapshot())
    assert guarded.engine.account.doubtful_since_ns() is None


def test_believes_the_venues_two_statements_against_missing_fills() -> None:
    guarded = Guarded()
    guarded.feed(guarded.venue.buys(ES, 2, 5000))
    (_, position) = guarded.venue.sells(ES, 2, 5000)
    guarded.feed(position)
    assert _net(guarded) == 2
    snapshot = msgspec.structs.replace(guarded.venue.snapshot(), fills=None)
    guarded.feed(snapshot)
    assert _net(guarded) == 0


def test_asks_for_a_full_snapshot_when_in_doubt() -> None:
    guarded = Guarded()
    (fill, _) = guarded.venue.buys(ES, 2, 5000)
    guarded.feed(fill)
    due_ns = guarded.engine.next_deadline_ns()
    assert due_ns == fill.received_ns + 250 * MS
    guarded.venue.wait(0.25)
    guarded.feed(guarded.venue.timer())
    (action,) = guarded.actions
    assert isinstance(action, TakeSnapshot)
    assert action.full


def test_adopts_the_first_snapshot_of_a_new_stream() -> None:
    guarded = Guarded()
    guarded.feed(guarded.venue.buys(ES, 2, 5000))
    guarded.venue.wait(60)
    guarded.venue.positions.clear()
    guarded.feed(ConnectionChanged("1001", Link.USER_HUB, True, "subscribed", 0, guarded.venue.now_ns))
    guarded.feed(guarded.venue.snapshot())
    assert _net(guarded) == 0


def test_lets_events_held_back_during_the_snapshot_follow_it() -> None:
    guarded = Guarded()
    held_back = guarded.venue.buys(ES, 2, 5000)
    snapshot = msgspec.structs.replace(guarded.venue.snapshot(), positions=(), fills=(), requested_ns=1)
    guarded.feed(snapshot, held_back)
    assert (_net(guarded), guarded.engine.account.doubtful_since_ns()) == (2, None)
    assert guarded.engine.account.received_ns == snapshot.received_ns, "the local clock does not go back"


# -- fills -------------------------------------------------------------------------------------------------------------


def test_takes_back_a_voided_fill_and_its_profit() -> None:
    guarded = Guarded()
    guarded.feed(guarded.venue.buys(ES, 1, 5000, fees=2), guarded.venue.quote(ES, 4980))
    (closing, position) = guarded.venue.sells(ES, 1, 4990, fees=2)
    assert isinstance(closing, FillReceived)
    guarded.feed(closing, position)
    account = guarded.engine.account
    assert (account.realized_micros, account.fees_micros) == (micros(-500), micros(4))
    guarded.feed(guarded.venue.voided(closing))
    assert (account.realized_micros, account.fees_micros) == (0, micros(2))
    assert (_net(guarded), account.unrealized_micros) == (1, micros(-1000)), "open again, at what it had cost"
    guarded.feed(closing)
    assert (account.realized_micros, _net(guarded)) == (0, 1), "a void is for good"
    guarded.restart()
    assert guarded.engine.account.realized_micros == 0


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_completes_a_fill_whatever_is_told_first(order: tuple[int, int]) -> None:
    guarded = Guarded()
    bare = Fill("1", "o", MES.id, Side.SELL, 1, None, START_NS)
    whole = msgspec.structs.replace(bare, price_ticks=20000, pnl_micros=5, fees_micros=3)
    for index in order:
        fill = (bare, whole)[index]
        guarded.feed(FillReceived("1001", fill, fill.at_ns, guarded.venue._tick()))
    assert guarded.engine.account.fills == (whole,)
    assert (guarded.engine.account.realized_micros, guarded.engine.account.fees_micros) == (5, 3)


# -- days --------------------------------------------------------------------------------------------------------------


def _fill_at(guarded: Guarded, fill_id: str, at_ns: int, pnl: int) -> FillReceived:
    fill = Fill(fill_id, "o", MES.id, Side.SELL, 1, 20000, at_ns, micros(pnl), micros(1))
    return FillReceived("1001", fill, at_ns, guarded.venue._tick())


def test_begins_each_day_at_nothing_and_books_late_fills_where_they_belong() -> None:
    guarded = Guarded()
    account = guarded.engine.account
    guarded.feed(_fill_at(guarded, "a", DAY_END_NS - 1, -100))
    assert (account.day.label, account.realized_micros) == ("2025-01-15", micros(-100))
    guarded.feed(_fill_at(guarded, "b", DAY_END_NS, -20))
    assert (account.day.label, account.realized_micros, account.fees_micros) == ("2025-01-16", micros(-20), micros(1))
    guarded.feed(_fill_at(guarded, "late", DAY_END_NS - 1, -100))
    assert account.realized_micros == micros(-20)
    assert [fill.id for fill in account.fills] == ["b"]
    assert guarded.engine.account.holdings[MES.id].net_contracts == -3, "the position knows no days"


def test_turns_the_day_with_whatever_tells_the_time() -> None:
    guarded = Guarded()
    guarded.feed(_fill_at(guarded, "a", DAY_END_NS - 1, -100))
    guarded.feed(msgspec.structs.replace(guarded.venue.quote(ES, 5000), at_ns=DAY_END_NS))
    assert (guarded.engine.account.day.label, guarded.engine.account.realized_micros) == ("2025-01-16", 0)


def test_does_not_turn_the_day_back() -> None:
    guarded = Guarded()
    guarded.feed(_fill_at(guarded, "a", DAY_END_NS, -100))
    guarded.feed(msgspec.structs.replace(guarded.venue.quote(ES, 5000), at_ns=DAY_END_NS - DAY_NS))
    assert guarded.engine.account.day.label == "2025-01-16"


# -- contracts ---------------------------------------------------------------------------------------------------------


def test_counts_a_contract_nobody_knows_and_values_it_once_it_is_known() -> None:
    venue = Scenario()
    venue.contracts = (ES,)
    guarded = Guarded(venue=venue)
    guarded.feed(venue.quote(CL, 75), venue.buys(CL, 2, 76))
    account = guarded.engine.account
    assert account.holdings[CL.id].net_contracts == 2
    assert account.unpriced == {CL.id}
    venue.contracts = (ES, CL)
    guarded.feed(venue.snapshot())
    assert (account.unpriced, account.unrealized_micros) == (frozenset(), micros(-2000))


def test_dates_a_position_by_its_fill_until_the_venue_states_it() -> None:
    """An undescribed contract has its grace also when the fill comes before the position."""
    venue = Scenario()
    venue.contracts = (ES,)
    guarded = Guarded(MaxContractsPerInstrument(limits={"ES": 1}), venue=venue)
    (fill, position) = venue.buys(CL, 1, 75)
    guarded.feed(fill)
    assert guarded.codes == []
    guarded.feed(position)
    assert guarded.codes == []


def test_names_a_position_as_long_as_something_of_it_is_held() -> None:
    guarded = Guarded()
    (fill, opened) = guarded.venue.buys(ES, 1, 5000)
    guarded.feed(fill)
    holding = guarded.engine.account.holdings[ES.id]
    assert holding.position_id == ""
    guarded.feed(opened)
    assert isinstance(opened, PositionUpdated)
    assert holding.position_id == opened.position.id
    (_, closed) = guarded.venue.sells(ES, 1, 5000)
    guarded.feed(closed)
    assert holding.position_id == opened.position.id, "the fill is still missing"


def test_remembers_quotes_of_what_is_not_held() -> None:
    guarded = Guarded()
    quote = guarded.venue.quote(ES, 5000)
    guarded.feed(quote)
    account = guarded.engine.account
    assert account.quote_of(ES.id) == quote.quote
    guarded.feed(guarded.venue.buys(ES, 1, 5000))
    assert (account.quote_of(ES.id), account.unrealized_micros) == (quote.quote, 0)
    later = guarded.venue.quote(ES, 4999)
    guarded.feed(later, guarded.venue.closes(ES, 4999))
    assert account.quote_of(ES.id) == later.quote
    assert account.quote_of(CL.id) is None


# -- fills that are read late ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("has_positions", [False, True])
@pytest.mark.parametrize(
    ("late_s", "net"),
    [
        (-5, 7),  # long before the position was read: part of it
        (1, 7),  # within the second its stamp leaves open
        (2, 14),  # after it: nobody has told of that one yet
    ],
)
def test_a_fill_read_after_the_position_that_holds_it_adds_nothing(has_positions: bool, late_s: int, net: int) -> None:
    guarded = Guarded(MaxContractsPerInstrument(default_limit=100))
    venue = guarded.venue
    guarded.feed(ConnectionChanged("1001", Link.USER_HUB, False, "gone", 0, venue._tick()))
    venue.wait(10)
    (bought, *_) = venue.buys(ES, 7, 5000)
    assert isinstance(bought, FillReceived)
    venue.wait(10)
    seen = venue.snapshot()
    guarded.feed(msgspec.structs.replace(seen, fills=None))
    assert _net(guarded) == 7
    fill = msgspec.structs.replace(bought.fill, at_ns=seen.at_ns + late_s * SECOND_NS)
    venue.wait(10)
    later = msgspec.structs.replace(venue.snapshot(), fills=(fill,))
    guarded.feed(later if has_positions else msgspec.structs.replace(later, positions=None))
    assert _net(guarded) == net
    assert guarded.engine.account.fills == (fill,)


@pytest.mark.parametrize(
    ("happened_s", "told_after_s", "net"),
    [
        (-5, 6, 0),  # before the position was read, told with the fill that closes it
        (1, 3, 0),  # within the second its stamp leaves open
        (1, 1, 7),  # the same in time: nobody tells a fill again so soon
        (2, 5, 7),  # after the position was read, however late it is told
    ],
)
def test_an_opening_fill_that_was_missed_and_is_told_with_the_closing_one_adds_nothing(
    happened_s: int, told_after_s: int, net: int
) -> None:
    guarded = Guarded(MaxContractsPerInstrument(default_limit=100))
    venue = guarded.venue
    (opening, *_) = venue.buys(ES, 7, 5000)
    assert isinstance(opening, FillReceived)
    venue.wait(10)
    guarded.feed(ConnectionChanged("1001", Link.USER_HUB, False, "gone", 0, venue._tick()))
    venue.wait(10)
    seen = msgspec.structs.replace(venue.snapshot(), fills=None)
    guarded.feed(seen)
    assert _net(guarded) == 7
    happened_ns = seen.at_ns + happened_s * SECOND_NS
    venue.now_ns = happened_ns + told_after_s * SECOND_NS
    closing, flat = venue.sells(ES, 7, 5001)
    again = msgspec.structs.replace(opening.fill, at_ns=happened_ns)
    guarded.feed(closing, msgspec.structs.replace(opening, fill=again, at_ns=happened_ns), flat)
    assert _net(guarded) == net


# -- a profit that is stated anew, as when an earlier fill was voided --------------------------------------------------


def _profit_now(guarded: Guarded) -> int:
    return guarded.engine.account.realized_micros // 1_000_000


@pytest.mark.parametrize(
    ("profits", "realized"),
    [
        ([500, -700], -700),
        ([-700, 500], 500),
        ([500, None], 500),  # an opening fill that is told again leaves it out
        ([None, 500], 500),
        ([500, -700, None], -700),
    ],
)
def test_the_stream_s_last_word_on_a_profit_counts(profits: list[int | None], realized: int) -> None:
    guarded = Guarded()
    *_, told = guarded.venue.result(0)
    for profit in profits:
        pnl_micros = None if profit is None else micros(profit)
        guarded.feed(msgspec.structs.replace(told, fill=msgspec.structs.replace(told.fill, pnl_micros=pnl_micros)))
    assert _profit_now(guarded) == realized
    assert [order.pnl_micros // 1_000_000 for order in guarded.engine.account.filled_orders] == [realized]


@pytest.mark.parametrize(
    ("told", "listed", "wait_s", "realized"),
    [
        (500, -700, 10, -700),
        (-700, 500, 10, 500),
        (500, -700, 1, 500),  # asked for so soon after that it may be the older word
        (500, None, 10, 0),
        (-700, None, 10, -700),  # a loss is not taken back by silence
        (None, -700, 1, -700),
    ],
)
def test_a_list_of_fills_read_later_has_the_last_word_on_a_profit(
    told: int | None, listed: int | None, wait_s: int, realized: int
) -> None:
    guarded = Guarded()
    venue = guarded.venue
    *_, event = venue.result(0)
    guarded.feed(
        msgspec.structs.replace(
            event, fill=msgspec.structs.replace(event.fill, pnl_micros=None if told is None else micros(told))
        )
    )
    venue.wait(wait_s)
    venue.fills[event.fill.id] = msgspec.structs.replace(
        event.fill, pnl_micros=None if listed is None else micros(listed)
    )
    guarded.feed(venue.snapshot())
    assert _profit_now(guarded) == realized
    guarded.restart()
    guarded.feed(venue.snapshot())
    assert _profit_now(guarded) == realized


def test_a_profit_that_goes_with_a_voided_fill_no_longer_pays_for_losses() -> None:
    guarded = Guarded(DailyRealizedLossRule(limit=-500))
    venue = guarded.venue
    *_, won = venue.result(400)
    guarded.feed(won, *venue.result(-800))
    assert not guarded.lockouts
    guarded.feed(msgspec.structs.replace(won, fill=msgspec.structs.replace(won.fill, pnl_micros=micros(250))))
    assert len(guarded.lockouts) == 1


@pytest.mark.parametrize(
    ("closed_ms", "left"),
    [
        (-3_000, 2),  # before the position was read: what was read is what is left
        (500, 1),  # within the second its stamp leaves open
        (1_500, 1),
    ],
)
def test_a_closing_fill_told_late_closes_what_was_read_before_it(closed_ms: int, left: int) -> None:
    guarded = Guarded(MaxContractsPerInstrument(default_limit=100))
    venue = guarded.venue
    guarded.feed(*venue.buys(ES, 2, 5000))
    venue.wait(10)
    seen = venue.snapshot()
    guarded.feed(seen)
    closing, _ = venue.sells(ES, 1, 5010)
    assert isinstance(closing, FillReceived)
    at_ns = seen.at_ns + closed_ms * SECOND_NS // 1_000
    venue.wait(5)
    fill = msgspec.structs.replace(closing.fill, at_ns=at_ns)
    guarded.feed(msgspec.structs.replace(closing, fill=fill, at_ns=at_ns, received_ns=venue.now_ns))
    assert guarded.engine.account.realized_micros == fill.pnl_micros == 500_000_000
    assert guarded.engine.account.holdings[ES.id].value_net == left
