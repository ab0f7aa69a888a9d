"""What a rule promises by its slack: a quote that is kept from it is one it would have answered with nothing.

Shown on generated days by two engines, one of which shows every quote to every rule.
"""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import cache
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk_manager.domain.account import AccountView
from risk_manager.domain.events import Event, QuoteUpdated
from risk_manager.domain.finding import Finding, Gauge
from risk_manager.engine import Engine
from risk_manager.rules import RULES, DailyLossRule, DailyUnrealizedLossRule, Rule, build_rules, warned
from risk_manager.rules._base import UNBOUNDED, Demand, Remedy, Slack, slack_of
from risk_manager.rules.daily_realized_loss import DailyRealizedLoss
from risk_manager.testing.events import CL, ES, MES, MNQ, START_NS, Scenario
from risk_manager.testing.guarded import Guarded
from tests.rules.test_rule_properties import EASILY, PRICES, PRODUCTS, forms, settings_of, written

HEARING = [name for name, rule in RULES.items() if QuoteUpdated in rule.listens_to]
TICKS = {ES.id: Fraction(1, 4), MNQ.id: Fraction(1, 4), CL.id: Fraction(1, 100)}
A_MOMENT = {"start": "10:00", "end": "10:01", "timezone": "America/New_York", "holidays": False}

MORE: dict[str, list[dict[str, object]]] = {
    "daily_unrealized_loss": [
        {"confirm_ms": 100},
        {"scope": "total", "quote_blackout_action_after_seconds": 12},
        {"loss_limit": 5000, "composite_enforcement": {"enabled": True, "realized_limit": 200}},
    ],
    "max_unrealized_profit": [
        {"profit_target": 5000, "composite_enforcement": {"enabled": True, "profit_target": 200}},
        {"mode": "breakeven", "profit_target": None, "breakeven_arm_profit": 150, "breakeven_offset_ticks": 2},
    ],
    "drawdown": [
        {"mode": "intraday_trailing", "starting_balance": 50_000, "lock_at": 50_100, "warn_at": None},
        {"mode": "static", "max_drawdown": 90_000, "starting_balance": 50_000},
    ],
    "velocity": [{"window_seconds": 90}, {"window_seconds": 7}],
    "leverage": [
        {"max_ratio": None, "contracts_per_10k": 1},
        {"max_ratio": None, "max_ratio_pct": 581, "action": "alert"},
    ],
    "concentration": [
        {"metric": "notional", "min_total": 100_000, "max_pct": max_pct, "action": "alert"} for max_pct in (73, 81, 87)
    ],
}
"""Options, over those that break a rule easily, by which a quote may bring it to its limit in another way."""

Chapter = tuple[list[int], int, list[tuple[int, int, int | None]]]
sizes = st.lists(st.sampled_from([0, 0, 1, -1, 3, -2]), min_size=3, max_size=3)
ticks = st.sampled_from([-2, -1, 0, 1, 2, 3, 4, 5]) | st.integers(-40, 40)
quotes = st.tuples(st.integers(0, 5), ticks, st.sampled_from([0, 0, 0, 0, 0, 0, 0, 1, None]))
walks = st.lists(quotes, min_size=15, max_size=50)
days = st.lists(st.tuples(sizes, st.sampled_from([1, -1, 1, -1, 30, -30]), walks), min_size=1, max_size=3)
"""Contracts of each product to be held, where the market tends to go then, and how it goes there: which product moves,
by how many ticks, and its spread; a spread of None leaves the bid and the ask out."""


@cache
def layered(name: str) -> list[Rule]:
    """The rule in all its forms, by itself and in layers."""
    rules = forms(name)
    example = EASILY.get(name) or getattr(RULES[name], "example", {})
    (scheduled,) = build_rules({name: {**example, "schedule": A_MOMENT}})
    rules += [written(name, options) for options in MORE.get(name, ())]
    return [*rules, *(warned(rule, 30, 80) for rule in rules), scheduled, warned(scheduled, 50)]


def walked(chapters: list[Chapter], step_ns: int) -> Iterator[Event]:
    """A day with much more market than trade."""
    venue = Scenario(step_ns=step_ns)
    prices = dict(PRICES)
    yield venue.snapshot()
    for sizes, trend, walk in chapters:
        for product, size in zip(PRODUCTS, sizes, strict=True):
            held = venue.positions.get(product.id)
            change = size - (held.net_contracts if held is not None else 0)
            if change:
                trade = venue.buys if change > 0 else venue.sells
                yield from trade(product, abs(change), str(prices[product.id]))
        yield venue.account()
        yield venue.timer(after_s=5)
        for which, move, spread in walk:
            # Mostly of the first product, and of those held.
            product = PRODUCTS[which % 3] if which < 3 or not sizes[0] else ES
            prices[product.id] += trend * move * TICKS[product.id]
            price, ask = str(prices[product.id]), str(prices[product.id] + (spread or 0) * TICKS[product.id])
            yield venue.quote(product, price, ask) if spread is not None else venue.quote(product, None, None, price)


steps = st.sampled_from([1_000_000, 30_000_000, 900_000_000, 3_000_000_000])


def compared(rules: tuple[Rule, ...], events: Iterable[Event]) -> None:
    engine, asking = (Engine(msgspec.structs.replace(settings_of(rules[0]), rules=rules)) for _ in range(2))
    # This one is never told how far a rule need not look.
    asking._bands.measure = lambda asked, account: None  # type: ignore[method-assign]
    for event in events:
        assert engine.receive(event) == asking.receive(event)
    assert engine.snapshot() == asking.snapshot()


@pytest.mark.parametrize("name", HEARING)
@given(data=st.data(), chapters=days, step_ns=steps)
@settings(max_examples=80, deadline=None)
def test_a_quote_that_is_kept_from_a_rule_would_have_changed_nothing(
    name: str, data: st.DataObject, chapters: list[Chapter], step_ns: int
) -> None:
    compared((data.draw(st.sampled_from(layered(name))),), walked(chapters, step_ns))


@given(chapters=days, step_ns=steps)
@settings(max_examples=40, deadline=None)
def test_nor_would_it_with_all_rules_at_once(chapters: list[Chapter], step_ns: int) -> None:
    compared(tuple(written(name, {}) for name in RULES), walked(chapters, step_ns))


# -- by numbers --------------------------------------------------------------------------------------------------------


def own_of(guarded: Guarded) -> Slack | None:
    return guarded.engine._slots[0].slack(guarded.engine.account)


@pytest.mark.parametrize(
    ("rules", "slack"),
    [
        # 100 dollars closed, and 50 open after the quote at 5804: 150 of the day, on one ES (12.50 a tick).
        ({"daily_realized_loss": {"limit": 500}}, (650_000_000, UNBOUNDED)),
        ({"daily_realized_loss": {"limit": 500, "basis": "realized"}}, (UNBOUNDED, UNBOUNDED)),
        ({"daily_realized_profit": {"target": 400}}, (UNBOUNDED, 250_000_000)),
        ({"daily_unrealized_loss": {"loss_limit": 200}}, (250_000_000, UNBOUNDED)),
        ({"max_unrealized_profit": {"profit_target": 200}}, (UNBOUNDED, 150_000_000)),
        ({"daily_realized_loss": {"limit": 500, "warn_at": [80]}}, (400_000_000, 400_000_000)),
        ({"daily_unrealized_loss": {"loss_limit": 200, "price_basis": "last"}}, None),
        # The day leaves open losses 300, and lacks 100 of its target.
        (
            {
                "daily_unrealized_loss": {
                    "loss_limit": 5000,
                    "composite_enforcement": {"enabled": True, "realized_limit": 200},
                }
            },
            (350_000_000, UNBOUNDED),
        ),
        (
            {
                "max_unrealized_profit": {
                    "profit_target": 5000,
                    "composite_enforcement": {"enabled": True, "profit_target": 200},
                }
            },
            (UNBOUNDED, 50_000_000),
        ),
        ({"max_unrealized_profit": {"mode": "breakeven", "breakeven_arm_profit": 150}}, (UNBOUNDED, 100_000_000)),
        ({"max_unrealized_profit": {"mode": "breakeven", "breakeven_arm_profit": 40}}, (50_000_000, UNBOUNDED)),
        ({"velocity": {"max_loss": 300}}, (300_000_000, 1)),
        # A ratio moves otherwise than money does.
        ({"leverage": {"max_ratio": 10, "warn_at": [80]}}, None),
        ({"concentration": {"max_pct": 60, "min_total": 3}}, (UNBOUNDED, UNBOUNDED)),
        # It keeps its stop where it is until the price is 10 ticks in profit; it is at 4.
        ({"trade_management": {"auto_breakeven": {"enabled": True}}}, (UNBOUNDED, 75_000_000)),
    ],
)
def test_the_slack_is_what_is_left_to_the_limit(
    rules: dict[str, dict[str, object]], slack: tuple[int, int] | None
) -> None:
    guarded = Guarded(*build_rules(rules))
    venue = guarded.venue
    guarded.feed(venue.result(100), venue.quote(ES, 5803), venue.buys(ES, 1, 5803), venue.quote(ES, 5804))
    own = own_of(guarded)
    assert (own and (own.down_micros, own.up_micros)) == slack


def test_a_schedule_looks_again_when_it_opens_or_closes() -> None:
    guarded = Guarded(*build_rules({"daily_realized_loss": {"limit": 500, "schedule": A_MOMENT}}))
    venue = guarded.venue
    guarded.feed(venue.quote(ES, 5800), venue.buys(ES, 1, 5800), venue.quote(ES, 5800))
    assert own_of(guarded) == Slack(500_000_000, UNBOUNDED, START_NS + 60_000_000_000)
    venue.wait(60)
    guarded.feed(venue.quote(ES, 5800))
    own = own_of(guarded)
    assert own is not None
    assert own.until_ns > START_NS + 3600_000_000_000


def test_a_loss_that_waits_for_its_confirmation_is_looked_at_when_it_recovers() -> None:
    guarded = Guarded(DailyUnrealizedLossRule(loss_limit=100, confirm_ms=5))
    venue = guarded.venue
    guarded.feed(venue.quote(ES, 5800), venue.buys(ES, 1, 5800), venue.quote(ES, 5798), venue.quote(ES, 5799))
    venue.wait(1)
    guarded.feed(venue.quote(ES, 5798), venue.quote(ES, 5798))
    assert guarded.codes == [], "it has been beyond the limit for a millisecond"


def test_two_positions_share_the_slack() -> None:
    guarded = Guarded(DailyLossRule(limit=100))
    venue = guarded.venue
    guarded.feed(venue.quote(ES, 5800), venue.quote(MES, 5800), venue.buys(ES, 1, 5800), venue.buys(MES, 4, 5800))
    guarded.feed(venue.quote(ES, 5800), venue.quote(MES, 5800))
    # 50 for each: neither has used its half up, and together they stand at 99.
    guarded.feed(venue.quote(ES, "5799.25"), venue.quote(MES, "5797.75"))
    assert guarded.codes == []
    guarded.feed(venue.quote(MES, "5796.75"))
    assert [breach.measured for breach in guarded.breaches] == [-102_500_000]


def test_a_rule_without_slack_is_shown_every_quote() -> None:
    shown: list[Event] = []

    class Curious(msgspec.Struct, frozen=True):
        name: ClassVar[str] = "curious"
        listens_to: ClassVar[frozenset[type]] = frozenset({QuoteUpdated})
        remedy: Remedy = Remedy(Demand.ALERT)

        def initial_state(self) -> None:
            return None

        def deadline_ns(self, state: None) -> None:
            return None

        def gauges(self, state: None, account: AccountView) -> tuple[Gauge, ...]:
            return ()

        def step(self, state: None, event: Event, account: AccountView) -> tuple[None, tuple[Finding, ...]]:
            shown.append(event)
            return None, ()

    guarded = Guarded(DailyLossRule(limit=500), Curious())
    assert slack_of(Curious(), None, guarded.engine.account) is None
    guarded.feed(guarded.venue.buys(ES, 1, 5800))
    shown.clear()
    guarded.feed([guarded.venue.quote(ES, 5800) for _ in range(5)])
    assert len(shown) == 5


@pytest.mark.parametrize("answer", ["raises", Slack(1.5), (1, 1), None])  # type: ignore[arg-type]
def test_a_rule_whose_slack_is_none_of_ours_is_shown_every_quote(answer: object) -> None:
    class Odd(DailyRealizedLoss, frozen=True):
        name: ClassVar[str] = "odd"

        def slack(self, state: None, account: AccountView) -> Any:
            if answer == "raises":
                raise ZeroDivisionError
            return answer

    guarded = Guarded(Odd(limit_micros=500_000_000))
    venue = guarded.venue
    guarded.feed(venue.quote(ES, 5800), venue.buys(ES, 1, 5800), venue.quote(ES, 5800), venue.quote(ES, 5800))
    assert own_of(guarded) is None
    guarded.feed(venue.quote(ES, 5790))
    assert guarded.codes == ["DAILY_LOSS"]


@pytest.mark.parametrize(
    ("options", "balance", "slack"),
    [
        # An ES of 290,000 may move by 362 of its 23,200 ticks before a sixty-fourth more of it could count.
        ({"max_ratio": 10}, 50_000, (4_525_000_000, 4_525_000_000)),
        # 294,531.25 needs 29,453.125.
        ({"max_ratio": 10}, 30_000, (546_875_001, 4_525_000_000)),
        ({"contracts_per_10k": 2}, 50_000, (45_000_000_001, UNBOUNDED)),
    ],
)
def test_leverage_is_not_asked_while_the_equity_is_enough(
    options: dict[str, object], balance: int, slack: tuple[int, int]
) -> None:
    guarded = Guarded(*build_rules({"leverage": options}))
    venue = guarded.venue
    venue.balance_micros = balance * 1_000_000
    guarded.feed(venue.snapshot(), venue.quote(ES, 5800), venue.buys(ES, 1, 5800), venue.account())
    guarded.feed(venue.quote(ES, 5800))
    own = own_of(guarded)
    assert own is not None
    assert (own.down_micros, own.up_micros, own.until_ns) == (*slack, UNBOUNDED)
    # A fill with a result leaves the balance in doubt for five seconds.
    guarded.feed(venue.result(10))
    own = own_of(guarded)
    assert own is not None
    assert venue.now_ns < own.until_ns <= venue.now_ns + 5_000_000_000


def test_concentration_is_not_asked_while_no_price_has_moved_far() -> None:
    guarded = Guarded(*build_rules({"concentration": {"metric": "notional", "max_pct": 90, "min_total": 1000}}))
    venue = guarded.venue
    guarded.feed(venue.quote(ES, 5800), venue.quote(CL, 70), venue.buys(ES, 1, 5800), venue.buys(CL, 1, 70))
    guarded.feed(venue.quote(ES, 5800))
    # ES has 80.6 %, with a sixteenth more, and CL a sixteenth less, 82.4 %: 437 ticks of CL, 10 dollars each.
    assert own_of(guarded) == Slack(4_370_000_000, 4_370_000_000)


@pytest.mark.parametrize(
    ("options", "slack"),
    [
        # From 50,000 up to 50,100 and back to 50,050.
        ({"mode": "static"}, (1_050_000_000, UNBOUNDED)),
        ({"mode": "intraday_trailing"}, (950_000_000, 50_000_001)),
        ({"mode": "trail_on_closed"}, (1_050_000_000, UNBOUNDED)),
        # The floor is below nothing: the account is gone before.
        ({"mode": "static", "max_drawdown": 60_000}, (50_050_000_000, UNBOUNDED)),
    ],
)
def test_drawdown_is_not_asked_between_the_floor_and_a_new_high(
    options: dict[str, object], slack: tuple[int, int]
) -> None:
    guarded = Guarded(*build_rules({"drawdown": {"max_drawdown": 1000, "starting_balance": 50_000, **options}}))
    venue = guarded.venue
    assert own_of(guarded) is None, "the balance is not certain yet"
    guarded.feed(venue.timer(after_s=3), venue.snapshot(), venue.quote(ES, 5800), venue.buys(ES, 1, 5800))
    guarded.feed(venue.quote(ES, 5802), venue.quote(ES, 5801))
    own = own_of(guarded)
    assert own is not None
    assert (own.down_micros, own.up_micros, own.until_ns) == (*slack, guarded.engine.account.day.end_ns)
