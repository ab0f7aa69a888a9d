"""That the judge of the books would tell: every rule at its limit, with nobody who acts, or who does enough."""

from collections.abc import Callable, Mapping
from contextvars import copy_context
from datetime import UTC, datetime
from typing import Any

import pytest

from risk_manager.domain.order import OrderType, Side
from risk_manager.simulator.catalog import listed
from risk_manager.simulator.records import PlaceOrder
from tests.simulation import script
from tests.simulation.books import Books
from tests.simulation.breaches import RULES
from tests.simulation.checks import reaction_s
from tests.simulation.judge import Judge
from tests.simulation.network import PEER
from tests.simulation.world import BALANCE_MICROS, DAYS

SECOND_NS = 1_000_000_000
CONTRACTS = {
    root: listed(root, month) for root, month in (("ES", "H26"), ("MES", "H26"), ("MNQ", "H26"), ("CL", "J26"))
}
BIDS = {"ES": 20_000, "MES": 20_000, "MNQ": 80_000, "CL": 7_000}
HEARD_S = 0.1
MIDDAY = "2026-03-03 12:00:00"
"""In Chicago that is six in the morning."""

Step = Callable[["Desk"], None]


class Desk:
    """One account at the exchange, a trader, and a guard that does what a test has it do: mostly nothing."""

    def __init__(self, rules: Mapping[str, Mapping[str, object]], start: str = MIDDAY) -> None:
        self._start_ns = int(datetime.fromisoformat(start).replace(tzinfo=UTC).timestamp()) * SECOND_NS
        self._elapsed_ns = 1_000 * SECOND_NS
        self.is_disturbed = False
        self.failed: list[str] = []
        self.bids = dict(BIDS)
        self.books = Books(list(CONTRACTS.values()))
        self.books.now_ns = self._now_ns()
        self.account = self.books.open_account(user="pat", name="A", balance_micros=BALANCE_MICROS)
        self.rules: dict[int, Any] = {self.account: rules}
        self.judge = Judge(
            self.books,
            [self.account],
            self.rules,
            DAYS.day_of,
            elapsed_s=lambda: self._elapsed_ns / SECOND_NS,
            heard_s=HEARD_S,
            patience_s=reaction_s,
            is_disturbed=lambda account: self.is_disturbed,
            is_crowded=lambda: False,
            fail=self._fail,
        )
        self.wait(1.0)

    def _now_ns(self) -> int:
        return self._start_ns + self._elapsed_ns - 1_000 * SECOND_NS

    def _fail(self, invariant: str, text: str) -> None:
        assert invariant == "I4"
        account, _, rest = text.partition(" ")
        assert account == str(self.account)
        self.failed.append(rest.partition(":")[0].strip())

    def wait(self, seconds: float) -> None:
        """Let time pass, with the market where it is."""
        until_ns = self._elapsed_ns + round(seconds * SECOND_NS)
        step_ns = SECOND_NS // (20 if seconds < 2 else 4)
        while self._elapsed_ns < until_ns:
            self._elapsed_ns = min(until_ns, self._elapsed_ns + step_ns)
            for root, bid in self.bids.items():
                self.books.quote(CONTRACTS[root].id, bid, bid + 1, self._now_ns())
            self.judge.look()

    def bid(self, root: str, ticks: int) -> None:
        self.bids[root] = ticks
        self.books.quote(CONTRACTS[root].id, ticks, ticks + 1, self._now_ns())

    def trade(self, root: str, signed: int) -> None:
        self._place(root, OrderType.MARKET, signed)

    def rest(self, root: str, signed: int, ticks: int) -> None:
        self._place(root, OrderType.LIMIT, signed, limit_ticks=ticks)

    def stop(self, root: str, signed: int, ticks: int) -> None:
        self._place(root, OrderType.STOP, signed, stop_ticks=ticks)

    def _place(self, root: str, kind: OrderType, signed: int, **prices: Any) -> None:
        side = Side.BUY if signed > 0 else Side.SELL
        order = PlaceOrder(CONTRACTS[root].id, kind, side, abs(signed), **prices)
        assert isinstance(self.books.place(self.account, order, self._now_ns()), int)

    def cancel_all(self) -> None:
        for order in self.books.live_orders(self.account):
            self.books.cancel(self.account, order.id, self._now_ns())

    def guard(self, root: str, size: int | None = None) -> None:
        """Close a position, or so many contracts of it, as the guard does."""
        context, contract_id = copy_context(), CONTRACTS[root].id
        context.run(PEER.set, "guard-1")
        if size is None:
            context.run(self.books.close_contract, self.account, contract_id, self._now_ns())
        else:
            context.run(self.books.partial_close, self.account, contract_id, size, self._now_ns())


def after(rules: Mapping[str, Mapping[str, object]], *steps: Step, start: str = MIDDAY) -> list[str]:
    """What is told as missed when nobody does anything for half a minute after these steps."""
    desk = Desk(rules, start)
    for step in steps:
        step(desk)
    desk.wait(30.0)
    return desk.failed


def trades(root: str, signed: int) -> Step:
    return lambda desk: desk.trade(root, signed)


def rests(root: str, signed: int, ticks: int) -> Step:
    return lambda desk: desk.rest(root, signed, ticks)


def stops(root: str, signed: int, ticks: int) -> Step:
    return lambda desk: desk.stop(root, signed, ticks)


def bids(root: str, ticks: int) -> Step:
    return lambda desk: desk.bid(root, ticks)


def waits(seconds: float) -> Step:
    return lambda desk: desk.wait(seconds)


def guards(root: str, size: int | None = None) -> Step:
    return lambda desk: desk.guard(root, size)


def forbids(desk: Desk) -> None:
    desk.books.set_can_trade(desk.account, False, desk.books.now_ns)


def cancels(desk: Desk) -> None:
    desk.cancel_all()


LOSS = {"daily_realized_loss": {"limit": 407}}
PROFIT = {"daily_realized_profit": {"target": 293}}


@pytest.mark.parametrize(
    ("rules", "steps", "missed"),
    [
        (script.REDUCE, [trades("MNQ", 2)], []),
        (script.REDUCE, [trades("MNQ", -3)], ["max_contracts"]),
        (script.REDUCE, [trades("MNQ", 2), trades("MES", -1)], ["max_contracts"]),
        (script.REDUCE_EACH, [trades("ES", 1), trades("MNQ", 2), trades("CL", -2)], []),
        (script.REDUCE_EACH, [trades("ES", 2)], ["max_contracts_per_instrument ES"]),
        (script.REDUCE_EACH, [trades("CL", 3)], ["max_contracts_per_instrument CL"]),
        (script.SHARE, [trades("MNQ", 2)], []),  # 100 % of less than 3
        (script.SHARE, [trades("MNQ", 3)], ["concentration"]),
        (script.SHARE, [trades("MES", 2), trades("MNQ", 3)], []),  # exactly 60 %
        (script.SHARE, [trades("MES", 2), trades("MNQ", 4)], ["concentration"]),  # 66.7 %
        (script.LEVERAGE, [trades("MNQ", 9)], []),  # 9 x 40,000 of some 50,000
        (script.LEVERAGE, [trades("MNQ", 10)], ["leverage"]),  # 400,000, and the spread and costs are gone already
        # 5 CL bought at 7001 for 7.00; a tick is 50 dollars.
        (LOSS, [trades("CL", 5), bids("CL", 6_994)], []),
        (LOSS, [trades("CL", 5), bids("CL", 6_993)], ["daily_realized_loss"]),
        (PROFIT, [trades("CL", 5), bids("CL", 7_006)], []),
        (PROFIT, [trades("CL", 5), bids("CL", 7_007)], ["daily_realized_profit"]),
        # Closed at 6992, 9 ticks below, and twice 7.00: what is closed counts, and so does what is open elsewhere.
        (LOSS, [trades("CL", 5), bids("CL", 6_995), trades("CL", -5), trades("MNQ", 1)], []),  # 314 and a dollar
        (LOSS, [trades("CL", 5), bids("CL", 6_992), trades("CL", -5), trades("MNQ", 1)], ["daily_realized_loss"]),
        # 1 ES at 20001; a tick is 12.50. A short is bought back at the ask.
        (script.OPEN_LOSS, [trades("ES", 1), bids("ES", 19_986)], []),
        (script.OPEN_LOSS, [trades("ES", 1), bids("ES", 19_985)], ["daily_unrealized_loss CON.F.US.EP.H26"]),
        (script.OPEN_LOSS, [trades("ES", -1), bids("ES", 20_014)], []),
        (script.OPEN_LOSS, [trades("ES", -1), bids("ES", 20_015)], ["daily_unrealized_loss CON.F.US.EP.H26"]),
        (script.OPEN_PROFIT, [trades("ES", 1), bids("ES", 20_012)], []),
        (script.OPEN_PROFIT, [trades("ES", 1), bids("ES", 20_013)], ["max_unrealized_profit CON.F.US.EP.H26"]),
        (script.DAY_DRAWDOWN, [trades("ES", 1), bids("ES", 20_041), waits(1), bids("ES", 20_002)], []),
        (script.DAY_DRAWDOWN, [trades("ES", 1), bids("ES", 20_041), waits(1), bids("ES", 20_001)], ["drawdown"]),
        (script.DAY_DRAWDOWN, [trades("ES", 1), bids("ES", 20_041), bids("ES", 20_001)], []),  # nobody has seen it
        (script.FALL, [trades("ES", 1), bids("ES", 20_001), waits(1), bids("ES", 19_982)], []),
        (script.FALL, [trades("ES", 1), bids("ES", 20_001), waits(1), bids("ES", 19_981)], ["velocity"]),
        (
            script.FALL,
            [trades("ES", 1), bids("ES", 20_001), waits(1), bids("ES", 19_991), waits(61), bids("ES", 19_981)],
            [],
        ),
        (script.BLOCKED, [trades("ES", 1), rests("MNQ", 1, 79_000)], []),
        (script.BLOCKED, [trades("CL", 1)], ["symbol_blocks CL"]),
        (script.BLOCKED, [rests("MES", 1, 19_000)], ["symbol_blocks MES"]),
        (script.VENUES_WORD, [trades("ES", 1)], []),
        (script.VENUES_WORD, [forbids], []),
        (script.VENUES_WORD, [trades("ES", 1), forbids], ["auth_loss_guard"]),
        (script.STOP_WANTED, [trades("ES", 2), stops("ES", -2, 19_900)], []),
        (script.STOP_WANTED, [trades("ES", 2), stops("ES", -1, 19_900)], ["no_stop_loss_grace CON.F.US.EP.H26"]),
        (script.STOP_WANTED, [trades("ES", 2), stops("ES", 2, 20_100)], ["no_stop_loss_grace CON.F.US.EP.H26"]),
        (script.STOP_WANTED, [trades("ES", 2), rests("ES", -2, 20_100)], ["no_stop_loss_grace CON.F.US.EP.H26"]),
        (script.PROTECTED, [trades("ES", 1), stops("ES", -1, 19_989)], []),
        (script.PROTECTED, [trades("ES", 1)], ["trade_management CON.F.US.EP.H26"]),
        (script.PROTECTED, [trades("ES", 1), bids("ES", 19_989)], []),  # the market is where the stop would be
    ],
)
def test_tells_of_every_rule_that_is_broken(rules: script.Rules, steps: list[Step], missed: list[str]) -> None:
    assert after(rules, *steps) == missed


@pytest.mark.parametrize(
    ("start", "missed"),
    [
        ("2026-03-03 13:00:45", []),  # 07:00:45 in Chicago, and half a minute from there
        ("2026-03-03 13:01:15", ["session_block_outside"]),
        ("2026-03-03 22:59:00", ["session_block_outside"]),
        ("2026-03-03 23:00:00", []),
        ("2026-03-06 23:00:00", ["session_block_outside"]),  # Friday evening
    ],
)
def test_tells_of_what_is_held_outside_the_session(start: str, missed: list[str]) -> None:
    assert after(script.HOURS, trades("ES", 1), start=start) == missed
    assert after(script.HOURS, start=start) == []


FOUR = [trades("MNQ", 1), trades("MNQ", -1), trades("MNQ", 1), trades("MNQ", -1)]
FREQUENCY_LOCK = "trade_frequency_limit lock"
COOLDOWN_LOCK = "cooldown_after_loss lock"


@pytest.mark.parametrize(
    ("rules", "steps", "missed"),
    [
        (script.FREQUENCY, [*FOUR, waits(2)], []),
        (script.FREQUENCY, [*FOUR, waits(2), trades("MNQ", 1)], [FREQUENCY_LOCK]),
        (script.FREQUENCY, [*FOUR, waits(2), rests("MNQ", 1, 79_000)], [FREQUENCY_LOCK]),
        (script.FREQUENCY, [*FOUR, waits(59), trades("MNQ", 1)], []),  # over before anybody need have acted
        (script.FREQUENCY, [*FOUR[:3], waits(60), trades("MNQ", -1), waits(2), trades("MNQ", 1)], []),
        (script.FREQUENCY, [*FOUR[:3], waits(59), trades("MNQ", -1), waits(2), trades("MNQ", 1)], [FREQUENCY_LOCK]),
        (script.FREQUENCY, [*FOUR[:3], guards("MNQ"), waits(2), rests("ES", 1, 19_000)], []),
        (script.FREQUENCY, [*FOUR[:1], guards("MNQ"), *FOUR[:1], guards("MNQ"), waits(2), trades("ES", 1)], []),
        # 1 CL at 7001; a tick is 10 dollars.
        (script.COOLDOWN, [trades("CL", 1), trades("CL", -1), waits(2), trades("CL", 1)], []),
        (script.COOLDOWN, [trades("CL", 1), bids("CL", 6_999), trades("CL", -1), waits(2)], []),
        (script.COOLDOWN, [trades("CL", 1), bids("CL", 6_999), trades("CL", -1), waits(2), trades("CL", 1)], ["lock"]),
        (script.COOLDOWN, [trades("CL", 1), bids("CL", 6_999), guards("CL"), waits(2), trades("CL", 1)], []),
    ],
)
def test_tells_of_who_goes_on_after_a_trade_too_many(rules: script.Rules, steps: list[Step], missed: list[str]) -> None:
    missed = [COOLDOWN_LOCK if name == "lock" else name for name in missed]
    assert after(rules, *steps) == missed


TOO_MANY = trades("MNQ", 3)
LOST = [trades("ES", 1), bids("ES", 19_985)]
FLATTENED = {"max_contracts": {"limit": 2, "action": "flatten"}}


@pytest.mark.parametrize(
    ("rules", "steps", "missed"),
    [
        (script.REDUCE, [TOO_MANY, waits(1), guards("MNQ", 1)], []),
        (FLATTENED, [TOO_MANY, waits(1), guards("MNQ", 1)], ["max_contracts"]),
        (FLATTENED, [TOO_MANY, waits(1), guards("MNQ")], []),
        (FLATTENED, [TOO_MANY, waits(1), guards("MNQ"), trades("MNQ", 2)], []),
        (FLATTENED, [rests("ES", 1, 19_000), TOO_MANY, waits(1), guards("MNQ")], ["max_contracts"]),
        (FLATTENED, [rests("ES", 1, 19_000), TOO_MANY, waits(1), guards("MNQ"), cancels], []),
        (FLATTENED, [TOO_MANY, waits(1), rests("ES", 1, 19_000), guards("MNQ")], []),  # it came later
        (script.FLATTEN_AND_LOCK, [TOO_MANY, waits(1), guards("MNQ")], []),
        (script.FLATTEN_AND_LOCK, [TOO_MANY, waits(1), rests("ES", 1, 1), guards("MNQ")], ["max_contracts"]),
        (script.FLATTEN_AND_LOCK, [TOO_MANY, waits(1), guards("MNQ"), trades("ES", 1)], ["max_contracts lock"]),
        (script.FLATTEN_AND_LOCK, [TOO_MANY, waits(1), guards("MNQ"), rests("ES", 1, 1)], ["max_contracts lock"]),
        (script.SHORT_LOCK, [TOO_MANY, waits(1), guards("MNQ"), trades("ES", 1)], ["max_contracts lock"]),
        (script.SHORT_LOCK, [TOO_MANY, waits(1), guards("MNQ"), waits(19), trades("ES", 1)], []),
        # A quote that comes back leaves what it has brought about owed, if it was there long enough to be heard of.
        (script.OPEN_LOSS, [*LOST, waits(0.05), bids("ES", 20_000)], []),
        (script.OPEN_LOSS, [*LOST, waits(0.1), bids("ES", 20_000)], ["daily_unrealized_loss CON.F.US.EP.H26"]),
        (script.POSITION_LOSS, [*LOST, waits(1), guards("ES"), trades("ES", 1)], []),
        (script.OPEN_LOSS, [*LOST, waits(1), guards("ES"), trades("ES", 1)], ["daily_unrealized_loss lock"]),
    ],
)
def test_tells_of_a_remedy_that_falls_short(rules: script.Rules, steps: list[Step], missed: list[str]) -> None:
    assert after(rules, *steps) == missed


def test_a_lock_until_the_reset_lasts_until_then() -> None:
    for waited_s, missed in ((0, ["max_contracts lock"]), (59.0, [])):
        # 22:59:00, a minute before the day ends in Chicago.
        steps = [TOO_MANY, waits(0.5), guards("MNQ"), waits(waited_s), trades("ES", 1)]
        assert after(script.FLATTEN_AND_LOCK, *steps, start="2026-03-03 22:58:59") == missed


def test_yesterdays_result_is_no_business_of_todays() -> None:
    lost = [trades("CL", 5), bids("CL", 6_985), trades("CL", -5)]
    again = trades("MNQ", 1)
    assert after(LOSS, *lost, waits(5), again, start="2026-03-03 22:50:00") == ["daily_realized_loss lock"]
    assert after(LOSS, *lost, waits(60), again, start="2026-03-03 22:59:30") == []


def test_a_fill_that_is_taken_back_does_not_count() -> None:
    desk = Desk(script.DAY_LOSS)
    desk.trade("CL", 5)
    desk.bid("CL", 6_985)
    desk.trade("CL", -5)
    for fill in desk.books.fills(desk.account):
        desk.books.void_fill(fill.id, desk.books.now_ns)
    desk.wait(1.0)
    desk.trade("MNQ", 1)
    desk.wait(30.0)
    assert desk.failed == []


def test_owes_nothing_for_what_a_fault_has_hidden() -> None:
    desk = Desk(script.OPEN_LOSS)
    desk.is_disturbed = True
    for step in (*LOST, waits(10), bids("ES", 20_000)):
        step(desk)
    desk.is_disturbed = False
    desk.wait(30.0)
    assert desk.failed == []


def test_owes_what_is_left_when_the_fault_is_over() -> None:
    desk = Desk(script.REDUCE)
    desk.is_disturbed = True
    desk.trade("MNQ", 3)
    desk.wait(60.0)
    desk.is_disturbed = False
    desk.wait(5.0)
    assert desk.failed == []
    desk.wait(0.2)
    assert desk.failed == ["max_contracts"]


def test_other_rules_begin_anew() -> None:
    desk = Desk(script.FLATTEN_AND_LOCK)
    for step in (TOO_MANY, waits(1), guards("MNQ")):
        step(desk)
    desk.rules[desk.account] = script.DAY_LOSS
    desk.trade("MNQ", 3)
    desk.wait(30.0)
    assert desk.failed == []


def test_counts_what_became_of_every_breach() -> None:
    desk = Desk(script.REDUCE)
    for step in (TOO_MANY, waits(1), guards("MNQ", 1), TOO_MANY, waits(1), trades("MNQ", -3), TOO_MANY, waits(30)):
        step(desk)
    tally = desk.judge.tallies["max_contracts"]
    assert (tally.seen, tally.owed, tally.acted, tally.passed, tally.missed) == (3, 3, 1, 1, 1)


def test_knows_every_rule_and_every_plan_of_the_soak() -> None:
    named = {rule for rules in script.SOAKED for rule in rules}
    assert named == set(RULES)
    for rules in (*script.SOAKED, *script.RULES, script.CALM):
        assert after(rules) == []


def test_refuses_an_option_it_cannot_judge() -> None:
    with pytest.raises(AssertionError, match="nobody judges"):
        after({"max_contracts": {"limit": 2, "weighting": "mini_equivalent"}})
