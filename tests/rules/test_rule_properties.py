"""What must hold for every rule whatever happens, shown on generated days; the same examples on every run.

A rule comes under these by lying in its folder: with the options it shows as an example, or with those of `EASILY`,
under which the little that can happen on such a day is enough to break it, and with what `PAIRS` and its actions add.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk_manager.config.calendar import build_calendar
from risk_manager.domain.contract import Contract
from risk_manager.domain.events import Event, FillReceived, TimerFired
from risk_manager.domain.finding import Breach, Finding, Protect, Unit, Warning
from risk_manager.domain.order import OrderStatus, Side
from risk_manager.enforcement.lattice import merge
from risk_manager.engine import Engine, EngineSettings
from risk_manager.rules import RULES, Rule, build_rule, tightened
from risk_manager.testing.events import CL, DAYS, ES, MNQ, Scenario
from risk_manager.testing.guarded import Guarded
from tests.engine.bursts import arrives, burst_of, outcome, shuffled

every_rule = pytest.mark.parametrize("name", list(RULES))

EASILY: Mapping[str, Mapping[str, object]] = {
    "max_contracts": {"limit": 3},
    "max_contracts_per_instrument": {"limits": {"ES": 2}, "default_limit": 3},
    "daily_realized_loss": {"limit": 300},
    "daily_unrealized_loss": {"loss_limit": 200},
    "daily_realized_profit": {"target": 300},
    "max_unrealized_profit": {"profit_target": 200},
    "trade_frequency_limit": {"limits": {"per_minute": 1, "per_hour": 4}},
    "cooldown_after_loss": {"loss_thresholds": [{"loss_amount": 100, "cooldown": "5m"}]},
    "no_stop_loss_grace": {"grace_period_seconds": 5, "warn_after_seconds": 2},
    "symbol_blocks": {"blocked_symbols": ["CL"]},
    "concentration": {"max_pct": 60, "min_total": 3},
    "leverage": {"max_ratio": 10},
    "drawdown": {"max_drawdown": 300},
    "velocity": {"max_loss": 200, "window_seconds": 60},
    # The days begin at 10:00 in New York.
    "session_block_outside": {"global_session": {"start": "11:00", "end": "16:00", "timezone": "America/New_York"}},
}


def written(name: str, options: Mapping[str, object]) -> Rule:
    """The rule with these options over those of `EASILY`; what is None or empty is left out."""
    merged = {**EASILY.get(name, getattr(RULES[name], "example", {})), **options}
    return build_rule(RULES[name], {key: value for key, value in merged.items() if value not in (None, [])})


def easily(name: str) -> Rule:
    """The rule with options under which it is easily broken."""
    return written(name, {})


def forms(name: str) -> list[Rule]:
    """The rule with many different options, so that whatever is claimed of it is claimed of all it can be."""
    rules = [easily(name), *(written(name, options) for pair in PAIRS.get(name, ()) for options in pair)]
    rule: Any = rules[0]
    for field in rule.__struct_fields__:
        kind = type(getattr(rule, field))
        for word in kind if issubclass(kind, StrEnum) else ():
            changed = msgspec.structs.replace(rule, **{field: word})
            if not getattr(changed, "contradictions", tuple)():
                rules.append(changed)
    return [one for index, one in enumerate(rules) if one not in rules[:index]]


# -- days --------------------------------------------------------------------------------------------------------------

PRODUCTS = (ES, MNQ, CL)
PRICES = {ES.id: Fraction(5800), MNQ.id: Fraction(21000), CL.id: Fraction(70)}
STEPS = {ES.id: Fraction(1, 2), MNQ.id: Fraction(10), CL.id: Fraction(5, 100)}
"""Where the products begin, and a move that is worth 25, 20 and 50 dollars a contract."""
MOVES = ("buy", "sell", "close", "quote", "quote", "order", "stop", "wait", "snapshot", "account", "block")
moves = st.lists(st.tuples(st.sampled_from(MOVES), st.integers(-9, 9)), min_size=1, max_size=30)


def played(venue: Scenario, steps: list[tuple[str, int]]) -> Iterator[Event]:
    """A day: what the trader, the market and the venue do, as the venue tells it."""
    yield venue.snapshot()
    for product in PRODUCTS:
        yield venue.quote(product, at(product, 0))
    for move, number in steps:
        product = PRODUCTS[number % 3]
        price = at(product, number)
        held = venue.positions.get(product.id)
        match move:
            case "buy":
                yield from venue.buys(product, abs(number) // 2 + 1, price, fees=2)
            case "sell":
                yield from venue.sells(product, abs(number) // 2 + 1, price, fees=2)
            case "close" if held is not None:
                yield from venue.closes(product, price)
            case "quote":
                yield venue.quote(product, price)
            case "order":
                yield venue.order(product, Side.BUY if number > 0 else Side.SELL, abs(number) + 1, limit=price)
            case "stop" if held is not None:
                side = Side.SELL if held.net_contracts > 0 else Side.BUY
                yield venue.order(product, side, abs(held.net_contracts), stop=at(product, 20 * side.sign))
            case "wait":
                yield venue.timer(after_s=abs(number))
            case "snapshot":
                yield venue.snapshot()
            case "account":
                yield venue.account()
            case "block":
                venue.can_trade = number % 3 != 0
                yield venue.account()
    yield venue.timer(after_s=20)
    yield venue.snapshot()


def at(product: Contract, steps: int) -> str:
    """A price so many steps from where the product began."""
    return str(PRICES[product.id] + steps * STEPS[product.id])


def rehearsed(steps: list[tuple[str, int]]) -> list[Event]:
    return list(played(Scenario(), steps))


def settings_of(rule: Rule, account_id: str = "1001") -> EngineSettings:
    return EngineSettings(account_id, DAYS, (rule,), calendar=build_calendar())


def engine_of(rule: Rule, account_id: str = "1001") -> Engine:
    return Engine(settings_of(rule, account_id))


def said(engine: Engine, events: list[Event]) -> list[bytes]:
    return [msgspec.json.encode(engine.receive(event)) for event in events]


# -- the events of one fill ------------------------------------------------------------------------------------------


def demands(guarded: Guarded) -> tuple[dict[str, int], set[str]]:
    """What is demanded of the account now: the most of each contract, and the orders that have to go."""
    enforcer = guarded.engine.enforcer
    goals = [(intent.id, intent.goal) for intent in enforcer.open_intents]
    merged = merge(goals, guarded.engine.account)
    return {key: demanded.most for key, demanded in merged.sizes.items()}, set(merged.cancels)


def before_a_burst(rule: Rule, held: int, bid: int) -> Guarded:
    guarded = Guarded(rule)
    venue = guarded.venue
    guarded.feed(*(venue.quote(product, at(product, 0)) for product in PRODUCTS))
    if held:
        guarded.feed(venue.buys(ES, held, 5800) if held > 0 else venue.sells(ES, -held, 5800))
    venue.wait(1)
    guarded.feed(venue.quote(ES, at(ES, bid)), venue.account(), venue.snapshot())
    venue.wait(1)
    return guarded


@every_rule
@settings(max_examples=24, derandomize=True)
@given(
    data=st.data(),
    held=st.integers(-3, 3),
    contracts=st.integers(-6, 6).filter(bool),
    bid=st.sampled_from((-20, -5, 0, 5, 20)),
    product=st.sampled_from((ES, ES, CL)),
)
def test_the_order_and_number_of_a_fills_events_change_nothing(
    name: str, data: st.DataObject, held: int, contracts: int, bid: int, product: Contract
) -> None:
    rule = data.draw(st.sampled_from(forms(name)))
    price = at(product, bid if product is ES else 0)
    drawn = data.draw(shuffled(burst_of(before_a_burst(rule, held, bid).venue, product, contracts, price)))
    results = []
    for events in (None, drawn):
        guarded = before_a_burst(rule, held, bid)
        burst = burst_of(guarded.venue, product, contracts, price)
        arrives(guarded, list(burst) if events is None else events)
        guarded.venue.wait(2)
        guarded.feed(guarded.venue.snapshot())
        results.append((outcome(guarded), demands(guarded)))
    assert results[1] == results[0]


# -- restarts ----------------------------------------------------------------------------------------------------------


@every_rule
@settings(max_examples=8, derandomize=True)
@given(data=st.data(), steps=moves)
def test_goes_on_after_a_restart_anywhere_as_if_never_stopped(
    name: str, data: st.DataObject, steps: list[tuple[str, int]]
) -> None:
    events = rehearsed(steps)
    setup = settings_of(data.draw(st.sampled_from(forms(name))))
    straight = Engine(setup)
    images = []
    spoken = []
    for event in events:
        images.append(straight.snapshot())
        spoken.append(msgspec.json.encode(straight.receive(event)))
    for index, image in enumerate(images):
        restored = Engine.restore(setup, image)
        assert restored.snapshot() == image
        assert said(restored, events[index:]) == spoken[index:]
        assert restored.snapshot() == straight.snapshot()


# -- accounts ----------------------------------------------------------------------------------------------------------


@every_rule
@settings(max_examples=10, derandomize=True)
@given(data=st.data(), mine=moves, yours=moves, turns=st.lists(st.booleans(), max_size=60))
def test_two_accounts_never_influence_each_other(
    name: str, data: st.DataObject, mine: list[tuple[str, int]], yours: list[tuple[str, int]], turns: list[bool]
) -> None:
    """One rule object serves both, as it does in the daemon."""
    rule = data.draw(st.sampled_from(forms(name)))
    queues = {key: list(played(Scenario(key), steps)) for key, steps in (("1", mine), ("2", yours))}
    alone = {key: said(engine_of(rule, key), events) for key, events in queues.items()}
    engines = {key: engine_of(rule, key) for key in queues}
    together: dict[str, list[bytes]] = {key: [] for key in queues}
    waiting = {key: list(events) for key, events in queues.items()}
    order = ["1" if turn else "2" for turn in turns] + [key for key, events in queues.items() for _ in events]
    for key in order:
        if waiting[key]:
            together[key].append(msgspec.json.encode(engines[key].receive(waiting[key].pop(0))))
    assert together == alone


# -- findings ----------------------------------------------------------------------------------------------------------

ALL_SORTS = (
    ("buy", 6),
    ("quote", -9),
    ("wait", 9),
    ("snapshot", 0),
    ("close", -9),
    ("buy", -9),
    ("quote", 9),
    ("close", 9),
    ("sell", 2),
    ("block", 3),
    ("wait", 9),
)
"""A day on which every rule finds something."""


@every_rule
def test_finds_something_on_such_a_day(name: str) -> None:
    """Else the properties below would say nothing."""
    engine = engine_of(easily(name))
    found = [finding for event in rehearsed(list(ALL_SORTS)) for finding in engine.receive(event).findings]
    assert found
    for finding in found:
        assert_complete(name, finding)


@every_rule
@settings(max_examples=20, derandomize=True)
@given(data=st.data(), steps=moves)
def test_every_finding_says_what_was_measured_against_what(
    name: str, data: st.DataObject, steps: list[tuple[str, int]]
) -> None:
    engine = engine_of(data.draw(st.sampled_from(forms(name))))
    for event in rehearsed(steps):
        for finding in engine.receive(event).findings:
            assert_complete(name, finding)


def assert_complete(name: str, finding: Finding) -> None:
    assert isinstance(finding, Breach | Warning | Protect)
    assert finding.rule == name
    assert all(key and value and type(value) is str for key, value in finding.evidence)
    if isinstance(finding, Protect):
        assert finding.stop_ticks is not None or finding.target_ticks is not None
        return
    assert finding.code.isupper()
    assert finding.evidence
    assert type(finding.measured) is type(finding.limit) is int
    assert isinstance(finding.unit, Unit)


# -- stricter and looser -----------------------------------------------------------------------------------------------


def _until(end: str) -> dict[str, object]:
    return {"start": "09:30", "end": end, "timezone": "America/New_York"}


PAIRS: Mapping[str, tuple[tuple[Mapping[str, object], Mapping[str, object]], ...]] = {
    "max_contracts": (
        ({"count_type": "net_account"}, {"count_type": "net"}),
        ({"count_type": "net"}, {"count_type": "gross"}),
        ({"weighting": "mini_equivalent"}, {"weighting": "contracts"}),
        ({"include_working_orders": False}, {"include_working_orders": True}),
    ),
    "max_contracts_per_instrument": (
        ({"limits": {"ES": 4}}, {"limits": {"ES": 1}}),
        ({"default_limit": None, "unknown_symbol_action": "allow"}, {"default_limit": 3}),
        ({"default_limit": 1}, {"default_limit": None, "unknown_symbol_action": "block"}),
    ),
    "daily_realized_loss": (
        ({"limit": 600}, {"limit": 300}),
        ({"inclusive": False}, {"inclusive": True}),
        ({"include_fees": False}, {"include_fees": True}),
        ({"basis": "realized"}, {"basis": "composite"}),
        ({"basis": "realized_plus_unrealized"}, {"basis": "composite"}),
    ),
    "daily_unrealized_loss": (
        ({"loss_limit": 400}, {"loss_limit": 200}),
        ({"inclusive": False}, {"inclusive": True}),
        ({"confirm_ms": 3000}, {"confirm_ms": 0}),
        ({}, {"composite_enforcement": {"enabled": True, "realized_limit": 300}}),
        ({}, {"quote_blackout_action_after_seconds": 12, "quote_blackout_action": "flatten"}),
    ),
    "daily_realized_profit": (
        ({"target": 600}, {"target": 300}),
        ({"inclusive": False}, {"inclusive": True}),
        ({"include_fees": True}, {"include_fees": False}),
        ({"basis": "composite"}, {"basis": "realized"}),
        ({"basis": "composite"}, {"basis": "realized_plus_unrealized"}),
    ),
    "max_unrealized_profit": (
        ({"profit_target": 400}, {"profit_target": 200}),
        ({"inclusive": False}, {"inclusive": True}),
        ({}, {"composite_enforcement": {"enabled": True, "profit_target": 250}}),
        (
            {"mode": "breakeven", "profit_target": None, "breakeven_arm_profit": 100},
            {"mode": "breakeven", "profit_target": None, "breakeven_arm_profit": 100, "breakeven_offset_ticks": 2},
        ),
    ),
    "trade_frequency_limit": (
        ({"limits": {"per_minute": 3}}, {"limits": {"per_minute": 1}}),
        ({"limits": {"per_minute": 2}}, {"limits": {"per_minute": 2, "per_session": 4}}),
        (
            {"limits": {}, "windows": [{"seconds": 10, "max": 2}]},
            {"limits": {}, "windows": [{"seconds": 30, "max": 2}]},
        ),
        ({"count_unit": "entry"}, {"count_unit": "order"}),
        ({"count_unit": "order"}, {"count_unit": "fill"}),
    ),
    "cooldown_after_loss": (
        ({"loss_thresholds": [], "loss_threshold": 300}, {"loss_thresholds": [], "loss_threshold": 100}),
        ({}, {"consecutive_losses": {"count": 2, "cooldown": "5m"}}),
        (
            {"consecutive_losses": {"count": 4, "cooldown": "5m"}},
            {"consecutive_losses": {"count": 2, "cooldown": "5m"}},
        ),
    ),
    "no_stop_loss_grace": (
        ({"grace_period_seconds": 9}, {"grace_period_seconds": 3}),
        ({"grace_on_removal_seconds": 9}, {"grace_on_removal_seconds": 2}),
        ({"coverage": "any"}, {"coverage": "full"}),
        ({"accept_types": ["stop", "trailing"]}, {"accept_types": ["trailing"]}),
        ({"require_loss_side": False}, {"require_loss_side": True}),
        ({"apply_to_existing_at_start": False}, {"apply_to_existing_at_start": True}),
    ),
    "symbol_blocks": (
        ({"blocked_symbols": ["CL"]}, {"blocked_symbols": ["CL", "ES"]}),
        ({"blocked_symbols": ["CL"]}, {"blocked_symbols": ["CL"], "allowed_symbols": ["ES"]}),
        ({"blocked_symbols": [], "allowed_symbols": ["ES", "CL"]}, {"blocked_symbols": [], "allowed_symbols": ["ES"]}),
    ),
    "concentration": (
        ({"max_pct": 80}, {"max_pct": 60}),
        ({"min_total": 6}, {"min_total": 3}),
        ({}, {"groups": {"all": ["ES", "MNQ", "CL"]}}),
    ),
    "drawdown": (
        ({"max_drawdown": 600}, {"max_drawdown": 300}),
        ({"inclusive": False}, {"inclusive": True}),
        ({"mode": "static"}, {"mode": "eod_trailing"}),
        ({"mode": "eod_trailing"}, {"mode": "trail_on_closed"}),
        ({"mode": "trail_on_closed"}, {"mode": "intraday_trailing"}),
        ({"lock_at": 49_900}, {}),
        ({}, {"floors": [{"from_day": "2025-01-15", "floor": 49_900}]}),
    ),
    "velocity": (
        ({"max_loss": 400}, {"max_loss": 200}),
        ({"window_seconds": 20}, {"window_seconds": 60}),
        ({"inclusive": False}, {"inclusive": True}),
        ({"include_fees": False}, {"include_fees": True}),
    ),
    "session_block_outside": (
        ({"global_session": _until("10:00:40")}, {"global_session": _until("10:00:10")}),
        (
            {"global_session": _until("10:00:20"), "session_close_grace_seconds": 9},
            {"global_session": _until("10:00:20")},
        ),
        (
            {"global_session": _until("10:00:20")},
            {"global_session": _until("10:00:20"), "flatten_before_end_seconds": 9},
        ),
        (
            {"global_session": _until("10:00:20"), "close_positions_at_session_end": False},
            {"global_session": _until("10:00:20")},
        ),
        (
            {"global_session": _until("16:00")},
            {"global_session": _until("16:00"), "per_instrument_sessions": {"ES": _until("10:00:10")}},
        ),
        ({"global_session": _until("16:00")}, {"global_session": {**_until("16:00"), "closed": ["2025-01-15"]}}),
    ),
    "leverage": (
        ({"max_ratio": 20}, {"max_ratio": 10}),
        ({"max_ratio": None, "contracts_per_10k": 2}, {"max_ratio": None, "contracts_per_10k": 1}),
    ),
}
"""Looser and stricter options; what of the same rule is not said is as in `EASILY`."""

NOT_COMPARABLE: Mapping[str, str] = {
    "auth_loss_guard": "the venue's word is yes or no; its options say what is done and when that ends",
    "trade_management": "it enforces nothing: a tighter stop is placed at the same moment",
}


def pairs_of(name: str) -> list[tuple[Rule, Rule]]:
    """A looser and a stricter rule: those of the table, and what the options themselves claim to be stricter."""
    return [*((written(name, loose), written(name, strict)) for loose, strict in PAIRS.get(name, ())), *claimed(name)]


def claimed(name: str) -> Iterator[tuple[Rule, Rule]]:
    """Pairs that differ in one number or switch, of which a change of configuration takes the second at once."""
    rule: Any = easily(name)
    for field in rule.__struct_fields__:
        value = getattr(rule, field)
        others: list[Any] = []
        if isinstance(value, bool):
            others = [not value]
        elif isinstance(value, int):
            others = [value * 2, value // 2]
        for other in others:
            changed = msgspec.structs.replace(rule, **{field: other})
            if getattr(changed, "contradictions", tuple)() or not (other or isinstance(other, bool)):
                continue
            if not tightened((rule,), (changed,)).waiting:
                yield rule, changed


def enforced_ns(rule: Rule, events: list[Event]) -> int | None:
    """When an engine that is woken as a guard wakes it first finds a breach; None if never."""
    engine = engine_of(rule)
    for event in events:
        for _ in range(100):
            due_ns = engine.next_deadline_ns()
            if due_ns is None or due_ns >= event.received_ns:
                break
            timer = TimerFired(event.account_id, 0, due_ns)
            if has_breach(engine, timer):
                return due_ns
            if engine.next_deadline_ns() == due_ns:
                break
        if has_breach(engine, event):
            return event.received_ns
    return None


def has_breach(engine: Engine, event: Event) -> bool:
    return any(isinstance(finding, Breach) for finding in engine.receive(event).findings)


def polled(venue: Scenario, steps: list[tuple[str, int]]) -> Iterator[Event]:
    """A day on which the account is read after every step, as a guard does all the time."""
    for event in played(venue, steps):
        yield event
        if not isinstance(event, FillReceived):
            yield venue.snapshot()


@every_rule
def test_is_compared_or_said_not_to_be_comparable(name: str) -> None:
    assert pairs_of(name) or name in NOT_COMPARABLE
    assert not (PAIRS.get(name) and name in NOT_COMPARABLE)


@every_rule
@settings(max_examples=12, derandomize=True)
@given(steps=moves)
def test_a_stricter_configuration_never_enforces_later(name: str, steps: list[tuple[str, int]]) -> None:
    events = list(polled(Scenario(), steps))
    for loose, strict in pairs_of(name):
        loose_ns, strict_ns = enforced_ns(loose, events), enforced_ns(strict, events)
        if loose_ns is not None:
            assert strict_ns is not None, (loose, strict)
            assert strict_ns <= loose_ns, (loose, strict)


# -- nothing but winning -----------------------------------------------------------------------------------------------

LOSS_RULES = ("daily_realized_loss", "daily_unrealized_loss", "cooldown_after_loss", "drawdown", "velocity")
NOT_ABOUT_LOSSES: Mapping[str, str] = {
    "auth_loss_guard": "the venue's word",
    "concentration": "exposure: a winning long grows",
    "daily_realized_profit": "winning is what it ends the day for",
    "leverage": "exposure: a winning long grows",
    "max_contracts": "size",
    "max_contracts_per_instrument": "size",
    "max_unrealized_profit": "winning is what it closes for",
    "no_stop_loss_grace": "orders",
    "session_block_outside": "time",
    "symbol_blocks": "products",
    "trade_frequency_limit": "number",
    "trade_management": "breaches nothing",
}


@every_rule
def test_is_about_losses_or_says_what_else(name: str) -> None:
    assert (name in LOSS_RULES) != (name in NOT_ABOUT_LOSSES)


@pytest.mark.parametrize("name", [name for name in LOSS_RULES if name in RULES])
@settings(max_examples=30, derandomize=True)
@given(
    data=st.data(),
    steps=st.lists(st.tuples(st.sampled_from((ES, MNQ)), st.integers(-3, 3), st.integers(0, 8)), max_size=12),
)
def test_finds_no_loss_while_equity_only_rises(
    name: str, data: st.DataObject, steps: list[tuple[Any, int, int]]
) -> None:
    """Whatever comes first of a fill, its position and the balance, and of the halves of a reversal."""
    guarded = Guarded(easily(name))
    venue, price = guarded.venue, {ES.id: 5800, MNQ.id: 5800}
    guarded.feed(venue.quote(ES, 5800), venue.quote(MNQ, 5800))
    for product, contracts, rise in steps:
        if contracts:
            move = venue.buys if contracts > 0 else venue.sells
            traded = move(product, abs(contracts), price[product.id])
            arrives(guarded, data.draw(shuffled((*traded, venue.account()))))
        held = venue.positions.get(product.id)
        sign = 1 if held is None or held.net_contracts > 0 else -1
        price[product.id] += sign * rise
        venue.wait(1)
        guarded.feed(venue.quote(product, price[product.id]))
        if rise == 8:
            guarded.feed(venue.snapshot())
    assert guarded.codes == []


# -- memory ------------------------------------------------------------------------------------------------------------

MOST_BYTES = 16_384


@every_rule
def test_remembers_no_more_at_the_end_of_a_long_day(name: str) -> None:
    """200 round turns in three products, with their orders, in eight hours."""
    guarded = Guarded(easily(name))
    venue = guarded.venue
    sizes = []
    for turn in range(200):
        product = PRODUCTS[turn % 3]
        size, bought, sold = turn % 4 + 1, at(product, turn % 7), at(product, turn % 7 - turn % 5 + 2)
        guarded.feed(venue.quote(product, bought), venue.buys(product, size, bought, fees=1))
        stop = venue.order(product, Side.SELL, size, stop=at(product, -40))
        guarded.feed(stop, venue.quote(product, sold))
        guarded.feed(venue.order(product, Side.SELL, size, order_id=stop.order.id, status=OrderStatus.CANCELLED))
        guarded.feed(venue.closes(product, sold), venue.account())
        venue.wait(140)
        guarded.feed(venue.timer())
        if turn % 20 == 0:
            guarded.feed(venue.snapshot())
        image = guarded.engine._slots[0].image()
        assert image is not None
        sizes.append(len(msgspec.msgpack.encode(image)))
        guarded.forget()
    assert max(sizes) < MOST_BYTES
    assert max(sizes[100:]) <= 1.2 * max(sizes[:100]) + 64
