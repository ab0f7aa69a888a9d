from hypothesis import given
from hypothesis import strategies as st

from risk_manager.venues.projectx.limits import CallBudget, Lane

S = 1_000_000_000


def test_lets_reads_take_their_share_and_no_more() -> None:
    budget = CallBudget()
    assert [budget.ask(Lane.READ, S) for _ in range(140)] == [0] * 140
    assert budget.ask(Lane.READ, S) == 63 * S  # the window is 60 s and 5 % longer
    assert budget.ask(Lane.READ, 2 * S) == 62 * S
    assert budget.ask(Lane.READ, 64 * S) == 0


def test_keeps_the_rest_for_enforcement() -> None:
    budget = CallBudget()
    for _ in range(200):
        budget.ask(Lane.READ, S)
    assert [budget.ask(Lane.CLOSE, S) for _ in range(60)] == [0] * 60
    assert budget.used(S) == 200


def test_never_gives_the_last_twenty_to_reads() -> None:
    budget = CallBudget()
    assert [budget.ask(Lane.ORDER, S) for _ in range(180)] == [0] * 180
    assert budget.ask(Lane.READ, S) > 0
    assert budget.ask(Lane.ORDER, S) == 0


def test_sends_enforcement_beyond_a_full_window_at_its_pace() -> None:
    budget = CallBudget()
    for _ in range(200):
        budget.ask(Lane.ORDER, 10 * S)
    assert budget.ask(Lane.ORDER, 10 * S) == 0
    assert budget.ask(Lane.ORDER, 10 * S) == S
    assert budget.ask(Lane.CLOSE, 10 * S) == 0  # closes do not queue behind cancels
    assert budget.ask(Lane.CLOSE, 10 * S) == S // 4
    assert budget.ask(Lane.ORDER, 11 * S) == 0


def test_calls_less_often_beyond_the_window_while_the_venue_refuses() -> None:
    budget = CallBudget()
    for _ in range(200):
        budget.ask(Lane.ORDER, 10 * S)
    waits = []
    now_ns = 10 * S
    for _ in range(6):
        while (wait_ns := budget.ask(Lane.ORDER, now_ns)) > 0:
            now_ns += wait_ns
        waits.append(now_ns // S)
        budget.refused(Lane.ORDER)
    assert waits == [10, 12, 16, 24, 40, 56]
    # A close goes on calling once a second at least, and a slot of our own ends the waiting.
    for _ in range(5):
        budget.refused(Lane.CLOSE)
    assert budget.ask(Lane.CLOSE, 57 * S) == 0
    assert budget.ask(Lane.CLOSE, 57 * S) == S
    assert [budget.ask(Lane.ORDER, 74 * S) for _ in range(190)] == [0] * 190
    budget.ask(Lane.ORDER, 74 * S)
    for _ in range(20):
        budget.ask(Lane.ORDER, 74 * S)
    assert budget.ask(Lane.ORDER, 74 * S) == S


def test_waits_for_the_next_slot_where_that_is_sooner_than_the_pace() -> None:
    budget = CallBudget()
    for _ in range(201):
        budget.ask(Lane.ORDER, 10 * S)
    assert budget.ask(Lane.ORDER, 10 * S) == S
    budget = CallBudget()
    for at in range(200):
        budget.ask(Lane.ORDER, 10 * S + at)
    assert budget.ask(Lane.ORDER, 72 * S + S // 2) == 0  # beyond the window, once
    assert budget.ask(Lane.ORDER, 72 * S + S // 2) == S // 2 + 1  # two of the 201 have left it then


def test_pauses_reads_and_nothing_else() -> None:
    budget = CallBudget()
    budget.pause_reads(20 * S)
    budget.pause_reads(15 * S)
    assert budget.ask(Lane.READ, 10 * S) == 10 * S
    assert budget.ask(Lane.CLOSE, 10 * S) == 0
    assert budget.ask(Lane.READ, 20 * S) == 0


def test_counts_bars_apart() -> None:
    budget = CallBudget()
    assert [budget.ask(Lane.BARS, S) for _ in range(50)] == [0] * 50
    assert budget.ask(Lane.BARS, S) == 31_500_000_000
    assert budget.used(S) == 0


@given(st.lists(st.tuples(st.sampled_from(list(Lane)), st.integers(0, 2 * S)), max_size=400))
def test_makes_no_call_wait_longer_than_it_should(calls: list[tuple[Lane, int]]) -> None:
    budget, now_ns, granted = CallBudget(calls=20, read_calls=14, reserve=2), S, []
    for lane, gap_ns in calls:
        now_ns += gap_ns
        wait_ns = budget.ask(lane, now_ns)
        assert 0 <= wait_ns <= 63 * S
        if lane not in (Lane.READ, Lane.BARS):
            assert wait_ns <= S
        if wait_ns == 0 and lane is Lane.READ:
            granted.append(now_ns)
        assert len([at for at in granted if at > now_ns - 60 * S]) <= 14
