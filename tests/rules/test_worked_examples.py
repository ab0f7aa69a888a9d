"""Worked examples that circulate with wrong figures, each with the right one, through a real engine.

The numbers A-01 ... A-30 are those of the list the project began with. Not here, because they are no money:

- A-17 (which fills are in a rolling minute): `test_trade_frequency_limit.py`.
- A-18, A-19, A-26 (time zones, weekdays, the next trading date): `test_session_block_outside.py`, `tests/domain`.
- A-27, A-28 (a reconnect's waits): the client waits anything between nothing and a bound that doubles from a quarter of
  a second to five, so neither the range with 20 % of jitter nor the sum of ten fixed waits exists here.
"""

from collections.abc import Iterable
from typing import Any

import pytest

from risk_manager.domain.actions import ClosePosition
from risk_manager.domain.contract import Contract
from risk_manager.domain.finding import Breach
from risk_manager.domain.instrument import NANOS_PER_UNIT
from risk_manager.rules import build_rules
from risk_manager.simulator.catalog import PRODUCTS
from risk_manager.testing.events import CL, ES, MES, MNQ, NQ, micros, ticks
from risk_manager.testing.guarded import Guarded

FLOATING_300 = {"daily_unrealized_loss": {"loss_limit": 300}}
TARGET_1000 = {"max_unrealized_profit": {"profit_target": 1000}}
DAY_500 = {"daily_realized_loss": {"limit": 500}}


def guarded_by(*sections: dict[str, dict[str, Any]]) -> Guarded:
    merged = {name: options for section in sections for name, options in section.items()}
    return Guarded(*build_rules(merged))


def takes(guarded: Guarded, product: Contract, net: int, price: float) -> None:
    guarded.feed(guarded.venue.quote(product, price))
    guarded.feed((guarded.venue.buys if net > 0 else guarded.venue.sells)(product, abs(net), price))


def walks(guarded: Guarded, product: Contract, prices: Iterable[float]) -> list[int]:
    """The account's open profit in dollars at each price, cents rounded down."""
    seen = []
    for price in prices:
        guarded.feed(guarded.venue.quote(product, price))
        seen.append(guarded.engine.account.unrealized_micros // 1_000_000)
    return seen


def reasons(guarded: Guarded) -> list[tuple[str, int]]:
    """Which rule fired at how many dollars."""
    return [(breach.code, breach.measured // 1_000_000) for breach in guarded.breaches]


class TestTicksAndPoints:
    """A-09, A-12, A-13, A-14, A-15, A-29: which value belongs to a tick and which to a point."""

    @pytest.mark.parametrize(
        ("root", "tick", "point"),
        [
            ("ES", "12.50", "50"),
            ("MES", "1.25", "5"),
            ("NQ", "5", "20"),
            ("MNQ", "0.50", "2"),
            ("RTY", "5", "50"),
            ("M2K", "0.50", "5"),
            ("YM", "5", "5"),
            ("MYM", "0.50", "0.50"),
            ("CL", "10", "1000"),
            ("GC", "10", "100"),
        ],
    )
    def test_a_tick_and_a_point_are_worth(self, root: str, tick: str, point: str) -> None:
        instrument = next(each.instrument for each in PRODUCTS if each.instrument.root == root)
        assert instrument.tick_value_micros == micros(tick)
        assert instrument.tick_value_micros * NANOS_PER_UNIT == micros(point) * instrument.tick_size_nanos

    def test_a12_a29_enq_is_the_mini_and_mnq_the_micro(self) -> None:
        by_name = {each.venue_root: each for each in PRODUCTS}
        assert (by_name["ENQ"].instrument.root, by_name["ENQ"].instrument.tick_value_micros) == ("NQ", micros(5))
        assert (by_name["MNQ"].title, by_name["MNQ"].instrument.tick_value_micros) == (
            "Micro E-mini Nasdaq-100",
            micros("0.50"),
        )

    @pytest.mark.parametrize(
        ("net", "moved_ticks", "dollars"),
        [
            (1, 24, "12"),  # not 120
            (1, -2, "-1"),  # not -20
            (1, 10, "5"),  # ten ticks are 2.50 points, not 2.50 dollars
            (2, 10, "10"),
            (2, -20, "-20"),  # a stop five points away risks 20, not 10
        ],
    )
    def test_a13_a14_what_ticks_of_mnq_are_worth(self, net: int, moved_ticks: int, dollars: str) -> None:
        guarded = guarded_by({})
        takes(guarded, MNQ, net, 21000)
        guarded.feed(guarded.venue.quote(MNQ, 21000 + moved_ticks / 4))
        assert guarded.engine.account.unrealized_micros == micros(dollars)

    def test_a13_a_micro_is_a_tenth(self) -> None:
        assert NQ.instrument.tick_value_micros == 10 * MNQ.instrument.tick_value_micros
        assert ES.instrument.tick_value_micros == 10 * MES.instrument.tick_value_micros

    def test_a15_a_price_between_two_ticks_is_no_price(self) -> None:
        with pytest.raises(AssertionError, match="not on the tick"):
            ticks(ES, 5807.51)
        assert ticks(ES, 5807.50) == 23_230


class TestFloatingLoss:
    """A-01 ... A-04, A-10, A-21, A-22, A-24, A-25 with the rule daily_unrealized_loss."""

    def test_a01_the_limit_of_300_is_reached_at_20925(self) -> None:
        guarded = guarded_by(FLOATING_300)
        takes(guarded, MNQ, 2, 21000)
        assert walks(guarded, MNQ, (20925.25,)) == [-299]
        assert reasons(guarded) == []
        assert walks(guarded, MNQ, (20925, 20700, 20690)) == [-300, -1200, -1240]
        assert reasons(guarded) == [("UNREALIZED_LOSS", -300)]

    def test_a02_eight_points_of_es_are_400_and_the_account_is_600_down(self) -> None:
        guarded = guarded_by({"daily_unrealized_loss": {"loss_limit": 600, "scope": "total"}})
        takes(guarded, MNQ, 1, 21000)
        takes(guarded, ES, 1, 5800)
        assert walks(guarded, MNQ, (20900,)) == [-200]
        assert walks(guarded, ES, (5792.25, 5792)) == [-588, -600]
        assert reasons(guarded) == [("UNREALIZED_LOSS", -600)]

    def test_a03_a_netted_venue_holds_no_hedge_and_the_leg_alone_breaches(self) -> None:
        guarded = guarded_by(FLOATING_300)
        takes(guarded, MNQ, 2, 21000)
        takes(guarded, MNQ, -2, 21000)
        assert guarded.engine.account.holdings == {}
        takes(guarded, MNQ, 2, 21000)
        assert walks(guarded, MNQ, (20900,)) == [-400]
        assert reasons(guarded) == [("UNREALIZED_LOSS", -400)]

    def test_a04_it_breached_long_before_and_20800_is_not_safe(self) -> None:
        guarded = guarded_by(FLOATING_300)
        takes(guarded, MNQ, 2, 21000)
        assert walks(guarded, MNQ, (20700, 20800)) == [-1200, -800]
        assert reasons(guarded) == [("UNREALIZED_LOSS", -1200)]
        assert ClosePosition in [type(action) for action in guarded.actions]

    def test_a10_five_points_are_20_and_thirty_are_120(self) -> None:
        guarded = guarded_by(FLOATING_300)
        takes(guarded, MNQ, 2, 21000)
        assert walks(guarded, MNQ, (20995, 20970)) == [-20, -120]
        assert reasons(guarded) == []

    def test_a10_with_400_realized_the_120_trips_the_days_500(self) -> None:
        guarded = guarded_by(FLOATING_300, DAY_500)
        guarded.feed(guarded.venue.result(-400))
        takes(guarded, MNQ, 2, 21000)
        assert walks(guarded, MNQ, (20975.25, 20970)) == [-99, -120]
        assert reasons(guarded) == [("DAILY_LOSS", -520)]

    @pytest.mark.parametrize("price", [20700], ids=["A-21 and A-22"])
    def test_a21_a22_three_hundred_points_of_two_mnq_breach_both_limits(self, price: float) -> None:
        guarded = guarded_by(FLOATING_300, DAY_500)
        takes(guarded, MNQ, 2, 21000)
        assert walks(guarded, MNQ, (price,)) == [-1200]
        assert sorted(reasons(guarded)) == [("DAILY_LOSS", -1200), ("UNREALIZED_LOSS", -1200)]

    def test_a24_three_mnq_breach_at_the_first_step(self) -> None:
        guarded = guarded_by(FLOATING_300)
        takes(guarded, MNQ, 3, 21000)
        guarded.feed(guarded.venue.quote(MNQ, 20950))
        assert reasons(guarded) == [("UNREALIZED_LOSS", -300)]
        assert walks(guarded, MNQ, (20950, 20900, 20850)) == [-300, -600, -900]

    def test_a25_the_first_quote_breaches_and_both_are_800(self) -> None:
        guarded = guarded_by(FLOATING_300)
        takes(guarded, MNQ, 2, 21000)
        takes(guarded, ES, 1, 5800)
        assert walks(guarded, MNQ, (20900,)) == [-400]
        assert reasons(guarded) == [("UNREALIZED_LOSS", -400)]
        assert walks(guarded, ES, (5792,)) == [-800]


class TestFloatingProfit:
    """A-05 ... A-08, A-11, A-16, A-20, A-23 with the rule max_unrealized_profit."""

    def test_a05_the_target_of_1000_is_reached_at_21250(self) -> None:
        guarded = guarded_by(TARGET_1000)
        takes(guarded, MNQ, 2, 21000)
        assert walks(guarded, MNQ, (21249.75,)) == [999]
        assert reasons(guarded) == []
        assert walks(guarded, MNQ, (21250, 21500, 21510)) == [1000, 2000, 2040]
        assert reasons(guarded) == [("PROFIT_TARGET", 1000)]

    def test_a06_forty_eight_points_of_es_are_2400_and_the_account_is_2800_up(self) -> None:
        guarded = guarded_by({"max_unrealized_profit": {"profit_target": 2800, "scope": "total"}})
        takes(guarded, MNQ, 2, 21000)
        takes(guarded, ES, 1, 5800)
        assert walks(guarded, MNQ, (21100,)) == [400]
        assert walks(guarded, ES, (5848,)) == [2800]
        assert reasons(guarded) == [("PROFIT_TARGET", 2800)]

    def test_a07_the_account_is_800_down_and_reaches_no_target(self) -> None:
        guarded = guarded_by({"max_unrealized_profit": {"profit_target": 1000, "scope": "total"}})
        takes(guarded, ES, 1, 5800)
        takes(guarded, MNQ, 2, 21000)
        assert walks(guarded, ES, (5752,)) == [-2400]
        assert walks(guarded, MNQ, (21400, 21410)) == [-800, -760]
        assert reasons(guarded) == []

    def test_a08_the_target_was_hit_earlier(self) -> None:
        guarded = guarded_by(TARGET_1000)
        takes(guarded, MNQ, 2, 21000)
        assert walks(guarded, MNQ, (21500, 21400)) == [2000, 1600]
        assert reasons(guarded) == [("PROFIT_TARGET", 2000)]

    def test_a11_ten_points_of_es_are_500_and_the_target_is_at_6020(self) -> None:
        guarded = guarded_by(TARGET_1000)
        takes(guarded, ES, 1, 6000)
        assert walks(guarded, ES, (6010, 6019.75)) == [500, 987]
        assert reasons(guarded) == []
        assert walks(guarded, ES, (6020,)) == [1000]
        assert reasons(guarded) == [("PROFIT_TARGET", 1000)]

    def test_a11_500_and_800_are_1300(self) -> None:
        guarded = guarded_by({"max_unrealized_profit": {"profit_target": 1300, "scope": "total"}})
        takes(guarded, ES, 1, 6000)
        takes(guarded, MNQ, 2, 21000)
        assert walks(guarded, ES, (6010,)) == [500]
        assert walks(guarded, MNQ, (21200,)) == [1300]
        assert reasons(guarded) == [("PROFIT_TARGET", 1300)]

    def test_a16_two_and_a_half_points_of_es_are_125_and_the_account_75_up(self) -> None:
        guarded = guarded_by({})
        takes(guarded, ES, 1, 5800)
        takes(guarded, MNQ, 1, 21000)
        assert walks(guarded, ES, (5802.5,)) == [125]
        assert walks(guarded, MNQ, (20975,)) == [75]

    def test_a20_two_mnq_over_49_75_points_are_199(self) -> None:
        guarded = guarded_by({"max_unrealized_profit": {"profit_target": 199}})
        takes(guarded, MNQ, 2, 21000.25)
        assert walks(guarded, MNQ, (21049.75,)) == [198]
        assert reasons(guarded) == []
        assert walks(guarded, MNQ, (21050,)) == [199]
        assert reasons(guarded) == [("PROFIT_TARGET", 199)]
        guarded.feed(guarded.venue.closes(MNQ, 21050))
        assert guarded.engine.account.realized_micros == micros(199)

    def test_a23_ten_es_reach_2000_after_four_points(self) -> None:
        guarded = guarded_by({"max_unrealized_profit": {"profit_target": 2000}})
        takes(guarded, ES, 10, 5800)
        assert walks(guarded, ES, (5803.75,)) == [1875]
        assert reasons(guarded) == []
        assert walks(guarded, ES, (5804, 5804.25, 5816)) == [2000, 2125, 8000]
        assert reasons(guarded) == [("PROFIT_TARGET", 2000)]


class TestRightAsWritten:
    """A-30: figures that were checked and hold."""

    @pytest.mark.parametrize(
        ("product", "net", "entry", "price", "dollars"),
        [
            (MNQ, 3, 21000, 21002, 12),
            (ES, -2, 5800, 5795, 500),
            (MNQ, 2, 25900, 25898.25, -7),
            (CL, 1, 75, 73.55, -1450),
            (ES, 4, 5800, 5817, 3400),
        ],
    )
    def test_is_worth(self, product: Contract, net: int, entry: float, price: float, dollars: int) -> None:
        guarded = guarded_by({})
        takes(guarded, product, net, entry)
        assert walks(guarded, product, (price,)) == [dollars]

    def test_four_losses_of_200_and_one_of_100_end_the_day_at_exactly_900(self) -> None:
        """The open loss and the day share one budget: 200 for a position, 900 for the day."""
        composite = {"enabled": True}
        guarded = guarded_by(
            {
                "daily_realized_loss": {"limit": -900},
                "daily_unrealized_loss": {"loss_limit": 200, "composite_enforcement": composite},
            }
        )
        for exit_price in (5796, 5796, 5796, 5796, 5798):
            takes(guarded, ES, 1, 5800)
            guarded.feed(guarded.venue.quote(ES, exit_price + 0.25))
            before = guarded.codes.copy()
            guarded.feed(guarded.venue.quote(ES, exit_price))
            assert len(guarded.codes) > len(before)
            guarded.feed(guarded.venue.closes(ES, exit_price))
            self.settle(guarded)
        assert guarded.engine.account.realized_micros == micros(-900)
        found: list[Breach] = guarded.breaches
        floating = [one for one in found if one.rule == "daily_unrealized_loss"]
        assert [(one.code, one.measured // 1_000_000) for one in floating] == [
            ("UNREALIZED_LOSS", -200),
            ("UNREALIZED_LOSS", -200),
            ("UNREALIZED_LOSS", -200),
            ("UNREALIZED_LOSS", -200),
            ("DAY_BUDGET", -100),
        ]
        assert [lockout.rule for lockout in guarded.lockouts] == ["daily_realized_loss"]

    def settle(self, guarded: Guarded) -> None:
        """Snapshots until what was ordered is proven done."""
        for _ in range(3):
            guarded.venue.wait(2)
            guarded.feed(guarded.venue.snapshot())
