"""The call budget."""

from hypothesis import given
from hypothesis import strategies as st

from risk_manager.simulator.server.limits import CallBudget, SlidingWindow, Window


def test_takes_calls_up_to_the_limit_and_again_when_the_oldest_leaves() -> None:
    window = SlidingWindow(Window(2, 60.0))
    assert [window.take(at_s) for at_s in (0.0, 30.0, 59.0)] == [True, True, False]
    assert window.take(60.0)
    assert not window.take(89.0)
    assert window.take(90.0)


@given(st.lists(st.floats(0, 10), max_size=60), st.integers(1, 5))
def test_never_lets_more_than_the_limit_into_any_window(gaps_s: list[float], calls: int) -> None:
    window = SlidingWindow(Window(calls, 10.0))
    now_s, taken = 0.0, []
    for gap_s in gaps_s:
        now_s += gap_s
        if window.take(now_s):
            taken.append(now_s)
    assert all(sum(at_s - 10.0 < earlier <= at_s for earlier in taken) <= calls for at_s in taken)


def test_counts_users_and_bars_apart() -> None:
    budget = CallBudget(Window(1, 60.0), Window(1, 30.0))
    assert budget.take("pat", 0.0, is_bars=False)
    assert budget.take("pat", 0.0, is_bars=True)
    assert budget.take("kim", 0.0, is_bars=False)
    assert not budget.take("pat", 29.0, is_bars=False)
    assert budget.take("pat", 30.0, is_bars=True)
