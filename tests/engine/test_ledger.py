"""The account's fills, orders and round turns: the same whatever the order, number and way they were told in."""

from collections.abc import Iterable, Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk_manager.domain.events import FillReceived
from risk_manager.domain.fill import Fill
from risk_manager.domain.order import Side
from risk_manager.domain.round_turn import FilledOrder, RoundTurn
from risk_manager.engine.account import AccountState
from risk_manager.testing.events import DAY_NS, ES, HOUR_NS, MNQ, SECOND_NS, START_NS, Scenario, micros
from risk_manager.testing.guarded import Guarded

BUY, SELL = Side.BUY, Side.SELL
MS = 1_000_000
NEXT_DAY_NS = START_NS + 8 * HOUR_NS


def told(
    key: str,
    side: Side,
    size: int,
    pnl: int | None = None,
    *,
    at_ns: int,
    order: str | None = None,
    contract_id: str = ES.id,
    is_voided: bool = False,
) -> FillReceived:
    fill = Fill(key, order or f"o{key}", contract_id, side, size, 20_000, at_ns, pnl, 0, is_voided)
    return FillReceived("1001", fill, at_ns, at_ns)


def facts(account: AccountState) -> tuple[Sequence[Fill], Sequence[FilledOrder], Sequence[RoundTurn]]:
    return list(account.valid_fills), list(account.filled_orders), list(account.round_turns)


def given_to(events: Iterable[FillReceived]) -> AccountState:
    guarded = Guarded()
    guarded.feed(events)
    return guarded.engine.account


def test_lists_fills_orders_and_turns_by_venue_time() -> None:
    guarded = Guarded()
    guarded.feed(guarded.venue.buys(ES, 2, 5000), guarded.venue.buys(MNQ, 1, 20000))
    guarded.feed(guarded.venue.sells(ES, 1, 4990), guarded.venue.closes(MNQ, 20100), guarded.venue.closes(ES, 4995))
    account = guarded.engine.account
    assert [(order.size, order.opened, order.pnl_micros) for order in account.filled_orders] == [
        (2, 2, 0),
        (1, 1, 0),
        (1, 0, micros(-500)),
        (1, 0, micros(200)),
        (1, 0, micros(-250)),
    ]
    assert [(turn.contract_id, turn.size, turn.pnl_micros) for turn in account.round_turns] == [
        (MNQ.id, 1, micros(200)),
        (ES.id, 2, micros(-750)),
    ]


def test_partial_fills_are_one_order() -> None:
    parts = [told(str(part), BUY, 2, at_ns=START_NS + part * MS, order="o") for part in range(1, 6)]
    (order,) = given_to(parts).filled_orders
    assert (order.size, order.opened, order.first_ns, order.last_ns) == (10, 10, START_NS + MS, START_NS + 5 * MS)


def test_fills_of_one_instant_are_told_apart_by_id_and_go_by_its_number() -> None:
    """Fill 10 closes what fill 9 opened at the same time: sorted as text it would be the other way round."""
    account = given_to([told("10", SELL, 1, -5, at_ns=START_NS), told("9", BUY, 1, at_ns=START_NS)])
    assert [fill.id for fill in account.valid_fills] == ["9", "10"]
    (turn,) = account.round_turns
    assert (turn.side, turn.id, turn.pnl_micros) == (BUY, "10", -5)


def test_a_voided_fill_is_taken_out_of_everything() -> None:
    fills = [told("1", BUY, 2, at_ns=START_NS), told("2", SELL, 2, -90, at_ns=START_NS + MS)]
    void = told("2", SELL, 2, -90, at_ns=START_NS + MS, is_voided=True)
    account = given_to([*fills, void, void])
    assert [fill.id for fill in account.valid_fills] == ["1"]
    assert [order.id for order in account.filled_orders] == ["o1"]
    assert list(account.round_turns) == []
    assert facts(account) == facts(given_to(fills[:1]))
    assert facts(given_to([void, *fills])) == facts(given_to(fills[:1])), "a void is for good, also when told first"


def test_a_result_told_later_is_added_to_the_turn() -> None:
    account = given_to(
        [
            told("1", BUY, 1, at_ns=START_NS),
            told("2", SELL, 1, at_ns=START_NS + MS),
            told("2", SELL, 1, -70, at_ns=START_NS + MS),
        ]
    )
    assert [turn.pnl_micros for turn in account.round_turns] == [-70]


def test_every_change_has_another_revision_and_a_repetition_none() -> None:
    guarded = Guarded()
    account = guarded.engine.account
    seen = [account.fills_revision]
    opening = told("1", BUY, 1, at_ns=START_NS + SECOND_NS)
    for event in (
        opening,
        msgspec.structs.replace(opening, fill=msgspec.structs.replace(opening.fill, is_voided=True)),
    ):
        guarded.feed(event)
        assert account.fills_revision not in seen
        seen.append(account.fills_revision)
        guarded.feed(event, guarded.venue.quote(ES, 5000), guarded.venue.account())
        assert account.fills_revision == seen[-1]


# -- over the trading day ----------------------------------------------------------------------------------------------


def test_keeps_the_fills_of_the_previous_trading_day_and_no_older() -> None:
    guarded = Guarded()
    account = guarded.engine.account
    guarded.feed(guarded.venue.buys(ES, 1, 5000))
    guarded.venue.now_ns = NEXT_DAY_NS
    guarded.feed(guarded.venue.buys(ES, 1, 5000))
    assert len(account.valid_fills) == len(account.filled_orders) == 2
    guarded.venue.now_ns = NEXT_DAY_NS + DAY_NS
    guarded.feed(guarded.venue.closes(ES, 4990))
    assert len(account.valid_fills) == len(account.filled_orders) == 2
    (turn,) = account.round_turns
    assert (turn.size, turn.pnl_micros, turn.opened_ns) == (2, micros(-1000), START_NS + 3 * MS)


@pytest.mark.parametrize("net", [3, -3])
def test_what_was_held_before_the_first_fill_is_counted(net: int) -> None:
    venue = Scenario()
    venue.position(ES, net, 5000)
    guarded = Guarded(venue=venue)
    guarded.feed(venue.closes(ES, 4990))
    (turn,) = guarded.engine.account.round_turns
    assert (turn.size, turn.opened_ns) == (3, 0)
    assert turn.pnl_micros == micros(-500 * net)


def test_a_fill_the_venue_never_told_is_accounted_for_by_two_snapshots() -> None:
    """A position that moved without a fill: believed when two snapshots in a row say so, then turns are right again."""
    guarded = Guarded()
    venue, account = guarded.venue, guarded.engine.account
    guarded.feed(venue.buys(ES, 2, 5000))
    venue.sells(ES, 1, 5000)
    lost = list(venue.fills)[-1]
    del venue.fills[lost]
    for _ in range(4):
        venue.wait(5)
        guarded.feed(venue.snapshot())
    guarded.feed(venue.closes(ES, 4990))
    (turn,) = account.round_turns
    assert turn.pnl_micros == micros(-500)


def test_one_snapshot_whose_lists_are_apart_makes_no_turn() -> None:
    """The closing fill is still missing in the list of fills, while the list of positions is flat already."""
    guarded = Guarded()
    venue, account = guarded.venue, guarded.engine.account
    guarded.feed(venue.buys(ES, 2, 5000))
    fill, position = venue.closes(ES, 5000)
    guarded.feed(position)
    venue.wait(5)
    late = venue.fills.popitem()
    guarded.feed(venue.snapshot())
    assert list(account.round_turns) == []
    venue.fills.update([late])
    guarded.feed(fill)
    assert [turn.size for turn in account.round_turns] == [2]


# -- any order, any number ---------------------------------------------------------------------------------------------

moves = st.lists(
    st.tuples(
        st.sampled_from(Side),
        st.integers(1, 4),
        st.none() | st.integers(-9, 9),
        st.integers(0, 3),
        st.sampled_from([ES.id, MNQ.id]),
        st.integers(1, 4),
        st.booleans(),
    ),
    max_size=12,
)


def _stream(drawn: list[tuple[Side, int, int | None, int, str, int, bool]]) -> list[FillReceived]:
    """Fills, some at the same instant and of the same order, and voids of some of them."""
    stream = []
    at_ns = START_NS
    for index, (side, size, pnl, later, contract_id, order, is_voided) in enumerate(drawn, 1):
        at_ns += later * MS
        key = f"{contract_id}-{order}"
        stream.append(told(str(index), side, size, pnl, at_ns=at_ns, order=key, contract_id=contract_id))
        if is_voided:
            void = told(str(index), side, size, pnl, at_ns=at_ns, order=key, contract_id=contract_id, is_voided=True)
            stream.append(void)
    return stream


@given(st.data(), moves)
@settings(max_examples=150, deadline=None)
def test_nothing_depends_on_the_order_or_the_number_of_reports(
    data: st.DataObject, drawn: list[tuple[Side, int, int | None, int, str, int, bool]]
) -> None:
    stream = _stream(drawn)
    repeats = data.draw(st.lists(st.sampled_from(stream), max_size=4)) if stream else []
    mixed = data.draw(st.permutations([*stream, *repeats]))
    assert facts(given_to(mixed)) == facts(given_to(stream))


@given(moves, st.integers(0, 24))
@settings(max_examples=100, deadline=None)
def test_goes_on_after_a_restart_as_if_never_stopped(
    drawn: list[tuple[Side, int, int | None, int, str, int, bool]], stop: int
) -> None:
    stream = _stream(drawn)
    steady, restarted = Guarded(), Guarded()
    for index, event in enumerate(stream):
        if index == stop:
            restarted.restart()
        steady.feed(event)
        restarted.feed(event)
    assert facts(restarted.engine.account) == facts(steady.engine.account)
    assert restarted.engine.snapshot() == steady.engine.snapshot()
