"""The auditor: judged on scenes whose truth is written out."""

import ast
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import risk_manager.simulator.referee as referee_module
from risk_manager.domain.order import OrderType, Side
from risk_manager.domain.trading_day import TradingDays
from risk_manager.simulator.catalog import listed
from risk_manager.simulator.desk import Desk
from risk_manager.simulator.exchange import Exchange
from risk_manager.simulator.records import PlaceOrder
from risk_manager.simulator.referee import Limits, Referee, Report

USD = 1_000_000
ES, ES_NEXT, MNQ, CL = listed("ES", "H24"), listed("ES", "M24"), listed("MNQ", "H24"), listed("CL", "G24")
CONTRACTS = [ES, ES_NEXT, MNQ, CL]


class Scene:
    """A venue at 1000 x 1001 in every contract; one call to `at` is one market step."""

    def __init__(self, limits: Limits, *, days: TradingDays | None = None, patience_steps: int = 50) -> None:
        self.exchange = Exchange(CONTRACTS)
        self.account_id = self.exchange.open_account(user="u", name="a", balance_micros=100_000 * USD)
        self.desk = Desk(self.exchange, self.account_id)
        self.now_ns = 0
        for each in CONTRACTS:
            self.exchange.quote(each.id, 1_000, 1_001, 0)
        self.referee = Referee(self.exchange, self.account_id, limits, days=days, patience_steps=patience_steps)

    def step(self, count: int = 1) -> "Scene":
        """Let the market stand still for some steps."""
        for _ in range(count):
            self.quote(CL.id, self.exchange.top(CL.id).bid_ticks or 0)
        return self

    def quote(self, contract_id: str, bid: int) -> "Scene":
        self.now_ns += 1
        self.exchange.quote(contract_id, bid, bid + 1, self.now_ns)
        self.referee.step_done(self.now_ns)
        return self

    def buy(self, contract_id: str, size: int) -> "Scene":
        assert self.desk.market(contract_id, Side.BUY, size)
        return self

    def sell(self, contract_id: str, size: int) -> "Scene":
        assert self.desk.market(contract_id, Side.SELL, size)
        return self

    def guard_closes(self, contract_id: str, size: int | None = None) -> "Scene":
        if size is None:
            self.exchange.close_contract(self.account_id, contract_id, self.now_ns)
        else:
            self.exchange.partial_close(self.account_id, contract_id, size, self.now_ns)
        return self

    def guard_cancels_all(self) -> "Scene":
        for order in self.desk.working():
            self.exchange.cancel(self.account_id, order.id, self.now_ns)
        return self

    @property
    def report(self) -> Report:
        return self.referee.report()

    @property
    def breaches(self) -> list[tuple[str, str, int]]:
        return [(each.rule, each.scope, each.worst) for each in self.report.episodes]


def test_shares_no_code_with_the_guard() -> None:
    source = referee_module.__file__
    assert source is not None
    tree = ast.parse(Path(source).read_text())
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}

    assert {each for each in modules if each.startswith("risk_manager")} == {
        "risk_manager.domain.order",
        "risk_manager.domain.trading_day",
        "risk_manager.simulator.emissions",
        "risk_manager.simulator.exchange",
        "risk_manager.simulator.records",
    }


class TestBreaches:
    @pytest.mark.parametrize(("sizes", "expected"), [((3, 2), []), ((3, 3), [("max_contracts", "account", 6)])])
    def test_counts_contracts_of_the_account(
        self, sizes: tuple[int, int], expected: list[tuple[str, str, int]]
    ) -> None:
        scene = Scene(Limits(most_contracts=5))

        scene.buy(ES.id, sizes[0]).sell(MNQ.id, sizes[1]).step()

        assert scene.breaches == expected

    @pytest.mark.parametrize(("size", "expected"), [(1, []), (2, [("max_contracts_per_instrument", "ES", 4)])])
    def test_counts_contracts_of_a_root_over_its_expiries(
        self, size: int, expected: list[tuple[str, str, int]]
    ) -> None:
        scene = Scene(Limits(most_per_root={"ES": 3}))

        scene.buy(MNQ.id, 9).buy(ES.id, 2).sell(ES_NEXT.id, size).step()

        assert scene.breaches == expected

    @pytest.mark.parametrize(("bid", "expected"), [(997, []), (996, [("daily_unrealized_loss", ES.id, -125_000_000)])])
    def test_marks_a_position_at_its_exit_side(self, bid: int, expected: list[tuple[str, str, int]]) -> None:
        """Two long at 1001: at a bid of 996 five ticks of 12.50 each are lost, the limit itself."""
        scene = Scene(Limits(floating_loss_micros=125 * USD))

        scene.buy(ES.id, 2).quote(ES.id, bid)

        assert scene.breaches == expected

    def test_keeps_the_average_of_what_is_left(self) -> None:
        """Bought at 1001 and 1003, one sold: the other stands at 1002, and loses 25.00 at 1000."""
        scene = Scene(Limits(floating_loss_micros=25 * USD))

        scene.buy(ES.id, 1).quote(ES.id, 1_002).buy(ES.id, 1).quote(ES.id, 1_004).sell(ES.id, 1)
        scene.quote(ES.id, 1_001)
        assert scene.breaches == []
        scene.quote(ES.id, 1_000)

        assert scene.breaches == [("daily_unrealized_loss", ES.id, -25_000_000)]

    @pytest.mark.parametrize(
        ("limit_micros", "includes_costs", "includes_floating", "is_breach"),
        [
            (66_700_000, True, True, True),
            (66_700_001, True, True, False),
            (62_500_000, False, True, True),
            (62_500_001, False, True, False),
            (16_700_000, True, False, True),
            (16_700_001, True, False, False),
        ],
    )
    def test_adds_up_the_day(
        self, limit_micros: int, includes_costs: bool, includes_floating: bool, is_breach: bool
    ) -> None:
        """Two bought at 1001, one sold at 1000 (-12.50), one open at 997 (-50.00); three sides at 1.40."""
        scene = Scene(
            Limits(daily_loss_micros=limit_micros, includes_costs=includes_costs, includes_floating=includes_floating)
        )

        scene.buy(ES.id, 2).sell(ES.id, 1).step().quote(ES.id, 997)

        assert bool(scene.breaches) is is_breach

    def test_a_lost_day_stays_lost(self) -> None:
        scene = Scene(Limits(daily_loss_micros=100 * USD))

        scene.buy(ES.id, 4).quote(ES.id, 998).guard_closes(ES.id).step(3)
        scene.buy(MNQ.id, 1).step().guard_closes(MNQ.id).step()

        assert [each.rule for each in scene.report.episodes] == ["daily_realized_loss"] * 2
        assert [each.limit for each in scene.report.episodes] == [-100_000_000] * 2
        assert (scene.report.missed, scene.report.false_flattens) == ((), ())

    def test_a_new_day_starts_at_nothing(self) -> None:
        days = TradingDays((-100, 10, 100), ("monday", "tuesday"))
        scene = Scene(Limits(daily_loss_micros=100 * USD), days=days)

        scene.buy(ES.id, 4).quote(ES.id, 998).guard_closes(ES.id).step(15)
        scene.buy(MNQ.id, 1).step()

        assert scene.now_ns > 10
        assert len(scene.breaches) == 1

    def test_holds_positions_and_orders_in_a_blocked_product(self) -> None:
        scene = Scene(Limits(blocked_roots=frozenset({"CL"})))

        scene.desk.limit(CL.id, Side.BUY, 1, 900)
        scene.step().guard_cancels_all().step(2).buy(CL.id, 1).step().guard_closes(CL.id).step()

        assert scene.breaches == [("symbol_blocks", "CL", 1), ("symbol_blocks", "CL", 1)]
        assert [act.kind for act in scene.report.acts] == ["cancel", "order"]
        assert (scene.report.missed, scene.report.false_flattens) == ((), ())

    def test_holds_the_account_to_a_reported_lockout(self) -> None:
        scene = Scene(Limits())
        scene.referee.report_lockout(5, 10, root="ES")

        scene.step(4).buy(ES.id, 1).buy(MNQ.id, 1).step(10).sell(ES.id, 1)

        (episode,) = scene.report.episodes
        assert (episode.rule, episode.scope, episode.started_ns, episode.ended_ns) == ("lockout", "ES", 5, 10)

    def test_tells_when_the_books_were_in_order_again(self) -> None:
        scene = Scene(Limits(most_per_root={"ES": 3}))

        scene.step(2).buy(ES.id, 5).step(4).guard_closes(ES.id, 2).step(3)

        (episode,) = scene.report.episodes
        assert (episode.started_ns, episode.started_step, episode.worst) == (2, 2, 5)
        assert (episode.ended_ns, episode.ended_step, episode.steps) == (6, 6, 4)
        assert (episode.answered_ns, episode.answered_step) == (6, 6)


class TestVerdict:
    def test_an_act_without_a_breach_is_a_false_flatten(self) -> None:
        scene = Scene(Limits(most_per_root={"ES": 3}))

        scene.buy(ES.id, 3).step().guard_closes(ES.id).step()

        (act,) = scene.report.false_flattens
        assert (act.kind, act.contract_id, act.reasons) == ("order", ES.id, ())

    def test_an_act_on_another_product_is_false_too(self) -> None:
        scene = Scene(Limits(most_per_root={"ES": 3}))

        scene.buy(ES.id, 4).buy(MNQ.id, 1).step().guard_closes(ES.id, 1).guard_closes(MNQ.id).step()

        assert [act.contract_id for act in scene.report.false_flattens] == [MNQ.id]

    def test_a_rule_of_the_account_justifies_acts_everywhere(self) -> None:
        """Flattening goes on after the first close brought the count within the limit."""
        scene = Scene(Limits(most_contracts=5))

        scene.buy(ES.id, 3).buy(MNQ.id, 3).step().guard_closes(ES.id).guard_closes(MNQ.id).step()

        assert scene.report.false_flattens == ()
        assert [act.reasons for act in scene.report.acts] == [("max_contracts",)] * 2

    @pytest.mark.parametrize(("late_steps", "is_false"), [(5, False), (6, True)])
    def test_an_act_long_after_the_breach_is_false(self, late_steps: int, is_false: bool) -> None:
        scene = Scene(Limits(most_per_root={"ES": 3}), patience_steps=5)

        scene.buy(ES.id, 4).step().sell(ES.id, 1).step(late_steps).guard_closes(ES.id).step()

        assert bool(scene.report.false_flattens) is is_false

    def test_a_breach_nobody_answered_is_missed(self) -> None:
        scene = Scene(Limits(most_per_root={"ES": 3}))

        scene.buy(ES.id, 4).step(2).sell(ES.id, 4).step()

        assert [each.rule for each in scene.report.missed] == ["max_contracts_per_instrument"]

    def test_a_breach_that_still_lasts_is_missed(self) -> None:
        scene = Scene(Limits(most_per_root={"ES": 3}))

        scene.buy(ES.id, 4).step(2)

        (episode,) = scene.report.missed
        assert (episode.ended_ns, episode.steps) == (None, None)

    def test_nobody_can_see_a_breach_between_two_steps(self) -> None:
        scene = Scene(Limits(most_per_root={"ES": 3}))

        scene.buy(ES.id, 4).sell(ES.id, 4).step()

        assert (len(scene.report.episodes), scene.report.missed) == (1, ())
        assert len(scene.referee.report(brief_steps=0).missed) == 1

    def test_the_traders_own_orders_are_no_acts(self) -> None:
        scene = Scene(Limits(most_per_root={"ES": 3}))

        scene.desk.bracket(ES.id, Side.BUY, 1, risk_ticks=4, target_ticks=2)
        scene.quote(ES.id, 1_003).step()

        assert scene.desk.nets() == {}
        assert scene.report.acts == ()

    def test_the_caller_may_say_which_orders_are_the_guards(self) -> None:
        exchange = Exchange(CONTRACTS)
        account_id = exchange.open_account(user="u", name="a", balance_micros=100_000 * USD)
        exchange.quote(ES.id, 1_000, 1_001, 0)
        referee = Referee(exchange, account_id, Limits(), is_guard_order=lambda order: order.tag == "guard")

        exchange.place(account_id, PlaceOrder(ES.id, OrderType.MARKET, Side.BUY, 1), 1)
        exchange.place(account_id, PlaceOrder(ES.id, OrderType.MARKET, Side.SELL, 1, tag="guard"), 2)

        assert len(referee.report().false_flattens) == 1

    def test_leaves_other_accounts_alone(self) -> None:
        scene = Scene(Limits(most_per_root={"ES": 3}))
        other = scene.exchange.open_account(user="v", name="b", balance_micros=100_000 * USD)

        assert Desk(scene.exchange, other).market(ES.id, Side.BUY, 9)
        scene.step()

        assert scene.report.episodes == ()

    def test_stops_listening(self) -> None:
        scene = Scene(Limits(most_per_root={"ES": 3}))
        scene.referee.stop()
        scene.referee.stop()

        scene.buy(ES.id, 9)

        assert scene.report.episodes == ()


def test_a_voided_fill_never_happened() -> None:
    scene = Scene(Limits(most_per_root={"ES": 3}))
    scene.buy(ES.id, 2).buy(ES.id, 2).step()
    fills = scene.exchange.fills(scene.account_id)

    scene.exchange.void_fill(fills[0].id, scene.now_ns)
    scene.step()

    assert scene.report.episodes[0].ended_ns is not None
    assert scene.report.disagreements == ()


moves = st.lists(
    st.tuples(
        st.sampled_from([ES.id, MNQ.id]), st.sampled_from([Side.BUY, Side.SELL]), st.integers(1, 4), st.integers(-6, 6)
    ),
    max_size=25,
)


@settings(max_examples=60)
@given(moves)
def test_agrees_with_the_exchange_on_every_position(script: list[tuple[str, Side, int, int]]) -> None:
    """The arithmetic is the referee's own; the exchange's net and open profit come out of it."""
    scene = Scene(Limits(floating_loss_micros=1))
    for contract_id, side, size, move in script:
        scene.desk.market(contract_id, side, size)
        scene.quote(contract_id, (scene.exchange.top(contract_id).bid_ticks or 0) + move)

        losing = {each.scope for each in scene.report.episodes if each.ended_ns is None}
        expected = {each for each in scene.desk.nets() if _open_micros(scene, each) <= -1}
        assert losing == expected
    assert scene.report.disagreements == ()


def _open_micros(scene: Scene, contract_id: str) -> int:
    position, top = scene.exchange.position(scene.account_id, contract_id), scene.exchange.top(contract_id)
    assert position is not None
    mark = top.bid_ticks if position.net_contracts > 0 else top.ask_ticks
    assert mark is not None
    value = mark * position.net_contracts * 1_000_000 - position.cost_micro_ticks
    return value * scene.desk.tick_value_micros(contract_id) // 1_000_000
