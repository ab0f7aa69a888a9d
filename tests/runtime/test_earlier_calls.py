"""What an earlier run asked of the venue within the last minute, told by the journal and by the pace of the polling."""

import pytest

from risk_manager.domain.actions import Action, CancelOrder, ClosePosition, TakeSnapshot
from risk_manager.domain.decision import Decision
from risk_manager.domain.events import TimerFired
from risk_manager.runtime.earlier_calls import asked_lately

S = 1_000_000_000
NOW_NS = 1_000 * S
CANCEL = CancelOrder("1-1.1", "1-1", "ES", "7")
CLOSE = ClosePosition("1-1.2", "1-1", "ES")
LOOK = TakeSnapshot("", "poll", False)


def decided(at_s: int, *actions: Action) -> Decision:
    return Decision(1, "1001", "2026-03-02", TimerFired("1001", 0, at_s * S), actions=actions)


def lately(*decisions: Decision, alive_s: int = 0, now_ns: int = NOW_NS) -> list[tuple[int, Action]]:
    """What was asked, in seconds, oldest first."""
    asked = asked_lately(decisions, alive_ns=alive_s * S, poll_ns=20 * S, now_ns=now_ns)
    return sorted(((at_ns // S, action) for at_ns, action in asked), key=lambda each: each[0])


def test_knows_what_was_decided_within_the_window_and_polls_until_the_last_sign_of_life() -> None:
    found = lately(decided(930, CANCEL), decided(938, CANCEL, CLOSE), decided(960, CLOSE), alive_s=980)
    assert found == [(938, CANCEL), (938, CLOSE), (940, LOOK), (960, LOOK), (960, CLOSE), (980, LOOK)]


def test_takes_a_decision_for_a_sign_of_life() -> None:
    assert lately(decided(970, CLOSE), alive_s=900) == [(950, LOOK), (970, LOOK), (970, CLOSE)]


@pytest.mark.parametrize("alive_s", [0, 900, 937])
def test_knows_nothing_of_a_run_that_ended_longer_ago(alive_s: int) -> None:
    assert lately(decided(930, CANCEL), alive_s=alive_s) == []
    assert lately(alive_s=alive_s) == []


def test_takes_a_run_for_ended_just_now_where_the_clock_was_set_back_since() -> None:
    found = lately(decided(5_000, CANCEL), decided(5_010, CLOSE), alive_s=5_020)
    assert found == [(940, LOOK), (960, LOOK), (980, LOOK), (980, CANCEL), (990, CLOSE), (1000, LOOK)]
