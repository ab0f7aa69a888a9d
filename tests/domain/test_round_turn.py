"""Fills fold into executed orders and round turns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_manager.domain.fill import Fill
from risk_manager.domain.order import Side
from risk_manager.domain.round_turn import FilledOrder, OpenTurn, RoundTurn, rank

BUY, SELL = Side.BUY, Side.SELL
USD = 1_000_000


def fill(key: int, side: Side, size: int, pnl: int | None = None, *, fees: int = 0, order: str | None = None) -> Fill:
    return Fill(str(key), order or f"o{key}", "C", side, size, 20_000, key, pnl, fees)


def folded(*fills: Fill, start: int = 0) -> tuple[OpenTurn, list[RoundTurn]]:
    state = OpenTurn("C", start, size=abs(start))
    turns = []
    for one in fills:
        state, turn = state.after(one)
        if turn is not None:
            turns.append(turn)
    return state, turns


@pytest.mark.parametrize("opens", [BUY, SELL])
def test_adds_up_what_happened_between_flat_and_flat(opens: Side) -> None:
    closes = SELL if opens is BUY else BUY
    state, turns = folded(
        fill(1, opens, 2, fees=3),
        fill(2, opens, 1, fees=1, order="o1"),
        fill(3, closes, 1, -50 * USD, fees=1),
        fill(4, opens, 1, fees=1),
        fill(5, closes, 3, -100 * USD, fees=4),
    )
    assert turns == [RoundTurn("5", "C", opens, 4, 1, 5, -150 * USD, 10, ("o1", "o3", "o4", "o5"), "o5")]
    assert state == OpenTurn("C")


def test_is_not_over_one_contract_before_flat() -> None:
    state, turns = folded(fill(1, BUY, 3), fill(2, SELL, 2, 100))
    assert turns == []
    assert (state.net_contracts, state.size, state.pnl_micros, state.opened_ns) == (1, 3, 100, 1)


def test_a_reversal_ends_one_turn_and_begins_the_next() -> None:
    state, turns = folded(fill(1, BUY, 2, fees=2), fill(2, SELL, 5, -30 * USD, fees=7), fill(3, BUY, 3, 12 * USD))
    assert turns == [
        RoundTurn("2", "C", BUY, 2, 1, 2, -30 * USD, 4, ("o1", "o2"), "o2"),
        RoundTurn("3", "C", SELL, 3, 2, 3, 12 * USD, 5, ("o2", "o3"), "o3"),
    ]
    assert state.net_contracts == 0


def test_counts_nothing_where_the_venue_tells_no_result() -> None:
    _, turns = folded(fill(1, BUY, 1), fill(2, SELL, 1))
    assert turns == [RoundTurn("2", "C", BUY, 1, 1, 2, 0, 0, ("o1", "o2"), "o2")]


def test_knows_no_opening_of_what_was_held_before() -> None:
    _, (turn,) = folded(fill(7, BUY, 2, -10), start=-2)
    assert (turn.side, turn.size, turn.opened_ns, turn.closed_ns, turn.pnl_micros) == (SELL, 2, 0, 7, -10)


@given(
    st.lists(st.tuples(st.sampled_from(Side), st.integers(1, 9), st.integers(-9, 9), st.integers(0, 9)), max_size=30)
)
def test_loses_no_contract_no_result_and_no_fee(moves: list[tuple[Side, int, int, int]]) -> None:
    fills = [fill(index, side, size, pnl, fees=fees) for index, (side, size, pnl, fees) in enumerate(moves, 1)]
    state, turns = folded(*fills)
    assert state.net_contracts == sum(one.side.sign * one.size for one in fills)
    assert state.pnl_micros + sum(turn.pnl_micros for turn in turns) == sum(one.pnl_micros or 0 for one in fills)
    assert state.fees_micros + sum(turn.fees_micros for turn in turns) == sum(one.fees_micros for one in fills)
    # What the turns opened they also closed; the rest is what is still open.
    assert 2 * sum(turn.size for turn in turns) + 2 * state.size - abs(state.net_contracts) == sum(
        one.size for one in fills
    )


def test_an_order_adds_up_its_fills() -> None:
    order = FilledOrder("o1", "C", SELL, 1, 1, 2, 0, -50, 1)
    assert order.after(fill(4, SELL, 3, -70, fees=2), 1) == FilledOrder("o1", "C", SELL, 1, 4, 5, 1, -120, 3)
    assert order.after(fill(4, SELL, 3), 3) == FilledOrder("o1", "C", SELL, 1, 4, 5, 3, -50, 1)


def test_ids_of_one_instant_go_by_number() -> None:
    assert sorted(["10", "9", "100"], key=lambda key: rank(5, key)) == ["9", "10", "100"]
    assert rank(4, "100") < rank(5, "9")
