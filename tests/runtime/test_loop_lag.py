"""How late the event loop is, on a loop whose time passes as the test says."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from risk_manager.runtime.loop_lag import LoopLag, LoopStatus


class Loop:
    """The part of an event loop that the gauge uses; one timer at a time."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.due_s = 0.0
        self.call: Callable[[], None] = lambda: None
        self.is_stopped = False

    def time(self) -> float:
        return self.now_s

    def call_at(self, when_s: float, callback: Callable[..., None], *given: Any) -> "Loop":
        self.due_s = when_s
        self.call = lambda: callback(*given)
        return self

    def cancel(self) -> None:
        self.is_stopped = True

    def turn(self, late_s: float = 0.0, times: int = 1) -> None:
        for _ in range(times):
            self.now_s = self.due_s + late_s
            self.call()


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    made = Loop()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: cast(asyncio.AbstractEventLoop, made))
    return made


@pytest.mark.parametrize(("late_s", "reports"), [(0.25, []), (0.251, ["was 251 ms late"])])
def test_reports_more_than_a_quarter_of_a_second(loop: Loop, late_s: float, reports: list[str]) -> None:
    told: list[str | None] = []
    gauge = LoopLag(told.append)
    gauge.start()
    # Binary fractions of a second come close, not exact: the boundary is tested a hair below it.
    loop.turn(late_s - 1e-6)
    assert told == reports
    assert gauge.status.worst_lag_ms == pytest.approx(late_s * 1_000, abs=0.1)


def test_forgets_what_is_past_and_keeps_the_worst(loop: Loop) -> None:
    told: list[str | None] = []
    gauge = LoopLag(told.append)
    gauge.start()
    loop.turn(0.002)
    loop.turn(0.5)
    assert gauge.status == LoopStatus(500.0, 500.0)
    loop.turn(0.7)
    loop.turn(0.001, times=50)
    assert (gauge.status.recent_lag_ms, told) == (700.0, ["was 500 ms late"])
    loop.turn(0.001, times=60)
    assert gauge.status == LoopStatus(1.0, 700.0)
    assert told == ["was 500 ms late", None]


def test_ends_with_stop(loop: Loop) -> None:
    gauge = LoopLag(lambda text: None)
    gauge.stop()
    gauge.start()
    gauge.stop()
    assert loop.is_stopped
