"""The events of one fill come in any order and more than once; the account and the decisions stay the same."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk_manager.domain.events import Event
from risk_manager.domain.position import Position
from risk_manager.rules import DailyRealizedLoss, DailyUnrealizedLoss, MaxContracts, SymbolBlocks
from risk_manager.testing.events import CL, ES, MNQ, micros
from risk_manager.testing.guarded import Guarded
from tests.engine.bursts import arrives, burst_of, numbers, outcome, shuffled

RULES = (
    MaxContracts(limit=3),
    DailyRealizedLoss(limit_micros=micros(500)),
    DailyUnrealizedLoss(loss_limit_micros=micros(300)),
    SymbolBlocks(blocked_symbols=("CL",)),
)


def _guarded(before: int, bid: int) -> Guarded:
    guarded = Guarded(*RULES)
    guarded.feed(guarded.venue.quote(ES, bid, bid + 1), guarded.venue.quote(CL, 70))
    if before:
        guarded.feed(guarded.venue.buys(ES, before, 5000) if before > 0 else guarded.venue.sells(ES, -before, 5000))
    guarded.feed(guarded.venue.snapshot())
    guarded.forget()
    return guarded


@given(st.data(), st.integers(-3, 3), st.integers(-8, 8).filter(bool), st.sampled_from((4990, 4997, 5000, 5010)))
@settings(max_examples=150, deadline=None)
def test_ends_alike_however_a_burst_is_ordered(data: st.DataObject, before: int, contracts: int, bid: int) -> None:
    def run(events: list[Event] | None) -> Guarded:
        guarded = _guarded(before, bid)
        burst = burst_of(guarded.venue, ES, contracts, bid)
        arrives(guarded, list(burst) if events is None else events)
        return guarded

    plain = run(None)
    drawn = data.draw(shuffled(burst_of(_guarded(before, bid).venue, ES, contracts, bid)))
    mixed = run(drawn)
    assert numbers(mixed) == numbers(plain)
    assert outcome(mixed) == outcome(plain)


@given(st.data(), st.sampled_from((-2, -1, 1, 2)))
@settings(max_examples=100, deadline=None)
def test_finds_no_loss_that_is_not_there(data: st.DataObject, before: int) -> None:
    """A closed loss just inside the limit is never counted as realized and as open at once."""
    guarded = Guarded(DailyRealizedLoss(limit_micros=micros(1000)))
    sign = 1 if before > 0 else -1
    # 2 contracts lose 9.5 points of 50 dollars each: 950, or 475 with one.
    guarded.feed(guarded.venue.buys(ES, before, 5000) if before > 0 else guarded.venue.sells(ES, -before, 5000))
    guarded.feed(guarded.venue.quote(ES, "4990.5" if before > 0 else "5009.5"))
    burst = burst_of(guarded.venue, ES, -sign, "4990.5" if before > 0 else "5009.5")
    arrives(guarded, data.draw(shuffled(burst)))
    guarded.feed(guarded.venue.quote(ES, "4990.5" if before > 0 else "5009.5"))
    assert guarded.codes == []
    assert guarded.engine.account.realized_micros == micros(-475)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_finds_every_breach_whatever_comes_first(data: st.DataObject) -> None:
    guarded = Guarded(*RULES)
    arrives(guarded, data.draw(shuffled(burst_of(guarded.venue, CL, 4, 70))))
    assert outcome(guarded)["breaches"] == {
        ("max_contracts", "MAX_CONTRACTS", guarded.breaches[0].scope.__class__()),
        ("symbol_blocks", "SYMBOL_BLOCKED", msgspec.structs.replace(guarded.breaches[0].scope.__class__(), root="CL")),
    }


def test_does_not_open_again_what_fills_have_closed_before_the_venue_stated_it() -> None:
    """An exit some milliseconds behind its entry: both fills are told, and then the entry's position."""
    guarded = Guarded(DailyRealizedLoss(limit_micros=micros(700)))
    guarded.feed(guarded.venue.quote(ES, 4990))
    (bought, held) = guarded.venue.buys(ES, 1, 5000)
    (sold, flat) = guarded.venue.sells(ES, 1, 4992)
    account = guarded.engine.account
    for event in (bought, sold, held, guarded.venue.quote(ES, 4990), flat):
        guarded.feed(event)
        assert account.realized_micros + account.unrealized_micros >= micros(-500), event
    assert (account.realized_micros, account.unrealized_micros, account.holdings) == (micros(-400), 0, {})
    assert guarded.codes == []


trades = st.lists(
    st.tuples(st.integers(-3, 3).filter(bool), st.sampled_from((4980, 4990, 5000))), min_size=1, max_size=7
)


@given(trades, st.lists(st.booleans(), max_size=14), st.booleans())
@settings(max_examples=300, deadline=None)
def test_values_by_the_fills_while_statements_lag(
    trades: list[tuple[int, int]], are_fills_first: list[bool], repeats: bool
) -> None:
    """Neither fills nor statements overtake their like, and no statement its fill: so the venue tells them."""
    guarded = Guarded()
    venue, account = guarded.venue, guarded.engine.account
    guarded.feed(venue.quote(ES, 4990, 4990))
    fills: list[Event] = []
    stated: list[Event] = []
    after = []  # each trade: the fills told by then, and what all of it is worth
    for contracts, price in trades:
        told = (venue.buys if contracts > 0 else venue.sells)(ES, abs(contracts), price)
        fills.extend(told[:-1])
        stated.append(told[-1])
        held = venue.positions.get(ES.id, Position(ES.id, 0, 0, "", 0))
        value = 19_960 * held.net_contracts * ES.instrument.tick_value_micros - (held.cost_micros or 0)
        realized = sum(fill.pnl_micros or 0 for fill in venue.fills.values())
        after.append((len(fills), realized + value))
    told_fills = told_statements = 0
    while told_statements < len(stated):
        must_fill = told_fills < after[told_statements][0]
        if must_fill or (told_fills < len(fills) and are_fills_first and are_fills_first.pop()):
            guarded.feed(fills[told_fills])
            told_fills += 1
        else:
            guarded.feed(*[stated[told_statements]] * (1 + repeats))
            told_statements += 1
        for count, worth in after:
            if count == told_fills:
                assert account.realized_micros + account.unrealized_micros == worth
    assert account.doubtful_since_ns() is None


def test_keeps_the_smaller_value_while_a_close_waits_for_its_fill() -> None:
    """The position event first: still two contracts are marked, for the fill with their loss is not here yet."""
    guarded = Guarded()
    guarded.feed(guarded.venue.buys(ES, 2, 5000), guarded.venue.quote(ES, 4990))
    (fill, position) = guarded.venue.sells(ES, 1, 4990)
    guarded.feed(position)
    account = guarded.engine.account
    assert (account.realized_micros, account.unrealized_micros) == (0, micros(-1000))
    assert account.holdings[ES.id].net_contracts == 2
    guarded.feed(fill)
    assert (account.realized_micros, account.unrealized_micros) == (micros(-500), micros(-500))
    assert account.holdings[ES.id].net_contracts == 1


def test_counts_the_larger_exposure_while_an_opening_waits() -> None:
    guarded = Guarded()
    (fill, position) = guarded.venue.buys(ES, 2, 5000)
    guarded.feed(fill)
    holding = guarded.engine.account.holdings[ES.id]
    assert (holding.net_contracts, holding.certain_contracts) == (2, 0)
    guarded.feed(position)
    assert (holding.net_contracts, holding.certain_contracts) == (2, 2)


def test_values_what_was_added_before_its_fill_comes() -> None:
    """A third contract bought at 5002, stated by the position first."""
    guarded = Guarded()
    guarded.feed(guarded.venue.buys(ES, 2, 5000), guarded.venue.quote(ES, 4990))
    (fill, position) = guarded.venue.buys(ES, 1, 5002)
    guarded.feed(position)
    assert guarded.engine.account.unrealized_micros == micros(-1600)
    guarded.feed(fill)
    assert guarded.engine.account.unrealized_micros == micros(-1600)


def test_does_not_let_a_repeated_position_event_undo_a_closing_fill() -> None:
    guarded = Guarded()
    (_, stated) = opened = guarded.venue.buys(ES, 2, 5000)
    guarded.feed(opened, guarded.venue.quote(ES, 4990))
    (fill, position) = guarded.venue.sells(ES, 1, 4990)
    guarded.feed(fill, stated)
    account = guarded.engine.account
    assert (account.realized_micros, account.unrealized_micros) == (micros(-500), micros(-500))
    guarded.feed(position)
    assert (account.realized_micros, account.unrealized_micros) == (micros(-500), micros(-500))


def test_does_not_count_a_loss_again_when_the_positions_lag_behind_their_fills() -> None:
    """Two contracts sold one by one; the first position comes after both fills and states more than is left."""
    guarded = Guarded()
    guarded.feed(guarded.venue.buys(ES, 3, 5000), guarded.venue.quote(ES, 4990))
    (fill, position), (next_fill, next_position) = guarded.venue.sells(ES, 1, 4990), guarded.venue.sells(ES, 1, 4990)
    account = guarded.engine.account
    guarded.feed(fill, next_fill, position)
    assert (account.realized_micros, account.unrealized_micros) == (micros(-1000), micros(-500))
    assert account.holdings[ES.id].net_contracts == 2, "exposure is still the larger of the two"
    guarded.feed(next_position)
    assert (account.realized_micros, account.unrealized_micros) == (micros(-1000), micros(-500))
    assert account.holdings[ES.id].net_contracts == 1


@pytest.mark.parametrize("repeats", [1, 3])
def test_books_a_repeated_fill_once(repeats: int) -> None:
    guarded = Guarded()
    burst = guarded.venue.buys(MNQ, 1, 20000, fees="0.37")
    for _ in range(repeats):
        guarded.feed(burst)
    account = guarded.engine.account
    assert account.fees_micros == micros("0.37")
    assert account.holdings[MNQ.id].net_contracts == 1
    assert len(account.fills) == 1


def test_counts_a_closing_fill_once_though_a_missed_one_keeps_the_witnesses_apart() -> None:
    """The fill of a sale was lost: by the fills four are held, by the venue two. Selling one more leaves it one."""
    guarded = Guarded()
    guarded.feed(guarded.venue.buys(ES, 4, 5000))
    (_, position), (fill, next_position) = guarded.venue.sells(ES, 2, 5000), guarded.venue.sells(ES, 1, 5000)
    guarded.feed(position)
    holding = guarded.engine.account.holdings[ES.id]
    assert (holding.net_contracts, holding.certain_contracts) == (4, 2)
    guarded.feed(fill)
    assert (holding.net_contracts, holding.certain_contracts) == (3, 1)
    guarded.feed(position)
    assert (holding.net_contracts, holding.certain_contracts) == (3, 1), "a statement that only repeats itself"
    guarded.feed(next_position)
    assert (holding.net_contracts, holding.certain_contracts) == (3, 1)
