"""What holds for every account rule, whoever wrote it: a new rule comes under these by lying in its folder."""

import ast
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk_manager.config.calendar import build_calendar
from risk_manager.domain.events import Event
from risk_manager.domain.order import Side
from risk_manager.engine import Engine, EngineSettings
from risk_manager.rules import RULES, Rule, build_rule, describe, options_of
from risk_manager.rules._base import Remedy
from risk_manager.testing.events import CL, DAYS, ES, HOUR_NS, MNQ, Scenario
from risk_manager.testing.guarded import Guarded

every_rule = pytest.mark.parametrize("rule_class", RULES.values(), ids=list(RULES))


def example(rule_class: type[Rule]) -> Rule:
    """The rule with the options it shows as an example."""
    return build_rule(rule_class, getattr(rule_class, "example", {}))


def module_text(rule_class: type[Rule]) -> str:
    return inspect.getdoc(sys.modules[rule_class.__module__]) or ""


@every_rule
def test_is_documented_in_its_module_with_every_option(rule_class: type[Rule]) -> None:
    """The module's docstring is the rule's page in the manual."""
    text = module_text(rule_class)
    first, _, rest = text.partition("\n")
    assert first.endswith(".")
    assert rest.strip()
    missing = [
        option.name
        for option in describe(rule_class)
        if not any(f"`{option.name.removesuffix('_seconds')}{unit}" in text for unit in ("", "_seconds", "_ms"))
    ]
    assert missing == []


@every_rule
def test_has_a_test_file(rule_class: type[Rule]) -> None:
    assert (Path(__file__).parent / f"test_{rule_class.name}.py").exists()


@every_rule
def test_imports_nothing_but_what_lies_below(rule_class: type[Rule]) -> None:
    tree = ast.parse(inspect.getsource(sys.modules[rule_class.__module__]))
    ours = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    allowed = (
        "risk_manager.domain.",
        "risk_manager.exits.",
        "risk_manager.analytics.",
        "risk_manager.rules._base",
        "risk_manager.rules._day_result",
        "risk_manager.rules._open_profit",
        "risk_manager.rules._options",
        "risk_manager.rules._stopping",
    )
    assert [name for name in ours if name.startswith("risk_manager") and not name.startswith(allowed)] == []


@every_rule
def test_settings_survive_json_and_the_traders_spelling(rule_class: type[Rule]) -> None:
    rule = example(rule_class)
    assert msgspec.json.decode(msgspec.json.encode(rule), type=rule_class) == rule
    assert build_rule(rule_class, options_of(rule)) == rule
    assert isinstance(rule.remedy, Remedy)


@every_rule
def test_settings_cannot_be_changed(rule_class: type[Rule]) -> None:
    rule = example(rule_class)
    fields = msgspec.structs.fields(rule_class)  # type: ignore[arg-type]  # every rule is a Struct
    for field in fields:
        with pytest.raises(AttributeError):
            setattr(rule, field.name, None)


def through_json(state: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(state), type=type(state))


@every_rule
def test_state_survives_json(rule_class: type[Rule]) -> None:
    guarded = Guarded(example(rule_class))
    for event in busy_day(guarded.venue):
        guarded.feed(event)
        (slot,) = guarded.engine._slots
        if slot.state is not None:
            assert through_json(slot.state) == slot.state
    assert slot.state is None or type(slot.state) is type(slot.rule.initial_state())


@every_rule
def test_is_silent_on_an_empty_day(rule_class: type[Rule]) -> None:
    guarded = Guarded(example(rule_class))
    venue = guarded.venue
    for _ in range(30):
        venue.wait(3600)
        guarded.feed(venue.quote(ES, 5800), venue.account(), venue.snapshot(), venue.timer(), venue.rules_changed())
    assert guarded.decisions == []


@every_rule
def test_shows_gauges_that_a_screen_can_draw(rule_class: type[Rule]) -> None:
    guarded = Guarded(example(rule_class))
    for event in busy_day(guarded.venue):
        guarded.feed(event)
        labels = [gauge.label for gauge in guarded.gauges]
        assert len(set(labels)) == len(labels)
        assert all(gauge.label and gauge.used >= 0 and gauge.limit >= 0 for gauge in guarded.gauges)


@every_rule
def test_asks_for_no_wake_up_that_is_already_past(rule_class: type[Rule]) -> None:
    """Else the daemon would wake it for ever."""
    guarded = Guarded(example(rule_class))
    rule = guarded.settings.rules[0]
    for event in busy_day(guarded.venue):
        guarded.feed(event, guarded.venue.timer())
        due_ns = rule.deadline_ns(guarded.engine._slots[0].state)
        assert due_ns is None or due_ns > guarded.engine.account.now_ns


@every_rule
def test_decides_the_same_twice_and_over_a_restart_at_any_point(rule_class: type[Rule]) -> None:
    events = list(busy_day(Scenario()))
    straight = decisions(rule_class, events)
    assert straight == decisions(rule_class, events)
    for stop in range(0, len(events), 7):
        assert decisions(rule_class, events, stop) == straight


@every_rule
@settings(max_examples=15)
@given(
    moves=st.lists(
        st.tuples(st.sampled_from(["buy", "sell", "quote", "order", "wait", "snapshot"]), st.integers(-9, 9))
    )
)
def test_decides_the_same_whatever_happens(rule_class: type[Rule], moves: list[tuple[str, int]]) -> None:
    events = list(played(Scenario(), moves))
    assert decisions(rule_class, events) == decisions(rule_class, events, len(events) // 2)


def decisions(rule_class: type[Rule], events: list[Event], stop: int | None = None) -> list[bytes]:
    """What an engine with the rule says to the events, stopped and restored before the event at `stop`."""
    setup = EngineSettings("1001", DAYS, (example(rule_class),), calendar=build_calendar())
    engine = Engine(setup)
    said = []
    for index, event in enumerate(events):
        if index == stop:
            engine = Engine.restore(setup, engine.snapshot())
        said.append(msgspec.json.encode(engine.receive(event)))
    return said


def busy_day(venue: Scenario) -> Iterator[Event]:
    """A day on which every rule finds something: too many contracts, a blocked product, losses, silence, a new day."""
    yield venue.snapshot()
    yield venue.quote(ES, 5800)
    yield from venue.buys(ES, 3, 5800, fees=6)
    yield from venue.buys(ES, 4, 5800, fees=8)
    yield venue.order(ES, Side.BUY, 2, limit=5700)
    yield venue.quote(ES, 5799)
    yield from venue.sells(ES, 7, 5799)
    yield from venue.buys(CL, 1, 75)
    for _ in range(4):
        venue.wait(5)
        yield venue.snapshot()
    yield from venue.closes(CL, 74)
    yield from venue.result(-100)
    yield venue.quote(MNQ, 21000)
    yield from venue.sells(MNQ, 12, 21000)
    yield venue.quote(MNQ, 21040)
    for _ in range(12):
        yield venue.order(ES, Side.BUY, 1, limit=5600)
    yield from venue.closes(MNQ, 21050)
    for _ in range(4):
        venue.wait(3)
        yield venue.timer()
        yield venue.snapshot()
    yield from venue.buys(ES, 1, 5800)
    venue.now_ns += 10 * HOUR_NS
    yield venue.quote(ES, 5790)
    yield venue.rules_changed()
    yield venue.snapshot()
    yield venue.account()


def played(venue: Scenario, moves: list[tuple[str, int]]) -> Iterator[Event]:
    yield venue.snapshot()
    for move, number in moves:
        product = (ES, MNQ, CL)[number % 3]
        match move:
            case "buy":
                yield from venue.buys(product, abs(number) + 1, 5800 + number)
            case "sell":
                yield from venue.sells(product, abs(number) + 1, 5800 + number)
            case "quote":
                yield venue.quote(product, 5800 + 3 * number)
            case "order":
                yield venue.order(product, Side.BUY if number > 0 else Side.SELL, abs(number) + 1, limit=5800)
            case "wait":
                yield venue.timer(after_s=10 * abs(number))
            case "snapshot":
                yield venue.snapshot()
