"""The scripted traders, each against a market of its own."""

from itertools import islice, pairwise
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import risk_manager.simulator.traders as traders
from risk_manager.domain.order import OrderStatus, OrderType, Side
from risk_manager.simulator.catalog import listed
from risk_manager.simulator.desk import Desk, Seat, Trader
from risk_manager.simulator.emissions import PositionChanged
from risk_manager.simulator.exchange import Exchange
from risk_manager.simulator.feeds import Feed, FeedItem
from risk_manager.simulator.feeds.dbn import DbnTape
from risk_manager.simulator.feeds.synthetic import SyntheticMarket, SyntheticProduct
from risk_manager.simulator.market import Market
from risk_manager.simulator.referee import Limits, Referee
from risk_manager.simulator.traders import new_trader, trader_types
from risk_manager.simulator.traders._insister import InsisterSettings
from risk_manager.simulator.traders._unhurried import Unhurried
from risk_manager.simulator.traders.disciplined import Disciplined, DisciplinedSettings
from risk_manager.simulator.traders.doubler import Doubler, DoublerSettings
from risk_manager.simulator.traders.lockout_fighter import LockoutFighter
from risk_manager.simulator.traders.oversizer import Oversizer, OversizerSettings
from risk_manager.simulator.traders.rule_breaker import RuleBreaker
from risk_manager.simulator.traders.script import DayPlan, Script, Stage, misbehaving_day
from tests.simulator.feeds.dbn_tapes import REAL_HOUR, invented_hour, write_tape
from tests.simulator.naive_guard import NaiveGuard

START_NS = 1_703_545_200_000_000_000
USD = 1_000_000
ES, MNQ, CL = listed("ES", "H24"), listed("MNQ", "H24"), listed("CL", "G24")
LIMITS = Limits(
    most_contracts=5,
    most_per_root={"ES": 3, "MNQ": 4},
    daily_loss_micros=800 * USD,
    floating_loss_micros=200 * USD,
    blocked_roots=frozenset({"CL"}),
)


class Scene:
    """A venue, one account, a trader at its desk, and what its positions were."""

    def __init__(self, trader: Trader, *, seed: int = 1, feed: Feed | None = None, partial_fills: bool = False) -> None:
        self.exchange = Exchange([ES, MNQ, CL], partial_fills=partial_fills, seed=seed)
        self.account_id = self.exchange.open_account(user="u", name="a", balance_micros=50_000 * USD)
        self.desk = Desk(self.exchange, self.account_id)
        self.nets: list[tuple[str, int]] = []
        self.exchange.subscribe(self._listen)
        starts = ((ES, 19_200), (MNQ, 68_000), (CL, 7_300))
        products = [SyntheticProduct(each.contract, ticks) for each, ticks in starts]
        market = feed if feed is not None else SyntheticMarket(products, seed=seed, start_ns=START_NS)
        self.market = Market(self.exchange, market, [Seat(trader, self.desk)], speed=None)

    def run(self, steps: int) -> "Scene":
        for _ in range(steps):
            if not self.market.step():
                break
        return self

    def most(self, contract_id: str) -> int:
        return max((abs(net) for each, net in self.nets if each == contract_id), default=0)

    def _listen(self, emission: object) -> None:
        if isinstance(emission, PositionChanged):
            self.nets.append((emission.position.contract_id, emission.position.net_contracts))


def fighter(**changes: Any) -> LockoutFighter:
    return LockoutFighter(InsisterSettings(contract_ids=(ES.id,), **changes))


class TestRegistry:
    def test_finds_a_trader_in_every_file(self) -> None:
        folder = Path(traders.__path__[0])
        files = {file.stem for file in folder.glob("*.py") if not file.stem.startswith("_")}

        assert set(trader_types()) == files - {"script"}
        assert list(trader_types()) == ["disciplined", "doubler", "lockout_fighter", "oversizer", "rule_breaker"]

    @pytest.mark.parametrize("name", trader_types())
    def test_makes_each_by_name_and_it_acts(self, name: str) -> None:
        scene = Scene(new_trader(name, (ES.id,), seed=3)).run(400)

        assert scene.exchange.fills(scene.account_id)

    def test_names_those_there_are(self) -> None:
        with pytest.raises(KeyError, match="no trader is called 'gambler'; there are disciplined, doubler"):
            new_trader("gambler", (ES.id,))

    @pytest.mark.parametrize("name", trader_types())
    def test_each_repeats_itself_by_seed(self, name: str) -> None:
        runs = [Scene(new_trader(name, (ES.id, MNQ.id), seed=7)).run(1_500) for _ in range(2)]
        fills = [run.exchange.fills(run.account_id) for run in runs]

        assert fills[0] == fills[1] != []

    @pytest.mark.parametrize("name", trader_types())
    def test_each_waits_for_a_market(self, name: str) -> None:
        """A contract that is listed and has no quote: nothing breaks, and nothing fills."""
        feed = SyntheticMarket([SyntheticProduct(CL.contract, 7_300)], seed=1, start_ns=START_NS)
        scene = Scene(new_trader(name, (ES.id,)), feed=feed).run(200)

        assert not scene.exchange.fills(scene.account_id)

    @pytest.mark.parametrize("name", trader_types())
    @settings(max_examples=8)
    @given(seed=st.integers(0, 1_000), partial_fills=st.booleans())
    def test_no_exit_turns_a_position_round(self, name: str, seed: int, partial_fills: bool) -> None:
        scene = Scene(new_trader(name, (ES.id, MNQ.id), seed=seed), seed=seed, partial_fills=partial_fills).run(600)

        for contract_id in (ES.id, MNQ.id):
            nets = [net for each, net in scene.nets if each == contract_id]
            assert all(before * after >= 0 for before, after in pairwise(nets))

    @pytest.mark.parametrize("name", trader_types())
    def test_none_cancels_and_every_order_is_tagged(self, name: str) -> None:
        """The referee tells the guard's acts from the trader's by this."""
        scene = Scene(new_trader(name, (ES.id, MNQ.id))).run(1_500)
        orders = scene.exchange.orders(scene.account_id)

        assert orders
        assert all(order.tag for order in orders)
        assert all(order.parent_id is not None for order in orders if order.status is OrderStatus.CANCELLED)


class TestDisciplined:
    @pytest.mark.parametrize("uses_brackets", [False, True])
    def test_stays_small_and_takes_small_losses(self, uses_brackets: bool) -> None:
        trader = Disciplined(DisciplinedSettings((ES.id, MNQ.id), uses_brackets=uses_brackets))
        scene = Scene(trader).run(6_000)
        losses = [fill.pnl_micros for fill in scene.exchange.fills(scene.account_id) if fill.pnl_micros is not None]

        assert scene.most(ES.id) == scene.most(MNQ.id) == 1
        assert len(losses) >= 10
        assert min(losses) > -150 * USD

    def test_breaks_no_limit(self) -> None:
        scene = Scene(Disciplined(DisciplinedSettings((ES.id, MNQ.id))))
        referee = Referee(scene.exchange, scene.account_id, LIMITS)
        scene.run(2_000)

        assert referee.report().episodes == ()

    def test_is_finished_after_its_rounds(self) -> None:
        trader = Disciplined(DisciplinedSettings((ES.id,), rounds=2, pause_steps=1))
        scene = Scene(trader).run(1_000)

        assert trader.is_finished
        assert scene.desk.nets() == {}
        assert len(scene.exchange.fills(scene.account_id)) == 4


class TestOversizer:
    def test_exceeds_one_contract_then_all_together(self) -> None:
        trader = Oversizer(OversizerSettings((ES.id, MNQ.id), single_size=4, total_size=6))
        scene = Scene(trader)
        referee = Referee(scene.exchange, scene.account_id, LIMITS)
        scene.run(400)

        assert trader.is_finished
        assert [(each.rule, each.scope, each.worst) for each in referee.report().episodes] == [
            ("max_contracts_per_instrument", "ES", 4),
            ("max_contracts", "account", 6),
        ]
        assert scene.desk.nets() == {}

    def test_puts_everything_into_the_only_contract(self) -> None:
        trader = Oversizer(OversizerSettings((ES.id,), single_size=4, total_size=6))
        scene = Scene(trader).run(400)

        assert trader.is_finished
        assert scene.most(ES.id) == 6

    def test_gives_up_its_turn_when_it_is_cut(self) -> None:
        trader = Oversizer(OversizerSettings((ES.id,), single_size=4, rounds=1, hold_steps=10_000))
        scene = Scene(trader).run(60)
        assert scene.desk.net(ES.id) in (4, -4)

        scene.exchange.partial_close(scene.account_id, ES.id, 1, scene.exchange.now_ns)
        scene.run(30)

        assert trader.is_finished
        assert scene.desk.nets() == {}

    def test_survives_a_closed_account(self) -> None:
        trader = Oversizer(OversizerSettings((ES.id,)))
        scene = Scene(trader)
        scene.exchange.set_can_trade(scene.account_id, False, START_NS)
        scene.run(200)

        assert trader.is_finished
        assert scene.desk.last_refusal is not None


class TestRuleBreaker:
    def test_trades_and_rests_in_what_it_is_given(self) -> None:
        trader = RuleBreaker(InsisterSettings((CL.id,), attempts=4))
        scene = Scene(trader)
        referee = Referee(scene.exchange, scene.account_id, LIMITS)
        scene.run(400)
        orders = scene.exchange.orders(scene.account_id)

        assert trader.is_finished
        assert {order.type for order in orders} == {OrderType.MARKET, OrderType.LIMIT}
        assert {order.contract_id for order in orders} == {CL.id}
        assert {each.rule for each in referee.report().episodes} == {"symbol_blocks"}

    def test_rests_orders_where_nothing_is_quoted(self) -> None:
        feed = SyntheticMarket([SyntheticProduct(ES.contract, 19_200)], seed=1, start_ns=START_NS)
        scene = Scene(RuleBreaker(InsisterSettings((CL.id,), attempts=4)), feed=feed).run(300)

        assert [order.type for order in scene.desk.working(CL.id)] == [OrderType.LIMIT] * 2


class TestLockoutFighter:
    def test_enters_again_whatever_is_taken_from_it(self) -> None:
        trader = fighter(attempts=8)
        scene = Scene(trader)
        guard = NaiveGuard(scene.exchange, scene.account_id, scene.desk, LIMITS)
        for _ in range(200):
            scene.run(1)
            guard.flatten()
        kinds = [order.type for order in scene.exchange.orders(scene.account_id) if order.tag]

        assert trader.is_finished
        assert kinds == [OrderType.MARKET, OrderType.LIMIT, OrderType.MARKET, OrderType.STOP] * 2
        assert scene.desk.nets() == {}
        assert scene.desk.working() == ()

    def test_leaves_by_itself_when_nobody_stops_it(self) -> None:
        trader = fighter(attempts=3, away_ticks=500)
        scene = Scene(trader).run(300)

        assert trader.is_finished
        assert scene.desk.nets() == {}
        assert len(scene.desk.working()) == 1


class TestDoubler:
    def test_adds_to_a_loser_up_to_its_size(self) -> None:
        scene = Scene(Doubler(DoublerSettings((ES.id,), most_contracts=3))).run(2_000)
        fills = scene.exchange.fills(scene.account_id)

        assert scene.most(ES.id) == 3
        assert all(fill.size <= 3 for fill in fills)

    def test_does_not_take_a_loss_before_one_was_forced_on_it(self) -> None:
        scene = Scene(Doubler(DoublerSettings((ES.id,)))).run(2_000)
        results = [fill.pnl_micros for fill in scene.exchange.fills(scene.account_id) if fill.pnl_micros is not None]

        assert results
        assert min(results) > 0

    def test_takes_the_largest_product(self) -> None:
        scene = Scene(Doubler(DoublerSettings((MNQ.id, ES.id)))).run(500)

        assert {fill.contract_id for fill in scene.exchange.fills(scene.account_id)} == {ES.id}

    @pytest.mark.parametrize("seed", range(6))
    def test_meets_the_floating_loss_and_then_the_daily_loss(self, seed: int) -> None:
        settings = DoublerSettings((ES.id,), most_contracts=3, stop_at_loss_micros=800 * USD)
        trader = Doubler(settings, seed=seed)
        scene = Scene(trader, seed=seed)
        referee = Referee(scene.exchange, scene.account_id, LIMITS)
        guard = NaiveGuard(scene.exchange, scene.account_id, scene.desk, LIMITS)
        for _ in range(6_000):
            scene.run(1)
            referee.step_done(scene.market.now_ns)
            guard.act()
        rules = [each.rule for each in referee.report().episodes]

        assert trader.is_finished
        assert rules.index("daily_unrealized_loss") <= rules.index("daily_realized_loss")
        assert set(rules) == {"daily_unrealized_loss", "daily_realized_loss"}


class TestScript:
    def test_runs_the_stages_one_after_the_other(self) -> None:
        first = Disciplined(DisciplinedSettings((ES.id,), rounds=1, pause_steps=0))
        script = Script([Stage(first, 500), Stage(fighter(attempts=1), 500)], pause_steps=3)
        scene = Scene(script)
        stages = []
        for _ in range(200):
            stages.append(script.stage)
            scene.run(1)

        assert list(dict.fromkeys(stages)) == ["disciplined", "lockout_fighter", None]
        assert script.is_finished
        assert scene.desk.nets() == {}

    def test_ends_a_stage_that_takes_too_long_and_leaves_its_position(self) -> None:
        hold = Oversizer(OversizerSettings((ES.id, MNQ.id), hold_steps=10_000))
        script = Script([Stage(hold, 30)], pause_steps=0)
        scene = Scene(script).run(29)
        assert scene.desk.nets()

        scene.run(10)

        assert script.is_finished
        assert scene.desk.nets() == {}

    def test_does_nothing_without_stages(self) -> None:
        assert Script([]).is_finished

    def test_leaves_out_the_blocked_product_where_there_is_none(self) -> None:
        plan = DayPlan(
            (ES.id,), (), 3, 5, 800 * USD, 3, calm_steps=1, oversizer_steps=1, doubler_steps=1, fighter_steps=1
        )
        script = misbehaving_day(plan, seed=1)
        scene, stages = Scene(script), []
        for _ in range(200):
            stages.append(script.stage)
            scene.run(1)

        assert list(dict.fromkeys(stages)) == ["disciplined", "oversizer", "doubler", "lockout_fighter", None]


def recorded(tmp_path: Path) -> list[FeedItem]:
    """The recorded hour where it lies beside the checkout, else an invented hour: one contract, nothing else."""
    path = REAL_HOUR
    if not path.exists():
        path = write_tape(tmp_path / "hour.dbn", "mbo", invented_hour())
    return list(islice(DbnTape(path, [ES.contract]), 8_000))


@pytest.mark.parametrize("market", ["synthetic", "recorded"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_misbehaving_day_breaks_every_rule_in_time(market: str, seed: int, tmp_path: Path) -> None:
    """Within the steps a demo has; with a guard in step nothing is missed and nothing flattened without cause."""
    ids = (ES.id,) if market == "recorded" else (ES.id, MNQ.id)
    plan = DayPlan(ids, (CL.id,), most_per_contract=3, most_contracts=5, daily_loss_micros=800 * USD, doubler_size=3)
    script = misbehaving_day(plan, seed=seed)
    scene = Scene(script, seed=seed, feed=recorded(tmp_path) if market == "recorded" else None)
    referee = Referee(scene.exchange, scene.account_id, LIMITS)
    guard = NaiveGuard(scene.exchange, scene.account_id, scene.desk, LIMITS)
    while not script.is_finished and scene.market.step():
        referee.step_done(scene.market.now_ns)
        guard.act()
    report = referee.report()
    rules = {each.rule for each in report.episodes}

    assert script.is_finished
    assert scene.market.steps <= 3_500
    assert rules == {
        "daily_realized_loss",
        "daily_unrealized_loss",
        "max_contracts",
        "max_contracts_per_instrument",
        "symbol_blocks",
    }
    assert (report.missed, report.false_flattens, report.disagreements) == ((), (), ())


def test_a_desk_reads_its_own_position() -> None:
    exchange = Exchange([ES])
    account_id = exchange.open_account(user="u", name="a", balance_micros=50_000 * USD)
    desk = Desk(exchange, account_id)
    assert not desk.is_quoted(ES.id)
    assert not desk.is_quoted("CON.F.US.NONE.H24")

    exchange.quote(ES.id, 100, 101, START_NS)
    assert desk.is_quoted(ES.id)
    assert (desk.edge_ticks(ES.id), desk.leave(ES.id)) == (None, False)
    assert desk.market(ES.id, Side.SELL, 2)
    exchange.quote(ES.id, 103, 104, START_NS + 1)

    assert (desk.net(ES.id), desk.nets(), desk.edge_ticks(ES.id)) == (-2, {ES.id: -2}, -4)
    assert desk.limit(ES.id, Side.BUY, 1, 90)
    assert desk.stop(ES.id, Side.BUY, 1, 120)
    assert [order.type for order in desk.working(ES.id)] == [OrderType.LIMIT, OrderType.STOP]
    assert desk.leave(ES.id)
    assert desk.result_micros() == -(2 * 4 * 12_500_000 + 4 * 1_400_000)


class TestUnhurried:
    def test_acts_once_in_the_time_it_is_given(self) -> None:
        acted: list[int] = []

        class Eager:
            name: ClassVar[str] = "eager"
            is_finished = False

            def step(self, desk: Desk, now_ns: int) -> None:
                acted.append(now_ns)

        slow = Unhurried(Eager(), every_ns=250)
        exchange = Exchange([ES])
        desk = Desk(exchange, exchange.open_account(user="u", name="a", balance_micros=1))
        for now_ns in (1_000, 1_001, 1_249, 1_250, 1_300, 1_700):
            slow.step(desk, now_ns)
        assert acted == [1_000, 1_250, 1_700]
