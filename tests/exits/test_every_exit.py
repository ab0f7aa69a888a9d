"""What holds for every position rule: a new one comes under these by lying in its folder, with an example here."""

import inspect
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk_manager.exits import EXITS, Exit
from risk_manager.exits._base import ATR, Distance, Held, Levels, Marked, Resized, View, is_tighter
from risk_manager.exits._levels import begun, levels_of, merge, stepped, triggered
from risk_manager.exits.breakeven import Breakeven
from risk_manager.exits.profit_schedule import ProfitSchedule, ProfitStep
from risk_manager.exits.regime import Band, Regime
from risk_manager.exits.scale_out import Rung, ScaleOut
from risk_manager.exits.session_exit import SessionExit
from risk_manager.exits.signal_exit import SignalExit
from risk_manager.exits.stop_loss import StopLoss
from risk_manager.exits.take_profit import TakeProfit
from risk_manager.exits.time_exit import TimeExit
from risk_manager.exits.trailing_stop import TrailingStop
from risk_manager.exits.volatility_stop import VolatilityStop
from tests.exits.positions import held

EXAMPLES: dict[str, Exit] = {
    "breakeven": Breakeven(trigger_ticks=6, offset_ticks=1),
    "profit_schedule": ProfitSchedule(steps=(ProfitStep(4, 6), ProfitStep(9, 3))),
    "regime": Regime(
        feature="vol",
        bands=(Band(from_value=0, stop_ticks=9, target_ticks=12), Band(from_value=5, stop_ticks=5, trail_ticks=4)),
    ),
    "scale_out": ScaleOut(rungs=(Rung(5, 50), Rung(10, 50))),
    "session_exit": SessionExit(before_end_ns=5),
    "signal_exit": SignalExit(feature="score", threshold=3),
    "stop_loss": StopLoss(distance=Distance(ticks=8)),
    "take_profit": TakeProfit(distance=Distance(ticks=12)),
    "time_exit": TimeExit(after_ns=20),
    "trailing_stop": TrailingStop(distance=Distance(atr_percent=200), activation_ticks=3, min_step_ticks=2),
    "volatility_stop": VolatilityStop(atr_percent=150, use_entry_atr=False),
}

every_exit = pytest.mark.parametrize("one", EXAMPLES.values(), ids=list(EXAMPLES))

prices = st.integers(60, 140)
features = st.fixed_dictionaries(
    {}, optional={ATR: st.integers(-1, 9000), "vol": st.integers(-2, 9), "score": st.integers(-5, 5)}
)
bars = st.tuples(prices, prices, prices, features)
sizes = st.integers(1, 5)


def test_an_example_of_every_exit() -> None:
    assert list(EXITS) == sorted(EXAMPLES)
    assert all(isinstance(EXAMPLES[name], kind) for name, kind in EXITS.items())


@every_exit
def test_is_documented_and_has_a_test_file(one: Exit) -> None:
    text = inspect.getdoc(sys.modules[type(one).__module__]) or ""
    assert text.partition("\n")[0].endswith(".")
    assert (Path(__file__).parent / f"test_{one.name}.py").exists()


@every_exit
def test_settings_survive_json_and_cannot_be_changed(one: Exit) -> None:
    assert msgspec.json.decode(msgspec.json.encode(one), type=type(one)) == one
    for field in msgspec.structs.fields(one):  # type: ignore[arg-type]  # every exit is a Struct
        with pytest.raises(AttributeError):
            setattr(one, field.name, None)


def marks(path: list[tuple[int, int, int, dict[str, int]]]) -> list[Marked]:
    """Bars one after the other; of three prices the middle one is the close."""
    walked = []
    for at_ns, (one, two, three, measures) in enumerate(path, start=1):
        low, close, high = sorted((one, two, three))
        walked.append(Marked(at_ns, high, low, close, measures))
    return walked


@every_exit
@settings(max_examples=20)
@given(path=st.lists(bars, max_size=15), sign=st.sampled_from([1, -1]), grows=st.lists(st.tuples(sizes, prices)))
def test_a_stop_never_loosens_and_is_never_armed_ahead_of_its_time(
    one: Exit, path: list[tuple[int, int, int, dict[str, int]]], sign: int, grows: list[tuple[int, int]]
) -> None:
    position = held(sign * 2, 100)
    state: Any = one.initial_state(position)
    before: int | None = None
    for index, mark in enumerate(marks(path)):
        state = one.step(state, mark, position)
        if index < len(grows):
            size, price = grows[index]
            position = held(sign * size, price, changed_ns=mark.at_ns)
            state = one.step(state, Resized(mark.at_ns), position)
        levels = one.levels(state, position, View(mark.at_ns, mark.features))
        stop = levels.stop
        if before is not None:
            assert stop is not None
            assert not is_tighter(before, stop.price_ticks, sign)
        before = stop.price_ticks if stop is not None else None
        armed = [level.armed_ns for level in (*levels.targets, *((stop,) if stop is not None else ()))]
        assert all(armed_ns <= mark.at_ns for armed_ns in armed)
        assert all(target.contracts is None or 0 < target.contracts <= position.size for target in levels.targets)


@every_exit
@settings(max_examples=20)
@given(path=st.lists(bars, max_size=15), sign=st.sampled_from([1, -1]))
def test_nothing_triggers_on_the_price_that_armed_it(
    one: Exit, path: list[tuple[int, int, int, dict[str, int]]], sign: int
) -> None:
    """The bar whose high raises a stop cannot be what its low falls to."""
    position = held(sign, 100)
    state: Any = one.initial_state(position)
    for mark in marks(path):
        state = one.step(state, mark, position)
        levels = one.levels(state, position, View(mark.at_ns, mark.features))
        found = triggered(levels, mark, position)
        if found is not None and found.price_ticks is not None:
            level = levels.stop if found.cause == "stop" else levels.targets[0]
            assert level is not None
            assert level.armed_ns < mark.at_ns


@every_exit
@settings(max_examples=20)
@given(path=st.lists(bars, max_size=12), sign=st.sampled_from([1, -1]), stop_at=st.integers(0, 12))
def test_goes_on_from_its_own_state(
    one: Exit, path: list[tuple[int, int, int, dict[str, int]]], sign: int, stop_at: int
) -> None:
    position = held(sign * 3, 100)
    straight: Any = one.initial_state(position)
    resumed: Any = straight
    for index, mark in enumerate(marks(path)):
        if index == stop_at and resumed is not None:
            resumed = msgspec.json.decode(msgspec.json.encode(resumed), type=type(resumed))
        straight = one.step(straight, mark, position)
        resumed = one.step(resumed, mark, position)
        assert resumed == straight


@settings(max_examples=30)
@given(path=st.lists(bars, max_size=15), sign=st.sampled_from([1, -1]), size=sizes)
def test_all_together_say_the_strictest_of_each(
    path: list[tuple[int, int, int, dict[str, int]]], sign: int, size: int
) -> None:
    exits = tuple(EXAMPLES.values())
    position = held(sign * size, 100)
    states = begun(exits, position)
    for mark in marks(path):
        states = stepped(exits, states, mark, position)
        view = View(mark.at_ns, mark.features)
        together = levels_of(exits, states, position, view)
        alone = [one.levels(state, position, view) for one, state in zip(exits, states, strict=True)]
        stops = [levels.stop.price_ticks for levels in alone if levels.stop is not None]
        assert together == merge(alone, position)
        assert together.stop is not None
        assert together.stop.price_ticks == (max(stops) if sign > 0 else min(stops))
        assert sum(target.contracts or 0 for target in together.targets) <= size
        assert together.deadline is not None
        assert together.deadline.at_ns == min(one.deadline.at_ns for one in alone if one.deadline is not None)


def test_merging_nothing_demands_nothing() -> None:
    assert merge((), held(1, 100)) == Levels()


def test_a_position_of_no_contracts_is_a_mistake() -> None:
    with pytest.raises(ZeroDivisionError):
        Held("p", 0, 0, 1, 0, 0).entry_ticks()
