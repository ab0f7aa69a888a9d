from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_manager.domain.actions import CancelOrder, ClosePosition, ModifyOrder, ReducePosition, TakeSnapshot
from risk_manager.venues.projectx.limits import CallBudget, Lane, lanes_of

S = 1_000_000_000


def granted(budget: CallBudget, lane: Lane, times_ns: Iterable[int]) -> int:
    return sum(budget.ask(lane, at_ns) == 0 for at_ns in times_ns)


@pytest.mark.parametrize(("lane", "most"), [(Lane.PING, 30), (Lane.READ, 60), (Lane.BARS, 50)])
def test_gives_a_lane_its_share_and_no_more(lane: Lane, most: int) -> None:
    budget = CallBudget()
    assert granted(budget, lane, [S] * (most - 1)) == most - 1
    assert budget.ask(lane, S) == 0
    assert budget.ask(lane, S) == (31_500_000_000 if lane is Lane.BARS else 63 * S)  # a window is 5 % longer


def test_frees_a_place_when_its_call_leaves_the_window() -> None:
    budget = CallBudget()
    granted(budget, Lane.READ, [S] * 60)
    assert budget.ask(Lane.READ, 2 * S) == 62 * S
    assert budget.ask(Lane.READ, 64 * S - 1) == 1
    assert budget.ask(Lane.READ, 64 * S) == 0


def test_counts_bars_apart() -> None:
    budget = CallBudget()
    granted(budget, Lane.BARS, [S] * 50)
    assert granted(budget, Lane.CLOSE, [S] * 148) == 148


def test_stops_first_who_can_wait_longest() -> None:
    budget = CallBudget()
    lanes = (Lane.PING, Lane.READ, Lane.LOOK, Lane.ORDER, Lane.CLOSE)
    # A look is two calls; the first is not taken from what is shared, and the last close goes beyond it.
    assert [granted(budget, lane, [S] * 200) for lane in lanes] == [30, 30, 1 + 14, 52, 8 + 1]


@pytest.mark.parametrize("busy", [Lane.READ, Lane.ORDER, Lane.CLOSE])
def test_lets_an_account_be_looked_at_every_few_seconds_whoever_is_busy(busy: Lane) -> None:
    budget = CallBudget()
    granted(budget, busy, [S] * 200)
    granted(budget, Lane.ORDER, [S] * 200)
    assert [budget.ask(Lane.LOOK, S) for _ in range(2)] == [0, 2_625_000_000]
    assert budget.ask(Lane.LOOK, 3_625_000_000 - 1) == 1
    assert budget.ask(Lane.LOOK, 3_625_000_000) == 0


def test_takes_looks_beyond_their_own_from_what_is_shared_and_never_half_of_one() -> None:
    budget = CallBudget()
    granted(budget, Lane.ORDER, [S] * 85)
    assert [budget.ask(Lane.LOOK, S) for _ in range(3)] == [0, 0, 2_625_000_000]


@pytest.mark.parametrize("busy", [Lane.READ, Lane.LOOK, Lane.ORDER, Lane.CLOSE])
def test_lets_an_accounts_record_and_fills_be_read_twice_a_minute_whoever_is_busy(busy: Lane) -> None:
    budget = CallBudget()
    granted(budget, busy, [S] * 200)
    granted(budget, Lane.ORDER, [S] * 200)
    assert [budget.ask(Lane.RECORD, S) for _ in range(3)] == [0, 0, 31_500_000_000]
    assert budget.ask(Lane.RECORD, 32_500_000_000 - 1) == 1
    assert granted(budget, Lane.RECORD, [32_500_000_000] * 3) == 2


def test_takes_records_beyond_their_own_from_what_reads_share() -> None:
    budget = CallBudget()
    assert granted(budget, Lane.RECORD, [S] * 100) == 2 + 60
    assert budget.ask(Lane.READ, S) == 63 * S


def test_lets_an_order_through_every_four_seconds_though_their_share_is_used_up() -> None:
    budget = CallBudget()
    assert granted(budget, Lane.ORDER, [10 * S] * 200) == 140 + 1
    assert budget.ask(Lane.ORDER, 14 * S - 1) == 1
    assert granted(budget, Lane.ORDER, [14 * S] * 3) == 1
    budget.refused(Lane.ORDER, 0)
    assert budget.ask(Lane.ORDER, 18 * S) == 4 * S
    assert granted(budget, Lane.ORDER, [73 * S] * 200) == 140 - 1 + 1, (
        "the burst is over, but one call beyond it counts"
    )


def test_never_grants_more_than_200_calls_in_a_minute_but_to_closes_beyond_their_share() -> None:
    budget = CallBudget()
    times_ns = range(S, 61 * S, S // 20)
    calls = sum(granted(budget, Lane.ORDER, [at_ns]) + 2 * granted(budget, Lane.LOOK, [at_ns]) for at_ns in times_ns)
    assert calls == 140 + 46 + 14
    assert granted(budget, Lane.CLOSE, [61 * S - 1] * 20) == 1  # at its pace beyond


def test_sends_closes_beyond_their_share_at_their_pace() -> None:
    budget = CallBudget()
    assert granted(budget, Lane.CLOSE, [10 * S] * 148) == 148
    assert budget.ask(Lane.CLOSE, 10 * S) == 0
    assert budget.ask(Lane.CLOSE, 10 * S) == S // 4
    assert budget.ask(Lane.AUTH, 10 * S) == 0  # each at its own
    assert budget.ask(Lane.AUTH, 10 * S) == S
    assert [budget.ask(Lane.ORDER, 10 * S) for _ in range(2)] == [0, 4 * S]
    assert budget.ask(Lane.CLOSE, 10 * S + S // 4) == 0


@pytest.mark.parametrize(
    ("lane", "pauses_s"), [(Lane.ORDER, [2, 1, 1]), (Lane.CLOSE, [0.25, 0.25]), (Lane.AUTH, [1, 1])]
)
def test_calls_more_often_beyond_its_share_while_the_venue_takes_it(lane: Lane, pauses_s: list[float]) -> None:
    budget = CallBudget()
    granted(budget, Lane.CLOSE, [10 * S] * 148)
    budget.taken(lane)  # of a call that was within it: that says nothing
    now_ns, found = 10 * S, []
    for _ in pauses_s:
        assert budget.ask(lane, now_ns) == 0
        budget.taken(lane)
        budget.taken(lane)
        wait_ns = budget.ask(lane, now_ns)
        found.append(wait_ns / S)
        now_ns += wait_ns
    assert found == pauses_s
    assert budget.ask(lane, now_ns) == 0
    budget.refused(lane, 0)
    assert budget.ask(lane, now_ns) == 2 * pauses_s[-1] * S


def test_no_longer_counts_what_was_refused_once_the_venue_takes_a_call_beyond_the_share() -> None:
    """A venue that refused for some seconds and counts no refusals: the cancels that follow are not late for it."""
    budget = CallBudget()
    granted(budget, Lane.ORDER, [10 * S] * 100)
    for _ in range(48):
        assert budget.ask(Lane.CLOSE, 11 * S) == 0
        budget.refused(Lane.CLOSE, 11 * S)
    assert granted(budget, Lane.ORDER, [21 * S] * 30) == 1, "as far as we know the minute is used up"
    budget.refused(Lane.ORDER, 21 * S)
    assert budget.ask(Lane.CLOSE, 22 * S) == 0
    budget.taken(Lane.CLOSE)
    assert granted(budget, Lane.ORDER, [22 * S] * 60) == 140 - 100 - 1


def test_holds_cancels_back_when_the_venue_refuses_a_close() -> None:
    budget = CallBudget()
    granted(budget, Lane.CLOSE, [10 * S] * 148)
    assert budget.ask(Lane.ORDER, 10 * S) == 0
    budget.taken(Lane.ORDER)
    assert budget.ask(Lane.ORDER, 10 * S) == 2 * S
    budget.refused(Lane.CLOSE, 0)
    assert budget.ask(Lane.ORDER, 10 * S) == 8 * S
    assert budget.ask(Lane.CLOSE, 10 * S) == 0
    budget.taken(Lane.CLOSE)
    assert budget.ask(Lane.ORDER, 10 * S) == 4 * S
    assert budget.ask(Lane.ORDER, 14 * S) == 0
    budget.taken(Lane.ORDER)
    assert budget.ask(Lane.CLOSE, 14 * S) == 0
    budget.taken(Lane.CLOSE)
    assert budget.ask(Lane.ORDER, 14 * S) == 2 * S  # no slower than it has come to be


@pytest.mark.parametrize("lane", [Lane.AUTH, Lane.CLOSE, Lane.ORDER])
def test_gives_the_turn_of_a_call_that_never_left_to_the_next(lane: Lane) -> None:
    budget = CallBudget()
    granted(budget, Lane.CLOSE, [10 * S] * 148)
    assert budget.ask(lane, 10 * S) == 0
    assert budget.ask(lane, 10 * S) > 0
    budget.give_back(lane, 10 * S)
    assert budget.ask(lane, 10 * S) == 0
    budget.give_back(lane, 9 * S)  # of another that is not the last
    assert budget.ask(lane, 10 * S) > 0


@pytest.mark.parametrize(("lane", "pauses_s"), [(Lane.AUTH, [2, 4, 8, 16, 16]), (Lane.CLOSE, [0.5, 1, 1, 1, 1])])
def test_calls_less_often_beyond_its_share_while_the_venue_refuses(lane: Lane, pauses_s: list[float]) -> None:
    budget = CallBudget()
    granted(budget, Lane.CLOSE, [10 * S] * 148)
    now_ns, found = 10 * S, []
    assert budget.ask(lane, now_ns) == 0
    for _ in pauses_s:
        budget.refused(lane, 0)
        wait_ns = budget.ask(lane, now_ns)
        found.append(wait_ns / S)
        now_ns += wait_ns
        assert budget.ask(lane, now_ns) == 0
    assert found == pauses_s
    # With a slot of its own the waiting is over, and the next time begins anew.
    assert granted(budget, lane, [200 * S] * 148) == 148
    assert budget.ask(lane, 200 * S) == 0
    assert budget.ask(lane, 200 * S) == (S if lane is Lane.AUTH else S // 4)


def test_waits_for_the_next_slot_where_that_is_sooner_than_the_pace() -> None:
    budget = CallBudget()
    granted(budget, Lane.CLOSE, [10 * S] * 148)
    assert budget.ask(Lane.AUTH, 72 * S + S // 2) == 0  # beyond its share, once
    assert budget.ask(Lane.AUTH, 72 * S + S // 2) == S // 2


def test_pauses_reads_and_neither_looks_nor_enforcement() -> None:
    budget = CallBudget()
    budget.pause_reads(20 * S)
    budget.pause_reads(15 * S)
    assert [budget.ask(lane, 10 * S) for lane in (Lane.READ, Lane.RECORD)] == [10 * S, 10 * S]
    assert [budget.ask(Lane.LOOK, 10 * S) for _ in range(2)] == [0, 2_625_000_000]
    assert budget.ask(Lane.CLOSE, 10 * S) == 0
    assert budget.ask(Lane.READ, 20 * S) == 0


@pytest.mark.parametrize(
    ("lane", "most"),
    [(Lane.READ, 60), (Lane.RECORD, 62), (Lane.LOOK, 45), (Lane.ORDER, 140), (Lane.CLOSE, 149), (Lane.BARS, 50)],
)
def test_takes_back_a_call_that_never_left(lane: Lane, most: int) -> None:
    budget = CallBudget()
    assert granted(budget, lane, [S] * 200) == most
    assert budget.ask(lane, S) > 0
    for _ in range(2):
        budget.give_back(lane, S)
    assert budget.ask(lane, S) == 0


def test_takes_nothing_back_that_is_not_counted_any_more() -> None:
    budget = CallBudget()
    granted(budget, Lane.READ, [S] * 60)
    budget.give_back(Lane.READ, 2 * S)
    assert budget.ask(Lane.READ, S) == 63 * S


@given(st.lists(st.tuples(st.sampled_from(list(Lane)), st.integers(0, 2 * S), st.booleans()), max_size=400))
def test_makes_no_call_wait_longer_than_it_should(calls: list[tuple[Lane, int, bool]]) -> None:
    budget, now_ns = CallBudget(), S
    sent: list[int] = []
    for lane, gap_ns, is_sent in calls:
        now_ns += gap_ns
        wait_ns = budget.ask(lane, now_ns)
        assert 0 <= wait_ns <= {Lane.LOOK: 2_625_000_000, Lane.CLOSE: S, Lane.AUTH: S}.get(lane, 63 * S)
        count = 2 if lane is Lane.LOOK else 1
        if wait_ns == 0 and not is_sent:
            for _ in range(count):
                budget.give_back(lane, now_ns)
        elif wait_ns == 0 and lane not in (Lane.BARS, Lane.CLOSE, Lane.AUTH):
            sent += [now_ns] * count
        assert len([at for at in sent if at > now_ns - 60 * S]) <= 180


# -- after a restart ---------------------------------------------------------------------------------------------------


def test_sheds_reads_while_the_calls_of_an_earlier_run_count_but_holds_no_enforcement_up() -> None:
    budget = CallBudget()
    budget.recall([(Lane.ORDER, 10 * S)] * 100)
    # 148 are shared; 60 of them are kept from looks, so 88 less 100: only what every start may read.
    assert granted(budget, Lane.READ, [20 * S] * 200) == 12
    assert granted(budget, Lane.LOOK, [20 * S] * 200) == 1, "its own"
    assert granted(budget, Lane.ORDER, [20 * S] * 200) == 140 - 100 - 12 + 1
    assert granted(budget, Lane.CLOSE, [20 * S] * 200) == 148 - 41 + 1
    assert granted(budget, Lane.READ, [90 * S] * 200) == 60, "by then they are forgotten"


def test_lets_orders_through_though_an_earlier_run_has_used_up_everything() -> None:
    budget = CallBudget()
    budget.recall([(Lane.CLOSE, 10 * S)] * 300)
    assert granted(budget, Lane.ORDER, [20 * S] * 200) == 24 + 1
    assert budget.ask(Lane.CLOSE, 20 * S) == 0
    assert budget.ask(Lane.AUTH, 20 * S) == 0


@pytest.mark.parametrize("at_s", [1, 20])
def test_reckons_no_more_for_an_earlier_run_than_it_was_let(at_s: int) -> None:
    budget = CallBudget()
    wanted = [(Lane.READ, at_s * S + number) for number in range(500)]
    budget.recall([(Lane.ORDER, (at_s + 1) * S)] * 10 + wanted)
    # 60 reads and 10 orders; and those in time's order, whichever way they are told
    assert granted(budget, Lane.ORDER, [30 * S] * 200) == 70 + 1


def test_a_calm_run_leaves_the_next_one_everything_it_needs() -> None:
    budget = CallBudget()
    budget.recall([(Lane.LOOK, number * 3 * S) for number in range(1, 20)])
    assert granted(budget, Lane.READ, [60 * S] * 200) == 60


def test_knows_the_lanes_of_what_the_guard_asks_for() -> None:
    assert lanes_of(TakeSnapshot("1", "doubt", True)) == (Lane.LOOK, Lane.RECORD, Lane.RECORD)
    assert lanes_of(TakeSnapshot("1", "proof", False)) == (Lane.LOOK,)
    assert lanes_of(ClosePosition("1", "", "ES")) == lanes_of(ReducePosition("1", "", "ES", 1)) == (Lane.CLOSE,)
    assert lanes_of(CancelOrder("1", "", "ES", "7")) == (Lane.ORDER,)
    assert lanes_of(CancelOrder("1", "", "ES", "7", is_urgent=True)) == (Lane.CLOSE,)
    assert lanes_of(ModifyOrder("1", "", "ES", "7", 5, None)) == (Lane.ORDER,)
    assert lanes_of(ModifyOrder("1", "", "ES", "7", None, None, 1, is_urgent=True)) == (Lane.CLOSE,)
