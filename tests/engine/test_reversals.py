"""A reversal's halves come in any order: what the old side has brought counts once, from the first fill on.

The closing half alone carries the profit. An ES point is worth 50 dollars a contract.
"""

from itertools import permutations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk_manager.domain.actions import ClosePosition, ReducePosition, TakeSnapshot
from risk_manager.domain.events import Event, FillReceived
from risk_manager.domain.lockout import Held
from risk_manager.domain.order import Side
from risk_manager.engine import Engine
from risk_manager.rules import DailyLossRule, DailyUnrealizedLoss, DrawdownRule, VelocityRule
from risk_manager.rules._base import Rule
from risk_manager.testing.events import CL, ES, Price, Scenario, micros
from risk_manager.testing.guarded import Guarded
from tests.engine.bursts import arrives, shuffled


def _holding(net: int, price: Price = 5000) -> Guarded:
    guarded = Guarded()
    guarded.feed(guarded.venue.quote(ES, price))
    guarded.feed(guarded.venue.buys(ES, net, price) if net > 0 else guarded.venue.sells(ES, -net, price))
    return guarded


def _turned(venue: Scenario, size: int, price: Price, *, fees: Price = 0) -> tuple[FillReceived, FillReceived, Event]:
    """The closing half, the opening half and the position of an order of that size; it sells if `size` < 0."""
    closing, opening, position = (venue.buys if size > 0 else venue.sells)(ES, abs(size), price, fees=fees)
    assert isinstance(closing, FillReceived)
    assert isinstance(opening, FillReceived)
    return closing, opening, position


def _unstated(event: Event) -> FillReceived:
    """A fill as the venue would tell it without the profit."""
    assert isinstance(event, FillReceived)
    return msgspec.structs.replace(event, fill=msgspec.structs.replace(event.fill, pnl_micros=None))


def _numbers(guarded: Guarded) -> tuple[int, int]:
    return guarded.engine.account.realized_micros, guarded.engine.account.unrealized_micros


def _dollars(realized: int, unrealized: int) -> tuple[int, int]:
    return micros(realized), micros(unrealized)


# -- the opening half first --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("net", "price", "brought"), [(1, 5010, 500), (1, 4990, -500), (-1, 4990, 500), (-2, 5010, -1000)]
)
def test_counts_what_the_old_side_has_brought_before_it_is_stated(net: int, price: int, brought: int) -> None:
    guarded = _holding(net)
    guarded.feed(guarded.venue.quote(ES, price))
    assert _numbers(guarded) == _dollars(0, brought)
    closing, opening, position = _turned(guarded.venue, -2 * net, price)
    guarded.feed(opening)
    assert _numbers(guarded) == _dollars(0, brought)
    guarded.feed(closing)
    assert _numbers(guarded) == _dollars(brought, 0)
    guarded.feed(position, opening, closing)
    assert _numbers(guarded) == _dollars(brought, 0)


def test_marks_the_new_side_while_the_old_sides_profit_is_pending() -> None:
    """The position event between the halves: one short from 5010, and 500 from the long before it."""
    guarded = _holding(1)
    guarded.feed(guarded.venue.quote(ES, 5010))
    closing, opening, position = _turned(guarded.venue, -2, 5010)
    guarded.feed(opening, position, guarded.venue.quote(ES, 5012))
    assert _numbers(guarded) == _dollars(0, 500 - 100)
    assert guarded.engine.account.holdings[ES.id].unrealized_micros == micros(-100), "a position knows only its own"
    guarded.feed(closing)
    assert _numbers(guarded) == _dollars(500, -100)


def test_is_not_moved_by_quotes_of_what_is_closed() -> None:
    guarded = _holding(1)
    _, opening, _ = _turned(guarded.venue, -2, 5010)
    guarded.feed(opening)
    assert ES.id not in guarded.engine.account.holdings or guarded.engine.account.holdings[ES.id].unrealized_micros == 0
    guarded.feed(guarded.venue.quote(ES, 5050), guarded.venue.quote(ES, None, None, 4900))
    assert _numbers(guarded) == _dollars(0, 500)


def test_takes_each_halfs_fees_as_it_comes() -> None:
    guarded = _holding(1)
    venue = guarded.venue
    closing, opening, _ = _turned(venue, -2, 5010, fees=3)
    paid = msgspec.structs.replace(closing, fill=msgspec.structs.replace(closing.fill, fees_micros=micros(2)))
    guarded.feed(venue.quote(ES, 5010), opening)
    assert (_numbers(guarded), guarded.engine.account.fees_micros) == (_dollars(0, 500), micros(3))
    guarded.feed(paid)
    assert (_numbers(guarded), guarded.engine.account.fees_micros) == (_dollars(500, 0), micros(5))


def test_survives_a_restart_between_the_halves() -> None:
    guarded = _holding(-1)
    closing, opening, position = _turned(guarded.venue, 3, 5020)
    guarded.feed(opening)
    guarded.restart()
    # Two bought: one closed the short 20 points higher, one is the long that is left, at the quote of 5000.
    assert _numbers(guarded) == _dollars(0, -1000 - 1000)
    guarded.feed(closing, position)
    assert _numbers(guarded) == _dollars(-1000, -2000)


def test_names_no_price_for_what_it_cannot_reckon() -> None:
    """A contract nobody has described: the profit counts when the venue states it, and only then."""
    venue = Scenario()
    venue.contracts = (ES,)
    guarded = Guarded(venue=venue)
    guarded.feed(venue.buys(CL, 1, 75))
    closing, opening, position = venue.sells(CL, 2, 76)
    guarded.feed(opening)
    assert _numbers(guarded) == _dollars(0, 0)
    guarded.feed(closing, position)
    assert _numbers(guarded) == _dollars(1000, 0)


# -- in parts ----------------------------------------------------------------------------------------------------------


def test_takes_off_what_is_stated_part_by_part() -> None:
    """Three long at 5000 turned to two short at 5010; the halves come as 2 and 1 that close, and 2 that open."""
    guarded = _holding(3)
    venue = guarded.venue
    guarded.feed(venue.quote(ES, 5010))
    (two, _), (one, _), (opening, position) = (
        venue.sells(ES, 2, 5010),
        venue.sells(ES, 1, 5010),
        venue.sells(ES, 2, 5010),
    )
    seen = []
    for event in (opening, two, one, position):
        guarded.feed(event)
        seen.append(_numbers(guarded))
    assert seen == [
        _dollars(0, 1000 + 500),  # two closed and not stated, one open
        _dollars(1000, 500),  # one closed and not stated; one opened at 5010
        _dollars(1500, 0),
        _dollars(1500, 0),
    ]


def test_waits_for_the_statement_though_the_position_has_settled() -> None:
    """Two executions, each with its position: the second fill and the first position agree on flat."""
    guarded = _holding(1)
    venue = guarded.venue
    (closing, flat), (opening, short) = venue.sells(ES, 1, 5010), venue.sells(ES, 1, 5010)
    guarded.feed(opening, flat)
    account = guarded.engine.account
    assert (account.holdings, account.doubtful_since_ns()) == ({}, None)
    assert _numbers(guarded) == _dollars(0, 500)
    guarded.feed(closing, short, venue.quote(ES, 5010))
    assert _numbers(guarded) == _dollars(500, 0)


@given(st.data(), st.sampled_from((-3, -2, -1, 1, 2, 3)), st.lists(st.integers(1, 3), max_size=4), st.booleans())
@settings(max_examples=300, deadline=None)
def test_keeps_its_worth_amid_any_reversal(data: st.DataObject, net: int, sizes: list[int], is_each_told: bool) -> None:
    """What trades at the price of the quote brings nothing at any moment, in whatever parts and order it is told.

    The position comes after each part or after all of them; one is never overtaken by another.
    """
    guarded = _holding(net)
    venue = guarded.venue
    guarded.feed(venue.quote(ES, 5004))
    orders = [(venue.sells if net > 0 else venue.buys)(ES, size, 5004) for size in (*sizes, abs(net) + 1)]
    fills = [event for order in orders for event in order if isinstance(event, FillReceived)]
    positions = [order[-1] for order in orders][0 if is_each_told else -1 :]
    drawn = data.draw(shuffled((*fills, *positions)))
    told = iter(sorted((one for one in drawn if one in positions), key=lambda one: one.received_ns))
    account = guarded.engine.account
    for event in drawn:
        arrives(guarded, [next(told) if event in positions else event])
        assert account.realized_micros + account.unrealized_micros == micros(200 * net)
    assert account.realized_micros == micros(200 * net)
    assert account.doubtful_since_ns() is None


# -- what the venue states counts in full ------------------------------------------------------------------------------


def test_never_sets_its_own_reckoning_against_a_stated_loss() -> None:
    """The close of a position whose opening was missed looks like an opening; its loss counts all the same."""
    guarded = Guarded()
    guarded.venue.buys(ES, 1, 5000)
    closing, _ = guarded.venue.sells(ES, 1, 4980)
    guarded.feed(guarded.venue.quote(ES, 4980), closing)
    assert _numbers(guarded) == _dollars(-1000, 0)


def test_does_not_count_a_profit_twice_that_was_stated_before_the_opening_came() -> None:
    guarded = Guarded()
    venue = guarded.venue
    guarded.feed(venue.quote(ES, 5010))
    (bought, _), (sold, _) = venue.buys(ES, 1, 5000), venue.sells(ES, 1, 5010)
    guarded.feed(sold)
    assert _numbers(guarded) == _dollars(500, 0)
    guarded.feed(bought)
    assert _numbers(guarded) == _dollars(500, 0)


def test_takes_off_what_a_known_fill_is_now_told_to_have_brought() -> None:
    guarded = _holding(1)
    closing, position = guarded.venue.sells(ES, 1, 5010)
    bare = _unstated(closing)
    guarded.feed(bare, position)
    assert _numbers(guarded) == _dollars(0, 500)
    guarded.feed(closing)
    assert _numbers(guarded) == _dollars(500, 0)
    guarded.feed(bare, closing)
    assert _numbers(guarded) == _dollars(500, 0)


def test_takes_off_no_more_than_is_pending() -> None:
    """A fill said to have closed two contracts where one was open."""
    guarded = _holding(1)
    closing, opening, _ = _turned(guarded.venue, -2, 5010)
    guarded.feed(guarded.venue.quote(ES, 5010), opening)
    guarded.feed(msgspec.structs.replace(closing, fill=msgspec.structs.replace(closing.fill, size=2)))
    assert _numbers(guarded) == _dollars(500, 0)


def test_takes_off_a_statement_once_however_often_the_fill_is_told() -> None:
    """Two long sold one by one: of the first the fees come later, of the second the profit."""
    guarded = _holding(2)
    (first, _), (second, position) = guarded.venue.sells(ES, 1, 5010), guarded.venue.sells(ES, 1, 5010)
    assert isinstance(first, FillReceived)
    guarded.feed(first, _unstated(second), position)
    assert _numbers(guarded) == _dollars(500, 500)
    guarded.feed(msgspec.structs.replace(first, fill=msgspec.structs.replace(first.fill, fees_micros=1)))
    assert _numbers(guarded) == _dollars(500, 500)
    guarded.feed(second)
    assert _numbers(guarded) == _dollars(1000, 0)


def test_starts_from_what_the_first_snapshot_states() -> None:
    """What came before it is told again in its lists."""
    guarded = Guarded()
    venue = guarded.venue
    guarded.engine = Engine(guarded.settings)
    bought, _ = venue.buys(ES, 1, 5000)
    _, opening, _ = _turned(venue, -2, 5010)
    guarded.feed(venue.quote(ES, 5010), bought, opening, venue.snapshot())
    assert _numbers(guarded) == _dollars(500, 0)
    closing, opening, _ = _turned(venue, 2, 5000)
    guarded.feed(venue.quote(ES, 5000), opening, closing)
    assert _numbers(guarded) == _dollars(1000, 0)


# -- voids -------------------------------------------------------------------------------------------------------------


def test_reopens_the_old_side_when_the_opening_half_is_voided() -> None:
    guarded = _holding(1)
    venue = guarded.venue
    guarded.feed(venue.quote(ES, 5004))
    _, opening, _ = _turned(venue, -2, 5010)
    guarded.feed(opening)
    assert _numbers(guarded) == _dollars(0, 500)
    (voided,) = venue.voided(opening)
    again = msgspec.structs.replace(voided, fill=msgspec.structs.replace(voided.fill, fees_micros=1))
    guarded.feed(voided, again)
    assert _numbers(guarded) == _dollars(0, 200)
    assert guarded.engine.account.holdings[ES.id].value_cost == micros(250_000)


def test_gives_back_the_share_of_the_voided_part_alone() -> None:
    """Four long at 5000; of two sales of which no profit is stated yet the venue takes the larger one back."""
    guarded = _holding(4)
    venue = guarded.venue
    (one, _), (three, _) = venue.sells(ES, 1, 5010), venue.sells(ES, 3, 5010)
    guarded.feed(venue.quote(ES, 5010), _unstated(one), _unstated(three))
    assert _numbers(guarded) == _dollars(0, 2000)
    (voided,) = venue.voided(_unstated(three))
    guarded.feed(voided, venue.quote(ES, 5020))
    assert _numbers(guarded) == _dollars(0, 500 + 3 * 1000)
    assert guarded.engine.account.holdings[ES.id].value_cost == 3 * micros(250_000)


def test_keeps_what_a_voided_closing_half_had_brought_pending() -> None:
    """The two sold are then one: it closed the long, and its own profit has not been stated."""
    guarded = _holding(1)
    venue = guarded.venue
    closing, opening, position = _turned(venue, -2, 5010)
    guarded.feed(venue.quote(ES, 5010), opening, closing, position)
    guarded.feed(venue.voided(closing))
    assert _numbers(guarded) == _dollars(0, 500)


# -- when a snapshot has shown all fills -------------------------------------------------------------------------------


def test_gives_up_a_profit_that_no_list_of_fills_states() -> None:
    """Asked for 2 s after the last event: before that the list may lag behind a closing half under way."""
    guarded = _holding(1)
    venue = guarded.venue
    (closing, position) = venue.sells(ES, 1, 5010)
    bare = _unstated(closing)
    venue.fills[bare.fill.id] = bare.fill
    guarded.feed(bare, position)
    venue.wait(1)
    guarded.feed(venue.snapshot())
    assert _numbers(guarded) == _dollars(0, 500)
    venue.wait(2)
    guarded.feed(msgspec.structs.replace(venue.snapshot(), fills=None))
    assert _numbers(guarded) == _dollars(0, 500), "a list that was not read states nothing"
    guarded.feed(venue.snapshot())
    assert _numbers(guarded) == _dollars(0, 0)


def test_learns_a_missed_closing_half_from_a_snapshot() -> None:
    guarded = _holding(1)
    venue = guarded.venue
    _, opening, _ = _turned(venue, -2, 5010)
    guarded.feed(opening, venue.quote(ES, 5010), venue.snapshot())
    assert _numbers(guarded) == _dollars(500, 0)


def test_forgets_a_profit_stated_too_much() -> None:
    """The close of an opening that no list tells leaves nothing a later reversal's profit would be set against."""
    guarded = Guarded()
    venue = guarded.venue
    venue.buys(ES, 1, 5000)
    closing, flat = venue.sells(ES, 1, 5000)
    venue.fills.popitem()
    venue.fills.popitem()
    guarded.feed(closing, flat)
    venue.wait(3)
    guarded.feed(venue.snapshot(), venue.snapshot())
    assert guarded.engine.account.doubtful_since_ns() is None
    guarded.feed(venue.buys(ES, 1, 5000))
    _, opening, _ = _turned(venue, -2, 5010)
    guarded.feed(opening)
    assert _numbers(guarded) == _dollars(0, 500)


# -- what rules make of it ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rule",
    [
        VelocityRule(max_loss=400),
        DrawdownRule(max_drawdown=400),
        DailyUnrealizedLoss(loss_limit_micros=micros(400)),
    ],
)
def test_finds_no_loss_when_a_profit_is_turned_round(rule: Rule) -> None:
    guarded = Guarded(rule)
    venue = guarded.venue
    guarded.feed(venue.quote(ES, 5000), venue.buys(ES, 1, 5000), venue.quote(ES, 5010))
    closing, opening, position = _turned(venue, -2, 5010)
    guarded.feed(opening, venue.quote(ES, 5010), position, closing, venue.account(), venue.snapshot())
    assert guarded.codes == []


def test_finds_a_loss_that_is_not_stated_yet() -> None:
    """300 lost on the old side and 150 on the new one, while only the fills have told of the old side's end."""
    guarded = Guarded(VelocityRule(max_loss=400))
    venue = guarded.venue
    guarded.feed(venue.quote(ES, 5000), venue.buys(ES, 1, 5000), venue.quote(ES, 4994))
    _, opening, position = _turned(venue, -2, 4994)
    guarded.feed(opening, position)
    assert guarded.codes == []
    guarded.feed(venue.quote(ES, 4997))
    assert [(breach.code, breach.measured) for breach in guarded.breaches] == [("VELOCITY", micros(-450))]


# -- a lock amid a reversal --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_pause_lets_the_side_stay_that_the_burst_ends_on(order: tuple[int, ...]) -> None:
    guarded = Guarded(DailyLossRule(limit=100, action="pause", basis="realized"))
    venue = guarded.venue
    guarded.feed(venue.quote(ES, 5000), venue.buys(ES, 1, 5000))
    burst = venue.sells(ES, 3, 4990)
    arrives(guarded, [burst[index] for index in order])
    assert guarded.codes == ["DAILY_LOSS"]
    assert [lock.allowed for lock in guarded.engine.account.lockouts] == [(Held(ES.id, -2),)]
    assert [action for action in guarded.actions if isinstance(action, ClosePosition | ReducePosition)] == []
    # What is added afterwards is too much.
    guarded.feed(venue.sells(ES, 1, 4990))
    (reduction,) = (action for action in guarded.actions if isinstance(action, ClosePosition | ReducePosition))
    assert isinstance(reduction, ReducePosition)
    assert reduction.size == 1


def test_a_pause_keeps_the_only_stop_while_a_burst_is_open() -> None:
    guarded = Guarded(DailyLossRule(limit=100, action="pause", basis="realized"))
    venue = guarded.venue
    guarded.feed(venue.quote(ES, 5000), venue.buys(ES, 2, 5000), venue.order(ES, Side.SELL, 2, stop=4980))
    arrives(guarded, list(venue.sells(ES, 1, 4990)[:1]))
    assert [lock.allowed for lock in guarded.engine.account.lockouts] == [None]
    assert [action for action in guarded.actions if not isinstance(action, TakeSnapshot)] == []


def test_a_lock_waits_no_longer_than_a_second_for_the_burst_to_end() -> None:
    guarded = Guarded(DailyLossRule(limit=100, action="pause", basis="realized"))
    venue = guarded.venue
    guarded.feed(venue.quote(ES, 5000), venue.buys(ES, 2, 5000))
    arrives(guarded, list(venue.sells(ES, 1, 4990)[:1]))
    guarded.feed(venue.timer(after_s=0.9))
    assert [lock.allowed for lock in guarded.engine.account.lockouts] == [None]
    guarded.feed(venue.timer(after_s=0.1))
    assert [lock.allowed for lock in guarded.engine.account.lockouts] == [(Held(ES.id, 2),)]
